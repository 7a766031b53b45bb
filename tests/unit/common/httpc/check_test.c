/* SPDX-License-Identifier: Apache-2.0 */
#include "httpc/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct check_case {
    const char *text;
    bool expected;
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void run(const struct check_case *cases, size_t n, bool (*check)(struct str))
{
    for (size_t i = 0; i < n; i++) {
        if (check(str_of(cases[i].text)) != cases[i].expected) {
            fail_msg("case %zu: \"%s\"", i, cases[i].text);
        }
    }
}

static void test_tokens(void **state)
{
    static const struct check_case cases[] = {
        {"GET", true},       {"X-Foo_1!#$%&'*+.^`|~", true},
        {"", false},         {"a b", false},
        {"a:", false},       {"a\t", false},
        {"a\r\nb", false},   {"a/b", false},
        {"\xC3\xA4", false}, {"a\x7F", false},
        {"(a)", false},
    };

    (void)state;
    run(cases, COUNT(cases), httpc_is_token);
    assert_false(httpc_is_token((struct str){"a\0b", 3}));
}

static void test_clean(void **state)
{
    static const struct check_case cases[] = {
        {"", true},      {"a b\tc", true}, {"\xC3\xA4", true}, {"a\rb", false},
        {"a\nb", false}, {"\x01", false},  {"\x7F", false},    {"a\x1F", false},
    };

    (void)state;
    run(cases, COUNT(cases), httpc_is_clean);
    assert_false(httpc_is_clean((struct str){"a\0b", 3}));
}

static void test_urls(void **state)
{
    static const struct check_case cases[] = {
        {"http://h", true},
        {"https://h:1/p?q", true},
        {"HTTP://h/", true},
        {"http://[::1]:80/", true},
        {"http://h/\xC3\xA4", true},
        {"", false},
        {"http://", false},
        {"http:///h/", false},
        {"http://?q", false},
        {"http://:80/", false},
        {"ftp://h/", false},
        {"file:///etc/passwd", false},
        {"h/p", false},
        {"http:h", false},
        {"http://h/a b", false},
        {"http://h/a\r\nX: y", false},
        {"http://h/a#b", false},
        {" http://h/", false},
    };

    (void)state;
    run(cases, COUNT(cases), httpc_is_url);
}

static void test_line_names(void **state)
{
    static const struct {
        const char *line;
        const char *name;
    } cases[] = {
        {"A: b", "A"}, {"A:", "A"}, {"A:b:c", "A"}, {"A b", ""},   {"A", ""},
        {": b", ""},   {"", ""},    {"A : b", ""},  {" A: b", ""}, {"A;: b", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str name = httpc_line_name(str_of(cases[i].line));
        if (!str_is(name, str_of(cases[i].name))) {
            fail_msg("\"%s\" gives \"%.*s\"", cases[i].line, STR_ARG(name));
        }
    }
}

static void test_hop_by_hop(void **state)
{
    static const struct check_case cases[] = {
        {"Connection", true},
        {"KEEP-ALIVE", true},
        {"Proxy-Authenticate", true},
        {"proxy-connection", true},
        {"te", true},
        {"Trailer", true},
        {"Transfer-Encoding", true},
        {"Upgrade", true},
        {"Content-Length", true},
        {"Content-Type", false},
        {"Proxy-", false},
        {"Proxy", false},
        {"Test", false},
        {"Trailers", false},
        {"Via", false},
    };

    (void)state;
    run(cases, COUNT(cases), httpc_is_hop_by_hop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_clean),
        cmocka_unit_test(test_urls),       cmocka_unit_test(test_line_names),
        cmocka_unit_test(test_hop_by_hop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
