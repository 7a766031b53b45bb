/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_made_of(struct str s, const char *alphabet)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr(alphabet, s.p[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* No control characters and no spaces. */
static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7F) {
            return false;
        }
    }
    return true;
}

static bool has(struct str s, char c)
{
    return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

bool value_is_name(struct str s)
{
    return s.n >= 1 && s.n <= VALUE_NAME_MAX && is_made_of(s, LOWER DIGITS "_-");
}

const char *value_name(struct str s)
{
    return value_is_name(s) ? NULL : "a name is 1 to 64 characters of a-z, 0-9, '_' and '-'";
}

const char *value_instance_name(struct str s)
{
    /* Of dots alone it would not survive a path. */
    if (s.n >= 1 && s.n <= VALUE_INSTANCE_NAME_MAX && is_made_of(s, LOWER UPPER DIGITS "_.:[]-") &&
        !is_made_of(s, ".")) {
        return NULL;
    }
    return "an instance's name is 1 to 128 letters, digits and '_', '.', ':', '[', ']', '-', not "
           "dots alone";
}

const char *value_some(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7F) {
            return "control characters are not allowed";
        }
    }
    return s.n >= 1 && s.n <= 255 ? NULL : "expected 1 to 255 bytes";
}

static bool is_port(struct str s, bool may_be_zero)
{
    uint64_t port;

    return s.n <= 5 && str_to_u64(s, 65535, &port) == ERR_OK && (may_be_zero || port > 0);
}

/* A name or address of RFC 3986 without percent-encoding; in brackets it is an IPv6 address. */
static bool is_host(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.n < 1 || s.n > 253) {
        return false;
    }
    if (s.p[0] != '[') {
        return is_made_of(s, LOWER UPPER DIGITS "_.-");
    }
    if (s.n < 4 || s.p[s.n - 1] != ']' || s.n - 2 >= sizeof text) {
        return false;
    }
    memcpy(text, s.p + 1, s.n - 2);
    text[s.n - 2] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

struct authority {
    struct str user; /* with the password */
    struct str host;
    struct str port;
    bool has_user;
    bool has_port;
};

static struct authority split_authority(struct str s)
{
    struct authority a = {.host = s};

    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == '@') {
            a.has_user = true;
            a.user = (struct str){s.p, i - 1};
            a.host = (struct str){s.p + i, s.n - i};
            break;
        }
    }
    s = a.host;
    for (size_t i = s.n; i > 0 && s.p[i - 1] != ']'; i--) {
        if (s.p[i - 1] == ':') {
            a.has_port = true;
            a.host = (struct str){s.p, i - 1};
            a.port = (struct str){s.p + i, s.n - i};
            break;
        }
    }
    return a;
}

/* Cuts "scheme://authority" off; false when the scheme is another. */
static bool cut_url(struct str s, struct str scheme, struct authority *ret, struct str *ret_rest)
{
    if (!str_starts(s, scheme)) {
        return false;
    }
    s.p += scheme.n;
    s.n -= scheme.n;
    size_t n = 0;
    while (n < s.n && strchr("/?#", s.p[n]) == NULL) {
        n++;
    }
    *ret = split_authority((struct str){s.p, n});
    *ret_rest = (struct str){s.p + n, s.n - n};
    return true;
}

static bool is_authority(const struct authority *a)
{
    return is_host(a->host) && (!a->has_port || is_port(a->port, /* may_be_zero= */ false));
}

static bool is_percent_encoded(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            continue;
        }
        if (s.n - i < 3 || !is_made_of((struct str){s.p + i + 1, 2}, DIGITS "abcdefABCDEF")) {
            return false;
        }
        i += 2;
    }
    return true;
}

const char *value_broker_url(struct str s)
{
    struct authority a;
    struct str rest;

    if (!is_visible(s) || s.n > 1024 || !cut_url(s, STR("amqp://"), &a, &rest) ||
        !is_authority(&a) || !is_percent_encoded(a.user) || !is_percent_encoded(rest)) {
        return "expected amqp://USER:SECRET@HOST:PORT/VHOST";
    }
    if (has(rest, '?') || has(rest, '#') ||
        (rest.n > 1 && has((struct str){rest.p + 1, rest.n - 1}, '/'))) {
        return "the virtual host is one percent-encoded segment (\"/\" is %2f), and nothing "
               "follows";
    }
    return NULL;
}

