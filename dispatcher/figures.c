/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include "base/log.h"
#include "losses.h"
#include "outbox.h"
#include "overlay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A check that finds as many jobs as it may look at (sweep.lua) is followed by another at once. */
enum { LOOKS = 100, SWEEPS_MAX = 20, DAY_MS = 86400000 };

struct figures {
    struct dispatcher *dispatcher;
    struct losses *losses;
    struct map tenants; /* name → struct figure */
    unsigned int alive;
    bool is_freed;
};

struct sweep {
    struct figures *figures;
    char tenant[80];
    unsigned int number; /* of those that follow one another */
};

static void let_go(struct figures *f)
{
    if (--f->alive == 0) {
        free(f);
    }
}

void figure_derive(struct figure *g, uint32_t worker_concurrency)
{
    int64_t free_slots = g->capacity - g->running;

    free_slots = free_slots > 0 ? free_slots : 0;
    /* What waits for its own key runs no sooner with more workers. */
    int64_t in_turn = g->queued > g->held_back ? g->queued - g->held_back : 0;
    g->runnable = g->capacity < 0 || in_turn < free_slots ? in_turn : free_slots;
    int64_t load = g->running + g->runnable;
    g->desired_workers =
        worker_concurrency == 0 ? 0 : (load + worker_concurrency - 1) / worker_concurrency;
    if (g->running > 0 && g->desired_workers < 1) {
        g->desired_workers = 1;
    }
}

/* What drains takes no more. */
static int64_t capacity_of(const struct figures *f, const struct tenant *t)
{
    int64_t sum = 0;

    for (size_t i = 0; i < t->n_instances; i++) {
        if (overlay_get(f->dispatcher->overlay, 'd', str_of(t->name), str_of(t->instances[i].name))
                .p != NULL) {
            continue;
        }
        if (t->instances[i].concurrency == 0) {
            return t->concurrency > 0 ? (int64_t)t->concurrency : -1;
        }
        sum += t->instances[i].concurrency;
    }
    return t->concurrency > 0 && t->concurrency < sum ? t->concurrency : sum;
}

static void take(struct figure *g, const struct store_value *v)
{
    g->unended = store_number(v, 2);
    g->running = store_number(v, 3);
    g->in_doubt = store_number(v, 4);
    g->delayed = store_number(v, 5);
    g->outbox = store_number(v, 6);
    g->shelved = store_number(v, 12);
    g->queued = g->unended - g->running - g->in_doubt - g->delayed;
    g->queued = g->queued > 0 ? g->queued : 0;
    g->held_back = store_number(v, 13);
    g->oldest_s = g->queued > 0 ? (double)store_number(v, 7) / 1000.0 : 0;
}

static void sweep(struct figures *f, const struct tenant *t, bool is_empty, unsigned int number);

/* What the sweep found beyond figures. */
static void follow(struct sweep *s, const struct store_value *v)
{
    struct figures *f = s->figures;
    struct registry_entry *e = registry_find(f->dispatcher->registry, str_of(s->tenant));
    int64_t lost = store_number(v, 11);

    if (store_number(v, 6) > 0) {
        outbox_look(f->dispatcher->outbox, s->tenant);
    }
    if (lost > 0) {
        metric_add(f->dispatcher->metrics.lost, (struct str[]){str_of(s->tenant)}, (double)lost);
        log_event(LOG_WARN, "jobs_lost", "tenant=%s jobs=%" PRId64, s->tenant, lost);
    }
    if (store_number(v, 10) > 0) {
        losses_look(f->losses, s->tenant);
    }
    if (store_number(v, 8) >= LOOKS && s->number < SWEEPS_MAX && e != NULL) {
        sweep(f, e->tenant, /* is_empty= */ false, s->number + 1);
    }
}

static void on_swept(int rc, const struct store_value *v, void *arg)
{
    struct sweep *s = arg;
    struct figures *f = s->figures;
    struct figure *g = f->is_freed ? NULL : map_get(&f->tenants, str_of(s->tenant));

    if (!f->is_freed && g == NULL) {
        g = calloc(1, sizeof *g);
        if (g != NULL && map_put(&f->tenants, str_of(s->tenant), g) != ERR_OK) {
            free(g);
            g = NULL;
        }
    }
    if (g != NULL && rc == ERR_OK && v->type == STORE_ARRAY) {
        take(g, v);
        follow(s, v);
    }
    free(s);
    let_go(f);
}

