/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The greatest number below 1 that a draw can give. */
static const double NEARLY_ONE = 1.0 - 1.0 / 9007199254740992.0;

static const struct backoff USUAL = {.initial_ms = 500, .factor = 2, .max_ms = 60000};
static const struct backoff STEADY = {.initial_ms = 700, .factor = 1, .max_ms = 60000};
static const struct backoff OVER = {.initial_ms = 9000, .factor = 3, .max_ms = 1000};
static const struct backoff HALVES = {.initial_ms = 100, .factor = 1.5, .max_ms = 100000};

static void test_full_jitter(void **state)
{
    const struct {
        const char *name;
        const struct backoff *b;
        unsigned int failures;
        int64_t floor_ms;
        double unit;
        int64_t ms;
    } rows[] = {
        {"a draw of nothing", &USUAL, 1, 0, 0.0, 0},
        {"half of the first bound", &USUAL, 1, 0, 0.5, 250},
        {"never the bound itself", &USUAL, 1, 0, NEARLY_ONE, 499},
        {"doubles", &USUAL, 2, 0, 0.5, 500},
        {"doubles again", &USUAL, 3, 0, 0.5, 1000},
        {"the last under the maximum", &USUAL, 7, 0, 0.5, 16000},
        {"the maximum", &USUAL, 8, 0, 0.5, 30000},
        {"the maximum for ever", &USUAL, 4000000000u, 0, 0.5, 30000},
        {"no failure is as one", &USUAL, 0, 0, 0.5, 250},
        {"factor 1 stays", &STEADY, 4000000000u, 0, 0.5, 350},
        {"an initial over the maximum", &OVER, 1, 0, 0.5, 500},
        {"a broken factor", &HALVES, 3, 0, 0.5, 112},
        {"the floor lifts", &USUAL, 1, 400, 0.5, 400},
        {"the floor is reached by the draw", &USUAL, 1, 200, 0.5, 250},
        {"the floor over the maximum", &USUAL, 1, 3600000, NEARLY_ONE, 3600000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms =
            backoff_full_jitter_ms(rows[i].b, rows[i].failures, rows[i].floor_ms, rows[i].unit);
        if (ms != rows[i].ms) {
            fail_msg("%s: %" PRId64 ", not %" PRId64, rows[i].name, ms, rows[i].ms);
        }
    }
}

static void test_half_jitter(void **state)
{
    const struct {
        const char *name;
        unsigned int failures;
        double unit;
        int64_t ms;
    } rows[] = {
        {"never immediate", 1, 0.0, 250},         {"three quarters", 1, 0.5, 375},
        {"under the bound", 1, 0.998, 499},       {"doubles", 2, 0.0, 500},
        {"half of the maximum", 100, 0.0, 30000}, {"under the maximum", 100, 0.9999, 59997},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = backoff_half_jitter_ms(&USUAL, rows[i].failures, rows[i].unit);
        if (ms != rows[i].ms) {
            fail_msg("%s: %" PRId64 ", not %" PRId64, rows[i].name, ms, rows[i].ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_jitter),
        cmocka_unit_test(test_half_jitter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
