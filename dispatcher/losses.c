/* SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "base/log.h"
#include "bus/topology.h"
#include "leader.h"

#include <stdio.h>
#include <stdlib.h>

/* One tenant's queues, over time. Kept for as long as the program runs: one a tenant that ever had
 * a suspect. */
struct watch {
    struct losses *losses;
    char tenant[80];
    struct losses_seen seen;
    unsigned int pending; /* answers of the broker */
    bool is_known;
    bool is_missing;
    uint64_t ready;
};

struct losses {
    struct dispatcher *dispatcher;
    losses_cb cb;
    void *arg;
    struct map tenants; /* name → struct watch */
    unsigned int alive;
    bool is_freed;
};

bool losses_judge(struct losses_seen *s, bool is_known, uint64_t ready, struct mono now)
{
    bool was_empty = s->is_empty && mono_since_ms(s->last, now) <= LOSSES_GAP_MS;

    s->is_empty = is_known && ready == 0;
    s->last = now;
    if (!was_empty) {
        s->since = now;
    }
    return s->is_empty && mono_since_ms(s->since, now) >= LOSSES_EMPTY_MS;
}

static void let_go(struct losses *l)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (--l->alive > 0) {
        return;
    }
    while (map_next(&l->tenants, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&l->tenants);
    free(l);
}

static void answered(struct watch *w)
{
    struct losses *l = w->losses;
    struct dispatcher *d = l->dispatcher;

    if (l->is_freed) {
        return;
    }
    bool is_proven = losses_judge(&w->seen, w->is_known, w->ready, loop_now(d->loop));
    if (w->is_missing) {
        standing_missing(d->standing, str_of(w->tenant)); /* the next look tells */
        routes_redeclare(d->routes);
    }
    if (is_proven) {
        l->cb(w->tenant, l->arg);
    }
}

static void on_inspected(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct watch *w = arg;
    struct losses *l = w->losses;

    (void)consumers;
    w->is_known = w->is_known && rc == ERR_OK;
    w->is_missing = w->is_missing || rc == ERR_MISSING;
    w->ready += rc == ERR_OK ? ready : 0;
    if (--w->pending == 0) {
        answered(w);
    }
    let_go(l);
}

static void inspect(struct watch *w, const char *queue)
{
    struct losses *l = w->losses;

    if (bus_inspect_queue(l->dispatcher->publisher, queue, on_inspected, w) == ERR_OK) {
        w->pending++;
        l->alive++;
    } else {
        w->is_known = false;
    }
}

/* Those that came into being, listed or not: what was never declared holds nothing. */
static void inspect_routes(struct watch *w)
{
    char queue[TOPOLOGY_KEY_SIZE];
    size_t cursor = 0;
    const char *tenant;
    const char *route;

    while (routes_next(w->losses->dispatcher->routes, &cursor, &tenant, &route)) {
        if (str_is(str_of(tenant), str_of(w->tenant))) {
            topology_queue(tenant, route, queue);
            inspect(w, queue);
        }
    }
}

static struct watch *watch_of(struct losses *l, const char *tenant)
{
    struct watch *w = map_get(&l->tenants, str_of(tenant));

    if (w != NULL) {
        return w;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->losses = l;
    (void)snprintf(w->tenant, sizeof w->tenant, "%s", tenant);
    if (map_put(&l->tenants, str_of(tenant), w) != ERR_OK) {
        free(w);
        return NULL;
    }
    return w;
}

void losses_look(struct losses *l, const char *tenant)
{
    struct dispatcher *d = l->dispatcher;
    static const char *const classes[] = {"sync", "normal"};
    char queue[TOPOLOGY_KEY_SIZE];

    if (!leader_leads(d->leader) || bus_link_state(d->publisher) != BUS_OPEN ||
        !standing_is_ready(d->standing)) {
        return;
    }
    struct watch *w = watch_of(l, tenant);
    if (w == NULL || w->pending > 0) {
        return;
    }
    w->is_known = true;
    w->is_missing = false;
    w->ready = 0;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        topology_queue(tenant, classes[i], queue);
        inspect(w, queue);
    }
    inspect_routes(w);
    inspect(w, TOPOLOGY_ORPHAN);
}

int losses_new(struct dispatcher *d, losses_cb cb, void *arg, struct losses **ret)
{
    struct losses *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return ERR_NOMEM;
    }
    *l = (struct losses){.dispatcher = d, .cb = cb, .arg = arg, .alive = 1};
    *ret = l;
    return ERR_OK;
}

void losses_free(struct losses *l)
{
    if (l == NULL) {
        return;
    }
    l->is_freed = true;
    let_go(l);
}