/* is_empty: nothing lies ready in the tenant's queues, so that its suspects are judged. */
static void sweep(struct figures *f, const struct tenant *t, bool is_empty, unsigned int number)
{
    struct sweep *s = calloc(1, sizeof *s);
    struct store_args a = {.n = 0};

    if (s == NULL) {
        return;
    }
    s->figures = f;
    (void)snprintf(s->tenant, sizeof s->tenant, "%s", t->name);
    s->number = number;
    store_args_number(&a, t->lost_after_ms);
    store_args_flag(&a, is_empty);
    store_args_number(&a, t->result_ttl_ms + DAY_MS);
    store_args_number(&a, t->idempotency.window_ms);
    store_args_number(&a, t->result_ttl_ms);
    store_args_number(&a, t->sync_result_ttl_ms);
    if (store_call_tenant(f->dispatcher->store, STORE_SWEEP, str_of(t->name), a.at, a.n, on_swept,
                          s) == ERR_OK) {
        f->alive++;
    } else {
        free(s);
    }
}

static void drop_absent(struct figures *f)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&f->tenants, &cursor, &name, &value)) {
        if (registry_find(f->dispatcher->registry, name) == NULL) {
            (void)map_remove(&f->tenants, name);
            free(value);
        }
    }
}

void figures_turn(struct figures *f)
{
    size_t cursor = 0;
    struct registry_entry *e;

    drop_absent(f);
    while (registry_next(f->dispatcher->registry, &cursor, &e)) {
        sweep(f, e->tenant, /* is_empty= */ false, 0);
    }
}

static void on_empty(const char *tenant, void *arg)
{
    struct figures *f = arg;
    struct registry_entry *e = registry_find(f->dispatcher->registry, str_of(tenant));

    if (e != NULL) {
        sweep(f, e->tenant, /* is_empty= */ true, 0);
    }
}

bool figures_of(const struct figures *f, const struct tenant *t, struct figure *ret)
{
    const struct figure *g = map_get(&f->tenants, str_of(t->name));

    if (g == NULL) {
        return false;
    }
    *ret = *g;
    ret->capacity = capacity_of(f, t);
    if (overlay_pause(f->dispatcher->overlay, str_of(t->name), NULL).p != NULL) {
        ret->queued = 0; /* nobody need come for what is paused */
    }
    figure_derive(ret, f->dispatcher->worker_concurrency);
    ret->queued = g->queued;
    return true;
}

void figures_total(const struct figures *f, struct figure *ret)
{
    size_t cursor = 0;
    struct registry_entry *e;
    struct figure g;

    *ret = (struct figure){0};
    while (registry_next(f->dispatcher->registry, &cursor, &e)) {
        if (!figures_of(f, e->tenant, &g)) {
            continue;
        }
        ret->queued += g.queued;
        ret->running += g.running;
        ret->in_doubt += g.in_doubt;
        ret->delayed += g.delayed;
        ret->runnable += g.runnable;
        ret->capacity = ret->capacity < 0 || g.capacity < 0 ? -1 : ret->capacity + g.capacity;
        ret->oldest_s = g.oldest_s > ret->oldest_s ? g.oldest_s : ret->oldest_s;
    }
    int64_t runnable = ret->runnable;
    figure_derive(ret, f->dispatcher->worker_concurrency);
    /* A tenant's free slots are of no use to another's queue. */
    ret->runnable = runnable;
    int64_t per = f->dispatcher->worker_concurrency;
    ret->desired_workers = per == 0 ? 0 : (ret->running + runnable + per - 1) / per;
    if (ret->running > 0 && ret->desired_workers < 1) {
        ret->desired_workers = 1;
    }
}

int figures_new(struct dispatcher *d, struct figures **ret)
{
    struct figures *f = calloc(1, sizeof *f);

    if (f == NULL) {
        return ERR_NOMEM;
    }
    f->dispatcher = d;
    f->alive = 1;
    int rc = losses_new(d, on_empty, f, &f->losses);
    if (rc != ERR_OK) {
        free(f);
        return rc;
    }
    *ret = f;
    return ERR_OK;
}

void figures_free(struct figures *f)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (f == NULL) {
        return;
    }
    while (map_next(&f->tenants, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&f->tenants);
    losses_free(f->losses);
    f->is_freed = true;
    let_go(f);
}
