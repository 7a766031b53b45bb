/* SPDX-License-Identifier: Apache-2.0 */
/* bundles — jobs that were accepted in one turn of the loop for one queue, in one message: the
 * broker's work is that of a message, and nine tenths of it are spared (decision 0014).
 *
 * Only of a tenant whose attempts are brief: a message is one worker's, with all that it brings. */
#pragma once

#include "ingress.h"
#include "job/message.h"

MUST_CHECK int bundles_new(struct ingress *g, struct bundles **ret);
/* What was not published by then never is; its callbacks do not run. */
void bundles_free(struct bundles *s);
/* Publishes the job at the end of the turn, alone or with others: `most` with itself. m: borrowed
 * until then. cb: once, never from within this; BUS_UNKNOWN also when it could not be published.
 * Returns 0 or ERR_NOMEM: then `cb` does not run. */
MUST_CHECK int bundles_add(struct bundles *s, const struct job_message *m, size_t most,
                           bus_outcome_cb cb, void *arg);
/* Whether it is small enough to travel with others. */
bool bundles_may_take(const struct job_message *m);
