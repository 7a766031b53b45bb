/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat — this worker's life as the store knows it: an incarnation, renewed for all it runs.
 *
 * Death is a mark that the leader sets after a lease without a renewal. A worker does not send once
 * lease − 1 s has passed since its last successful renewal was *sent* (protocol.md, "Leases"). */
#pragma once

#include "base/err.h"
#include "loop/loop.h"
#include "store/store.h"

struct heartbeat;

MUST_CHECK int heartbeat_new(struct loop *l, struct store *s, int64_t lease_ms,
                             struct heartbeat **ret);
/* Ends without a word (the leader will mark it dead) unless heartbeat_leave() was called. */
void heartbeat_free(struct heartbeat *h);
/* The incarnation's name; changes when it was declared dead. */
const char *heartbeat_name(const struct heartbeat *h);
/* Whether a request may be sent now that was claimed under `name`: that incarnation lives. */
bool heartbeat_may_send(const struct heartbeat *h, const char *name);
/* Renew at once: the store opened. */
void heartbeat_now(struct heartbeat *h);
/* A script said that `name` was declared dead: if it is still the current one, a new incarnation
 * begins; what runs keeps its own fences. */
void heartbeat_reborn(struct heartbeat *h, const char *name);
/* Nothing runs and nothing will: the store may forget the incarnation. Said now, or as soon as the
 * store is open (heartbeat_now). */
void heartbeat_leave(struct heartbeat *h);
/* The store has heard it, or never heard of the incarnation. */
bool heartbeat_has_left(const struct heartbeat *h);
