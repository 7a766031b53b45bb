/* SPDX-License-Identifier: Apache-2.0 */
/* wait — answers that count only when they cannot be lost with one server. Of this folder only.
 *
 * The answer of a script that is marked WAITS (scripts.def), or of store_command_kept(), is held
 * back. At the end of the turn
 * the link's own counter, {sluice}:seen:<name>, is raised on a connection of its own, with WAIT
 * behind it: what a replica has is a prefix of what was written, so a replica that has the counter
 * has all that was answered before. One such round at a time; what is answered meanwhile goes with
 * the next. Fewer replicas than `wait_replicas` within `wait_ms`: the answers end as ERR_UNKNOWN.
 * The connection is of its own, because WAIT stops all that stands behind it: heartbeats must not
 * wait for a replica.
 *
 * The counter that was confirmed last is shown to each server that the link comes to (arrive.lua):
 * less stands there, and what was confirmed is lost.
 *
 * Thread: the loop's. */
#pragma once

#include "store/core.h"

/* Answers wait for a round: for replicas, or, where the server may be replaced by another, only
 * for the counter. */
bool store_wait_is_on(const struct store *s);
/* Names the counter. */
void store_wait_init(struct store *s);
/* Dials the connection of its own; ends in store_arrived() or store_lost(). */
void store_wait_open(struct store *s);
/* Must the answer of `c` be held? */
bool store_wait_is_due(const struct store *s, const struct command *c);
/* Holds it, with a copy of its value. Returns 0 or ERR_NOMEM: then `c` is still the caller's. */
MUST_CHECK int store_wait_hold(struct store *s, struct command *c, const struct store_value *value);
/* The end of a turn: a round begins if there is one to begin; all leaves. */
void store_wait_flush(struct store *s);
/* Each probe: the counter is renewed, and how the replicas stand is seen also when nothing else
 * asks. */
void store_wait_probe(struct store *s);
/* Time passes: is a round's answer overdue? */
void store_wait_check(struct store *s, struct mono now);
/* The link is lost: what is held is the caller's to end. */
void store_wait_close(struct store *s);
/* The counter that stands confirmed; 0: none, or so long ago that its key may have gone. */
uint64_t store_wait_confirmed(const struct store *s);
