/* SPDX-License-Identifier: Apache-2.0 */
/* wire — a job's message on the bus: where `job` (what it says) and `bus` (how it travels) meet.
 *
 * A message brings one job, or several that were accepted together for one queue: the broker's work
 * is that of a message, whatever it brings. Only work queues have such (decision 0014). */
#pragma once

#include "bus/bus.h"
#include "bus/topology.h"
#include "job/message.h"

/* Publishes to the tenant's work queue of the message's class after `delay_ms` (0: at once),
 * through the ladder. Returns and calls back as bus_publish does. */
MUST_CHECK int wire_publish(struct bus_link *k, const struct job_message *m, int64_t delay_ms,
                            bus_outcome_cb cb, void *arg);
/* Likewise to the tenant's queue for polls. */
MUST_CHECK int wire_publish_poll(struct bus_link *k, const struct job_message *m, int64_t delay_ms,
                                 bus_outcome_cb cb, void *arg);
/* Publishes to the tenant's shelf queue. */
MUST_CHECK int wire_publish_shelf(struct bus_link *k, const struct job_message *m,
                                  bus_outcome_cb cb, void *arg);
/* Publishes n jobs, 1 to WIRE_JOBS_MAX, as one message to the work queue of the first, which must
 * be that of all; one outcome for all. Returns and calls back as bus_publish does. */
enum { WIRE_JOBS_MAX = 32 };
MUST_CHECK int wire_publish_all(struct bus_link *k, const struct job_message *const *m, size_t n,
                                bus_outcome_cb cb, void *arg);

/* Reads a delivery of one job; the message borrows from it. Returns 0, or an error for an
 * undecodable one. */
MUST_CHECK int wire_read(const struct bus_delivery *d, struct job_message *ret);

/* The jobs of a delivery, one by one. What cannot be told apart is one that is undecodable. */
struct wire_jobs {
    const struct bus_delivery *delivery;
    struct str rest; /* of several, those not read yet; NULL for one alone */
    size_t n;        /* not read yet; at first 1 to WIRE_JOBS_MAX */
};
void wire_open(const struct bus_delivery *d, struct wire_jobs *ret);
/* The next one, which borrows from the delivery; only while n > 0. Returns 0, or an error for an
 * undecodable one: then *ret has its bytes as the body, and its id if it is known. */
MUST_CHECK int wire_next(struct wire_jobs *j, struct job_message *ret);
