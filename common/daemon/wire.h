/* SPDX-License-Identifier: Apache-2.0 */
/* wire — a job's message on the bus: where `job` (what it says) and `bus` (how it travels) meet. */
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
/* Reads a delivery; the message borrows from it. Returns 0, or an error for an undecodable one. */
MUST_CHECK int wire_read(const struct bus_delivery *d, struct job_message *ret);
