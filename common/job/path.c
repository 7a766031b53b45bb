/* SPDX-License-Identifier: Apache-2.0 */
/* What of a caller's request target and field lines may reach a tenant.
 *
 * A tenant's server may decode, turn '\' into '/', and drop ";parameters" before it resolves dot
 * segments, each in an order of its own. So a segment is read as the laxest of them would: %2f, %5c
 * and '\' end it, ';' ends its name, %2e is a dot. */
#include "job/document.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Cuts the next character, %XX decoded once, off the front. */
static unsigned char next_char(struct str *rest)
{
    int high = rest->n >= 3 && rest->p[0] == '%' ? hex_digit(rest->p[1]) : -1;
    int low = high >= 0 ? hex_digit(rest->p[2]) : -1;
    size_t length = low >= 0 ? 3 : 1;
    unsigned char c = low >= 0 ? (unsigned char)(high * 16 + low) : (unsigned char)rest->p[0];

    *rest = (struct str){rest->p + length, rest->n - length};
    return c;
}

struct segment {
    size_t n_dots;
    bool has_other;
    bool is_named; /* a ';' came: its name is complete */
};

static bool is_dot_segment(const struct segment *s)
{
    return !s->has_other && (s->n_dots == 1 || s->n_dots == 2);
}

static bool has_dot_segment(struct str path)
{
    struct segment at = {0};

    while (path.n > 0) {
        unsigned char c = next_char(&path);
        if (c == '/' || c == '\\') {
            if (is_dot_segment(&at)) {
                return true;
            }
            at = (struct segment){0};
        } else if (c == ';') {
            at.is_named = true;
        } else if (!at.is_named) {
            at.n_dots += c == '.' ? 1 : 0;
            at.has_other = at.has_other || c != '.';
        }
    }
    return is_dot_segment(&at);
}

/* Every '%' begins an escape, and none of them hides a NUL, which would cut the path short. */
static bool has_bad_escape(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '%') {
            continue;
        }
        if (path.n - i < 3 || hex_digit(path.p[i + 1]) < 0 || hex_digit(path.p[i + 2]) < 0 ||
            (path.p[i + 1] == '0' && path.p[i + 2] == '0')) {
            return true;
        }
    }
    return false;
}

bool job_path_is_safe(struct str path)
{
    if (path.n == 0 || path.p[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (c <= ' ' || c >= 0x7F || c == '#') {
            return false;
        }
    }
    const char *query = memchr(path.p, '?', path.n);
    struct str before = {path.p, query == NULL ? path.n : (size_t)(query - path.p)};
    return !has_bad_escape(before) && !has_dot_segment(before);
}

static bool is_listed(struct str name, struct str list)
{
    struct str item;

    while (str_cut(&list, ',', &item)) {
        if (str_is_nocase(name, str_trim(item))) {
            return true;
        }
    }
    return false;
}

bool job_field_is_forwarded(struct str name, struct str connection)
{
    static const struct str ours[] = {
        STR_CONST("Connection"),
        STR_CONST("Content-Length"),
        STR_CONST("Expect"),
        STR_CONST("Host"),
        STR_CONST("HTTP2-Settings"),
        STR_CONST("Keep-Alive"),
        STR_CONST("Prefer"),
        STR_CONST("TE"),
        STR_CONST("Trailer"),
        STR_CONST("Proxy-Authenticate"),
        STR_CONST("Proxy-Authorization"),
        STR_CONST("Proxy-Connection"),
        STR_CONST("Upgrade"),
        STR_CONST("Transfer-Encoding"),
    };
    struct str prefix = STR("Sluice-");

    if (name.n >= prefix.n && str_is_nocase((struct str){name.p, prefix.n}, prefix)) {
        return false;
    }
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (str_is_nocase(name, ours[i])) {
            return false;
        }
    }
    return !is_listed(name, connection);
}
