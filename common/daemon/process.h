/* SPDX-License-Identifier: Apache-2.0 */
/* process — what every process says of itself in /metrics: version, memory, CPU, descriptors,
 * start, and how late its loop is. Thread: the loop's. */
#pragma once

#include "daemon/metrics.h"
#include "loop/loop.h"

struct process;

/* Starts measuring the loop. `version`: a literal. Returns 0, ERR_NOMEM. */
MUST_CHECK int process_new(struct loop *l, struct metrics *m, const char *version,
                           struct process **ret);
void process_free(struct process *p);
/* Before a scrape. The loop's lag is the worst since the last call. */
void process_scrape(struct process *p);

/* Raises the soft limit of open descriptors to the hard one; returns what holds then. */
uint64_t process_raise_nofile(void);
