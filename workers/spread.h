/* SPDX-License-Identifier: Apache-2.0 */
/* spread — how much each lane of this worker may have in hand. The sum of all prefetches is bounded
 * by the worker's concurrency: a lane that is full grows into what the others do not use, by the
 * weights of the classes (shares.h); an idle one keeps a little, and one in any case. Where the
 * lanes are more than half of the concurrency those of the idle ones do not count: else a thousand
 * tenants without work would leave nothing to the one that has some.
 *
 * Nothing is changed while no lane is full; a lane shrinks once a second at
 * most, grows four times, and only into what really is free: what still runs on a channel that was
 * given up counts. */
#pragma once

#include "lane.h"

/* What a lane that begins to consume may have in hand. */
uint32_t spread_first(const struct lane *l);
/* So many attempts the lane may have under way: as if each message brought one. What still runs on
 * channels that were given up has its own place. */
size_t spread_places(const struct lane *l);
/* The lane has one more in hand. */
void spread_note(struct lane *l);
/* Each second. */
void spread_turn(struct worker *w);
