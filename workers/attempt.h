/* SPDX-License-Identifier: Apache-2.0 */
/* attempt — the life of one job that was delivered to this worker: claim, forward, record,
 * announce, acknowledge.
 *
 *   claim ──go──► forward ──► settle ──ended──────────────► acknowledge
 *     │                          └─waiting─► delay ─confirm─► acknowledge
 *     ├─park──► delay ─confirm─► acknowledge
 *     ├─ask───► GET ─► asked ─waiting─► delay ─confirm─► acknowledge
 *     │                  ├─ended───────────────────────► acknowledge
 *     │                  ├─unclear─► shelf queue, as hold
 *     │                  └─again───► claim
 *     ├─hold──► shelf queue ─confirm─► shelve ───────────────► acknowledge
 *     ├─order─► shelf queue ─confirm─► wait_turn ────────────► acknowledge
 *     ├─wait──► (lane: refused) ─hint─► claim, or given back
 *     └─ack───────────────────────────────────────────────────► acknowledge
 *
 * Invariant: a delivery is acknowledged at most once, and only when its job is final or shelved or
 * another message of the job is confirmed; one of several jobs when that is so of each. A step
 * whose answer did not come is asked again, with the same token: scripts give the same answer.
 * Memory: frees itself when its share of the delivery is settled.
 */
#pragma once

#include "lane.h"

struct attempt;

/* Takes the delivery over: each of its jobs is an attempt, and has a share of it. */
void attempts_begin(struct lane *l, struct bus_delivery *d);
/* Its first claim: for one that was surplus. */
void attempt_claim_first(struct attempt *a);
/* So long it has been in hand. */
int64_t attempt_age_ms(const struct attempt *a);
/* The claim again, for one that was refused. */
void attempt_retry_claim(struct attempt *a);
/* Likewise; lane_turn_over follows when it has its answer, or could not go out. */
void attempt_claim_by_turn(struct attempt *a);
/* Gives back what has not begun: published anew with a confirm, then acknowledged. */
void attempt_give_back(struct attempt *a);
/* The store may have forgotten: tells it all that runs here. Idempotent. */
void attempt_say_again(struct worker *w);
/* The attempt that holds this link in lane.refused. */
struct attempt *attempt_of_refused(struct list *link);
struct list *attempt_refused_link(struct attempt *a);
/* The process ends: what is left in hand is forgotten; the broker gives it to others. Links must
 * have been freed before. */
void attempt_drop_all(struct worker *w);
