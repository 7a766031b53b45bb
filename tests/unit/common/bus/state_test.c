/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/state.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NO = -1 };

/* Every (state, event) pair by hand: the state after it, or NO. */
static const int AFTER[BUS_STATES][LINK_EVENTS] = {
    /*                DIAL       FOUND      REACHED    READY     BLOCK     UNBLOCK LOST CLOSE */
    [BUS_DOWN] = {BUS_LOOKUP, NO, NO, NO, NO, NO, NO, BUS_CLOSED},
    [BUS_LOOKUP] = {NO, BUS_CONNECTING, NO, NO, NO, NO, BUS_DOWN, BUS_CLOSED},
    [BUS_CONNECTING] = {NO, NO, BUS_LOGIN, NO, NO, NO, BUS_DOWN, BUS_CLOSED},
    [BUS_LOGIN] = {NO, NO, NO, BUS_OPEN, NO, NO, BUS_DOWN, BUS_CLOSED},
    [BUS_OPEN] = {NO, NO, NO, NO, BUS_BLOCKED, NO, BUS_DOWN, BUS_CLOSED},
    [BUS_BLOCKED] = {NO, NO, NO, NO, NO, BUS_OPEN, BUS_DOWN, BUS_CLOSED},
    [BUS_CLOSED] = {NO, NO, NO, NO, NO, NO, NO, NO},
};

static void test_every_pair(void **state)
{
    (void)state;
    for (int from = 0; from < BUS_STATES; from++) {
        for (int event = 0; event < LINK_EVENTS; event++) {
            enum bus_state to;
            bool is_move = bus_state_next((enum bus_state)from, (enum link_event)event, &to);
            int got = is_move ? (int)to : NO;
            if (got != AFTER[from][event]) {
                fail_msg("%s on %s: %d, not %d", bus_state_name((enum bus_state)from),
                         bus_state_event_name((enum link_event)event), got, AFTER[from][event]);
            }
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(bus_state_name(BUS_DOWN), "DOWN");
    assert_string_equal(bus_state_name(BUS_CLOSED), "CLOSED");
    assert_string_equal(bus_state_event_name(LINK_DIAL), "DIAL");
    assert_string_equal(bus_state_event_name(LINK_CLOSE), "CLOSE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_pair),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
