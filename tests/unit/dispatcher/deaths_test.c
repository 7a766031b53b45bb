/* SPDX-License-Identifier: Apache-2.0 */
#include "deaths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { LEASE_MS = 5000, READINGS = 10 };

/* One life of a watch: when the counter was read, what it was, and whether that means death. */
static const struct {
    const char *name;
    struct {
        int64_t at_ms;
        const char *counter; /* NULL: the end */
        bool is_dead;
    } readings[READINGS];
} CASES[] = {
    {"stands still for a lease",
     {{0, "7", false},
      {1000, "7", false},
      {2000, "7", false},
      {3000, "7", false},
      {4000, "7", false},
      {4999, "7", false},
      {5000, "7", true},
      {6000, "7", true}}},
    {"counted from the first reading of that value, not from the first of all",
     {{0, "7", false},
      {1500, "8", false},
      {3000, "8", false},
      {4500, "8", false},
      {6000, "8", false},
      {6499, "8", false},
      {6500, "8", true}}},
    {"moves once a while: alive",
     {{0, "7", false},
      {2000, "7", false},
      {4000, "7", false},
      {4900, "8", false},
      {6900, "8", false},
      {8900, "8", false},
      {9800, "9", false}}},
    {"a counter that goes back has moved",
     {{0, "9", false},
      {2000, "9", false},
      {4000, "8", false},
      {6000, "8", false},
      {8000, "8", false},
      {9000, "8", true}}},
    {"a gap of two seconds is none",
     {{0, "7", false}, {2000, "7", false}, {4000, "7", false}, {6000, "7", true}}},
    {"a longer gap starts the watch anew",
     {{0, "7", false},
      {2000, "7", false},
      {4001, "7", false},
      {6001, "7", false},
      {8001, "7", false},
      {9000, "7", false},
      {9001, "7", true}}},
    {"nobody is killed after a long absence of the judge",
     {{0, "7", false}, {3600000, "7", false}, {3601000, "7", false}}},
    {"a gap at the very end saves, too",
     {{0, "7", false},
      {2000, "7", false},
      {4000, "7", false},
      {6001, "7", false},
      {8001, "7", false},
      {10001, "7", false},
      {11001, "7", true}}},
    {"one that was dead and moves is judged anew",
     {{0, "7", false},
      {2000, "7", false},
      {4000, "7", false},
      {5000, "7", true},
      {6000, "8", false},
      {8000, "8", false},
      {10000, "8", false},
      {11000, "8", true}}},
    {"7 and 70 are two counters",
     {{0, "7", false}, {2000, "70", false}, {4000, "7", false}, {6000, "70", false}}},
    {"the largest counter fits",
     {{0, "18446744073709551615", false},
      {2000, "18446744073709551615", false},
      {4000, "18446744073709551615", false},
      {5000, "18446744073709551615", true}}},
    {"nothing read is no counter that stands still",
     {{0, "", false}, {2000, "", false}, {4000, "", false}, {6000, "", false}}},
};

static void test_cases(void **state)
{
    /* Machines have been up for a while: zero is no time of theirs. */
    const struct mono start = {86400000000000};

    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct deaths_watch w = {0};
        for (size_t k = 0; k < READINGS && CASES[i].readings[k].counter != NULL; k++) {
            struct mono now = mono_plus_ms(start, CASES[i].readings[k].at_ms);
            struct str counter = str_of(CASES[i].readings[k].counter);
            if (deaths_judge(&w, counter, now, LEASE_MS) != CASES[i].readings[k].is_dead) {
                fail_msg("%s: at %d ms", CASES[i].name, (int)CASES[i].readings[k].at_ms);
            }
        }
    }
}

/* The counter's bytes are borrowed for the call only. */
static void test_the_counter_is_copied(void **state)
{
    struct deaths_watch w = {0};
    char counter[] = "7";

    (void)state;
    assert_false(deaths_judge(&w, str_of(counter), (struct mono){1000000000}, 1000));
    counter[0] = '8';
    assert_false(deaths_judge(&w, str_of(counter), (struct mono){2000000000}, 1000));
    assert_string_equal(w.counter, "8");
    assert_true(deaths_judge(&w, str_of(counter), (struct mono){3000000000}, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_the_counter_is_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
