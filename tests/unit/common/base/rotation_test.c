/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rotation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { NODES_MAX = 12 };

static const struct backoff USUAL = {.initial_ms = 100, .factor = 2, .max_ms = 1000};

static void test_begins_anywhere(void **state)
{
    const struct {
        const char *name;
        size_t n;
        double unit_node, unit_step;
        size_t at, step;
    } rows[] = {
        {"one node", 1, 0.9, 0.9, 0, 1},
        {"two, the first", 2, 0.0, 0.9, 0, 1},
        {"two, the second", 2, 0.5, 0.0, 1, 1},
        {"three, forwards", 3, 0.34, 0.0, 1, 1},
        {"three, backwards", 3, 0.99, 0.5, 2, 2},
        {"four: two would miss half of them", 4, 0.0, 0.5, 0, 3},
        {"six: only one and five reach all", 6, 0.0, 0.99, 0, 5},
        {"a draw of one is no node too many", 3, 1.0, 1.0, 2, 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rotation r;
        rotation_init(&r, rows[i].n, rows[i].unit_node, rows[i].unit_step);
        if (r.at != rows[i].at || r.step != rows[i].step) {
            fail_msg("%s: node %zu, step %zu", rows[i].name, r.at, r.step);
        }
    }
}

static void test_a_round_is_all_nodes(void **state)
{
    (void)state;
    for (size_t n = 1; n <= NODES_MAX; n++) {
        for (size_t draw = 0; draw < 10; draw++) {
            struct rotation r;
            bool is_tried[NODES_MAX] = {false};
            rotation_init(&r, n, 0.3, (double)draw / 10.0);
            for (size_t i = 0; i < n; i++) {
                assert_false(is_tried[r.at]);
                is_tried[r.at] = true;
                assert_int_equal(r.rounds, 0);
                (void)rotation_failed(&r, &USUAL, 0.0);
            }
            assert_int_equal(r.rounds, 1);
        }
    }
}

static void test_waits(void **state)
{
    const struct {
        size_t n;
        double unit;
        int64_t ms[7]; /* after each failure */
    } rows[] = {
        {1, 0.0, {50, 100, 200, 400, 500, 500, 500}},
        {1, 0.5, {75, 150, 300, 600, 750, 750, 750}},
        {2, 0.0, {0, 50, 0, 100, 0, 200, 0}},
        {3, 0.5, {25, 25, 75, 25, 25, 150, 25}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rotation r;
        rotation_init(&r, rows[i].n, 0.0, 0.0);
        for (size_t k = 0; k < COUNT(rows[i].ms); k++) {
            assert_int_equal(rotation_failed(&r, &USUAL, rows[i].unit), rows[i].ms[k]);
        }
    }
}

static void test_settled_is_new(void **state)
{
    struct rotation r;

    (void)state;
    rotation_init(&r, 3, 0.0, 0.0);
    for (int i = 0; i < 4; i++) {
        (void)rotation_failed(&r, &USUAL, 0.0);
    }
    assert_int_equal(r.at, 1);
    rotation_settled(&r);
    assert_int_equal(r.at, 1);
    assert_int_equal(rotation_failed(&r, &USUAL, 0.5), 25);
    assert_int_equal(rotation_failed(&r, &USUAL, 0.5), 25);
    assert_int_equal(rotation_failed(&r, &USUAL, 0.0), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_anywhere),
        cmocka_unit_test(test_a_round_is_all_nodes),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_settled_is_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
