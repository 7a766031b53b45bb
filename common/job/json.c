/* SPDX-License-Identifier: Apache-2.0 */
/* Recursive descent, at most JSON_DEPTH_MAX deep. Names of open objects lie on one stack; at its
 * end an object sorts its own and looks for neighbours that are equal. Sorting and not hashing: it
 * needs no seed, and no choice of names makes it slow. */
#include "job/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Offsets of a name fit 32 bits, also where the arena is counted on behind the text. */
enum { TEXT_MAX = 1 << 30 };

/* Where a name's bytes are: in the text or, counted on from its end, unescaped in the arena. */
struct name {
    uint32_t at;
    uint32_t n;
};

struct scan {
    const char *start;
    const char *p;
    const char *end;
    unsigned depth;
    struct name *names;
    size_t n_names;
    size_t room;
    struct buf arena;
    const char *what;
};

static int scan_value(struct scan *s);

static int fail(struct scan *s, const char *what)
{
    s->what = what;
    return ERR_SYNTAX;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct scan *s)
{
    while (s->p != s->end && is_space(*s->p)) {
        s->p++;
    }
}

static bool skip(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != c) {
        return false;
    }
    s->p++;
    return true;
}

/* Four hex digits, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t value = 0;

    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int32_t digit = is_digit(c)              ? c - '0'
                        : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                        : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static bool is_high_surrogate(int32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(int32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* After "\u". */
static int scan_unicode(struct scan *s)
{
    int32_t unit = hex4(s->p, s->end);

    if (unit < 0) {
        return fail(s, "\\u without four hex digits");
    }
    if (unit == 0) {
        return fail(s, "the character \\u0000");
    }
    if (is_low_surrogate(unit)) {
        return fail(s, "half of a surrogate pair");
    }
    s->p += 4;
    if (!is_high_surrogate(unit)) {
        return ERR_OK;
    }
    if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u' ||
        !is_low_surrogate(hex4(s->p + 2, s->end))) {
        return fail(s, "half of a surrogate pair");
    }
    s->p += 6;
    return ERR_OK;
}

/* After the backslash. */
static int scan_escape(struct scan *s)
{
    if (s->p == s->end) {
        return fail(s, "a string without an end");
    }
    if (*s->p == '\0' || strchr("\"\\/bfnrtu", *s->p) == NULL) {
        return fail(s, "an unknown escape");
    }
    return *s->p++ == 'u' ? scan_unicode(s) : ERR_OK;
}

static int scan_string(struct scan *s, struct str *ret, bool *ret_is_escaped)
{
    const char *start = s->p;
    bool is_escaped = false;

    if (!skip(s, '"')) {
        return fail(s, "a string was expected");
    }
    while (s->p != s->end && *s->p != '"') {
        char c = *s->p;
        if ((unsigned char)c < 0x20) {
            return fail(s, "a control character in a string");
        }
        s->p++;
        if (c == '\\') {
            is_escaped = true;
            int rc = scan_escape(s);
            if (rc != ERR_OK) {
                return rc;
            }
        }
    }
    if (!skip(s, '"')) {
        return fail(s, "a string without an end");
    }
    *ret = (struct str){start, (size_t)(s->p - start)};
    *ret_is_escaped = is_escaped;
    if (!str_is_utf8(*ret)) {
        s->p = start;
        return fail(s, "a string that is not UTF-8");
    }
    return ERR_OK;
}

static size_t skip_digits(struct scan *s)
{
    const char *start = s->p;

    while (s->p != s->end && is_digit(*s->p)) {
        s->p++;
    }
    return (size_t)(s->p - start);
}

/* The exponent that was written, cut where only a text of a gigabyte could make up for it. */
static long exponent_of(struct str digits, bool is_negative)
{
    enum { FAR = 1000000000 };
    long value = 0;

    for (size_t i = 0; i < digits.n && value < FAR; i++) {
        value = value * 10 + (digits.p[i] - '0');
    }
    value = value < FAR ? value : FAR;
    return is_negative ? -value : value;
}

