/* SPDX-License-Identifier: Apache-2.0 */
/* rotation — which of several equal nodes to try next, and how long to wait before. Pure: the
 * random numbers are arguments.
 *
 * A round is one try of every node. Within a round the next node comes almost at once, for nobody
 * knows yet that it is down, too; the backoff grows by the round. Each client begins at a node of
 * its own and goes round in a direction of its own: where one node dies, its clients spread over
 * all the others. */
#pragma once

#include "base/backoff.h"

#include <stddef.h>

struct rotation {
    size_t n;            /* nodes */
    size_t at;           /* the one to try, or in use */
    size_t step;         /* to the next; shares no factor with n */
    size_t tried;        /* nodes that failed in this round, less than n */
    unsigned int rounds; /* that failed, since the last rotation_settled() */
};

/* n: at least 1. unit_node, unit_step: two draws, in [0, 1). */
void rotation_init(struct rotation *r, size_t n, double unit_node, double unit_step);

/* The node `at` failed, or was lost: goes on to the next. Returns the milliseconds to wait before
 * it is tried: less than half of b->initial_ms within a round, then backoff_half_jitter_ms() of the
 * rounds that failed. unit: in [0, 1). */
int64_t rotation_failed(struct rotation *r, const struct backoff *b, double unit);

/* The node `at` has proved itself: its loss will be the first failure. */
void rotation_settled(struct rotation *r);
