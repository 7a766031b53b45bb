/* SPDX-License-Identifier: Apache-2.0 */
/* figures — what each tenant has queued and running, at most two seconds old: read by the sweep
 * script, which also frees slots whose time is over, undoes abandoned accepts, ends what waits past
 * its deadline and suspects what lost its message. Every dispatcher sweeps; twice does no harm. */
#pragma once

#include "dispatcher.h"

struct figure {
    int64_t queued, running, in_doubt, delayed, unended, outbox, shelved;
    int64_t held_back; /* of the queued: by their own key, whatever is free */
    int64_t capacity;  /* −1: no limit */
    int64_t runnable;
    double oldest_s;
    int64_t desired_workers;
};

MUST_CHECK int figures_new(struct dispatcher *d, struct figures **ret);
void figures_free(struct figures *f);
/* Asks for all tenants' figures. */
void figures_turn(struct figures *f);
/* False when the tenant is not known yet. */
bool figures_of(const struct figures *f, const struct tenant *t, struct figure *ret);
/* The sum over all tenants. */
void figures_total(const struct figures *f, struct figure *ret);

/* runnable, and the workers wanted: ceil((running + runnable) ÷ concurrency), at least 1 while any
 * runs. Pure: fills `runnable` and `desired_workers` from the rest. */
void figure_derive(struct figure *g, uint32_t worker_concurrency);
