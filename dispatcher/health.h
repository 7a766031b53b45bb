/* SPDX-License-Identifier: Apache-2.0 */
/* health — the leader polls every instance and tells the claim script which are out.
 *
 * An instance is polled first at registration, then each `frequency`; a failure is tried again
 * `retries` times, `retry_delay` apart, before it goes out; a refused connection takes it out at
 * once. One that is out (also by a worker's word) is probed every retry_delay, default 1 s. Without
 * polling nothing is asked of an instance that is in; one that is out is probed by a connection
 * alone. */
#pragma once

#include "dispatcher.h"

enum health_answer { HEALTH_GOOD, HEALTH_BAD, HEALTH_REFUSED };

struct history;

struct health_state {
    bool is_up;
    uint32_t failures; /* in a row */
    struct mono next;  /* when to ask again; ns INT64_MAX: never by itself */
};

/* The state after an answer. Pure. */
struct health_state health_after(struct health_state before, const struct tenant_polling *p,
                                 enum health_answer answer, struct mono now);

MUST_CHECK int health_new(struct dispatcher *d, struct health **ret);
void health_free(struct health *h);
/* Its polls by this process, or NULL. */
const struct history *health_history(const struct health *h, const char *tenant,
                                     const char *instance);
/* The leader's turn: asks whoever is due. */
void health_turn(struct health *h);
/* The turn of one that does not lead: reads what the leader and the workers found. */
void health_watch(struct health *h);
/* What is known of an instance; up when nothing is. For views. */
bool health_is_up(const struct health *h, const char *tenant, const char *instance);
