/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* runnable = min(queued, free slots; without a limit, queued); desired = ceil((running + runnable)
 * ÷ concurrency), at least 1 while any runs (api.md, /v1/scale). */
static void test_derive(void **state)
{
    static const struct {
        const char *name;
        int64_t queued, running, capacity;
        uint32_t concurrency;
        int64_t runnable, desired;
    } rows[] = {
        {"nothing", 0, 0, -1, 10, 0, 0},
        {"nothing, of a limit", 0, 0, 5, 10, 0, 0},
        {"no limit: all that is queued", 1000, 0, -1, 10, 1000, 100},
        {"rounded up", 1001, 0, -1, 10, 1001, 101},
        {"one is enough for one", 1, 0, -1, 10, 1, 1},
        {"exactly one worker's", 10, 0, -1, 10, 10, 1},
        {"one more than that", 11, 0, -1, 10, 11, 2},
        {"the limit bounds", 1000, 0, 7, 10, 7, 1},
        {"what runs takes of the limit", 1000, 3, 7, 2, 4, 4},
        {"fewer queued than free", 2, 3, 7, 2, 2, 3},
        {"as many queued as free", 4, 3, 7, 7, 4, 1},
        {"full", 1000, 7, 7, 10, 0, 1},
        {"over full: the limit was lowered", 1000, 9, 7, 4, 0, 3},
        {"a limit of nothing", 1000, 0, 0, 10, 0, 0},
        {"running, nothing queued", 0, 1, -1, 100, 0, 1},
        {"running without a limit adds up", 15, 6, -1, 10, 15, 3},
        {"a worker's concurrency of one", 3, 2, -1, 1, 3, 5},
        {"workers unknown, idle", 5, 0, -1, 0, 5, 0},
        {"workers unknown, running", 5, 2, -1, 0, 5, 1},
        {"more than 32 bits", 10000000000, 0, -1, 1, 10000000000, 10000000000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct figure g = {.queued = rows[i].queued,
                           .running = rows[i].running,
                           .capacity = rows[i].capacity,
                           .in_doubt = 11,
                           .delayed = 12,
                           .unended = 13,
                           .outbox = 14,
                           .oldest_s = 1.5,
                           .runnable = 4711,
                           .desired_workers = 4711};
        figure_derive(&g, rows[i].concurrency);
        if (g.runnable != rows[i].runnable || g.desired_workers != rows[i].desired) {
            fail_msg("%s: runnable %" PRId64 ", desired %" PRId64, rows[i].name, g.runnable,
                     g.desired_workers);
        }
        assert_true(g.queued == rows[i].queued && g.running == rows[i].running);
        assert_true(g.capacity == rows[i].capacity && g.in_doubt == 11 && g.delayed == 12);
        assert_true(g.unended == 13 && g.outbox == 14);
    }
}

/* A line of jobs under one ordering key runs no sooner with more workers. */
static void test_out_of_turn(void **state)
{
    struct figure g = {.queued = 5000, .held_back = 4999, .running = 1, .capacity = -1};

    (void)state;
    figure_derive(&g, 10);
    assert_int_equal(1, g.runnable);
    assert_int_equal(1, g.desired_workers);
    g.queued = 10; /* read at different instants */
    figure_derive(&g, 10);
    assert_int_equal(0, g.runnable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_derive),
                                       cmocka_unit_test(test_out_of_turn)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
