/* SPDX-License-Identifier: Apache-2.0 */
/* figures — what each tenant has queued and running, at most two seconds old; of more than a
 * hundred tenants each within six (rota.h), some of those with work sooner. Read by the sweep
 * script, which also frees slots whose time is over, undoes abandoned accepts, ends what waits past
 * its deadline and suspects what lost its message. Every dispatcher sweeps; twice does no harm. */
#pragma once

#include "dispatcher.h"

/* Of one tenant, or the sum over all. */
struct figure {
    int64_t queued, running, in_doubt, delayed, unended, outbox, shelved;
    int64_t held_back; /* of the queued: by their own key, whatever is free */
    int64_t in_line;   /* of the held back: behind another job, which has to end first */
    int64_t
        offloaded; /* of the running: their tenants work on, nobody holds them, they are polled */
    int64_t due_soon; /* of the delayed: within FIGURE_SOON_MS */
    int64_t callers;  /* that wait, and whose work nobody has begun */
    int64_t ended_ms; /* since an attempt ended; −1: none of late */
    int64_t took_ms;  /* by an attempt, of late; 0: not known */
    int64_t capacity; /* −1: no limit */
    int64_t runnable;
    double oldest_s;
    int64_t load;   /* in places of a worker */
    bool is_needed; /* one worker at least */
    int64_t desired_workers;
};

/* What may be begun, besides: filled in where it is known. */
struct figure_means {
    bool is_paused;
    bool is_out;      /* no instance is in: the dispatcher finds out when one is, without workers */
    bool has_letters; /* messages lie ready in the broker */
    int64_t free;     /* slots of the instances that could take a call now; −1: no limit */
    int64_t pace;     /* the most that run at a time by the rates; −1: no rate */
    int64_t poll_ms;  /* between two polls of an offloaded job */
};

enum { FIGURE_SOON_MS = 30000, FIGURE_LATE_MS = 5000, FIGURE_POLL_MS = 50 };

MUST_CHECK int figures_new(struct dispatcher *d, struct figures **ret);
void figures_free(struct figures *f);
/* Asks for all tenants' figures. */
void figures_turn(struct figures *f);
/* False when the tenant is not known yet. */
bool figures_of(const struct figures *f, const struct tenant *t, struct figure *ret);
/* The sum over all tenants. */
void figures_total(const struct figures *f, struct figure *ret);

/* False until each tenant's figures were there, once. */
bool figures_are_complete(const struct figures *f);
/* False while they are not all there yet, or old: nobody should scale by them. */
bool figures_are_fresh(const struct figures *f);

/* Fills `runnable`, `load`, `is_needed` and `desired_workers` from the rest, by these rules:
 *
 * runnable: what waits, but not for its own key; at most the free slots, and the pace of the rates;
 *     0 while the tenant is paused.
 * load: what runs + runnable. An offloaded job takes a place only while it is polled: reckoned as
 *     FIGURE_POLL_MS of each poll_ms.
 * is_needed: something runs; or, unless it is paused: a caller waits; something waits that a worker
 *     could begin or find out about; a delayed job is due within FIGURE_SOON_MS; messages lie
 *     ready of which the store knows nothing. Or an attempt ended within FIGURE_LATE_MS, so that
 * who looks each few seconds sees brief work, too. desired_workers: ceil(load ÷ concurrency), at
 * least 1 if it is needed; 0 if concurrency is.
 *
 * Pure. */
void figure_derive(struct figure *g, const struct figure_means *m, uint32_t worker_concurrency);
/* Adds one tenant's, derived, to the sum; a tenant's free slots are of no use to another's queue.
 * Pure. */
void figure_add(struct figure *sum, const struct figure *g, uint32_t worker_concurrency);
