/* SPDX-License-Identifier: Apache-2.0 */
/* outbox — what a script left for somebody to publish (protocol.md, "The outbox"): published, and
 * after the confirm removed by one script; the leader goes on until it is gone. */
#pragma once

#include "dispatcher.h"

MUST_CHECK int outbox_new(struct dispatcher *d, struct outbox **ret);
void outbox_free(struct outbox *o);
/* The tenant's outbox holds something: publish what it holds, if this process leads. Asked for many
 * times at once it is read once more. */
void outbox_look(struct outbox *o, const char *tenant);
/* The leader's turn: goes on with outboxes that hold more than a page. */
void outbox_turn(struct outbox *o);
