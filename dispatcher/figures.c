/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include "backlog.h"
#include "base/log.h"
#include "deaths.h"
#include "health.h"
#include "leader.h"
#include "losses.h"
#include "moods.h"
#include "outbox.h"
#include "overlay.h"
#include "rota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A check that finds as many jobs as it may look at (sweep.lua) is followed by another at once. */
enum {
    LOOKS = 100,
    SWEEPS_MAX = 20,
    DAY_MS = 86400000,
    STALE_MS = 10000,
    BUSY_A_ROUND = 25 /* besides those on the rota */
};

struct known {
    struct figure figure;
    struct mono at;
    uint64_t round; /* when it was asked for last */
};

struct figures {
    struct dispatcher *dispatcher;
    struct losses *losses;
    struct backlog *backlog;
    struct map tenants; /* name → struct known */
    uint64_t round;
    struct rota rota;  /* of all */
    struct rota busy;  /* of those that had work */
    bool was_complete; /* each tenant was known, once */
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

static int64_t at_most(int64_t value, int64_t bound)
{
    return bound >= 0 && value > bound ? bound : value;
}

static int64_t not_negative(int64_t value)
{
    return value > 0 ? value : 0;
}

static int64_t workers_for(const struct figure *g, uint32_t worker_concurrency)
{
    int64_t per = worker_concurrency;

    if (per == 0) {
        return g->running > 0 ? 1 : 0;
    }
    int64_t workers = g->load / per + (g->load % per > 0 ? 1 : 0);
    return workers == 0 && g->is_needed ? 1 : workers;
}

/* Whether a worker would find something to do that is not paused. Where no instance is in it would
 * not; of those that cool or have an open breaker only a claim finds out. Messages of jobs that the
 * store does not know: it has forgotten them, or they have ended; a worker sees which. Who stands
 * in a line waits for the first of it, which counts for itself; in doubt, it waits for a person. */
static bool waits_for_a_worker(const struct figure *g, const struct figure_means *m)
{
    bool waits = g->queued > g->in_line;
    bool is_startable = waits && g->capacity != 0 && !m->is_out;

    return is_startable || g->callers > 0 || g->due_soon > 0 || (m->has_letters && !waits);
}

void figure_derive(struct figure *g, const struct figure_means *m, uint32_t worker_concurrency)
{
    int64_t poll_ms = m->poll_ms > FIGURE_POLL_MS ? m->poll_ms : FIGURE_POLL_MS;
    int64_t offloaded = at_most(g->offloaded, g->running);
    int64_t held = g->running - offloaded;
    /* What waits for its own key runs no sooner with more workers. */
    int64_t runnable = m->is_paused ? 0 : not_negative(g->queued - g->held_back);

    if (g->capacity >= 0) {
        runnable = at_most(runnable, not_negative(g->capacity - g->running));
    }
    runnable = at_most(runnable, m->free);
    if (m->pace >= 0) {
        runnable = at_most(runnable, not_negative(m->pace - g->running));
    }
    g->runnable = runnable;
    g->load = held + runnable + (offloaded * FIGURE_POLL_MS + poll_ms - 1) / poll_ms;
    g->is_needed = g->running > 0 || (!m->is_paused && waits_for_a_worker(g, m)) ||
                   (g->ended_ms >= 0 && g->ended_ms < FIGURE_LATE_MS);
    g->desired_workers = workers_for(g, worker_concurrency);
}

void figure_add(struct figure *sum, const struct figure *g, uint32_t worker_concurrency)
{
    sum->queued += g->queued;
    sum->running += g->running;
    sum->in_doubt += g->in_doubt;
    sum->delayed += g->delayed;
    sum->runnable += g->runnable;
    sum->load += g->load;
    sum->is_needed = sum->is_needed || g->is_needed;
    sum->capacity = sum->capacity < 0 || g->capacity < 0 ? -1 : sum->capacity + g->capacity;
    sum->oldest_s = g->oldest_s > sum->oldest_s ? g->oldest_s : sum->oldest_s;
    sum->desired_workers = workers_for(sum, worker_concurrency);
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

/* What an instance could take now: 0 while it is out, drains, cools or its breaker is open; −1: no
 * limit. */
static int64_t free_of(const struct figures *f, const struct tenant *t,
                       const struct tenant_instance *i)
{
    struct dispatcher *d = f->dispatcher;
    struct mood mood = moods_of(d->moods, t, i->name);

    if (overlay_get(d->overlay, 'd', str_of(t->name), str_of(i->name)).p != NULL ||
        !health_is_up(d->health, t->name, i->name) || mood.breaker == MOOD_OPEN ||
        mood.cooling_until.ms > clock_wall().ms) {
        return 0;
    }
    int64_t limit = i->concurrency > 0 ? (int64_t)i->concurrency : -1;
    if (t->adaptive.is_enabled && mood.limit > 0) {
        limit = limit < 0 ? mood.limit : at_most(limit, mood.limit);
    }
    if (mood.breaker == MOOD_HALF_OPEN) {
        limit = limit < 0 ? (int64_t)t->breaker.probes : at_most(limit, t->breaker.probes);
    }
    return limit < 0
               ? -1
               : not_negative(limit - not_negative(health_taken(d->health, t->name, i->name)));
}

/* The most that run at a time where so many begin: by Little's law, and what may begin at once. An
 * attempt is reckoned as a second at least: there are not that many workers to be had in less. */
static int64_t pace_of(const struct tenant_rate *r, int64_t took_ms)
{
    if (!r->is_set || r->period_ms <= 0) {
        return -1;
    }
    double pace = r->limit / (double)r->period_ms * (double)(took_ms > 1000 ? took_ms : 1000);
    double room = r->burst > 1 ? r->burst : 1;
    return pace + room < 1e15 ? (int64_t)(pace + room) + 1 : -1;
}

static void means_of(const struct figures *f, const struct tenant *t, const struct figure *g,
                     struct figure_means *ret)
{
    int64_t pace = 0;

    *ret = (struct figure_means){
        .is_paused = overlay_pause(f->dispatcher->overlay, str_of(t->name), NULL).p != NULL,
        .is_out = true,
        .has_letters = backlog_has_letters(f->backlog, t->name),
        .poll_ms = t->offload.poll_ms};
    for (size_t i = 0; i < t->n_instances; i++) {
        const struct tenant_instance *one = &t->instances[i];
        int64_t free_slots = free_of(f, t, one);
        int64_t its_pace = pace_of(&one->rate, g->took_ms);
        ret->free = ret->free < 0 || free_slots < 0 ? -1 : ret->free + free_slots;
        pace = pace < 0 || its_pace < 0 ? -1 : pace + its_pace;
        ret->is_out = ret->is_out && !health_is_up(f->dispatcher->health, t->name, one->name);
    }
    int64_t whole = pace_of(&t->rate, g->took_ms);
    ret->pace = pace < 0 ? whole : whole < 0 ? pace : at_most(pace, whole);
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
    g->offloaded = store_number(v, 14);
    g->due_soon = store_number(v, 15);
    g->callers = store_number(v, 16);
    g->ended_ms = store_number(v, 17);
    g->took_ms = store_number(v, 18);
    g->in_line = store_number(v, 19);
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
    bool is_good = !f->is_freed && rc == ERR_OK && v->type == STORE_ARRAY;
    struct known *k = is_good ? map_get(&f->tenants, str_of(s->tenant)) : NULL;

    if (is_good && k == NULL) {
        k = calloc(1, sizeof *k);
        if (k != NULL && map_put(&f->tenants, str_of(s->tenant), k) != ERR_OK) {
            free(k);
            k = NULL;
        }
    }
    if (k != NULL) {
        take(&k->figure, v);
        k->at = loop_now(f->dispatcher->loop);
        follow(s, v);
    }
    free(s);
    let_go(f);
}

/* Only the leader counts the workers. */
static struct str asleep_word(const struct figures *f)
{
    int alive = leader_leads(f->dispatcher->leader) ? deaths_alive(f->dispatcher->deaths) : -1;

    return alive < 0 ? STR("") : alive == 0 ? STR("1") : STR("0");
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
    store_args_add(&a, asleep_word(f));
    store_args_number(&a, FIGURE_SOON_MS);
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

static void look(struct figures *f, const struct tenant *t)
{
    struct known *k = map_get(&f->tenants, str_of(t->name));

    if (k != NULL) {
        k->round = f->round;
    }
    sweep(f, t, /* is_empty= */ false, 0);
}

/* Those that have or just had work, or are new: not only when it is their turn, as far as they are
 * few. */
static void look_at_busy(struct figures *f)
{
    const struct registry *tenants = f->dispatcher->registry;
    struct registry_entry *e;
    size_t n = 0;

    rota_begin(&f->busy, tenants, registry_size(tenants));
    while (n < BUSY_A_ROUND && rota_next(&f->busy, tenants, &e)) {
        const struct known *k = map_get(&f->tenants, str_of(e->tenant->name));
        bool is_busy = k == NULL || k->figure.unended > 0 || k->figure.ended_ms >= 0;
        if (is_busy && (k == NULL || k->round != f->round)) {
            look(f, e->tenant);
            n++;
        }
    }
}

static bool are_all_known(const struct figures *f)
{
    size_t cursor = 0;
    struct registry_entry *e;

    while (registry_next(f->dispatcher->registry, &cursor, &e)) {
        if (map_get(&f->tenants, str_of(e->tenant->name)) == NULL) {
            return false;
        }
    }
    return registry_is_read(f->dispatcher->registry);
}

void figures_turn(struct figures *f)
{
    const struct registry *tenants = f->dispatcher->registry;
    struct registry_entry *e;

    f->round++;
    drop_absent(f);
    rota_begin(&f->rota, tenants, rota_share(registry_size(tenants)));
    while (rota_next(&f->rota, tenants, &e)) {
        look(f, e->tenant);
    }
    look_at_busy(f);
    f->was_complete = f->was_complete || are_all_known(f);
    backlog_turn(f->backlog);
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
    const struct known *k = map_get(&f->tenants, str_of(t->name));
    struct figure_means means;

    if (k == NULL) {
        return false;
    }
    *ret = k->figure;
    ret->capacity = capacity_of(f, t);
    means_of(f, t, ret, &means);
    figure_derive(ret, &means, f->dispatcher->worker_concurrency);
    return true;
}

void figures_total(const struct figures *f, struct figure *ret)
{
    size_t cursor = 0;
    struct registry_entry *e;
    struct figure g;

    *ret = (struct figure){0};
    while (registry_next(f->dispatcher->registry, &cursor, &e)) {
        if (figures_of(f, e->tenant, &g)) {
            figure_add(ret, &g, f->dispatcher->worker_concurrency);
        }
    }
}

bool figures_are_complete(const struct figures *f)
{
    return f->was_complete;
}

/* Each tenant was heard of lately; one that came just now may not have been yet. */
bool figures_are_fresh(const struct figures *f)
{
    const struct dispatcher *d = f->dispatcher;
    struct mono now = loop_now(d->loop);
    size_t cursor = 0;
    struct registry_entry *e;

    if (!store_is_open(d->store) || !registry_is_read(d->registry)) {
        return false;
    }
    while (registry_next(d->registry, &cursor, &e)) {
        const struct known *k = map_get(&f->tenants, str_of(e->tenant->name));
        if (k == NULL ? !f->was_complete : mono_since_ms(k->at, now) > STALE_MS) {
            return false;
        }
    }
    return true;
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
    if (rc == ERR_OK) {
        rc = backlog_new(d, &f->backlog);
    }
    if (rc != ERR_OK) {
        losses_free(f->losses);
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
    backlog_free(f->backlog);
    f->is_freed = true;
    let_go(f);
}
