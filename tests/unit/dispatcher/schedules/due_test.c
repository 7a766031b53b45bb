/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules/inside.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { N = 300 };

static struct wall at(int64_t ms)
{
    return (struct wall){ms};
}

static void test_they_come_in_the_order_of_their_moments(void **state)
{
    static struct schedule all[N];
    struct schedules_due q = {0};
    int64_t last = 0;
    size_t n = 0;
    struct schedule *s;

    (void)state;
    assert_int_equal(schedules_due_reserve(&q, N), ERR_OK);
    for (size_t i = 0; i < N; i++) {
        schedules_due_set(&q, &all[i], at((int64_t)(i * 7919 % 1000) + 1));
    }
    for (size_t i = 0; i < N; i += 3) {
        schedules_due_set(&q, &all[i], at((int64_t)(i * 104729 % 1000) + 1)); /* moved */
    }
    for (size_t i = 1; i < N; i += 3) {
        schedules_due_remove(&q, &all[i]);
        schedules_due_remove(&q, &all[i]); /* nothing */
    }
    while ((s = schedules_due_take(&q, at(1000))) != NULL) {
        assert_true(s->due.when.ms >= last);
        assert_int_equal(s->due.place, 0);
        last = s->due.when.ms;
        n++;
    }
    assert_int_equal(n, N - N / 3);
    assert_int_equal(q.n, 0);
    schedules_due_fini(&q);
}

static void test_none_comes_before_its_moment(void **state)
{
    struct schedule a = {0};
    struct schedule b = {0};
    struct schedules_due q = {0};

    (void)state;
    assert_null(schedules_due_take(&q, at(1000)));
    assert_int_equal(schedules_due_reserve(&q, 2), ERR_OK);
    schedules_due_set(&q, &a, at(20));
    schedules_due_set(&q, &b, at(10));
    assert_null(schedules_due_take(&q, at(9)));
    assert_ptr_equal(schedules_due_take(&q, at(10)), &b);
    assert_null(schedules_due_take(&q, at(19)));
    schedules_due_set(&q, &a, at(5));
    assert_ptr_equal(schedules_due_take(&q, at(5)), &a);
    schedules_due_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_come_in_the_order_of_their_moments),
        cmocka_unit_test(test_none_comes_before_its_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
