/* SPDX-License-Identifier: Apache-2.0 */
/* phase — the shutdown machine of a process; its law is phase.def.
 *
 * Every change goes through phase_move(). A zeroed struct is in RUN. Pure: the time is an argument.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

enum phase_state {
#define PHASE(NAME, word) PHASE_##NAME,
#include "daemon/phase.def"
    PHASE_STATES
};

enum phase_event {
#define EVENT(NAME, word) PHASE_ON_##NAME,
#include "daemon/phase.def"
    PHASE_EVENTS
};

struct phase {
    enum phase_state state;
    struct mono since;        /* when `state` was entered */
    enum phase_event because; /* what led here; undefined in RUN */
    uint64_t refused;         /* events that the table does not know here */
};

/* Returns 0, or ERR_DENIED when the table has no such move: then nothing has changed but the count
 * of refusals. An event that keeps the state keeps `since` and `because` too. */
MUST_CHECK int phase_move(struct phase *p, enum phase_event event, struct mono now);

/* "run"; "signal". Static. */
const char *phase_word(enum phase_state state);
const char *phase_event_word(enum phase_event event);
