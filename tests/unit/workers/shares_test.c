/* SPDX-License-Identifier: Apache-2.0 */
#include "shares.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LANES_MAX = 5, ALL = 65535 };

struct row {
    const char *name;
    uint32_t whole;
    struct share lanes[LANES_MAX]; /* weight, minimum, need, and what is right */
    uint32_t slack;                /* rounding */
};

static const struct row ROWS[] = {
    {"one alone has all it needs", 256, {{48, 8, 200, 200}, {3, 8, 0, 8}}, 0},
    {"one alone has all there is", 256, {{48, 8, ALL, 248}, {3, 8, 0, 8}}, 1},
    {"8:3:1", 120, {{8, 1, ALL, 80}, {3, 1, ALL, 30}, {1, 1, ALL, 10}}, 1},
    {"what one does not need goes to the others",
     120,
     {{8, 1, 20, 20}, {3, 1, ALL, 75}, {1, 1, ALL, 25}},
     1},
    {"no less than the minimum", 24, {{8, 4, ALL, 15}, {3, 4, ALL, 5}, {1, 4, ALL, 4}}, 1},
    {"more lanes than places", 2, {{8, 1, ALL, 1}, {3, 1, ALL, 1}, {1, 1, ALL, 1}}, 0},
    {"waiting callers four to one",
     100,
     {{48, 1, ALL, 80}, {8, 1, ALL, 13}, {3, 1, ALL, 5}, {1, 1, ALL, 1}},
     1},
    {"nobody needs anything", 100, {{8, 3, 0, 3}, {3, 3, 1, 3}}, 0},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const struct row *r = &ROWS[i];
        struct share s[LANES_MAX];
        uint64_t sum = 0;
        uint64_t least = 0;
        size_t n = 0;
        for (; n < LANES_MAX && r->lanes[n].weight > 0; n++) {
            s[n] = r->lanes[n];
            s[n].given = 0;
            least += s[n].minimum;
        }
        shares_divide(r->whole, s, n);
        for (size_t k = 0; k < n; k++) {
            uint32_t right = r->lanes[k].given;
            sum += s[k].given;
            if (s[k].given + r->slack < right || s[k].given > right + r->slack) {
                fail_msg("%s: lane %zu has %u, not %u", r->name, k, s[k].given, right);
            }
        }
        if (sum > r->whole && sum > least) {
            fail_msg("%s: more than there is", r->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
