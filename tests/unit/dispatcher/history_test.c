/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { GOOD, BAD };

static void add(struct history *h, int from, int count, size_t limit, size_t *budget)
{
    for (int i = from; i < from + count; i++) {
        struct history_poll p = {.at_ms = i, .took_ms = 10, .status = 200, .outcome = GOOD};
        history_add(h, &p, limit, budget);
    }
}

static void assert_holds(const struct history *h, int64_t first, size_t n)
{
    assert_int_equal(h->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(history_at(h, i)->at_ms, first + (int64_t)i);
    }
}

static void test_the_newest_are_kept_in_order(void **state)
{
    struct history h = {0};
    size_t budget = 1000;

    (void)state;
    for (int i = 0; i < 250; i++) {
        add(&h, i, 1, 100, &budget);
        assert_holds(&h, i < 100 ? 0 : i - 99, i < 100 ? (size_t)i + 1 : 100);
    }
    assert_int_equal(h.polls, 250);
    assert_int_equal(h.room, 100);
    history_fini(&h, &budget);
    assert_int_equal(budget, 1000);
}

static void test_a_limit_that_falls_drops_the_oldest(void **state)
{
    struct history h = {0};
    size_t budget = 1000;

    (void)state;
    add(&h, 0, 100, 100, &budget);
    add(&h, 100, 1, 7, &budget);
    assert_holds(&h, 94, 7);
    add(&h, 101, 50, 40, &budget);
    assert_holds(&h, 111, 40);
    history_fini(&h, &budget);
}

static void test_all_together_stay_within_the_budget(void **state)
{
    struct history a = {0}, b = {0}, c = {0};
    size_t budget = 40;

    (void)state;
    add(&a, 0, 100, 5000, &budget);
    assert_holds(&a, 68, 32);
    add(&b, 0, 100, 8, &budget);
    assert_holds(&b, 92, 8);
    add(&c, 0, 5, 5000, &budget);
    assert_int_equal(budget, 0);
    assert_int_equal(c.n, 0);
    assert_int_equal(c.polls, 5);
    history_fini(&a, &budget);
    history_fini(&b, &budget);
    history_fini(&c, &budget);
    assert_int_equal(budget, 40);
}

static void test_what_good_ones_take_on_the_average(void **state)
{
    struct history h = {0};
    size_t budget = 100;
    struct history_poll slow = {.took_ms = 5000, .outcome = BAD};
    struct history_poll quick = {.took_ms = 40, .status = 200, .outcome = GOOD};

    (void)state;
    assert_true(history_mean_s(&h) < 0);
    history_add(&h, &slow, 10, &budget);
    assert_true(history_mean_s(&h) < 0);
    history_add(&h, &quick, 10, &budget);
    quick.took_ms = 20;
    history_add(&h, &quick, 10, &budget);
    assert_true(history_mean_s(&h) > 0.0299 && history_mean_s(&h) < 0.0301);
    assert_int_equal(h.failures, 1);
    history_fini(&h, &budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_are_kept_in_order),
        cmocka_unit_test(test_a_limit_that_falls_drops_the_oldest),
        cmocka_unit_test(test_all_together_stay_within_the_budget),
        cmocka_unit_test(test_what_good_ones_take_on_the_average),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
