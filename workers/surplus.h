/* SPDX-License-Identifier: Apache-2.0 */
/* surplus — of messages that brought several jobs, those that their lane has no room for: it has as
 * many under way as it may have messages. They begin one by one as others end, and what has waited
 * for two seconds goes back to its queue, a message each (protocol.md, invariant 8).
 *
 * Thread: the loop's. */
#pragma once

#include "lane.h"

/* One of several jobs of a message wants its first claim: now, or when there is room. */
void surplus_begin(struct lane *l, struct attempt *a);
/* One of the lane's attempts is over: the next may begin. */
void surplus_turn(struct lane *l);
/* The lane takes nothing any more. */
void surplus_give_back(struct lane *l);
/* Each second. */
void surplus_look(struct worker *w);
