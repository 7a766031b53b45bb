/* SPDX-License-Identifier: Apache-2.0 */
/* routes — the work queues that not every tenant has: of the classes high and low, and the fair
 * lanes (bus/topology.h). They come into being with their first use.
 *
 * Who publishes declares the queue, then lists it in the store (hash {sluice}:queues), then
 * publishes; workers read the list each second and consume all of it. The list only grows, so that
 * a queue that ever carried messages is consumed for good. After a loss of memory every process
 * lists again what it knows, and the leader looks at the broker for the rest (routes_probe).
 *
 * Thread: the loop's. */
#pragma once

#include "base/map.h"
#include "bus/topology.h"
#include "loop/loop.h"
#include "store/store.h"

#define ROUTES_LIST "{sluice}:queues"

struct routes;
enum { ROUTE_NAME_SIZE = 16 };

/* A route was listed, by whomever; once for each in this process. */
typedef void (*routes_cb)(const char *tenant, const char *route, void *arg);

/* s, k: borrowed; must outlive it, or be freed in the same turn. cb may be NULL. */
MUST_CHECK int routes_new(struct loop *l, struct store *s, struct bus_link *k, bool is_quorum,
                          routes_cb cb, void *arg, struct routes **ret);
void routes_free(struct routes *r);
/* Whether messages may be published to it: its queue stands on this life of the link, and it is
 * listed. Always for the plain routes sync and normal, which stand with their tenant. */
bool routes_have(const struct routes *r, struct str tenant, struct str class, struct str lane);
/* Begins to make it so; with a lane, for all lanes of the class. Cheap to repeat. */
void routes_want(struct routes *r, struct str tenant, struct str class, bool is_laned);
/* Each second, and when something was wanted: declares and lists what is not yet; reads the list
 * when it has grown. is_link_ready: the shared topology stands. */
void routes_turn(struct routes *r, bool is_link_ready);
/* The link was lost. */
void routes_link_lost(struct routes *r);
/* The store opened: it may have forgotten the list. */
void routes_store_open(struct routes *r);
/* All of them are declared anew with the next turns: somebody may have deleted one. */
void routes_redeclare(struct routes *r);
/* Looks at the broker for queues of the tenant that stand, and wants what it finds. */
void routes_probe(struct routes *r, const char *tenant);
/* Walks the routes of all tenants, as map_next does. */
bool routes_next(const struct routes *r, size_t *cursor, const char **ret_tenant,
                 const char **ret_route);
