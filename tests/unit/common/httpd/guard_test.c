/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S(literal)                                                                                 \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static void test_target(void **state)
{
    static const struct {
        struct str target;
        bool want;
    } cases[] = {
        {S("/"), true},
        {S("/a/b/c"), true},
        {S("/a//b"), true},
        {S("/a?x=1&y=%00"), true},
        {S("/a?../b"), true},
        {S("/a?x=/../y"), true},
        {S("/a%20b"), true},
        {S("/a%2fb"), true},
        {S("/..."), true},
        {S("/a..b"), true},
        {S("/..a"), true},
        {S("/.well-known/x"), true},
        {S("/a;x=.."), true},
        {S("/%25"), true},
        {S(""), false},
        {S("a"), false},
        {S("*"), false},
        {S("http://evil/a"), false},
        {S("/."), false},
        {S("/.."), false},
        {S("/./a"), false},
        {S("/a/../b"), false},
        {S("/a/.."), false},
        {S("/a/..?x"), false},
        {S("/a/%2e%2E/b"), false},
        {S("/a/.%2e/b"), false},
        {S("/a/%2e"), false},
        {S("/a%2f../b"), false},
        {S("/a/..%2fb"), false},
        {S("/a/..%2Fb"), false},
        {S("/a\\..\\b"), false},
        {S("/a/..\\b"), false},
        {S("/a%5c..%5Cb"), false},
        {S("/a/..;x/b"), false},
        {S("/a%00b"), false},
        {S("/a%"), false},
        {S("/a%2"), false},
        {S("/a%zz"), false},
        {S("/a#b"), false},
        {S("/a b"), false},
        {S("/a\tb"), false},
        {S("/a\x7f"), false},
        {S("/a\xc3\xa4"), false},
        {S("/a?b c"), false},
        {S("/a\0b"), false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (guard_is_target(cases[i].target) != cases[i].want) {
            fail_msg("%.*s", STR_ARG(cases[i].target));
        }
    }
}

#define HOST                                                                                       \
    {                                                                                              \
        S("Host"), S("x")                                                                          \
    }
#define F(name, value)                                                                             \
    {                                                                                              \
        S(name), S(value)                                                                          \
    }

struct head_case {
    const char *name;
    const char *method;
    const char *target;
    const char *version;
    struct httpd_field fields[4];
    int want;
    bool want_chunked;
    uint64_t want_len;
};

static const struct head_case heads[] = {
    {"plain", "GET", "/a", "HTTP/1.1", {HOST}, 0, false, 0},
    {"unknown method", "FROB-IT", "/a", "HTTP/1.1", {HOST}, 0, false, 0},
    {"1.0 without Host", "GET", "/a", "HTTP/1.0", {{{0}, {0}}}, 0, false, 0},
    {"length", "POST", "/a", "HTTP/1.1", {HOST, F("content-length", "42")}, 0, false, 42},
    {"length 0", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length", "0")}, 0, false, 0},
    {"huge length",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Content-Length", "99999999999999999999999")},
     0,
     false,
     UINT64_MAX},
    {"chunked", "POST", "/a", "HTTP/1.1", {HOST, F("Transfer-Encoding", "chunked")}, 0, true, 0},
    {"Chunked", "POST", "/a", "HTTP/1.1", {HOST, F("transfer-encoding", "CHUNKED")}, 0, true, 0},
    {"tab and high bytes", "GET", "/a", "HTTP/1.1", {HOST, F("X-A", "a\tb\xff")}, 0, false, 0},
    {"empty value", "GET", "/a", "HTTP/1.1", {HOST, F("X-A", "")}, 0, false, 0},
    {"Host with port", "GET", "/a", "HTTP/1.1", {F("Host", "[::1]:8080 ")}, 0, false, 0},
    {"no Host", "GET", "/a", "HTTP/1.1", {F("X-A", "x")}, 400, false, 0},
    {"two Hosts", "GET", "/a", "HTTP/1.1", {HOST, F("host", "y")}, 400, false, 0},
    {"two Hosts, 1.0", "GET", "/a", "HTTP/1.0", {HOST, F("host", "y")}, 400, false, 0},
    {"bad Host", "GET", "/a", "HTTP/1.1", {F("Host", "x/y")}, 400, false, 0},
    {"Host list", "GET", "/a", "HTTP/1.1", {F("Host", "x y")}, 400, false, 0},
    {"length and encoding",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Content-Length", "4"), F("Transfer-Encoding", "chunked")},
     400,
     false,
     0},
    {"two lengths",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Content-Length", "4"), F("Content-Length", "4")},
     400,
     false,
     0},
    {"length list", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length", "4, 4")}, 400, false, 0},
    {"length +4", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length", "+4")}, 400, false, 0},
    {"length -1", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length", "-1")}, 400, false, 0},
    {"length 0x4", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length", "0x4")}, 400, false, 0},
    {"length empty", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length", "")}, 400, false, 0},
    {"gzip, chunked",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Transfer-Encoding", "gzip, chunked")},
     400,
     false,
     0},
    {"chunked and space",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Transfer-Encoding", "chunked ")},
     400,
     false,
     0},
    {"xchunked",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Transfer-Encoding", "xchunked")},
     400,
     false,
     0},
    {"identity",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Transfer-Encoding", "identity")},
     400,
     false,
     0},
    {"chunked twice",
     "POST",
     "/a",
     "HTTP/1.1",
     {HOST, F("Transfer-Encoding", "chunked"), F("Transfer-Encoding", "chunked")},
     400,
     false,
     0},
    {"chunked, 1.0",
     "POST",
     "/a",
     "HTTP/1.0",
     {HOST, F("Transfer-Encoding", "chunked")},
     400,
     false,
     0},
    {"space in name", "POST", "/a", "HTTP/1.1", {HOST, F("Content-Length ", "4")}, 400, false, 0},
    {"space before name", "GET", "/a", "HTTP/1.1", {HOST, F(" X-A", "4")}, 400, false, 0},
    {"empty name", "GET", "/a", "HTTP/1.1", {HOST, F("", "v")}, 400, false, 0},
    {"colon in name", "GET", "/a", "HTTP/1.1", {HOST, F("a:b", "v")}, 400, false, 0},
    {"high byte in name", "GET", "/a", "HTTP/1.1", {HOST, F("\xe4", "v")}, 400, false, 0},
    {"CR in value", "GET", "/a", "HTTP/1.1", {HOST, F("X-A", "a\rX-B: b")}, 400, false, 0},
    {"LF in value", "GET", "/a", "HTTP/1.1", {HOST, F("X-A", "a\nb")}, 400, false, 0},
    {"NUL in value", "GET", "/a", "HTTP/1.1", {HOST, F("X-A", "a\0b")}, 400, false, 0},
    {"DEL in value", "GET", "/a", "HTTP/1.1", {HOST, F("X-A", "a\x7f")}, 400, false, 0},
    {"method with a space", "GE T", "/a", "HTTP/1.1", {HOST}, 400, false, 0},
    {"no method", "", "/a", "HTTP/1.1", {HOST}, 400, false, 0},
    {"bad target", "GET", "/../a", "HTTP/1.1", {HOST}, 400, false, 0},
    {"HTTP/2.0", "GET", "/a", "HTTP/2.0", {HOST}, 400, false, 0},
    {"HTTP/1.2", "GET", "/a", "HTTP/1.2", {HOST}, 400, false, 0},
    {"no version", "GET", "/a", "", {HOST}, 400, false, 0},
};

static void test_head(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        const struct head_case *c = &heads[i];
        struct guard_head head = {str_of(c->method), str_of(c->target), str_of(c->version),
                                  c->fields, 0};
        struct guard_verdict v;

        while (head.n_fields < 4 && c->fields[head.n_fields].name.p != NULL) {
            head.n_fields++;
        }
        v = guard_check(&head);
        if (v.status != c->want || (v.detail == NULL) != (c->want == 0)) {
            fail_msg("%s: %d", c->name, v.status);
        }
        if (c->want == 0 && (v.is_chunked != c->want_chunked || v.body_len != c->want_len)) {
            fail_msg("%s: framing", c->name);
        }
    }
}

/* `raw` as libmicrohttpd 0.9.75 leaves it, NULs where it cuts; method, target and version first,
 * then names and values by their offsets. */
struct gap_case {
    const char *name;
    struct str raw;
    size_t target_at;
    size_t version_at;
    size_t at[4]; /* name, value, name, value */
    bool want;
};

static const struct gap_case gaps[] = {
    {"as it should be",
     S("GET\0/\0HTTP/1.1\0\0Host\0 x\0\0A\0b\0\0\0\0"),
     4,
     6,
     {16, 22, 25, 27},
     true},
    {"no space behind the colon",
     S("GET\0/\0HTTP/1.1\0\0Host\0x\0\0A\0b\0\0\0\0"),
     4,
     6,
     {16, 21, 24, 26},
     true},
    {"empty value", S("GET\0/\0HTTP/1.1\0\0Host\0x\0\0A\0\0\0\0\0"), 4, 6, {16, 21, 24, 26}, true},
    {"bare LF behind the request line",
     S("GET\0/\0HTTP/1.1\0Host\0 x\0\0A\0b\0\0\0\0"),
     4,
     6,
     {15, 21, 24, 26},
     false},
    {"bare LF behind a field",
     S("GET\0/\0HTTP/1.1\0\0Host\0 x\0A\0b\0\0\0\0"),
     4,
     6,
     {16, 22, 24, 26},
     false},
    {"bare LF behind the last field",
     S("GET\0/\0HTTP/1.1\0\0Host\0 x\0\0A\0b\0\0\0"),
     4,
     6,
     {16, 22, 25, 27},
     false},
    {"NUL in a value",
     S("GET\0/\0HTTP/1.1\0\0Host\0 x\0y\0\0A\0b\0\0\0\0"),
     4,
     6,
     {16, 22, 27, 29},
     false},
    {"NUL in the last value",
     S("GET\0/\0HTTP/1.1\0\0Host\0 x\0\0A\0b\0c\0\0\0\0"),
     4,
     6,
     {16, 22, 25, 27},
     false},
    {"two spaces in the request line",
     S("GET\0 /\0HTTP/1.1\0\0Host\0 x\0\0A\0b\0\0\0\0"),
     5,
     7,
     {17, 23, 26, 28},
     false},
};

static void test_gaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        const struct gap_case *c = &gaps[i];
        const char *p = c->raw.p;
        struct httpd_field fields[2] = {
            {str_of(p + c->at[0]), str_of(p + c->at[1])},
            {str_of(p + c->at[2]), str_of(p + c->at[3])},
        };
        struct guard_head head = {str_of(p), str_of(p + c->target_at), str_of(p + c->version_at),
                                  fields, 2};

        if (guard_is_gapless(&head, c->raw.n) != c->want) {
            fail_msg("%s", c->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
