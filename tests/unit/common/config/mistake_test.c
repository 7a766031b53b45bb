/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/mistake.h"

static void test_lines_and_paths(void **state)
{
    struct buf out = {0};
    struct mistakes m = {.file = "c.yaml", .out = &out};
    struct path tenants = {.key = "tenants"};
    struct path erp = {&tenants, "er\np", 0};
    struct path instances = {&erp, "instances", 0};
    struct path second = {&instances, NULL, 1};
    struct path url = {&second, "url", 0};

    (void)state;
    assert_int_equal(mistake_verdict(&m), ERR_OK);
    mistake_add(&m, &url, 12, "found \"%s\"", "a\tb");
    mistake_add(&m, NULL, 0, "cannot be read");
    m.file = NULL;
    mistake_add(&m, &tenants, 3, "expected a map");
    assert_string_equal(out.p, "c.yaml:12: tenants.er?p.instances[1].url: found \"a?b\"\n"
                               "c.yaml: cannot be read\n"
                               "tenants: expected a map\n");
    assert_int_equal(m.n, 3);
    assert_int_equal(mistake_verdict(&m), ERR_INVALID);
    m.is_out_of_memory = true;
    assert_int_equal(mistake_verdict(&m), ERR_NOMEM);
    buf_fini(&out);
}

static void test_limit(void **state)
{
    struct buf out = {0};
    struct mistakes m = {.out = &out};
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < MISTAKE_LIMIT + 50; i++) {
        mistake_add(&m, NULL, 0, "wrong");
    }
    for (size_t i = 0; i < out.n; i++) {
        lines += out.p[i] == '\n' ? 1 : 0;
    }
    assert_int_equal(lines, MISTAKE_LIMIT);
    assert_int_equal(m.n, MISTAKE_LIMIT + 50);
    buf_fini(&out);
}

struct near_case {
    const char *key;
    const char *nearest; /* or NULL */
};

static const struct near_case near_cases[] = {
    {"instnaces", "instances"},
    {"instance", "instances"},
    {"timeout", "timeouts"},
    {"Retry", "retry"},
    {"url", "url"},
    {"ulr", NULL},
    {"uri", "url"},
    {"xyz", NULL},
    {"concurrent", "concurrency"},
    {"", NULL},
    {"completely_else", NULL},
    {"curl_s", NULL}, /* three letters off */
    {"retries", "retry"},
};

static void test_nearest(void **state)
{
    static const char *const names[] = {"instances", "timeouts",    "retry",
                                        "url",       "concurrency", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof near_cases / sizeof *near_cases; i++) {
        const char *found = mistake_nearest(str_of(near_cases[i].key), names);
        print_message("case: %s\n", near_cases[i].key);
        if (near_cases[i].nearest == NULL) {
            assert_null(found);
        } else {
            assert_non_null(found);
            assert_string_equal(found, near_cases[i].nearest);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_and_paths),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
