/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/phase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REFUSED = -1 };

/* By hand, every pair: where each event leads from each state. */
static const int expected[PHASE_STATES][PHASE_EVENTS] = {
    [PHASE_RUN] = {[PHASE_ON_SIGNAL] = PHASE_DRAIN,
                   [PHASE_ON_DRAINED] = REFUSED,
                   [PHASE_ON_OVERDUE] = REFUSED},
    [PHASE_DRAIN] = {[PHASE_ON_SIGNAL] = PHASE_STOP,
                     [PHASE_ON_DRAINED] = PHASE_STOP,
                     [PHASE_ON_OVERDUE] = PHASE_STOP},
    [PHASE_STOP] = {[PHASE_ON_SIGNAL] = PHASE_STOP,
                    [PHASE_ON_DRAINED] = PHASE_STOP,
                    [PHASE_ON_OVERDUE] = REFUSED},
};

static const struct mono before = {1000};
static const struct mono now = {2000};

static void assert_pair(enum phase_state from, enum phase_event event)
{
    struct phase p = {.state = from, .since = before, .because = PHASE_ON_OVERDUE};
    int to = expected[from][event];
    int rc = phase_move(&p, event, now);

    print_message("case: %s on %s\n", phase_word(from), phase_event_word(event));
    assert_int_equal(rc, to == REFUSED ? ERR_DENIED : ERR_OK);
    assert_int_equal(p.refused, to == REFUSED ? 1 : 0);
    assert_int_equal(p.state, to == REFUSED ? (int)from : to);
    if (to == REFUSED || to == (int)from) {
        assert_int_equal(p.since.ns, before.ns);
        assert_int_equal(p.because, PHASE_ON_OVERDUE);
    } else {
        assert_int_equal(p.since.ns, now.ns);
        assert_int_equal(p.because, event);
    }
}

static void every_pair(void **state)
{
    (void)state;
    assert_int_equal(PHASE_STATES, 3);
    assert_int_equal(PHASE_EVENTS, 3);
    for (int from = 0; from < PHASE_STATES; from++) {
        for (int event = 0; event < PHASE_EVENTS; event++) {
            assert_pair((enum phase_state)from, (enum phase_event)event);
        }
    }
}

static void the_first_reason_stays(void **state)
{
    struct phase p = {0};

    (void)state;
    assert_int_equal(phase_move(&p, PHASE_ON_SIGNAL, before), ERR_OK);
    assert_int_equal(phase_move(&p, PHASE_ON_DRAINED, now), ERR_OK);
    assert_int_equal(phase_move(&p, PHASE_ON_SIGNAL, (struct mono){3000}), ERR_OK);
    assert_int_equal(p.because, PHASE_ON_DRAINED);
    assert_int_equal(p.since.ns, now.ns);
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(phase_word(PHASE_RUN), "run");
    assert_string_equal(phase_word(PHASE_DRAIN), "drain");
    assert_string_equal(phase_word(PHASE_STOP), "stop");
    assert_string_equal(phase_event_word(PHASE_ON_SIGNAL), "signal");
    assert_string_equal(phase_event_word(PHASE_ON_DRAINED), "drained");
    assert_string_equal(phase_event_word(PHASE_ON_OVERDUE), "overdue");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(the_first_reason_stays),
        cmocka_unit_test(words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
