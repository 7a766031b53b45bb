/* SPDX-License-Identifier: Apache-2.0 */
/* orphans — the leader empties the orphan queue: messages that had no queue when they came, by the
 * alternate exchange (protocol.md, "Recovery"). Each is published anew after its tenant's queues
 * were declared again; one whose tenant nobody knows, or that cannot be read, goes to the shelf.
 * Acknowledged only when the new message is confirmed, or the shelf has it. A page at a time. */
#pragma once

#include "dispatcher.h"
#include "job/id.h"

MUST_CHECK int orphans_new(struct dispatcher *d, uint64_t shelf_max_bytes, struct orphans **ret);
void orphans_free(struct orphans *s);
/* The leader's turn: looks whether there are any, every while. */
void orphans_turn(struct orphans *s);
/* The consumer link was lost. */
void orphans_reset(struct orphans *s);

/* What a routing key tells: "<tenant>.<class>[.<lane>]", with the ladder's digits before it or not,
 * is a work message's; "<tenant>" is that of a copy for the shelf queue. */
struct orphan_key {
    char tenant[JOB_TENANT_MAX + 1];
    char class[16]; /* "sync", "high", "normal" or "low" */
    char lane[4];   /* or empty */
    bool is_copy;
};
/* False when the key tells no tenant. Pure. */
bool orphan_key_read(struct str key, struct orphan_key *ret);
