/* SPDX-License-Identifier: Apache-2.0 */
/* shelf — the leader sweeps the tenants' shelf queues: what has left the shelf is acknowledged, the
 * rest goes back (protocol.md, invariant 9). One tenant at a time, a page at a time. */
#pragma once

#include "dispatcher.h"

MUST_CHECK int shelf_new(struct dispatcher *d, uint64_t max_bytes, struct shelf **ret);
void shelf_free(struct shelf *s);
/* The leader's turn: begins a round every while. */
void shelf_turn(struct shelf *s);
/* The consumer link was lost. */
void shelf_reset(struct shelf *s);
