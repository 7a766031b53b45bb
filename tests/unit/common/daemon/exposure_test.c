/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/exposure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *listen;
    int rc;
    int family;
    bool is_any, is_loopback;
} addresses[] = {
    {"127.0.0.1:8080", ERR_OK, AF_INET, false, true},
    {"127.9.8.7:1", ERR_OK, AF_INET, false, true},
    {"[::1]:65535", ERR_OK, AF_INET6, false, true},
    {"[::ffff:127.0.0.1]:80", ERR_OK, AF_INET6, false, true},
    {"[::ffff:10.0.0.1]:80", ERR_OK, AF_INET6, false, false},
    {"0.0.0.0:80", ERR_OK, AF_INET, true, false},
    {":80", ERR_OK, AF_INET, true, false},
    {"[::]:80", ERR_OK, AF_INET6, true, false},
    {"10.1.2.3:80", ERR_OK, AF_INET, false, false},
    {"128.0.0.1:80", ERR_OK, AF_INET, false, false},
    {"[2001:db8::1]:80", ERR_OK, AF_INET6, false, false},
    {"127.0.0.1", ERR_SYNTAX, 0, false, false},
    {"127.0.0.1:", ERR_SYNTAX, 0, false, false},
    {"127.0.0.1:0", ERR_SYNTAX, 0, false, false},
    {"127.0.0.1:65536", ERR_SYNTAX, 0, false, false},
    {"127.0.0.1:+80", ERR_SYNTAX, 0, false, false},
    {"127.0.0.1:80 ", ERR_SYNTAX, 0, false, false},
    {"127.1:80", ERR_SYNTAX, 0, false, false},
    {"localhost:80", ERR_SYNTAX, 0, false, false},
    {"::1:80", ERR_SYNTAX, 0, false, false},
    {"[]:80", ERR_SYNTAX, 0, false, false},
    {"[::1:80", ERR_SYNTAX, 0, false, false},
    {"[127.0.0.1]:80", ERR_SYNTAX, 0, false, false},
    {"", ERR_SYNTAX, 0, false, false},
    {"127.000000000000000000000000000000000000000000000000.0.1:80", ERR_SYNTAX, 0, false, false},
};

static void parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct exposure e = {0};
        print_message("case: \"%s\"\n", addresses[i].listen);
        assert_int_equal(exposure_parse(addresses[i].listen, &e), addresses[i].rc);
        assert_int_equal(e.address.ss_family, addresses[i].family);
        assert_int_equal(e.is_any, addresses[i].is_any);
        assert_int_equal(e.is_loopback, addresses[i].is_loopback);
    }
}

static const struct {
    const char *listen;
    size_t n_keys;
    bool is_allowed;
    enum exposure_verdict verdict;
} verdicts[] = {
    {"127.0.0.1:80", 0, false, EXPOSURE_LOOPBACK}, {"127.0.0.1:80", 0, true, EXPOSURE_LOOPBACK},
    {"127.0.0.1:80", 2, false, EXPOSURE_KEYED},    {"10.0.0.1:80", 0, false, EXPOSURE_REFUSED},
    {"10.0.0.1:80", 0, true, EXPOSURE_INSECURE},   {"10.0.0.1:80", 1, false, EXPOSURE_KEYED},
    {":80", 0, false, EXPOSURE_REFUSED},           {"[::]:80", 0, false, EXPOSURE_REFUSED},
    {"localhost:80", 0, false, EXPOSURE_REFUSED}, /* a name may mean anything */
};

static void judges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        assert_int_equal(
            exposure_judge(verdicts[i].listen, verdicts[i].n_keys, verdicts[i].is_allowed),
            verdicts[i].verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(judges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
