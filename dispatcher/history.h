/* SPDX-License-Identifier: Apache-2.0 */
/* history — the polls of one instance: counts for ever, and the newest of them, as many as its
 * packet_limit says.
 *
 * All histories together keep no more than their owner's budget: when that is used up a ring grows
 * no further and forgets its oldest sooner. A zeroed struct is an empty history. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct history_poll {
    int64_t at_ms; /* wall clock, when its answer came */
    uint32_t took_ms;
    uint16_t status; /* 0: there was no answer */
    uint8_t outcome; /* of enum health_answer, 0: good */
};

struct history {
    struct history_poll *ring;
    size_t room;
    size_t first;
    size_t n;
    uint64_t polls;
    uint64_t failures;
    uint64_t good_ms; /* what the good ones took, in all */
};

/* limit: at least 1. *budget: how many polls all rings may still grow by, together. */
void history_add(struct history *h, const struct history_poll *p, size_t limit, size_t *budget);
/* Gives its room back to the budget. */
void history_fini(struct history *h, size_t *budget);
/* The i-th of h->n, oldest first. */
const struct history_poll *history_at(const struct history *h, size_t i);
/* Seconds that a good poll took on the average; negative when there was none. */
double history_mean_s(const struct history *h);
