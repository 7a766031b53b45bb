/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/url.h"

#include <stdio.h>
#include <stdlib.h>

enum { PORT_DEFAULT = 5672, PORT_MAX = 65535 };

void bus_url_fini(struct url *u)
{
    free(u->user);
    free(u->secret);
    free(u->host);
    free(u->vhost);
    *u = (struct url){0};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* One character of `s` at *at, percent-decoded; negative when it is not well formed. */
static int decode_char(struct str s, size_t *at)
{
    char c = s.p[(*at)++];

    if (c != '%') {
        return (unsigned char)c;
    }
    if (s.n - *at < 2) {
        return ERR_SYNTAX;
    }
    int high = hex_value(s.p[(*at)++]);
    int low = hex_value(s.p[(*at)++]);
    return high < 0 || low < 0 ? ERR_SYNTAX : high * 16 + low;
}

static int decode(struct str s, char **ret)
{
    char *out = malloc(s.n + 1);
    size_t n = 0;
    int rc = ERR_OK;

    if (out == NULL) {
        return ERR_NOMEM;
    }
    for (size_t at = 0; at < s.n;) {
        int c = decode_char(s, &at);
        if (c <= 0) {
            rc = c == 0 ? ERR_INVALID : c;
            goto out;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    *ret = out;
    out = NULL;
out:
    free(out);
    return rc;
}

/* Cuts "user:secret@" off the front. */
static int take_login(struct str *rest, struct url *u)
{
    const char *at = rest->n == 0 ? NULL : memrchr(rest->p, '@', rest->n);
    struct str user = STR("guest");
    struct str secret = STR("guest");

    if (at != NULL) {
        struct str login = {rest->p, (size_t)(at - rest->p)};
        const char *colon = login.n == 0 ? NULL : memchr(login.p, ':', login.n);
        user = login;
        secret = (struct str){"", 0};
        if (colon != NULL) {
            user.n = (size_t)(colon - login.p);
            secret = (struct str){colon + 1, login.n - user.n - 1};
        }
        rest->n -= login.n + 1;
        rest->p = at + 1;
    }
    int rc = decode(user, &u->user);
    return rc != ERR_OK ? rc : decode(secret, &u->secret);
}

static int take_port(struct str text, struct url *u)
{
    uint64_t port = PORT_DEFAULT;

    if (text.n > 0) {
        if (text.p[0] != ':' ||
            str_to_u64((struct str){text.p + 1, text.n - 1}, PORT_MAX, &port) != 0 || port == 0) {
            return ERR_INVALID;
        }
    }
    (void)snprintf(u->port, sizeof u->port, "%u", (unsigned int)port);
    return ERR_OK;
}

/* "host", "host:port", "[::1]:port" */
static int take_host(struct str s, struct url *u)
{
    size_t n = 0;
    size_t skip = 0;

    if (s.n > 0 && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        if (end == NULL) {
            return ERR_SYNTAX;
        }
        skip = 1;
        n = (size_t)(end - s.p) - 1;
    } else {
        const char *colon = s.n == 0 ? NULL : memchr(s.p, ':', s.n);
        n = colon == NULL ? s.n : (size_t)(colon - s.p);
    }
    if (n == 0) {
        return ERR_SYNTAX;
    }
    int rc = decode((struct str){s.p + skip, n}, &u->host);
    size_t used = n + 2 * skip;
    return rc != ERR_OK ? rc : take_port((struct str){s.p + used, s.n - used}, u);
}

static int parse(struct str rest, struct url *u)
{
    const char *slash = rest.n == 0 ? NULL : memchr(rest.p, '/', rest.n);
    struct str vhost = STR("%2F");

    if (memchr(rest.p, '?', rest.n) != NULL || memchr(rest.p, '#', rest.n) != NULL) {
        return ERR_SYNTAX;
    }
    if (slash != NULL) {
        struct str path = {slash + 1, rest.n - (size_t)(slash - rest.p) - 1};
        rest.n = (size_t)(slash - rest.p);
        if (path.n > 0 && memchr(path.p, '/', path.n) != NULL) {
            return ERR_SYNTAX; /* a slash of the vhost's own is written %2F */
        }
        vhost = path.n > 0 ? path : vhost;
    }
    int rc = take_login(&rest, u);
    rc = rc != ERR_OK ? rc : take_host(rest, u);
    return rc != ERR_OK ? rc : decode(vhost, &u->vhost);
}

int bus_url_parse(const char *text, struct url *u)
{
    struct str rest = str_of(text);
    struct url parsed = {0};

    if (str_starts(rest, STR("amqps://"))) {
        return ERR_INVALID;
    }
    if (!str_starts(rest, STR("amqp://"))) {
        return ERR_SYNTAX;
    }
    rest.p += strlen("amqp://");
    rest.n -= strlen("amqp://");
    int rc = parse(rest, &parsed);
    if (rc != ERR_OK) {
        bus_url_fini(&parsed);
        return rc;
    }
    *u = parsed;
    return ERR_OK;
}