/* mantissa: digits with at most one dot. A long text must not cost a long conversion, and strtod
 * reads the dot of a locale: only the magnitude of the first digit that counts is taken, and near
 * the largest double the first of its digits. */
static bool is_finite(struct str mantissa, long exponent)
{
    enum { DIGITS = 40, EXPONENT_MAX = 308 };
    char text[DIGITS + 16];
    size_t n = 0;
    const char *dot = memchr(mantissa.p, '.', mantissa.n);
    long n_whole = dot == NULL ? (long)mantissa.n : (long)(dot - mantissa.p);
    long n_zeros = 0;

    for (size_t i = 0; i < mantissa.n && n < DIGITS; i++) {
        if (mantissa.p[i] == '.') {
            continue;
        }
        if (mantissa.p[i] == '0' && n == 0) {
            n_zeros++;
        } else {
            text[n++] = mantissa.p[i];
        }
    }
    long magnitude = n_whole - n_zeros - 1 + exponent;
    if (n == 0 || magnitude < EXPONENT_MAX) {
        return true;
    }
    if (magnitude > EXPONENT_MAX) {
        return false;
    }
    (void)snprintf(text + n, sizeof text - n, "e%d", EXPONENT_MAX - (int)n + 1);
    return isfinite(strtod(text, NULL)) != 0;
}

static int scan_number(struct scan *s)
{
    long exponent = 0;

    (void)skip(s, '-');
    const char *start = s->p;
    if (skip(s, '0')) {
        if (s->p != s->end && is_digit(*s->p)) {
            return fail(s, "a number that begins with 0");
        }
    } else if (skip_digits(s) == 0) {
        return fail(s, "a value was expected");
    }
    if (skip(s, '.') && skip_digits(s) == 0) {
        return fail(s, "a number without digits after its point");
    }
    struct str mantissa = {start, (size_t)(s->p - start)};
    if (skip(s, 'e') || skip(s, 'E')) {
        bool is_negative = skip(s, '-');
        if (!is_negative) {
            (void)skip(s, '+');
        }
        struct str digits = {s->p, skip_digits(s)};
        if (digits.n == 0) {
            return fail(s, "a number without digits in its exponent");
        }
        exponent = exponent_of(digits, is_negative);
    }
    return is_finite(mantissa, exponent) ? ERR_OK : fail(s, "a number that is too large");
}

static int scan_word(struct scan *s, struct str word)
{
    if (!str_starts((struct str){s->p, (size_t)(s->end - s->p)}, word)) {
        return fail(s, "a value was expected");
    }
    s->p += word.n;
    return ERR_OK;
}

static int push_name(struct scan *s, struct str raw, bool is_escaped)
{
    if (s->n_names == s->room) {
        size_t room = s->room == 0 ? 16 : s->room * 2;
        struct name *grown = reallocarray(s->names, room, sizeof *grown);
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        s->names = grown;
        s->room = room;
    }
    struct str plain = {raw.p + 1, raw.n - 2};
    size_t at = (size_t)(plain.p - s->start);
    if (is_escaped) {
        size_t used = s->arena.n;
        json_unescape(raw, &s->arena);
        at = (size_t)(s->end - s->start) + used;
        plain.n = s->arena.n - used;
    }
    s->names[s->n_names++] = (struct name){(uint32_t)at, (uint32_t)plain.n};
    return buf_failed(&s->arena) ? ERR_NOMEM : ERR_OK;
}

static struct str name_text(const struct scan *s, const struct name *name)
{
    size_t n_text = (size_t)(s->end - s->start);
    const char *p = name->at < n_text ? s->start + name->at : s->arena.p + (name->at - n_text);

    return (struct str){p, name->n};
}

/* By length first, which is cheap. */
static int compare_names(const void *left, const void *right, void *context)
{
    struct str a = name_text(context, left);
    struct str b = name_text(context, right);

    if (a.n != b.n) {
        return a.n < b.n ? -1 : 1;
    }
    return a.n == 0 ? 0 : memcmp(a.p, b.p, a.n);
}

