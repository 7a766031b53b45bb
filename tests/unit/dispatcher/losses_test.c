/* SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Empty at every look for three seconds, with no gap of two between looks: only then is a loss
 * proven.
 */
static void test_judge(void **state)
{
    static const struct {
        const char *name;
        struct {
            int64_t at_ms;
            bool is_known;
            uint64_t ready;
            bool is_proven;
        } looks[5];
        size_t n;
    } rows[] = {
        {"one look is none", {{0, true, 0, false}}, 1},
        {"empty for three seconds",
         {{0, true, 0, false}, {1500, true, 0, false}, {3000, true, 0, true}},
         3},
        {"just short of them",
         {{0, true, 0, false}, {1500, true, 0, false}, {2999, true, 0, false}},
         3},
        {"it stays proven",
         {{0, true, 0, false},
          {1500, true, 0, false},
          {3000, true, 0, true},
          {3500, true, 0, true}},
         4},
        {"a message", {{0, true, 1, false}, {1500, true, 1, false}, {3000, true, 1, false}}, 3},
        {"a message in between begins anew",
         {{0, true, 0, false},
          {500, true, 1, false},
          {1000, true, 0, false},
          {2500, true, 0, false},
          {4000, true, 0, true}},
         5},
        {"no answer is no emptiness",
         {{0, false, 0, false}, {1500, false, 0, false}, {3000, false, 0, false}},
         3},
        {"no answer in between begins anew",
         {{0, true, 0, false},
          {500, false, 0, false},
          {1000, true, 0, false},
          {2500, true, 0, false},
          {4000, true, 0, true}},
         5},
        {"the longest gap",
         {{0, true, 0, false}, {2000, true, 0, false}, {3000, true, 0, true}},
         3},
        {"a gap begins anew",
         {{0, true, 0, false},
          {2001, true, 0, false},
          {3500, true, 0, false},
          {5001, true, 0, true}},
         4},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct losses_seen seen = {0};
        for (size_t k = 0; k < rows[i].n; k++) {
            struct mono now = mono_plus_ms((struct mono){77}, rows[i].looks[k].at_ms);
            bool is_proven =
                losses_judge(&seen, rows[i].looks[k].is_known, rows[i].looks[k].ready, now);
            if (is_proven != rows[i].looks[k].is_proven) {
                fail_msg("%s: look %zu", rows[i].name, k);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_judge)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
