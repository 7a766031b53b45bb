/* SPDX-License-Identifier: Apache-2.0 */
/* backlog — whether anything lies ready in a tenant's work queues, asked of the broker itself. What
 * the store knows is the better figure; but one that has forgotten everything knows of no work, and
 * with no worker left nobody would tell it (protocol.md, "Loss of memory").
 *
 * Few tenants are asked each round, in turn. Thread: the loop's. */
#pragma once

#include "dispatcher.h"

struct backlog;

MUST_CHECK int backlog_new(struct dispatcher *d, struct backlog **ret);
void backlog_free(struct backlog *b);
/* Asks for some tenants; each round. */
void backlog_turn(struct backlog *b);
/* Something lay ready when the tenant was last asked for; false when it was not yet. */
bool backlog_has_letters(const struct backlog *b, const char *tenant);