/* Whether two of the names from `first` on are the same. */
static bool has_twins(struct scan *s, size_t first)
{
    if (s->n_names - first < 2) {
        return false;
    }
    qsort_r(s->names + first, s->n_names - first, sizeof *s->names, compare_names, s);
    for (size_t i = first + 1; i < s->n_names; i++) {
        if (compare_names(&s->names[i - 1], &s->names[i], s) == 0) {
            return true;
        }
    }
    return false;
}

static int scan_member(struct scan *s)
{
    struct str name;
    bool is_escaped;

    skip_space(s);
    int rc = scan_string(s, &name, &is_escaped);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = push_name(s, name, is_escaped);
    if (rc != ERR_OK) {
        return rc;
    }
    skip_space(s);
    return skip(s, ':') ? scan_value(s) : fail(s, "a colon was expected");
}

static int scan_item(struct scan *s)
{
    return scan_value(s);
}

/* After the opening bracket: items separated by commas, up to `close`. */
static int scan_items(struct scan *s, char close, int (*item)(struct scan *))
{
    skip_space(s);
    if (skip(s, close)) {
        return ERR_OK;
    }
    do {
        int rc = item(s);
        if (rc != ERR_OK) {
            return rc;
        }
        skip_space(s);
    } while (skip(s, ','));
    return skip(s, close) ? ERR_OK : fail(s, "a comma or a closing bracket was expected");
}

static int scan_object(struct scan *s)
{
    const char *start = s->p++;
    size_t first = s->n_names;
    size_t arena = s->arena.n;

    int rc = scan_items(s, '}', scan_member);
    if (rc != ERR_OK) {
        return rc;
    }
    if (has_twins(s, first)) {
        s->p = start;
        return fail(s, "an object that has a name twice");
    }
    s->n_names = first;
    s->arena.n = arena;
    return ERR_OK;
}

static int scan_nested(struct scan *s)
{
    if (s->depth == JSON_DEPTH_MAX) {
        return fail(s, "nesting deeper than 64");
    }
    s->depth++;
    int rc;
    if (*s->p == '{') {
        rc = scan_object(s);
    } else {
        s->p++;
        rc = scan_items(s, ']', scan_item);
    }
    s->depth--;
    return rc;
}

static int scan_value(struct scan *s)
{
    struct str string;
    bool is_escaped;

    skip_space(s);
    if (s->p == s->end) {
        return fail(s, "it ends too early");
    }
    switch (*s->p) {
    case '{':
    case '[':
        return scan_nested(s);
    case '"':
        return scan_string(s, &string, &is_escaped);
    case 't':
        return scan_word(s, STR("true"));
    case 'f':
        return scan_word(s, STR("false"));
    case 'n':
        return scan_word(s, STR("null"));
    default:
        return scan_number(s);
    }
}

static int scan_text(struct scan *s)
{
    if (s->end - s->start > TEXT_MAX) {
        return fail(s, "longer than a gigabyte");
    }
    if (str_starts((struct str){s->p, (size_t)(s->end - s->p)}, STR("\xEF\xBB\xBF"))) {
        return fail(s, "a byte order mark");
    }
    int rc = scan_value(s);
    if (rc != ERR_OK) {
        return rc;
    }
    skip_space(s);
    return s->p == s->end ? ERR_OK : fail(s, "something follows its end");
}

int json_check(struct str text, struct json_trouble *ret)
{
    const char *start = text.n > 0 ? text.p : "";
    struct scan s = {.start = start, .p = start, .end = start + text.n};

    int rc = scan_text(&s);
    if (rc == ERR_SYNTAX) {
        *ret = (struct json_trouble){s.what, (size_t)(s.p - s.start)};
    }
    free(s.names);
    buf_fini(&s.arena);
    return rc;
}

/* The walk: the text is known to be sound, so that it looks for ends only. */

struct str json_trim(struct str text)
{
    while (text.n > 0 && is_space(text.p[0])) {
        text = (struct str){text.p + 1, text.n - 1};
    }
    while (text.n > 0 && is_space(text.p[text.n - 1])) {
        text.n--;
    }
    return text;
}

