/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/ring.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t push(struct ring *r, int64_t due_ns)
{
    assert_int_equal(bus_ring_reserve(r), 0);
    return bus_ring_push(r, NULL, NULL, (struct mono){due_ns});
}

static void test_serials_from_one(void **state)
{
    struct ring r;
    struct ring_entry e;

    (void)state;
    bus_ring_init(&r, 4);
    assert_true(bus_ring_is_empty(&r));
    assert_int_equal(push(&r, 10), 1);
    assert_int_equal(push(&r, 20), 2);
    assert_int_equal(bus_ring_due(&r).ns, 10);
    assert_true(bus_ring_settle(&r, 1, &e));
    assert_int_equal(e.due.ns, 10);
    assert_int_equal(bus_ring_due(&r).ns, 20);
    assert_int_equal(push(&r, 30), 3);
    bus_ring_fini(&r);
}

static void test_settles_once(void **state)
{
    struct ring r;
    struct ring_entry e;

    (void)state;
    bus_ring_init(&r, 4);
    (void)push(&r, 1);
    (void)push(&r, 2);
    assert_true(bus_ring_settle(&r, 2, &e));
    assert_false(bus_ring_settle(&r, 2, &e)); /* behind an open one */
    assert_true(bus_ring_settle(&r, 1, &e));
    assert_false(bus_ring_settle(&r, 1, &e)); /* out of the ring */
    assert_false(bus_ring_settle(&r, 2, &e));
    assert_false(bus_ring_settle(&r, 3, &e)); /* never was */
    assert_false(bus_ring_settle(&r, 0, &e));
    assert_true(bus_ring_is_empty(&r));
    bus_ring_fini(&r);
}

static void test_bound_is_on_waiting(void **state)
{
    struct ring r;
    struct ring_entry e;

    (void)state;
    bus_ring_init(&r, 2);
    (void)push(&r, 1);
    (void)push(&r, 2);
    assert_int_equal(bus_ring_reserve(&r), ERR_LIMIT);
    assert_true(bus_ring_settle(&r, 2, &e));
    assert_int_equal(push(&r, 3), 3); /* though 1 is still out */
    assert_int_equal(bus_ring_reserve(&r), ERR_LIMIT);
    bus_ring_fini(&r);
}

static void test_one_stuck_bounds_the_span(void **state)
{
    struct ring r;
    struct ring_entry e;
    uint64_t serial = 0;

    (void)state;
    bus_ring_init(&r, 4);
    (void)push(&r, 1);
    while (bus_ring_reserve(&r) == ERR_OK) {
        serial = bus_ring_push(&r, NULL, NULL, (struct mono){2});
        assert_true(bus_ring_settle(&r, serial, &e));
    }
    assert_int_equal(serial, 64); /* 16 times the bound */
    assert_int_equal(r.n_waiting, 1);
    assert_true(bus_ring_settle(&r, 1, &e));
    assert_int_equal(push(&r, 3), 65);
    bus_ring_fini(&r);
}

static void test_grows_and_keeps(void **state)
{
    struct ring r;
    struct ring_entry e;

    (void)state;
    bus_ring_init(&r, 1000);
    for (int64_t i = 1; i <= 40; i++) {
        (void)push(&r, i);
        assert_true(bus_ring_settle(&r, (uint64_t)i, &e));
    }
    for (int64_t i = 41; i <= 1040; i++) {
        (void)push(&r, i); /* wraps, and grows while wrapped */
    }
    for (int64_t i = 1040; i >= 41; i--) {
        assert_true(bus_ring_settle(&r, (uint64_t)i, &e));
        assert_int_equal(e.due.ns, i);
    }
    assert_true(bus_ring_is_empty(&r));
    bus_ring_fini(&r);
}

static void test_returned_is_remembered(void **state)
{
    struct ring r;
    struct ring_entry e;

    (void)state;
    bus_ring_init(&r, 64);
    for (int i = 0; i < 3; i++) {
        (void)push(&r, i);
    }
    bus_ring_mark_returned(&r, 2);
    bus_ring_mark_returned(&r, 0);
    bus_ring_mark_returned(&r, 4);
    assert_true(bus_ring_settle(&r, 1, &e));
    assert_false(e.is_returned);
    assert_true(bus_ring_settle(&r, 2, &e));
    assert_true(e.is_returned);
    assert_true(bus_ring_settle(&r, 3, &e));
    assert_false(e.is_returned);
    bus_ring_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serials_from_one),
        cmocka_unit_test(test_settles_once),
        cmocka_unit_test(test_bound_is_on_waiting),
        cmocka_unit_test(test_one_stuck_bounds_the_span),
        cmocka_unit_test(test_grows_and_keeps),
        cmocka_unit_test(test_returned_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
