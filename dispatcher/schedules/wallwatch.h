/* SPDX-License-Identifier: Apache-2.0 */
/* wallwatch — sees that the wall clock was set, by the monotonic one beside it. A clock that is
 * slewed (NTP: half a millisecond a second) is none that was set.
 *
 * Pure: readings go in. Thread: single-threaded. Memory: the caller's; zeroed is a start. */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

struct wallwatch {
    struct wall wall;
    struct mono mono;
    bool has_looked;
};

/* Takes a reading of both clocks, made at one time, and looks again every turn. Returns by how many
 * milliseconds the wall clock was set since the reading before: negative is back; 0: not, or by
 * less than a second. */
int64_t wallwatch_look(struct wallwatch *w, struct wall wall, struct mono mono);
