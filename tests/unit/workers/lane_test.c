/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NO = LANE_STATES };

/* Every (state, event) pair by hand: the state after it, or NO. */
static const int AFTER[LANE_STATES][LANE_EVENTS] = {
    [LANE_IDLE] = {[LANE_LINK_UP] = LANE_DECLARING,
                   [LANE_DECLARED] = NO,
                   [LANE_TROUBLE] = NO,
                   [LANE_LINK_DOWN] = NO,
                   [LANE_NO_ROOM] = NO,
                   [LANE_ROOM] = LANE_DECLARING,
                   [LANE_LEAVE] = LANE_LEFT},
    [LANE_DECLARING] = {[LANE_LINK_UP] = NO,
                        [LANE_DECLARED] = LANE_CONSUMING,
                        [LANE_TROUBLE] = LANE_IDLE,
                        [LANE_LINK_DOWN] = LANE_IDLE,
                        [LANE_NO_ROOM] = NO,
                        [LANE_ROOM] = NO,
                        [LANE_LEAVE] = LANE_LEFT},
    [LANE_CONSUMING] = {[LANE_LINK_UP] = NO,
                        [LANE_DECLARED] = NO,
                        [LANE_TROUBLE] = LANE_IDLE,
                        [LANE_LINK_DOWN] = LANE_IDLE,
                        [LANE_NO_ROOM] = LANE_RESTING,
                        [LANE_ROOM] = NO,
                        [LANE_LEAVE] = LANE_LEFT},
    [LANE_RESTING] = {[LANE_LINK_UP] = NO,
                      [LANE_DECLARED] = NO,
                      [LANE_TROUBLE] = NO,
                      [LANE_LINK_DOWN] = LANE_IDLE,
                      [LANE_NO_ROOM] = NO,
                      [LANE_ROOM] = LANE_DECLARING,
                      [LANE_LEAVE] = LANE_LEFT},
    [LANE_LEFT] = {[LANE_LINK_UP] = NO,
                   [LANE_DECLARED] = NO,
                   [LANE_TROUBLE] = NO,
                   [LANE_LINK_DOWN] = NO,
                   [LANE_NO_ROOM] = NO,
                   [LANE_ROOM] = NO,
                   [LANE_LEAVE] = NO},
};

static void test_every_pair(void **state)
{
    (void)state;
    for (int from = 0; from < LANE_STATES; from++) {
        for (int event = 0; event < LANE_EVENTS; event++) {
            int got = (int)lane_next((enum lane_state)from, (enum lane_event)event);
            if (got != AFTER[from][event]) {
                fail_msg("state %d, event %d: %d, not %d", from, event, got, AFTER[from][event]);
            }
        }
    }
}

/* From everywhere but the end a lane can leave, and only leaving is for ever. */
static void test_the_end_is_reached_and_kept(void **state)
{
    (void)state;
    for (int from = 0; from < LANE_STATES; from++) {
        int to = (int)lane_next((enum lane_state)from, LANE_LEAVE);
        assert_int_equal(to, from == LANE_LEFT ? LANE_STATES : LANE_LEFT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_the_end_is_reached_and_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
