/* SPDX-License-Identifier: Apache-2.0 */
#include "deaths.h"

#include "base/fault.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS_KEY "{sluice}:w"

enum { LEASE_MAX_MS = 86400000 };

struct worker {
    struct deaths_watch watch;
    bool is_told; /* every tenant knows that it is dead */
    bool is_being_buried;
};

struct deaths {
    struct dispatcher *dispatcher;
    struct map workers; /* incarnation → struct worker */
    bool is_asking;
    bool is_freed;
    unsigned int alive;
    int n_workers; /* not dead, at the last reading; −1: there was none */
};

bool deaths_judge(struct deaths_watch *w, struct str counter, struct mono now, int64_t lease_ms)
{
    bool is_gap = w->counter[0] == '\0' || mono_since_ms(w->read_at, now) > DEATHS_GAP_MS;

    w->read_at = now;
    if (is_gap || !str_is(counter, str_of(w->counter))) {
        (void)snprintf(w->counter, sizeof w->counter, "%.*s", STR_ARG(counter));
        w->since = now;
        return false;
    }
    return mono_since_ms(w->since, now) >= lease_ms;
}

static void let_go(struct deaths *x)
{
    if (--x->alive == 0) {
        free(x);
    }
}

/* A tenant that could not be told is told again: all are, with the next reading. */
struct telling {
    struct deaths *deaths;
    char worker[64];
};

static void on_told(int rc, const struct store_value *v, void *arg)
{
    struct telling *t = arg;
    struct deaths *x = t->deaths;
    struct worker *w = x->is_freed ? NULL : map_get(&x->workers, str_of(t->worker));

    (void)v;
    if (w != NULL && rc != ERR_OK) {
        w->is_told = false;
    }
    free(t);
    let_go(x);
}

/* The mark stands in the tenant's own tag, where its scripts look. */
static bool tell_tenant(struct deaths *x, struct str tenant, struct str worker)
{
    struct telling *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return false;
    }
    t->deaths = x;
    (void)snprintf(t->worker, sizeof t->worker, "%.*s", STR_ARG(worker));
    struct str args[] = {worker};
    if (store_call_tenant(x->dispatcher->store, STORE_MOURN, tenant, args, 1, on_told, t) !=
        ERR_OK) {
        free(t);
        return false;
    }
    x->alive++;
    return true;
}

static void tell_all(struct deaths *x, struct worker *w, struct str name)
{
    size_t cursor = 0;
    struct registry_entry *e;

    if (!registry_is_read(x->dispatcher->registry)) {
        return;
    }
    w->is_told = true;
    while (registry_next(x->dispatcher->registry, &cursor, &e)) {
        w->is_told = tell_tenant(x, str_of(e->tenant->name), name) && w->is_told;
    }
}

struct burial {
    struct deaths *deaths;
    char name[64];
};

static void on_buried(int rc, const struct store_value *v, void *arg)
{
    struct burial *b = arg;
    struct deaths *x = b->deaths;
    struct worker *w = x->is_freed ? NULL : map_get(&x->workers, str_of(b->name));

    if (w != NULL) {
        w->is_being_buried = false;
        FAULT_HERE(dispatcher_buried);
        if (rc == ERR_OK && store_number(v, 0) == 1) {
            log_event(LOG_WARN, "worker_buried", "worker=%s", b->name);
            metric_add(x->dispatcher->metrics.buried, NULL, 1);
            tell_all(x, w, str_of(b->name));
        }
    }
    free(b);
    let_go(x);
}

static void bury(struct deaths *x, struct worker *w, struct str name)
{
    struct burial *b = calloc(1, sizeof *b);
    struct str key = STR(WORKERS_KEY);
    struct str args[] = {name, str_of(w->watch.counter)};

    if (b == NULL || w->is_being_buried) {
        free(b);
        return;
    }
    b->deaths = x;
    (void)snprintf(b->name, sizeof b->name, "%.*s", STR_ARG(name));
    if (store_call(x->dispatcher->store, STORE_BURY, &key, 1, args, 2, on_buried, b) == ERR_OK) {
        w->is_being_buried = true;
        x->alive++;
    } else {
        free(b);
    }
}

static struct worker *worker_of(struct deaths *x, struct str name)
{
    struct worker *w = map_get(&x->workers, name);

    if (w != NULL) {
        return w;
    }
    w = calloc(1, sizeof *w);
    if (w != NULL && map_put(&x->workers, name, w) != ERR_OK) {
        free(w);
        return NULL;
    }
    return w;
}

/* The worker's own lease, behind the colon of "<counter>:<lease>"; a day for one that cannot be
 * read. */
static int64_t lease_of(struct str value)
{
    struct str counter;
    uint64_t lease_ms;

    (void)str_cut(&value, ':', &counter);
    return str_to_u64(value, LEASE_MAX_MS, &lease_ms) == ERR_OK ? (int64_t)lease_ms : LEASE_MAX_MS;
}

static void look_at(struct deaths *x, struct str name, struct str value)
{
    struct worker *w = worker_of(x, name);

    if (w == NULL) {
        return;
    }
    if (str_is(value, STR("dead"))) {
        if (RULE(dead_are_told) && !w->is_told) {
            tell_all(x, w, name);
        }
    } else if (deaths_judge(&w->watch, value, loop_now(x->dispatcher->loop), lease_of(value))) {
        bury(x, w, name);
    }
}

static void on_counters(int rc, const struct store_value *v, void *arg)
{
    struct deaths *x = arg;

    x->is_asking = false;
    if (!x->is_freed && rc == ERR_OK && v->type == STORE_ARRAY) {
        x->n_workers = 0;
        for (size_t i = 0; i + 1 < v->n_items; i += 2) {
            look_at(x, v->items[i].text, v->items[i + 1].text);
            x->n_workers += str_is(v->items[i + 1].text, STR("dead")) ? 0 : 1;
        }
    }
    let_go(x);
}

void deaths_turn(struct deaths *x)
{
    struct str words[] = {STR("HGETALL"), STR(WORKERS_KEY)};

    if (!x->is_asking && store_command(x->dispatcher->store, words, 2, on_counters, x) == ERR_OK) {
        x->is_asking = true;
        x->alive++;
    }
}

static void forget(struct deaths *x)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&x->workers, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&x->workers);
}

int deaths_alive(const struct deaths *x)
{
    return x->n_workers;
}

void deaths_begin(struct deaths *x)
{
    x->n_workers = -1;
    forget(x);
}

int deaths_new(struct dispatcher *d, struct deaths **ret)
{
    struct deaths *x = calloc(1, sizeof *x);

    if (x == NULL) {
        return ERR_NOMEM;
    }
    x->dispatcher = d;
    x->alive = 1;
    x->n_workers = -1;
    *ret = x;
    return ERR_OK;
}

void deaths_free(struct deaths *x)
{
    if (x == NULL) {
        return;
    }
    forget(x);
    x->is_freed = true;
    let_go(x);
}
