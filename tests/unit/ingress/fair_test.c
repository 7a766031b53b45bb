/* SPDX-License-Identifier: Apache-2.0 */
#include "fair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct str NONE = {NULL, 0};

static void test_lanes(void **state)
{
    struct str lane = fair_lane("X-Customer", STR("acme"), NONE);

    (void)state;
    assert_int_equal(lane.n, 1);
    assert_in_range(lane.p[0], '0', '7');
    assert_true(str_is(fair_lane("X-Customer", STR("acme"), STR("shop")), lane));
    /* Without the header the caller's name counts; an empty header is a value. */
    assert_true(str_is(fair_lane("X-Customer", NONE, STR("acme")), lane));
    assert_true(
        str_is(fair_lane("X-Customer", STR(""), STR("acme")), fair_lane("X-Customer", NONE, NONE)));
    assert_int_equal(fair_lane(NULL, STR("acme"), STR("shop")).n, 0);
}

/* Names that differ little are spread over all lanes. */
static void test_spread(void **state)
{
    size_t seen[8] = {0};
    char name[32];

    (void)state;
    for (int i = 0; i < 800; i++) {
        (void)snprintf(name, sizeof name, "customer-%d", i);
        seen[fair_lane("X", str_of(name), NONE).p[0] - '0']++;
    }
    for (size_t i = 0; i < 8; i++) {
        assert_in_range(seen[i], 50, 160);
    }
}

static void test_value(void **state)
{
    struct str head = STR("Content-Type: a\r\nx-customer: acme\r\nX-Customer: other\r\n");

    (void)state;
    assert_true(str_is(fair_value(head, "X-Customer"), STR("acme")));
    assert_null(fair_value(head, "X-Other").p);
    assert_null(fair_value(NONE, "X-Other").p);
    assert_null(fair_value(head, NULL).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lanes), cmocka_unit_test(test_spread),
                                       cmocka_unit_test(test_value)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
