/* SPDX-License-Identifier: Apache-2.0 */
/* redeclare — what stands in the broker, declared anew while a link lives: an operator's hand may
 * have deleted a queue or an exchange, which nobody is told of but its consumers.
 *
 * The shared part, then the queues of every tenant of the registry, with their bindings. What is
 * there already stays as it is. Nothing stops meanwhile.
 *
 * Memory: embedded by its owner, who frees the link before the registry. Thread: the loop's. */
#pragma once

#include "bus/bus.h"
#include "daemon/registry.h"
#include "daemon/routes.h"

struct redeclare {
    struct loop *loop;
    struct bus_link *link;
    struct registry *registry;
    struct routes *routes; /* declared anew with the rest; NULL: none */
    bool is_quorum;
    struct mono doubted; /* zero: never yet */
    struct mono looked;
};

/* A publish was not confirmed: declares all anew if the link stands (else it will, when it opens),
 * at most each five seconds. */
void redeclare_doubt(struct redeclare *r, enum bus_outcome outcome);
/* The same without a reason, when the last time is `period_ms` past. */
void redeclare_turn(struct redeclare *r, int64_t period_ms);
