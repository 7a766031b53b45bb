/* SPDX-License-Identifier: Apache-2.0 */
#include "store/url.h"

#include "base/str.h"

#include <string.h>

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

/* The byte at the front of *s, percent-decoded, or ERR_SYNTAX; NUL would end the text early. */
static int decode_byte(struct str *s, char *ret)
{
    char c = s->p[0];
    size_t used = 1;

    if (c == '%') {
        int high = s->n >= 3 ? hex_digit(s->p[1]) : -1;
        int low = s->n >= 3 ? hex_digit(s->p[2]) : -1;
        if (high < 0 || low < 0) {
            return ERR_SYNTAX;
        }
        c = (char)(high * 16 + low);
        used = 3;
    }
    if (c == '\0') {
        return ERR_SYNTAX;
    }
    s->p += used;
    s->n -= used;
    *ret = c;
    return ERR_OK;
}

static int decode(struct str from, char *to, size_t size)
{
    size_t n = 0;

    while (from.n > 0) {
        if (n + 1 >= size) {
            return ERR_TOO_LARGE;
        }
        int rc = decode_byte(&from, &to[n]);
        if (rc != ERR_OK) {
            return rc;
        }
        n++;
    }
    to[n] = '\0';
    return ERR_OK;
}

static int copy(struct str from, char *to, size_t size)
{
    if (from.n >= size) {
        return ERR_TOO_LARGE;
    }
    memcpy(to, from.p, from.n);
    to[from.n] = '\0';
    return ERR_OK;
}

/* Cuts what stands before the first (or last) `c` off the front; false when there is none. */
static bool cut(struct str *s, char c, bool is_last, struct str *ret_head)
{
    const char *at = s->n == 0 ? NULL : is_last ? memrchr(s->p, c, s->n) : memchr(s->p, c, s->n);

    if (at == NULL) {
        return false;
    }
    *ret_head = (struct str){s->p, (size_t)(at - s->p)};
    *s = (struct str){at + 1, s->n - ret_head->n - 1};
    return true;
}

/* Cuts them off the front of *rest, if there are any. */
static int take_credentials(struct str *rest, struct redis_url *u)
{
    struct str text = {NULL, 0};
    struct str user = {NULL, 0};

    /* The last '@': a password may hold one. */
    if (!cut(rest, '@', /* is_last= */ true, &text)) {
        return ERR_OK;
    }
    if (!cut(&text, ':', /* is_last= */ false, &user)) {
        return ERR_SYNTAX;
    }
    int rc = decode(user, u->user, sizeof u->user);
    return rc != ERR_OK ? rc : decode(text, u->password, sizeof u->password);
}

static int parse_port(struct str text, struct redis_url *u)
{
    uint64_t port = 0;
    int rc = str_to_u64(text, 65535, &port);

    if (rc != ERR_OK) {
        return rc;
    }
    return port == 0 ? ERR_SYNTAX : copy(text, u->port, sizeof u->port);
}

static int parse_host(struct str text, struct str usual_port, struct redis_url *u)
{
    struct str host = text;
    struct str port = usual_port;

    if (text.n > 0 && text.p[0] == '[') {
        struct str rest = {text.p + 1, text.n - 1};
        if (!cut(&rest, ']', /* is_last= */ false, &host) || (rest.n > 0 && rest.p[0] != ':')) {
            return ERR_SYNTAX;
        }
        port = rest.n > 0 ? (struct str){rest.p + 1, rest.n - 1} : port;
    } else if (cut(&text, ':', /* is_last= */ false, &host)) {
        port = text;
    }
    if (host.n == 0) {
        return ERR_SYNTAX;
    }
    int rc = copy(host, u->host, sizeof u->host);
    return rc != ERR_OK ? rc : parse_port(port, u);
}

int redis_url_parse(const char *text, struct redis_url *ret)
{
    struct redis_url u = {.db = 0};
    struct str rest = str_of(text);
    struct str head = {NULL, 0};
    uint64_t db = 0;

    if (!str_starts(rest, STR("redis://"))) {
        return memmem(rest.p, rest.n, "://", 3) == NULL ? ERR_SYNTAX : ERR_INVALID;
    }
    rest = (struct str){rest.p + 8, rest.n - 8};
    int rc = take_credentials(&rest, &u);
    if (rc == ERR_OK && cut(&rest, '/', /* is_last= */ false, &head)) {
        rc = rest.n == 0 ? ERR_OK : str_to_u64(rest, 1u << 20, &db);
        rest = head;
    }
    if (rc == ERR_OK) {
        u.db = (unsigned int)db;
        rc = parse_host(rest, STR("6379"), &u);
    }
    if (rc == ERR_OK) {
        *ret = u;
    }
    return rc;
}

int redis_sentinel_parse(const char *text, struct redis_url *ret)
{
    struct redis_url u = {.db = 0};
    struct str rest = str_of(text);
    int rc = take_credentials(&rest, &u);

    if (rc == ERR_OK) {
        rc = parse_host(rest, STR("26379"), &u);
    }
    if (rc == ERR_OK) {
        *ret = u;
    }
    return rc;
}
