/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Nothing holds anybody up. */
static const struct figure_means ANY = {.free = -1, .pace = -1, .poll_ms = 500};

/* runnable = min(queued, free slots; without a limit, queued); desired = ceil((running + runnable)
 * ÷ concurrency), at least 1 while any runs or may begin (api.md, /v1/scale). */
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
                           .ended_ms = -1,
                           .oldest_s = 1.5,
                           .runnable = 4711,
                           .desired_workers = 4711};
        figure_derive(&g, &ANY, rows[i].concurrency);
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
    struct figure g = {
        .queued = 5000, .held_back = 4999, .running = 1, .capacity = -1, .ended_ms = -1};

    (void)state;
    figure_derive(&g, &ANY, 10);
    assert_int_equal(1, g.runnable);
    assert_int_equal(1, g.desired_workers);
    g.queued = 10; /* read at different instants */
    figure_derive(&g, &ANY, 10);
    assert_int_equal(0, g.runnable);
    g.running = 0; /* the one before them has just ended: somebody must come for the next */
    figure_derive(&g, &ANY, 10);
    assert_int_equal(1, g.desired_workers);
}

/* How many workers there should be at all, and when none; ten attempts each. */
static void test_needed(void **state)
{
    static const struct {
        const char *name;
        struct figure g;
        struct figure_means m;
        int64_t runnable, desired;
    } rows[] = {
        {"paused: nobody comes for what waits",
         {.queued = 100, .callers = 3, .due_soon = 5, .capacity = -1, .ended_ms = -1},
         {.is_paused = true, .has_letters = true, .free = -1, .pace = -1},
         0,
         0},
        {"paused: what runs is held",
         {.queued = 100, .running = 21, .capacity = -1, .ended_ms = -1},
         {.is_paused = true, .free = -1, .pace = -1},
         0,
         3},
        {"no instance is in: no worker changes that",
         {.queued = 100, .capacity = 50, .ended_ms = -1},
         {.is_out = true, .has_letters = true, .pace = -1},
         0,
         0},
        {"no instance is in, and a caller waits",
         {.queued = 1, .callers = 1, .capacity = 50, .ended_ms = -1},
         {.is_out = true, .pace = -1},
         0,
         1},
        {"all cool, or their breakers are open: a claim finds out when that is over",
         {.queued = 100, .capacity = 50, .ended_ms = -1},
         {.pace = -1},
         0,
         1},
        {"a line whose first is in doubt: a person decides",
         {.queued = 3, .held_back = 3, .in_line = 3, .in_doubt = 1, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = -1},
         0,
         0},
        {"the same, and letters that the store does not know",
         {.queued = 3, .held_back = 3, .in_line = 3, .in_doubt = 1, .capacity = -1, .ended_ms = -1},
         {.has_letters = true, .free = -1, .pace = -1},
         0,
         1},
        {"behind a line waits one for room under its key",
         {.queued = 4, .held_back = 4, .in_line = 3, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = -1},
         0,
         1},
        {"one of two instances is out",
         {.queued = 100, .capacity = 50, .ended_ms = -1},
         {.free = 25, .pace = -1},
         25,
         3},
        {"delayed, and due within half a minute",
         {.delayed = 1, .due_soon = 1, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = -1},
         0,
         1},
        {"delayed for longer",
         {.delayed = 1000, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = -1},
         0,
         0},
        {"in doubt: a person's",
         {.in_doubt = 7, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = -1},
         0,
         0},
        {"something was done just now",
         {.capacity = -1, .ended_ms = FIGURE_LATE_MS - 1},
         {.free = -1, .pace = -1},
         0,
         1},
        {"something was done, and not since",
         {.capacity = -1, .ended_ms = FIGURE_LATE_MS},
         {.free = -1, .pace = -1},
         0,
         0},
        {"the broker has what the store knows nothing of",
         {.capacity = -1, .ended_ms = -1},
         {.has_letters = true, .free = -1, .pace = -1},
         0,
         1},
        {"a rate bounds what runs at a time",
         {.queued = 100000, .running = 30, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = 45},
         15,
         5},
        {"more runs than the rate lets begin",
         {.queued = 100000, .running = 50, .capacity = -1, .ended_ms = -1},
         {.free = -1, .pace = 45},
         0,
         5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct figure g = rows[i].g;
        figure_derive(&g, &rows[i].m, 10);
        if (g.runnable != rows[i].runnable || g.desired_workers != rows[i].desired) {
            fail_msg("%s: runnable %" PRId64 ", desired %" PRId64, rows[i].name, g.runnable,
                     g.desired_workers);
        }
    }
}

/* An offloaded job takes a worker's place for 50 ms of each poll's interval. */
static void test_offloaded(void **state)
{
    static const struct {
        int64_t running, offloaded, poll_ms, desired;
    } rows[] = {
        {1000, 1000, 500, 10}, /* 1000 × 50 ÷ 500 = 100 places, of ten a worker */
        {1000, 1000, 5000, 1}, {1001, 1000, 5000, 2}, /* 10 places, and 1 that is held */
        {1, 1, 60000, 1},      {100, 100, 10, 10},    /* never more than a place each */
        {5, 9, 50, 1},                                /* read at different instants */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct figure g = {.running = rows[i].running,
                           .offloaded = rows[i].offloaded,
                           .capacity = -1,
                           .ended_ms = -1};
        struct figure_means m = ANY;
        m.poll_ms = rows[i].poll_ms;
        figure_derive(&g, &m, 10);
        if (g.desired_workers != rows[i].desired) {
            fail_msg("row %zu: desired %" PRId64, i, g.desired_workers);
        }
    }
}

/* Small loads share workers; each tenant's own slots bound its own queue. */
static void test_sum(void **state)
{
    struct figure full = {.queued = 500, .running = 6, .capacity = 6, .ended_ms = -1};
    struct figure idle = {.capacity = 1000, .oldest_s = 2, .ended_ms = -1};
    struct figure small = {.queued = 3, .capacity = -1, .ended_ms = -1};
    struct figure waits = {.delayed = 1, .due_soon = 1, .capacity = 1, .ended_ms = -1};
    struct figure sum = {0};

    (void)state;
    figure_derive(&full, &ANY, 10);
    figure_derive(&idle, &ANY, 10);
    figure_derive(&small, &ANY, 10);
    figure_derive(&waits, &ANY, 10);
    figure_add(&sum, &waits, 10);
    assert_int_equal(1, sum.desired_workers);
    figure_add(&sum, &full, 10);
    figure_add(&sum, &idle, 10);
    assert_int_equal(1007, sum.capacity);
    figure_add(&sum, &small, 10);
    assert_int_equal(-1, sum.capacity);
    assert_int_equal(503, sum.queued);
    assert_int_equal(3, sum.runnable);
    assert_int_equal(6, sum.running);
    assert_int_equal(1, sum.desired_workers);
    assert_true(sum.oldest_s > 1.9 && sum.oldest_s < 2.1);
    figure_add(&sum, &small, 10);
    assert_int_equal(2, sum.desired_workers); /* 6 + 3 + 3 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derive), cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_needed), cmocka_unit_test(test_offloaded),
        cmocka_unit_test(test_sum)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
