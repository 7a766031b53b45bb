/* SPDX-License-Identifier: Apache-2.0 */
/* turns.c alone, with attempts and lanes that only count. */
#include "turns.h"

#include "attempt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct attempt {
    struct list link;
    unsigned int direct;
    unsigned int by_turn;
};

struct list *attempt_refused_link(struct attempt *a)
{
    return &a->link;
}

struct attempt *attempt_of_refused(struct list *link)
{
    return LIST_OF(link, struct attempt, link);
}

void attempt_retry_claim(struct attempt *a)
{
    a->direct++;
}

void attempt_claim_by_turn(struct attempt *a)
{
    a->by_turn++;
}

void lane_move(struct lane *l, enum lane_event event)
{
    (void)l;
    (void)event;
}

struct bench {
    struct worker worker;
    struct turns *turns;
    struct lane lane;
    struct attempt attempt;
    struct loop_timer *stop;
};

static void on_stop(struct loop_timer *t, void *arg)
{
    struct bench *b = arg;

    (void)t;
    loop_stop(b->worker.loop);
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    assert_int_equal(loop_new(&b->worker.loop), ERR_OK);
    assert_int_equal(loop_timer_new(b->worker.loop, on_stop, b, &b->stop), ERR_OK);
    assert_int_equal(turns_new(&b->worker, &b->turns), ERR_OK);
    b->lane.worker = &b->worker;
    b->lane.class = "normal";
    b->lane.state = LANE_CONSUMING;
    b->lane.group = turns_group_of(b->turns, "normal");
    list_init(&b->lane.refused);
    list_init(&b->attempt.link);
    list_push_back(&b->lane.group->lanes, &b->lane.sibling);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;

    list_remove(&b->attempt.link);
    list_remove(&b->lane.sibling);
    turns_free(b->turns);
    loop_timer_free(b->stop);
    loop_free(b->worker.loop);
    free(b);
    return 0;
}

static void pass(struct bench *b, int64_t ms)
{
    loop_timer_set(b->stop, ms);
    loop_run(b->worker.loop);
}

/* The hint and the claim's answer come by two connections. */
static void test_a_hint_that_overtakes_a_refusal_is_not_lost(void **state)
{
    struct bench *b = *state;

    turns_begin(b->lane.group, &b->lane, &b->attempt);
    assert_int_equal(b->attempt.direct, 1);
    turns_hint(b->turns); /* nobody waits yet */
    turns_refused(b->lane.group, &b->lane, &b->attempt, 2000);
    pass(b, 300);
    assert_int_equal(b->attempt.by_turn, 1);
    /* Refused again: now it waits, and does not ask in vain. */
    turns_refused(b->lane.group, &b->lane, &b->attempt, 2000);
    turns_over(b->lane.group);
    pass(b, 300);
    assert_int_equal(b->attempt.by_turn, 1);
    turns_hint(b->turns);
    assert_int_equal(b->attempt.by_turn, 2);
}

static void test_a_refusal_without_a_hint_waits(void **state)
{
    struct bench *b = *state;

    turns_hint(b->turns); /* long ago */
    pass(b, 150);
    turns_begin(b->lane.group, &b->lane, &b->attempt);
    turns_refused(b->lane.group, &b->lane, &b->attempt, 2000);
    pass(b, 300);
    assert_int_equal(b->attempt.by_turn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_hint_that_overtakes_a_refusal_is_not_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_refusal_without_a_hint_waits, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
