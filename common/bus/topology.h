/* SPDX-License-Identifier: Apache-2.0 */
/* topology — the names and shapes of Sluice's exchanges and queues, and the delay ladder's
 * arithmetic.
 *
 *   sluice.work (direct)      → queue sluice.<tenant>.<route>, key "<tenant>.<route>"
 *   sluice.shelf (direct)     → queue sluice.<tenant>.shelf,  key "<tenant>"
 *   sluice.delay.27 … .0      → the ladder (topic exchanges and quorum queues, unit 0.125 s)
 *   sluice.deliver (topic)    → the work queues again, key "#.<tenant>.<route>"
 *   sluice.orphan             → the alternate exchange's queue of sluice.work, sluice.shelf and
 *                               sluice.deliver
 * A route is a class, sync|high|normal|low, alone or with one of eight fair lanes: "normal.3".
 * The plain routes sync and normal stand with their tenant, the others from their first use on
 * (daemon/routes.h). Tenant names hold no dots, so that keys split. The ladder is always quorum,
 * at-least-once. */
#pragma once

#include "bus/bus.h"

enum { TOPOLOGY_LANES = 8, TOPOLOGY_LEVELS = 28, TOPOLOGY_KEY_SIZE = 200, TOPOLOGY_UNIT_MS = 125 };

#define TOPOLOGY_WORK "sluice.work"
#define TOPOLOGY_SHELF "sluice.shelf"
#define TOPOLOGY_ORPHAN "sluice.orphan"
/* The class of the queue where the polls of offloaded jobs are delivered: they must not stand
 * behind a backlog that waits for the very slots they free. */
#define TOPOLOGY_POLL "poll"

/* rc: 0, or the first error (ERR_INVALID: something of another shape is there already). */
typedef void (*topology_cb)(int rc, void *arg);

/* Declares what all tenants share; to be done each time the link opens (it costs about 15 ms when
 * all of it is there). This and the next return 0, ERR_DOWN, ERR_LIMIT or ERR_NOMEM; then `cb` does
 * not run.
 */
MUST_CHECK int topology_declare_shared(struct bus_link *k, topology_cb cb, void *arg);
/* Declares what every tenant has: its queues sync, normal and shelf, with their bindings.
 * is_quorum: else classic. */
MUST_CHECK int topology_declare_tenant(struct bus_link *k, const char *tenant, bool is_quorum,
                                       topology_cb cb, void *arg);
/* Likewise one more of its work queues. */
MUST_CHECK int topology_declare_route(struct bus_link *k, const char *tenant, const char *route,
                                      bool is_quorum, topology_cb cb, void *arg);
/* Cuts "normal" or "normal.3" into class and lane (empty without one). False: it is no route. */
bool topology_route_read(struct str route, struct str *ret_class, struct str *ret_lane);
/* "sluice.erp.normal" */
void topology_queue(const char *tenant, const char *route, char out[TOPOLOGY_KEY_SIZE]);
/* "erp.normal" */
void topology_work_key(const char *tenant, const char *route, char out[TOPOLOGY_KEY_SIZE]);

/* The ladder's entry for a delay: the exchange to publish to and the routing key. The delay is
 * rounded up to the unit; 0 or less gives the work exchange and key themselves; more than the
 * ladder's 2^28−1 units is cut to that. Pure. */
void topology_delay(int64_t delay_ms, const char *tenant, const char *route,
                    char ret_exchange[TOPOLOGY_KEY_SIZE], char ret_key[TOPOLOGY_KEY_SIZE]);