const char *value_store_url(struct str s)
{
    struct authority a;
    struct str rest;
    uint64_t database;

    if (!is_visible(s) || s.n > 1024 || !cut_url(s, STR("redis://"), &a, &rest) ||
        !is_authority(&a) || !is_percent_encoded(a.user)) {
        return "expected redis://USER:SECRET@HOST:PORT/DATABASE";
    }
    if (rest.n > 1 &&
        str_to_u64((struct str){rest.p + 1, rest.n - 1}, 65535, &database) != ERR_OK) {
        return "the database is a number";
    }
    return rest.n == 0 || rest.p[0] == '/' ? NULL : "the database is a number";
}

const char *value_sentinel(struct str s)
{
    struct authority a;
    struct str rest;

    if (!is_visible(s) || s.n > 1024 || !cut_url(s, STR(""), &a, &rest) || rest.n > 0 ||
        !a.has_port || !is_authority(&a) ||
        (a.has_user && (!has(a.user, ':') || !is_percent_encoded(a.user)))) {
        return "expected HOST:PORT or USER:SECRET@HOST:PORT";
    }
    return NULL;
}

static bool is_ipv4(struct str s)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;

    if (s.n >= sizeof text) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

/* Port 0 lets the kernel choose. */
const char *value_listen(struct str s)
{
    struct authority a = split_authority(s);
    bool is_address = a.host.n == 0 || (a.host.p[0] == '[' ? is_host(a.host) : is_ipv4(a.host));

    if (!a.has_user && a.has_port && is_port(a.port, /* may_be_zero= */ true) && is_address) {
        return NULL;
    }
    return "expected ADDRESS:PORT with a numeric address, as 127.0.0.1:8080, [::1]:8080 or :8080";
}

static bool cut_instance_url(struct str s, struct authority *ret, struct str *ret_rest,
                             bool *ret_is_tls)
{
    *ret_is_tls = str_starts(s, STR("https://"));
    if (cut_url(s, STR("https://"), ret, ret_rest) || cut_url(s, STR("http://"), ret, ret_rest)) {
        return true;
    }
    for (size_t i = 0; i + 2 < s.n; i++) {
        if (str_starts((struct str){s.p + i, s.n - i}, STR("://"))) {
            return false;
        }
    }
    return cut_url(s, STR(""), ret, ret_rest);
}

const char *value_instance_url(struct str s)
{
    struct authority a;
    struct str rest;
    bool is_tls;

    if (!is_visible(s) || s.n > 2048 || !cut_instance_url(s, &a, &rest, &is_tls) ||
        !is_authority(&a)) {
        return "expected http://HOST:PORT/BASE (or https)";
    }
    if (a.has_user) {
        return "a user or password in an instance's URL is not supported";
    }
    return has(rest, '?') || has(rest, '#') ? "a base URL has no query and no fragment" : NULL;
}

/* The length of a separator of segments (or a dot) at `at`, in any of its spellings; 0: none. */
static size_t spelled(struct str s, size_t at, const char *plain, const char *encoded)
{
    if (at < s.n && strchr(plain, s.p[at]) != NULL) {
        return 1;
    }
    return s.n - at >= 3 && str_is_nocase((struct str){s.p + at, 3}, str_of(encoded)) ? 3 : 0;
}

/* "." or "..", before the query. */
static bool has_dot_segment(struct str s)
{
    const char *query = s.n > 0 ? memchr(s.p, '?', s.n) : NULL;

    s.n = query == NULL ? s.n : (size_t)(query - s.p);
    for (size_t i = 0; i < s.n; i++) {
        size_t separator = spelled(s, i, "/\\", "%2f");
        size_t at = i + separator;
        size_t dots = 0;
        size_t n;
        while (separator > 0 && (n = spelled(s, at, ".", "%2e")) > 0) {
            at += n;
            dots++;
        }
        if (dots >= 1 && dots <= 2 && (at == s.n || spelled(s, at, "/\\", "%2f") > 0)) {
            return true;
        }
    }
    return false;
}

const char *value_target(struct str s)
{
    if (s.n == 0 || s.p[0] != '/') {
        return "expected a path that begins with '/'";
    }
    if (!is_visible(s) || has(s, '#') || s.n > 8192) {
        return "a path is at most 8192 visible ASCII characters without '#'; encode others as %XX";
    }
    if (has_dot_segment(s)) {
        return "the segments \".\" and \"..\" are not allowed in a path";
    }
    return NULL;
}

