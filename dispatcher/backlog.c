/* SPDX-License-Identifier: Apache-2.0 */
#include "backlog.h"

#include "base/fault.h"
#include "bus/topology.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ASKED_A_ROUND = 10, /* twice a second; each costs the broker two or three questions */
    REST_MS = 2000      /* between two looks at one tenant */
};

struct look {
    struct backlog *backlog;
    char tenant[80];
    struct mono at;       /* when it was begun last */
    unsigned int pending; /* answers of the broker */
    bool is_known;        /* each queue asked for was answered so far, in this look */
    bool has_letters;     /* as of the last whole look */
    uint64_t ready;
};

struct backlog {
    struct dispatcher *dispatcher;
    struct map tenants; /* name → struct look */
    unsigned int alive;
    bool is_freed;
};

static void let_go(struct backlog *b)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (--b->alive > 0) {
        return;
    }
    while (map_next(&b->tenants, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&b->tenants);
    free(b);
}

static void on_inspected(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct look *k = arg;

    (void)consumers;
    k->ready += rc == ERR_OK ? ready : 0;
    k->is_known = k->is_known && (rc == ERR_OK || rc == ERR_MISSING);
    /* A broker that is away says nothing: what was seen last holds. */
    if (--k->pending == 0 && (k->is_known || k->ready > 0 || !RULE(look_is_whole))) {
        k->has_letters = k->ready > 0;
    }
    let_go(k->backlog);
}

static void inspect(struct look *k, const char *route)
{
    struct backlog *b = k->backlog;
    char queue[TOPOLOGY_KEY_SIZE];

    topology_queue(k->tenant, route, queue);
    if (bus_inspect_queue(b->dispatcher->publisher, queue, on_inspected, k) == ERR_OK) {
        k->pending++;
        b->alive++;
    } else {
        k->is_known = false;
    }
}

static void look(struct look *k)
{
    size_t cursor = 0;
    const char *tenant;
    const char *route;

    k->ready = 0;
    k->is_known = true;
    inspect(k, "sync");
    inspect(k, "normal");
    while (routes_next(k->backlog->dispatcher->routes, &cursor, &tenant, &route)) {
        if (str_is(str_of(tenant), str_of(k->tenant))) {
            inspect(k, route);
        }
    }
}

static struct look *look_of(struct backlog *b, const char *tenant)
{
    struct look *k = map_get(&b->tenants, str_of(tenant));

    if (k != NULL) {
        return k;
    }
    k = calloc(1, sizeof *k);
    if (k == NULL) {
        return NULL;
    }
    k->backlog = b;
    (void)snprintf(k->tenant, sizeof k->tenant, "%s", tenant);
    if (map_put(&b->tenants, str_of(tenant), k) != ERR_OK) {
        free(k);
        return NULL;
    }
    return k;
}

static void drop_absent(struct backlog *b)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&b->tenants, &cursor, &name, &value)) {
        const struct look *k = value;
        if (k->pending == 0 && registry_find(b->dispatcher->registry, name) == NULL) {
            (void)map_remove(&b->tenants, name);
            free(value);
        }
    }
}

/* Whom nobody has asked for longest; NULL when all were asked lately. */
static struct look *next_of(struct backlog *b, struct mono now)
{
    size_t cursor = 0;
    struct registry_entry *e;
    struct look *oldest = NULL;

    while (registry_next(b->dispatcher->registry, &cursor, &e)) {
        struct look *k = look_of(b, e->tenant->name);
        bool is_due =
            k != NULL && k->pending == 0 && (k->at.ns == 0 || mono_since_ms(k->at, now) >= REST_MS);
        if (is_due && (oldest == NULL || k->at.ns < oldest->at.ns)) {
            oldest = k;
        }
    }
    return oldest;
}

void backlog_turn(struct backlog *b)
{
    struct dispatcher *d = b->dispatcher;
    struct mono now = loop_now(d->loop);

    drop_absent(b);
    if (bus_link_state(d->publisher) != BUS_OPEN || !standing_is_ready(d->standing)) {
        return;
    }
    for (int n = 0; n < ASKED_A_ROUND; n++) {
        struct look *k = next_of(b, now);
        if (k == NULL) {
            return;
        }
        k->at = now;
        look(k);
    }
}

bool backlog_has_letters(const struct backlog *b, const char *tenant)
{
    const struct look *k = map_get(&b->tenants, str_of(tenant));

    return k != NULL && k->has_letters;
}

int backlog_new(struct dispatcher *d, struct backlog **ret)
{
    struct backlog *b = calloc(1, sizeof *b);

    if (b == NULL) {
        return ERR_NOMEM;
    }
    b->dispatcher = d;
    b->alive = 1;
    *ret = b;
    return ERR_OK;
}

void backlog_free(struct backlog *b)
{
    if (b == NULL) {
        return;
    }
    b->is_freed = true;
    let_go(b);
}
