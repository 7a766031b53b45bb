/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/err.h"

#include <stdlib.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_is_nocase_of(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_is((struct str){s.p, prefix.n}, prefix);
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

bool str_cut(struct str *rest, char separator, struct str *ret_piece)
{
    if (rest->p == NULL) {
        return false;
    }
    const char *at = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
    if (at == NULL) {
        *ret_piece = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    *ret_piece = (struct str){rest->p, (size_t)(at - rest->p)};
    *rest = (struct str){at + 1, rest->n - ret_piece->n - 1};
    return true;
}

char *str_dup(struct str s)
{
    char *copy = malloc(s.n + 1);

    if (copy == NULL) {
        return NULL;
    }
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    copy[s.n] = '\0';
    return copy;
}

bool str_keep(struct str s, char *to, size_t size)
{
    if (s.n == 0 || s.n >= size) {
        return false;
    }
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
    return true;
}

size_t str_put(struct str s, char *to, size_t size, size_t at)
{
    size_t left = size - 1 - at;
    size_t n = s.n < left ? s.n : left;

    if (n > 0) {
        memcpy(to + at, s.p, n);
    }
    to[at + n] = '\0';
    return at + n;
}

/* Reads to the end also when it is too large: what is no number is no large one. */
int str_to_u64(struct str s, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    bool is_over = false;

    if (s.n == 0) {
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return ERR_SYNTAX;
        }
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        is_over = is_over || value > (UINT64_MAX - digit) / 10;
        value = is_over ? 0 : value * 10 + digit;
    }
    if (is_over || value > max) {
        return ERR_TOO_LARGE;
    }
    *ret = value;
    return ERR_OK;
}

int str_to_i64(struct str s, int64_t *ret)
{
    bool is_negative = s.n > 0 && s.p[0] == '-';
    uint64_t magnitude;

    if (is_negative) {
        s.p++;
        s.n--;
    }
    int rc = str_to_u64(s, is_negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &magnitude);
    if (rc != ERR_OK) {
        return rc;
    }
    *ret = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return ERR_OK;
}

struct str str_from_i64(int64_t value, char to[STR_I64_SIZE])
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[STR_I64_SIZE];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    memcpy(to, digits + at, sizeof digits - at);
    return (struct str){to, sizeof digits - 1 - at};
}

/* The length of the well-formed sequence at `p`, 0 when there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t length;

    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        length = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        length = 3;
        low = p[0] == 0xE0 ? 0xA0 : low;
        high = p[0] == 0xED ? 0x9F : high;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        length = 4;
        low = p[0] == 0xF0 ? 0x90 : low;
        high = p[0] == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    if (n < length || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (p[i] < 0x80 || p[i] > 0xBF) {
            return 0;
        }
    }
    return length;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;

    while (i < s.n) {
        size_t length = utf8_length(p + i, s.n - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

bool str_is_constant_time(struct str a, struct str b)
{
    unsigned char difference = 0;

    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        difference = (unsigned char)(difference | ((unsigned char)a.p[i] ^ (unsigned char)b.p[i]));
    }
    return difference == 0;
}
