/* SPDX-License-Identifier: Apache-2.0 */
/* handover — what a script left in the outbox on its way to the broker (protocol.md, "The outbox"):
 * its request is read, published, and after the confirm removed from the outbox by one script.
 *
 * Nothing is owed by it: what fails on the way stays in the outbox, where the leader finds it. An
 * entry that is under way here already is not begun again. Memory: what is under way frees itself,
 * also after handovers_free. Thread: the loop's. */
#pragma once

#include "base/map.h"
#include "daemon/standing.h"
#include "store/store.h"

struct handovers;

/* All borrowed; store and publisher must be freed before handovers_free or live on. */
MUST_CHECK int handovers_new(struct store *store, struct bus_link *publisher,
                             struct standing *standing, struct routes *routes,
                             struct handovers **ret);
void handovers_free(struct handovers *h);
/* tenant, name, score: of the entry, as the outbox or a script's answer names it. The tenant's
 * queues must stand: before, a message would go to the orphans, confirmed. */
void handover_begin(struct handovers *h, struct str tenant, struct str name, struct str score);
