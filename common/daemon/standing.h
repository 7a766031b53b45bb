/* SPDX-License-Identifier: Apache-2.0 */
/* standing — what stands in the broker, as one link of this process has declared it: what all
 * tenants share, then the queues of every tenant of the registry.
 *
 * Tenants wait in a line, each at most once, and go in waves: a thousand of them are eight thousand
 * declares, more than a broker answers in a second. A link that is lost begins the line anew when
 * it opens again. What stands is declared anew now and then, a few tenants a turn, for an
 * operator's hand may have deleted a queue or an exchange, which nobody is told of but its
 * consumers. What is there already stays as it is, and nothing stops meanwhile.
 *
 * Memory: its owner frees the link first. Thread: the loop's. */
#pragma once

#include "bus/bus.h"
#include "daemon/registry.h"
#include "daemon/routes.h"

struct standing;

struct standing_options {
    struct loop *loop;
    struct bus_link *link;
    struct registry *registry;
    struct routes *routes; /* declared anew with the rest */
    bool is_quorum;
    /* The shared part stands; once each time the link opens. */
    void (*on_shared)(void *arg);
    /* The tenant's turn is over: 0, or why its queues may not stand (another try follows); never
     * for a link that was lost. May be NULL. */
    void (*on_tenant)(const char *tenant, int rc, void *arg);
    void *arg;
};

MUST_CHECK int standing_new(const struct standing_options *o, struct standing **ret);
void standing_free(struct standing *s);
/* The link opened or was lost. Queues may have been deleted while it was away. */
void standing_link(struct standing *s, bool is_open);
/* A tenant came: it gets into the line. */
void standing_add(struct standing *s, struct str tenant);
/* Each half second or second: so does whoever is not known yet, or failed. */
void standing_turn(struct standing *s);
/* Whether the shared part stands. */
bool standing_is_ready(const struct standing *s);
/* Whether the tenant's queues stand, too. */
bool standing_has(const struct standing *s, struct str tenant);
/* Whether those of all tenants did at some moment of the link's life. */
bool standing_was_whole(struct standing *s);
/* Somebody asks for the tenant: if it waits in the line to stand, its turn is next. */
void standing_hurry(struct standing *s, struct str tenant);
/* A queue of the tenant was not there: they do not stand, and its turn is next. */
void standing_missing(struct standing *s, struct str tenant);
/* How a publish for the tenant ended. If it was not confirmed, all is declared anew, that tenant
 * first (if the link stands; else all will be, when it opens); begun at most each five seconds. */
void standing_doubt(struct standing *s, struct str tenant, enum bus_outcome outcome);
/* Without a reason: the shared part when the last time is `period_ms` past, tenants at leisure. */
void standing_refresh(struct standing *s, int64_t period_ms);
