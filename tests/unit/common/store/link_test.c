/* SPDX-License-Identifier: Apache-2.0 */
#include "store/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NO LINK_STATES

/* Written by hand: rows are states, columns events, in the order of link.def. */
static const enum link_state EXPECTED[LINK_STATES][LINK_EVENTS] = {
    /*                   SOUGHT        DIALED        ARRIVED           SUBSCRIBED  LOST */
    [LINK_DOWN] = {LINK_FINDING, NO, NO, NO, NO},
    [LINK_FINDING] = {NO, LINK_OPENING, NO, NO, LINK_DOWN},
    [LINK_OPENING] = {NO, NO, LINK_SUBSCRIBING, NO, LINK_DOWN},
    [LINK_SUBSCRIBING] = {NO, NO, NO, LINK_OPEN, LINK_DOWN},
    [LINK_OPEN] = {NO, NO, NO, NO, LINK_DOWN},
};

static void test_every_pair(void **state)
{
    (void)state;
    for (int from = 0; from < LINK_STATES; from++) {
        for (int event = 0; event < LINK_EVENTS; event++) {
            enum link_state to = NO;
            bool is_allowed = store_link_next((enum link_state)from, (enum link_event)event, &to);
            if (to != EXPECTED[from][event] || is_allowed != (to != NO)) {
                fail_msg("state %d, event %d: %d", from, event, (int)to);
            }
        }
    }
}

static void test_texts(void **state)
{
    (void)state;
    assert_string_equal(store_link_text(LINK_DOWN), "not connected");
    assert_string_equal(store_link_text(LINK_OPEN), "open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
