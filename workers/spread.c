/* SPDX-License-Identifier: Apache-2.0 */
#include "spread.h"

#include "base/fault.h"
#include "shares.h"
#include "turns.h"

#include <stdlib.h>

enum {
    GROW_MS = 250, /* between two changes of a lane, the second being a growth */
    SHRINK_MS = 1000,
    SPREAD_MS = 100, /* between two looks at all of them */
    IDLE_MAX = 8     /* what an idle lane keeps, at most */
};

/* Of asynchronous work beside a tenant's waiting callers; the three classes together weigh 12. */
static double weight_of(const struct lane *l)
{
    struct registry_entry *e = registry_find(l->worker->registry, str_of(l->tenant));
    double share = e != NULL ? e->tenant->sync_share : 0.8;

    if (!str_is(str_of(l->class), STR("sync"))) {
        return wrr_weight(wrr_class_of(str_of(l->class)));
    }
    share = share > 0.95 ? 0.95 : share < 0.05 ? 0.05 : share;
    return 12 * share / (1 - share);
}

size_t spread_places(const struct lane *l)
{
    size_t live = 0;

    for (size_t i = 0; i < l->n_consumers; i++) {
        live += bus_consumer_in_hand(l->consumers[i].consumer);
    }
    return l->prefetch + (l->messages > live ? l->messages - live : 0);
}

/* What one message on a channel that was given up has brought may be more. */
static size_t used(const struct lane *l)
{
    size_t places = spread_places(l);

    return l->begun > places ? l->begun : places;
}

/* So many lanes that what each has while it is idle would take the place of those with work. */
static bool are_many(const struct worker *w)
{
    return w->lanes.n > w->concurrency / 2;
}

static bool is_idle(const struct lane *l)
{
    return l->peak == 0 && l->in_hand == 0;
}

/* What of the worker's concurrency no lane has. Of an idle one of many the one that it must have
 * does not count. */
static uint32_t room_of(const struct worker *w)
{
    bool is_one_free = are_many(w);
    size_t cursor = 0;
    size_t sum = 0;
    struct str name;
    void *value;

    while (map_next(&w->lanes, &cursor, &name, &value)) {
        size_t own = used(value);
        sum += is_one_free && own > 0 && is_idle(value) ? own - 1 : own;
    }
    return sum < w->concurrency ? (uint32_t)(w->concurrency - sum) : 0;
}

uint32_t spread_first(const struct lane *l)
{
    const struct worker *w = l->worker;
    uint32_t most = w->lanes.n > 0 ? w->concurrency / (uint32_t)w->lanes.n : w->concurrency;

    if (most <= 1) {
        return 1; /* whatever room there is */
    }
    uint32_t room = room_of(w);
    uint32_t capacity = lane_capacity(l);
    most = most < room ? most : room;
    most = most < capacity ? most : capacity;
    return most > 0 ? most : 1;
}

/* Of many lanes each has one, and whoever has one thing to do is full: it needs more when the next
 * one came behind it, or when it takes its time. */
static bool is_pressed(const struct lane *l)
{
    return !are_many(l->worker) || l->delivered_lately > l->prefetch || l->was_full;
}

static bool is_full(const struct lane *l)
{
    return l->state == LANE_CONSUMING && l->peak >= l->prefetch && l->prefetch > 0 && is_pressed(l);
}

static bool wants_more(const struct lane *l)
{
    return is_full(l) && l->prefetch < lane_capacity(l);
}

static bool is_old(const struct lane *l, int64_t ms)
{
    return l->state == LANE_CONSUMING && mono_since_ms(l->fitted, loop_now(l->worker->loop)) >= ms;
}

static uint32_t needs(const struct lane *l)
{
    size_t twice = 2 * l->peak;

    return is_full(l) ? lane_capacity(l) : (uint32_t)(twice < UINT16_MAX ? twice : UINT16_MAX);
}

struct plan {
    struct lane **lanes;
    struct share *shares;
    size_t n;
};

static int plan_make(const struct worker *w, struct plan *p)
{
    size_t idle = w->concurrency / (4 * w->lanes.n);
    uint32_t whole = w->concurrency;
    size_t cursor = 0;
    struct str name;
    void *value;

    p->n = 0;
    p->lanes = calloc(w->lanes.n, sizeof *p->lanes);
    p->shares = calloc(w->lanes.n, sizeof *p->shares);
    if (p->lanes == NULL || p->shares == NULL) {
        return ERR_NOMEM;
    }
    idle = idle < 1 ? 1 : idle > IDLE_MAX ? IDLE_MAX : idle;
    while (map_next(&w->lanes, &cursor, &name, &value)) {
        struct lane *l = value;
        uint32_t capacity = lane_capacity(l);
        whole += are_many(w) && is_idle(l) ? 1 : 0;
        p->lanes[p->n] = l;
        p->shares[p->n++] = (struct share){.weight = weight_of(l),
                                           .minimum = idle < capacity ? (uint32_t)idle : capacity,
                                           .need = needs(l)};
    }
    shares_divide(whole, p->shares, p->n);
    return ERR_OK;
}

static void fit_all(struct worker *w, const struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (is_old(p->lanes[i], SHRINK_MS) && p->shares[i].given < p->lanes[i]->prefetch) {
            lane_fit(p->lanes[i], p->shares[i].given);
        }
    }
    uint32_t room = room_of(w);
    for (size_t i = 0; i < p->n; i++) {
        struct lane *l = p->lanes[i];
        uint32_t more = p->shares[i].given > l->prefetch ? p->shares[i].given - l->prefetch : 0;
        more = more < room ? more : room;
        if (is_old(l, GROW_MS) && is_full(l) && more > l->prefetch / 8) {
            lane_fit(l, l->prefetch + more);
            room -= more;
        }
    }
}

static void spread(struct worker *w)
{
    struct plan p = {0};

    w->spread = loop_now(w->loop);
    if (w->lanes.n > 0 && RULE(lanes_grow) && plan_make(w, &p) == ERR_OK) {
        fit_all(w, &p);
    }
    free(p.lanes);
    free(p.shares);
}

void spread_note(struct lane *l)
{
    struct worker *w = l->worker;

    l->delivered_lately++;
    l->peak = l->in_hand > l->peak ? l->in_hand : l->peak;
    if (wants_more(l) && is_old(l, GROW_MS) &&
        mono_since_ms(w->spread, loop_now(w->loop)) >= SPREAD_MS) {
        spread(w);
    }
}

void spread_turn(struct worker *w)
{
    size_t cursor = 0;
    bool is_wanted = false;
    struct str name;
    void *value;

    while (map_next(&w->lanes, &cursor, &name, &value)) {
        struct lane *l = value;
        if (is_old(l, SHRINK_MS) && l->prefetch > lane_capacity(l)) {
            lane_fit(l, lane_capacity(l)); /* its tenant's limits were lowered */
        }
        is_wanted = is_wanted || wants_more(l);
    }
    if (is_wanted) {
        spread(w);
    }
    cursor = 0;
    while (map_next(&w->lanes, &cursor, &name, &value)) {
        struct lane *l = value;
        l->peak = l->in_hand;
        l->was_full = l->in_hand >= l->prefetch;
        l->delivered_lately = 0;
    }
}
