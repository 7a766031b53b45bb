/* SPDX-License-Identifier: Apache-2.0 */
#include "ease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* By hand: the wait over a quarter of the deadline, in whole seconds, 1 to 60. */
static const struct {
    const char *name;
    int64_t wait_ms, before_ms, deadline_ms;
    int seconds;
} CASES[] = {
    {"nothing waits", 0, 0, 30000, 0},
    {"just a quarter", 7500, 0, 30000, 0},
    {"a little over it", 7501, 0, 30000, 1},
    {"half", 15000, 0, 30000, 8},
    {"more than anybody waits", 600000, 0, 30000, 60},
    {"as of late", 15000, 15000, 30000, 0},
    {"grown by less than a fifth", 17999, 15000, 30000, 0},
    {"grown by a fifth", 18000, 15000, 30000, 11},
    {"it falls", 15000, 30000, 30000, 0},
    {"a short deadline", 500, 100, 1000, 1},
};

static void test_each_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int s = ease_off_s(CASES[i].wait_ms, CASES[i].before_ms, CASES[i].deadline_ms);
        if (s != CASES[i].seconds) {
            fail_msg("%s: %d, not %d", CASES[i].name, s, CASES[i].seconds);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_case)};

    return cmocka_run_group_tests_name("ease", tests, NULL, NULL);
}
