/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules/wallwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* How far each clock went from one look to the next, in milliseconds. */
static const struct {
    const char *name;
    int64_t wall, mono, step;
} LOOKS[] = {
    {"a turn", 100, 100, 0},
    {"a long turn", 60000, 60000, 0},
    {"slewed", 100060, 100010, 0},
    {"nearly a second", 1099, 100, 0},
    {"nearly a second back", -899, 100, 0},
    {"a second", 1100, 100, 1000},
    {"a second back", -900, 100, -1000},
    {"an hour", 3600100, 100, 3600000},
    {"an hour back", -3599900, 100, -3600000},
    {"an hour in an hour", 3600000, 3600000, 0},
    {"an hour asleep, and another by hand", 7200000, 3600000, 3600000},
};

static void test_looks(void **state)
{
    struct wallwatch w = {0};
    struct wall wall = {1774663200000};
    struct mono mono = {5000000000};

    (void)state;
    assert_int_equal(wallwatch_look(&w, wall, mono), 0);
    for (size_t i = 0; i < COUNT(LOOKS); i++) {
        wall.ms += LOOKS[i].wall;
        mono = mono_plus_ms(mono, LOOKS[i].mono);
        if (wallwatch_look(&w, wall, mono) != LOOKS[i].step) {
            fail_msg("%s", LOOKS[i].name);
        }
        /* Said once. */
        assert_int_equal(wallwatch_look(&w, wall, mono), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_looks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
