/* SPDX-License-Identifier: Apache-2.0 */
#include "httpc/check.h"

#include "base/chars.h"

bool httpc_is_token(struct str s)
{
    return s.n > 0 && chars_all(s, CHARS_TOKEN);
}

bool httpc_is_clean(struct str s)
{
    return chars_all(s, CHARS_FIELD);
}

/* Cuts the scheme off; false when it is neither of ours. */
static bool cut_scheme(struct str *s)
{
    static const struct str schemes[] = {STR_CONST("http://"), STR_CONST("https://")};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = schemes[i].n;
        if (s->n > n && str_is_nocase((struct str){s->p, n}, schemes[i])) {
            *s = (struct str){s->p + n, s->n - n};
            return true;
        }
    }
    return false;
}

bool httpc_is_url(struct str s)
{
    /* curl takes "http:///x" for the host x: nothing may stand between the slashes and the host. */
    if (!cut_scheme(&s) || strchr("/?:\\", s.p[0]) != NULL) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == 0x7F || c == '#') {
            return false;
        }
    }
    return true;
}

struct str httpc_line_name(struct str line)
{
    struct str name = {NULL, 0};
    const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;

    if (colon != NULL) {
        name = (struct str){line.p, (size_t)(colon - line.p)};
    }
    return httpc_is_token(name) ? name : (struct str){NULL, 0};
}

bool httpc_is_hop_by_hop(struct str name)
{
    static const struct str names[] = {
        STR_CONST("connection"), STR_CONST("content-length"), STR_CONST("keep-alive"),
        STR_CONST("te"),         STR_CONST("trailer"),        STR_CONST("transfer-encoding"),
        STR_CONST("upgrade"),
    };
    struct str proxy = STR("proxy-");

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_is_nocase(name, names[i])) {
            return true;
        }
    }
    return name.n > proxy.n && str_is_nocase((struct str){name.p, proxy.n}, proxy);
}