struct str json_members(struct str object)
{
    struct str inside = json_trim(object);

    return json_trim((struct str){inside.p + 1, inside.n - 2});
}

/* The length of the string at the front, quotes included. */
static size_t string_length(struct str text)
{
    size_t i = 1;

    while (i < text.n && text.p[i] != '"') {
        i += text.p[i] == '\\' ? 2 : 1;
    }
    return i + 1 <= text.n ? i + 1 : text.n;
}

/* The length of the value at the front: up to a comma or a closing bracket that is not its own. */
static size_t value_length(struct str text)
{
    size_t depth = 0;
    size_t i = 0;

    while (i < text.n) {
        char c = text.p[i];
        if (c == '"') {
            i += string_length((struct str){text.p + i, text.n - i});
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            break;
        }
        depth += c == '{' || c == '[' ? 1 : 0;
        depth -= c == '}' || c == ']' ? 1 : 0;
        i++;
    }
    return i;
}

static struct str after(struct str text, size_t n)
{
    return n < text.n ? json_trim((struct str){text.p + n, text.n - n}) : (struct str){"", 0};
}

bool json_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    struct str text = json_trim(*rest);

    if (text.n == 0 || text.p[0] != '"') {
        return false;
    }
    *ret_name = (struct str){text.p, string_length(text)};
    text = after(text, ret_name->n);
    text = after(text, 1); /* the colon */
    struct str value = {text.p, value_length(text)};
    *ret_value = json_trim(value);
    *rest = after(text, value.n + 1); /* and the comma */
    return true;
}

static void add_utf8(struct buf *out, uint32_t c)
{
    char text[4];
    size_t n = 0;

    if (c < 0x80) {
        text[n++] = (char)c;
    } else if (c < 0x800) {
        text[n++] = (char)(0xC0 | (c >> 6));
    } else if (c < 0x10000) {
        text[n++] = (char)(0xE0 | (c >> 12));
        text[n++] = (char)(0x80 | ((c >> 6) & 0x3F));
    } else {
        text[n++] = (char)(0xF0 | (c >> 18));
        text[n++] = (char)(0x80 | ((c >> 12) & 0x3F));
        text[n++] = (char)(0x80 | ((c >> 6) & 0x3F));
    }
    if (c >= 0x80) {
        text[n++] = (char)(0x80 | (c & 0x3F));
    }
    buf_add(out, text, n);
}

/* `p` at the character after the backslash; returns the one after the escape. */
static const char *add_escape(struct buf *out, const char *p, const char *end)
{
    static const char letters[] = "bfnrt";
    static const char meant[] = "\b\f\n\r\t";
    const char *letter = strchr(letters, *p);

    if (*p != 'u') {
        buf_char(out, letter != NULL ? meant[letter - letters] : *p);
        return p + 1;
    }
    int32_t c = hex4(p + 1, end);
    p += 5;
    if (is_high_surrogate(c)) {
        c = 0x10000 + ((c - 0xD800) << 10) + (hex4(p + 2, end) - 0xDC00);
        p += 6;
    }
    add_utf8(out, (uint32_t)c);
    return p;
}

void json_unescape(struct str string, struct buf *out)
{
    const char *p = string.p + 1;
    const char *end = string.p + string.n - 1;

    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        stop = stop == NULL ? end : stop;
        buf_add(out, p, (size_t)(stop - p));
        p = stop < end ? add_escape(out, stop + 1, end) : end;
    }
}

/* A name of at most 63 bytes has at most six times as many escaped ("\u0061"). */
bool json_string_is(struct str string, struct str text)
{
    struct buf plain = {0};

    if (string.n < 2 || string.n - 2 < text.n || string.n - 2 > 6 * text.n) {
        return false;
    }
    if (memchr(string.p, '\\', string.n) == NULL) {
        return str_is((struct str){string.p + 1, string.n - 2}, text);
    }
    json_unescape(string, &plain);
    bool is = !buf_failed(&plain) && str_is(buf_as_str(&plain), text);
    buf_fini(&plain);
    return is;
}