const char *value_path(struct str s)
{
    const char *why = value_target(s);

    if (why != NULL) {
        return why;
    }
    return has(s, '?') ? "a query is not allowed here" : NULL;
}

const char *value_not_yet(struct str s)
{
    (void)s;
    return "not available in this release: remove it";
}

const char *value_header_name(struct str s)
{
    if (s.n >= 1 && s.n <= 255 && is_made_of(s, LOWER UPPER DIGITS "!#$%&'*+-.^_`|~")) {
        return NULL;
    }
    return "expected a header's name, as X-Customer";
}

const char *value_timezone(struct str s)
{
    static const char why[] = "expected a time zone's name, as Europe/Berlin or UTC";

    if (s.n < 1 || s.n > 64 || !is_made_of(s, LOWER UPPER DIGITS "_+/-")) {
        return why;
    }
    return s.p[0] == '/' || s.p[0] == '-' || s.p[0] == '+' || s.p[s.n - 1] == '/' ? why : NULL;
}

const char *value_key_hash(struct str s)
{
    if (s.n == 7 + 64 && str_starts(s, STR("sha256:")) &&
        is_made_of((struct str){s.p + 7, 64}, DIGITS "abcdefABCDEF")) {
        return NULL;
    }
    return "expected \"sha256:\" and 64 hexadecimal digits, as `sluice keys new` prints them";
}

void value_origin(struct str url, struct buf *out)
{
    struct authority a;
    struct str rest;
    bool is_tls;

    if (!cut_instance_url(url, &a, &rest, &is_tls)) {
        return;
    }
    buf_str(out, a.host);
    buf_char(out, ':');
    buf_str(out, a.has_port ? a.port : is_tls ? STR("443") : STR("80"));
}

void value_redacted(struct str url, struct buf *out)
{
    struct authority a;
    struct str rest;
    struct str scheme = str_starts(url, STR("amqp://"))    ? STR("amqp://")
                        : str_starts(url, STR("redis://")) ? STR("redis://")
                                                           : STR(""); /* a sentinel */
    const char *colon;

    if (!cut_url(url, scheme, &a, &rest) || !a.has_user || a.user.n == 0 ||
        (colon = memchr(a.user.p, ':', a.user.n)) == NULL) {
        buf_str(out, url);
        return;
    }
    buf_add(out, url.p, (size_t)(colon + 1 - url.p));
    buf_text(out, "***");
    const char *at = a.user.p + a.user.n;
    buf_add(out, at, url.n - (size_t)(at - url.p));
}

static unsigned char hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned char)(c - '0');
    }
    return (unsigned char)((c | 0x20) - 'a' + 10);
}

void value_hash(struct str text, unsigned char out[32])
{
    for (size_t i = 0; i < 32; i++) {
        out[i] = (unsigned char)(hex_value(text.p[7 + 2 * i]) << 4 | hex_value(text.p[8 + 2 * i]));
    }
}

/* The map's values are numbers: the next to try behind that name. */
static int note_next(struct map *taken, struct str name, uintptr_t next)
{
    return map_put(taken, name, (void *)next);
}

int value_take_name(struct map *taken, struct buf *name, size_t max)
{
    enum { SUFFIX_MAX = 8 };
    size_t cut = name->n > max ? max : name->n;
    struct buf first = {0};
    int rc;

    buf_add(&first, name->p == NULL ? "" : name->p, cut);
    uintptr_t next = (uintptr_t)map_get(taken, buf_as_str(&first));
    buf_clear(name);
    buf_str(name, buf_as_str(&first));
    cut = cut > max - SUFFIX_MAX ? max - SUFFIX_MAX : cut;
    while (next != 0 && map_get(taken, buf_as_str(name)) != NULL) {
        buf_clear(name);
        buf_add(name, first.p, cut);
        buf_printf(name, "-%zu", (size_t)next++);
    }
    rc = buf_failed(name) || buf_failed(&first) ? ERR_NOMEM : note_next(taken, buf_as_str(name), 2);
    if (rc == ERR_OK && next != 0) {
        rc = note_next(taken, buf_as_str(&first), next);
    }
    buf_fini(&first);
    return rc;
}
