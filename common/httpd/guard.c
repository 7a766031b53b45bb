/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/guard.h"

#include "base/chars.h"

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* `c` is one of the characters of `set`; NUL never is. */
static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

bool guard_is_token(struct str s)
{
    return s.n > 0 && chars_all(s, CHARS_TOKEN);
}

bool guard_is_field_value(struct str s)
{
    return chars_all(s, CHARS_FIELD);
}

/* --- the target ------------------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads one character of a path, decoded once; false on a broken escape. */
static bool next_char(struct str path, size_t *at, int *ret)
{
    if (path.p[*at] != '%') {
        *ret = (unsigned char)path.p[(*at)++];
        return true;
    }
    if (path.n - *at < 3 || hex_of(path.p[*at + 1]) < 0 || hex_of(path.p[*at + 2]) < 0) {
        return false;
    }
    *ret = hex_of(path.p[*at + 1]) * 16 + hex_of(path.p[*at + 2]);
    *at += 3;
    return true;
}

/* Walks the path as the least careful server behind us might: everything decoded, '\' a separator,
 * ';' the end of a segment's name. */
static bool is_path(struct str path)
{
    size_t dots = 0;         /* the segment so far is this many dots… */
    bool is_other = false;   /* …unless it holds another character */
    bool is_in_name = false; /* before the segment's ';' */

    for (size_t at = 0; at < path.n;) {
        int c = 0;

        if (!next_char(path, &at, &c) || c == '\0') {
            return false;
        }
        if (c == '/' || c == '\\') {
            if (!is_other && (dots == 1 || dots == 2)) {
                return false;
            }
            dots = 0;
            is_other = false;
            is_in_name = true;
        } else if (c == ';') {
            is_in_name = false;
        } else if (is_in_name && c == '.') {
            dots++;
        } else if (is_in_name) {
            is_other = true;
        }
    }
    return is_other || (dots != 1 && dots != 2);
}

bool guard_is_target(struct str target)
{
    size_t path_len = target.n;

    if (target.n == 0 || target.p[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < target.n; i++) {
        unsigned char c = (unsigned char)target.p[i];

        if (c <= 0x20 || c >= 0x7f || c == '#') {
            return false;
        }
        if (c == '?' && path_len == target.n) {
            path_len = i;
        }
    }
    return is_path((struct str){target.p, path_len});
}

/* --- the fields ------------------------------------------------------------------------------- */

static const struct httpd_field *find(const struct guard_head *head, struct str name,
                                      size_t *ret_count)
{
    const struct httpd_field *first = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < head->n_fields; i++) {
        if (str_is_nocase(head->fields[i].name, name)) {
            first = first == NULL ? &head->fields[i] : first;
            (*ret_count)++;
        }
    }
    return first;
}

static bool is_host(struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        if (!is_alnum(value.p[i]) && !is_one_of(value.p[i], "-._~!$&'()*+,;=%:[]")) {
            return false;
        }
    }
    return true;
}

static const char *check_host(const struct guard_head *head, bool is_1_0)
{
    size_t n = 0;
    const struct httpd_field *host = find(head, STR("Host"), &n);

    if (n > 1) {
        return "more than one Host field";
    }
    if (host == NULL) {
        return is_1_0 ? NULL : "no Host field";
    }
    return is_host(str_trim(host->value)) ? NULL : "malformed Host field";
}

static const char *check_length(const struct httpd_field *field, size_t n, uint64_t *ret)
{
    uint64_t length = 0;
    int err;

    if (field == NULL) {
        return NULL;
    }
    if (n > 1) {
        return "more than one Content-Length field";
    }
    err = str_to_u64(field->value, UINT64_MAX, &length);
    if (err == ERR_TOO_LARGE) {
        length = UINT64_MAX;
    } else if (err != 0) {
        return "malformed Content-Length field";
    }
    *ret = length;
    return NULL;
}

static const char *check_framing(const struct guard_head *head, bool is_1_0,
                                 struct guard_verdict *v)
{
    size_t n_lengths = 0;
    size_t n_encodings = 0;
    const struct httpd_field *length = find(head, STR("Content-Length"), &n_lengths);
    const struct httpd_field *encoding = find(head, STR("Transfer-Encoding"), &n_encodings);

    if (encoding == NULL) {
        return check_length(length, n_lengths, &v->body_len);
    }
    if (length != NULL) {
        return "Content-Length beside Transfer-Encoding";
    }
    if (n_encodings > 1 || is_1_0 || !str_is_nocase(encoding->value, STR("chunked"))) {
        return "the only Transfer-Encoding is chunked";
    }
    v->is_chunked = true;
    return NULL;
}

static const char *check_fields(const struct guard_head *head)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (!guard_is_token(head->fields[i].name)) {
            return "malformed field name";
        }
        if (!guard_is_field_value(head->fields[i].value)) {
            return "control character in a field";
        }
    }
    return NULL;
}

static const char *check_line(const struct guard_head *head)
{
    if (!guard_is_token(head->method)) {
        return "malformed method";
    }
    if (!guard_is_target(head->target)) {
        return "malformed target";
    }
    if (!str_is(head->version, STR("HTTP/1.1")) && !str_is(head->version, STR("HTTP/1.0"))) {
        return "not HTTP/1.1";
    }
    return NULL;
}

struct guard_verdict guard_check(const struct guard_head *head)
{
    bool is_1_0 = str_is(head->version, STR("HTTP/1.0"));
    struct guard_verdict v = {0};

    v.detail = check_line(head);
    v.detail = v.detail == NULL ? check_fields(head) : v.detail;
    v.detail = v.detail == NULL ? check_host(head, is_1_0) : v.detail;
    v.detail = v.detail == NULL ? check_framing(head, is_1_0, &v) : v.detail;
    v.status = v.detail == NULL ? 0 : 400;
    return v;
}

/* --- the layout ------------------------------------------------------------------------------- */

/* Behind a field's name: ':' (overwritten by the parser), then spaces and tabs up to the value. */
static bool is_blank_between(const char *from, const char *to)
{
    for (; from < to; from++) {
        if (*from != ' ' && *from != '\t') {
            return false;
        }
    }
    return from == to;
}

bool guard_is_gapless(const struct guard_head *head, size_t head_len)
{
    const char *at = head->method.p;

    if (head->target.p != at + head->method.n + 1 ||
        head->version.p != head->target.p + head->target.n + 1) {
        return false;
    }
    at = head->version.p + head->version.n + 2;
    for (size_t i = 0; i < head->n_fields; i++) {
        struct httpd_field f = head->fields[i];

        if (f.name.p != at || f.value.p < at + f.name.n + 1 ||
            f.value.p > head->method.p + head_len ||
            !is_blank_between(at + f.name.n + 1, f.value.p)) {
            return false;
        }
        at = f.value.p + f.value.n + 2;
    }
    return at + 2 == head->method.p + head_len;
}
