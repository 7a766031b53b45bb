/* SPDX-License-Identifier: Apache-2.0 */
/* losses — whether a suspect's message is lost, or only waits in a long queue (protocol.md,
 * "Recovery"). The sweep suspects jobs that are overdue without a delivery seen; the leader asks
 * the broker for the tenant's work queues and the orphan queue. Only when nothing has lain ready in
 * them for three seconds are the suspects judged: a worker may hold for two what it cannot begin.
 */
#pragma once

#include "dispatcher.h"

/* The queues of this tenant have been empty for a while: judge its suspects. */
typedef void (*losses_cb)(const char *tenant, void *arg);

MUST_CHECK int losses_new(struct dispatcher *d, losses_cb cb, void *arg, struct losses **ret);
void losses_free(struct losses *l);
/* The tenant has suspects: looks at its queues, if this dispatcher leads and no look is under way.
 */
void losses_look(struct losses *l, const char *tenant);

struct losses_seen {
    bool is_empty;     /* at the last look */
    struct mono since; /* when it was first seen so */
    struct mono last;  /* the last look */
};
/* One look at the queues: is_known, all of them answered; ready, messages in them. True when they
 * have been empty at every look for EMPTY_MS at least, with no gap between looks over GAP_MS. Pure.
 */
enum { LOSSES_EMPTY_MS = 3000, LOSSES_GAP_MS = 2000 };
bool losses_judge(struct losses_seen *s, bool is_known, uint64_t ready, struct mono now);
