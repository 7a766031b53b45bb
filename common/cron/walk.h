/* SPDX-License-Identifier: Apache-2.0 */
/* walk — the instants of several expressions together, without those that others exclude, in
 * bounded steps. Pure. */
#pragma once

#include "cron/cron.h"

/* Parses `n` expressions. *ret and *ret_n are to be given to cron_list_free, whatever it returned.
 * Returns 0, ERR_NOMEM, or what cron_parse says of the first that is not sound. */
MUST_CHECK int cron_list_parse(char *const *texts, size_t n, struct cron ***ret, size_t *ret_n);
/* NULL is allowed. */
void cron_list_free(struct cron **list, size_t n);

/* All borrowed. */
struct cron_walk {
    struct cron *const *crons;
    size_t n_crons;
    struct cron *const *excludes;
    size_t n_excludes;
    const struct zone *zone;
    struct cron_rules rules;
    int64_t start_ms, end_ms; /* the instants from the one to the other; 0: no bound */
};

/* Moves *at to the next instant that is not excluded. Returns 0; ERR_MISSING when there is none
 * until `until`; ERR_LIMIT when *left in a row are excluded: *at is then the last of these. What it
 * looked at is taken off *left. */
MUST_CHECK int cron_walk_next(const struct cron_walk *w, struct wall until, int *left,
                              struct wall *at);
/* How many instants may be looked at in one go: 20 ms as a rule, a second of those that cost most.
 */
int cron_walk_looks(const struct cron_walk *w);

enum cron_sense {
    CRON_FIRES,    /* at least once; or that cannot be told */
    CRON_OUTSIDE,  /* never: no instant lies within the bounds */
    CRON_EXCLUDED, /* never: each of these is excluded */
};
/* Whether it ever fires after 1970, whatever the time is now. Bounded as cron_walk_looks says. */
enum cron_sense cron_walk_sense(const struct cron_walk *w);
