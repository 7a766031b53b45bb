/* SPDX-License-Identifier: Apache-2.0 */
#include "origin.h"

/* A reference's five parts; .p NULL: not there. */
struct parts {
    struct str scheme;
    struct str authority;
    struct str path;
    struct str query;
};

static size_t until(struct str s, const char *stops)
{
    size_t n = 0;

    while (n < s.n && strchr(stops, s.p[n]) == NULL) {
        n++;
    }
    return n;
}

static struct str take(struct str *rest, size_t n)
{
    struct str piece = {rest->p, n};

    rest->p += n;
    rest->n -= n;
    return piece;
}

static bool is_scheme(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter &&
            (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))) {
            return false;
        }
    }
    return s.n > 0;
}

static struct parts split(struct str s)
{
    struct parts p = {0};
    size_t n;

    s.n = until(s, "#");
    n = until(s, ":/?");
    if (n < s.n && s.p[n] == ':' && is_scheme((struct str){s.p, n})) {
        p.scheme = take(&s, n);
        (void)take(&s, 1);
    }
    if (str_starts(s, STR("//"))) {
        (void)take(&s, 2);
        p.authority = take(&s, until(s, "/?"));
    }
    p.path = take(&s, until(s, "?"));
    if (s.n > 0) {
        (void)take(&s, 1);
        p.query = s;
    }
    return p;
}

/* "[::1]:80" → host and port; the scheme's port where none is given. */
static bool host_of(const struct parts *p, struct str *ret_host, uint64_t *ret_port)
{
    struct str a = p->authority;
    size_t n = 0;

    if (a.n > 0 && a.p[0] == '[') {
        n = until(a, "]");
    }
    n += until((struct str){a.p + n, a.n - n}, ":");
    *ret_host = (struct str){a.p, n};
    *ret_port = str_is_nocase(p->scheme, STR("https")) ? 443 : 80;
    if (n + 1 < a.n) {
        return str_to_u64((struct str){a.p + n + 1, a.n - n - 1}, 65535, ret_port) == ERR_OK;
    }
    return n > 0;
}

static bool is_same_origin(const struct parts *a, const struct parts *b)
{
    struct str host_a;
    struct str host_b;
    uint64_t port_a;
    uint64_t port_b;

    return str_is_nocase(a->scheme, b->scheme) && host_of(a, &host_a, &port_a) &&
           host_of(b, &host_b, &port_b) && str_is_nocase(host_a, host_b) && port_a == port_b;
}

/* Takes the last segment of what stands behind `floor` away, with its '/'. */
static void pop_segment(struct buf *out, size_t floor)
{
    while (out->n > floor && out->p[--out->n] != '/') {
    }
}

/* RFC 3986, 5.2.4; the path begins with '/'. */
static void add_without_dots(struct buf *out, struct str path)
{
    size_t floor = out->n;

    while (path.n > 0) {
        (void)take(&path, 1); /* '/' */
        struct str segment = take(&path, until(path, "/"));
        bool is_last = path.n == 0;
        if (str_is(segment, STR(".")) || str_is(segment, STR(".."))) {
            if (segment.n == 2) {
                pop_segment(out, floor);
            }
            if (is_last) {
                buf_char(out, '/');
            }
            continue;
        }
        buf_char(out, '/');
        buf_str(out, segment);
    }
    if (out->n == floor) {
        buf_char(out, '/');
    }
}

/* RFC 3986, 5.2.3: the reference's path takes the place of the base's last segment. */
static void add_merged(struct buf *out, struct str base, struct str path)
{
    struct buf whole = {0};

    while (base.n > 0 && base.p[base.n - 1] != '/') {
        base.n--;
    }
    buf_str(&whole, base.n > 0 ? base : STR("/"));
    buf_str(&whole, path);
    if (buf_failed(&whole)) {
        out->is_failed = true;
    } else {
        add_without_dots(out, buf_as_str(&whole));
    }
    buf_fini(&whole);
}

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7F || s.p[i] == '\\') {
            return false;
        }
    }
    return true;
}

static void compose(const struct parts *b, const struct parts *r, struct buf *out)
{
    bool is_relative = r->authority.p == NULL;
    struct str query = r->query;

    buf_str(out, b->scheme);
    buf_text(out, "://");
    buf_str(out, b->authority);
    if (is_relative && r->path.n == 0) {
        add_without_dots(out, b->path.n > 0 ? b->path : STR("/"));
        query = r->query.p != NULL ? r->query : b->query;
    } else if (r->path.n > 0 && r->path.p[0] != '/') {
        add_merged(out, b->path, r->path);
    } else {
        add_without_dots(out, r->path.n > 0 ? r->path : STR("/"));
    }
    if (query.p != NULL) {
        buf_char(out, '?');
        buf_str(out, query);
    }
}

int origin_resolve(struct str base, struct str reference, struct buf *ret)
{
    struct parts b = split(base);
    struct parts r = split(reference);

    buf_clear(ret);
    if (!is_clean(reference) || reference.n == 0 ||
        memchr(r.authority.p == NULL ? "" : r.authority.p, '@', r.authority.n) != NULL) {
        return ERR_SYNTAX;
    }
    if (r.scheme.p != NULL && r.authority.p == NULL) {
        return ERR_SYNTAX; /* "mailto:…", "http:path" */
    }
    if (r.authority.p != NULL) {
        struct parts whole = {.scheme = r.scheme.p != NULL ? r.scheme : b.scheme,
                              .authority = r.authority};
        if (!is_same_origin(&b, &whole)) {
            return ERR_DENIED;
        }
    }
    compose(&b, &r, ret);
    return buf_failed(ret) ? ERR_NOMEM : ERR_OK;
}
