/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int want;
        const char *formatted;
    } cases[] = {
        {"127.0.0.1:8080", 0, "127.0.0.1:8080"},
        {"[::1]:8080", 0, "[::1]:8080"},
        {":8080", 0, "[::]:8080"},
        {"0.0.0.0:0", 0, "0.0.0.0:0"},
        {"[fe80::1:2]:65535", 0, "[fe80::1:2]:65535"},
        {NULL, ERR_SYNTAX, NULL},
        {"", ERR_SYNTAX, NULL},
        {"8080", ERR_SYNTAX, NULL},
        {"127.0.0.1", ERR_SYNTAX, NULL},
        {"127.0.0.1:", ERR_SYNTAX, NULL},
        {"127.0.0.1:65536", ERR_SYNTAX, NULL},
        {"127.0.0.1:-1", ERR_SYNTAX, NULL},
        {"127.0.0.1:80x", ERR_SYNTAX, NULL},
        {"::1:8080", ERR_SYNTAX, NULL},
        {"[]:8080", ERR_SYNTAX, NULL},
        {"[127.0.0.1]:8080", ERR_SYNTAX, NULL},
        {"localhost:8080", ERR_SYNTAX, NULL},
        {"[11111111111111111111111111111111111111111111111111111111]:1", ERR_SYNTAX, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sockaddr_storage address;
        socklen_t len = 0;
        char text[LISTEN_TEXT_SIZE];

        if (listen_parse(cases[i].text, &address, &len) != cases[i].want) {
            fail_msg("%s", cases[i].text == NULL ? "NULL" : cases[i].text);
        }
        if (cases[i].want == 0) {
            listen_format((struct sockaddr *)&address, text);
            assert_string_equal(text, cases[i].formatted);
        }
    }
}

static void test_open_shares_its_port(void **state)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    char again[LISTEN_TEXT_SIZE];
    int first = -1;
    int second = -1;

    (void)state;
    assert_int_equal(listen_parse("127.0.0.1:0", &address, &len), 0);
    assert_int_equal(listen_open(&address, len, &first), 0);
    assert_int_not_equal(listen_port(first), 0);
    (void)snprintf(again, sizeof again, "127.0.0.1:%d", listen_port(first));
    assert_int_equal(listen_parse(again, &address, &len), 0);
    assert_int_equal(listen_open(&address, len, &second), 0);
    assert_int_equal(listen_port(second), listen_port(first));
    (void)close(first);
    (void)close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_open_shares_its_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
