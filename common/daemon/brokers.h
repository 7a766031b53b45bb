/* SPDX-License-Identifier: Apache-2.0 */
/* brokers — what every program does alike with its links: which nodes they know, and what is said
 * of them in the log and by /readyz. Thread: the loop's. */
#pragma once

#include "base/buf.h"
#include "bus/bus.h"
#include "config/config.h"

/* Fills in the nodes, which stay the configuration's. */
void brokers_of(const struct config *c, struct bus_options *o);

/* One of the two events of a link: broker_open, broker_lost. name: "publisher". */
void brokers_note(const struct bus_link *k, const char *name, bool is_open);

/* Whether it can be published on; else appends why not. */
bool brokers_is_open(const struct bus_link *k, struct buf *why);

/* A link that does not open, from the start or after a loss, is told of: after a few seconds, then
 * each minute. */
struct brokers_watch {
    struct mono due; /* of the next word; 0: the link was open */
};
/* For each round of the program's. */
void brokers_watch(struct brokers_watch *w, const struct bus_link *k, const char *name,
                   struct mono now);
