/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"

#include "attempt.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "bus/topology.h"
#include "daemon/wire.h"

#include <stdint.h>
#include <stdlib.h>

enum { REFUSED_HOLD_MS = 2000, REST_MS = 2000, TROUBLE_MS = 1000 };

static const enum lane_state moves[LANE_STATES][LANE_EVENTS] = {
#define STATE(NAME, word)
#define MOVE(FROM, EVENT, TO) [LANE_##FROM][LANE_##EVENT] = (enum lane_state)(LANE_##TO + 1),
#include "lane.def"
#undef STATE
#undef MOVE
};

static const char *const state_words[LANE_STATES] = {
#define STATE(NAME, word) word,
#define MOVE(FROM, EVENT, TO)
#include "lane.def"
#undef STATE
#undef MOVE
};

enum lane_state lane_next(enum lane_state from, enum lane_event event)
{
    /* The table holds state + 1, so that what is not in it is 0. */
    unsigned int to = (unsigned int)moves[from][event];

    return to == 0 ? LANE_STATES : (enum lane_state)(to - 1);
}

bool lane_is_for_polls(const struct lane *l)
{
    return str_is(str_of(l->class), STR(TOPOLOGY_POLL));
}

static void on_delivery(struct bus_delivery *d, void *arg)
{
    struct lane *l = arg;

    l->worker->moved = loop_now(l->worker->loop);
    attempt_begin(l, d);
}

static void on_lost(struct bus_consumer *c, const char *why, void *arg)
{
    struct lane *l = arg;

    (void)c;
    log_event(LOG_WARN, "consumer_lost", "tenant=%s class=%s why=\"%s\"", l->tenant, l->class, why);
    lane_move(l, LANE_TROUBLE);
}

/* The sum of a worker's prefetches is bounded by its concurrency; a tenant's own bound is never
 * exceeded, so that its work waits in its queue, where others see it. */
static uint16_t prefetch_of(const struct lane *l)
{
    struct worker *w = l->worker;
    struct registry_entry *e = registry_find(w->registry, str_of(l->tenant));
    uint64_t share = w->lanes.n > 0 ? w->concurrency / w->lanes.n : w->concurrency;
    uint64_t capacity = 0;

    for (size_t i = 0; e != NULL && i < e->tenant->n_instances; i++) {
        uint32_t own = e->tenant->instances[i].concurrency;
        if (own == 0) {
            capacity = UINT64_MAX;
            break;
        }
        capacity += own;
    }
    if (e != NULL && e->tenant->concurrency > 0 && e->tenant->concurrency < capacity) {
        capacity = e->tenant->concurrency;
    }
    share = share < capacity || lane_is_for_polls(l) ? share : capacity; /* a poll takes no slot */
    share = share < 1 ? 1 : share;
    return share > UINT16_MAX ? UINT16_MAX : (uint16_t)share;
}

static void consume(struct lane *l)
{
    char queue[TOPOLOGY_KEY_SIZE];

    topology_queue(l->tenant, l->class, queue);
    l->prefetch = prefetch_of(l);
    int rc =
        bus_consume(l->worker->consumer, queue, l->prefetch, on_delivery, on_lost, l, &l->consumer);
    if (rc != ERR_OK) {
        l->consumer = NULL;
        lane_move(l, LANE_TROUBLE);
    }
}

/* A declare's answer may come after its lane went on, or was freed: it names the lane by what both
 * sides can check. */
struct declare {
    struct worker *worker;
    char lane[TOPOLOGY_KEY_SIZE];
    uint64_t number;
};

static void on_declared(int rc, void *arg)
{
    struct declare *d = arg;
    struct lane *l = map_get(&d->worker->lanes, str_of(d->lane));

    if (l != NULL && l->declares == d->number && l->state == LANE_DECLARING) {
        if (rc != ERR_OK) {
            log_event(LOG_ERROR, "queue_declare_failed", "tenant=%s err=%s", l->tenant,
                      err_word(rc));
        }
        lane_move(l, rc == ERR_OK ? LANE_DECLARED : LANE_TROUBLE);
    }
    free(d);
}

static void declare(struct lane *l)
{
    struct declare *d = calloc(1, sizeof *d);

    if (d == NULL) {
        lane_move(l, LANE_TROUBLE);
        return;
    }
    d->worker = l->worker;
    d->number = ++l->declares;
    topology_work_key(l->tenant, l->class, d->lane);
    int rc = (lane_is_for_polls(l) ? topology_declare_polls : topology_declare_tenant)(
        l->worker->consumer, l->tenant, l->worker->is_quorum, on_declared, d);
    if (rc != ERR_OK) {
        free(d);
        lane_move(l, LANE_TROUBLE);
    }
}

static void drop_consumer(struct lane *l)
{
    struct bus_consumer *c = l->consumer;

    l->consumer = NULL;
    if (c != NULL) {
        /* Attempts that run keep their channel until they are settled. */
        bus_consumer_retire(c);
    }
}

/* Everything that was refused goes back to the queue. */
static void give_back_refused(struct lane *l)
{
    struct list *link;

    while ((link = list_pop_front(&l->refused)) != NULL) {
        attempt_give_back(attempt_of_refused(link));
    }
}

static void leave(struct lane *l, enum lane_state from)
{
    if (from == LANE_CONSUMING) {
        drop_consumer(l);
        l->is_refused = false;
    }
    loop_timer_cancel(l->timer);
}

static void enter(struct lane *l, enum lane_state to)
{
    switch (to) {
    case LANE_DECLARING:
        declare(l);
        break;
    case LANE_CONSUMING:
        consume(l);
        break;
    case LANE_RESTING:
        give_back_refused(l);
        loop_timer_set(l->timer, REST_MS + (int64_t)(random_unit() * REST_MS / 2));
        break;
    case LANE_IDLE:
        give_back_refused(l);
        if (bus_link_state(l->worker->consumer) == BUS_OPEN) {
            loop_timer_set(l->timer, TROUBLE_MS);
        }
        break;
    case LANE_LEFT:
        give_back_refused(l);
        break;
    case LANE_STATES:
        break;
    }
}

void lane_move(struct lane *l, enum lane_event event)
{
    enum lane_state from = l->state;
    enum lane_state to = lane_next(from, event);

    if (to == LANE_STATES) {
        return;
    }
    log_event(LOG_DEBUG, "lane", "tenant=%s class=%s from=%s to=%s", l->tenant, l->class,
              state_words[from], state_words[to]);
    leave(l, from);
    l->state = to;
    enter(l, to);
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct lane *l = arg;

    (void)t;
    if (l->state == LANE_CONSUMING) {
        bool is_long =
            mono_since_ms(l->refused_since, loop_now(l->worker->loop)) >= REFUSED_HOLD_MS;
        if (RULE(park_never_hold) && !list_is_empty(&l->refused) && is_long) {
            lane_move(l, LANE_NO_ROOM);
        } else {
            lane_hint(l);
        }
        return;
    }
    lane_move(l, LANE_ROOM);
}

void lane_refused(struct lane *l, struct attempt *a)
{
    /* Polls go on: what needs a slot by now waits with its own class. */
    bool is_elsewhere = lane_is_for_polls(l) && bus_link_state(l->worker->publisher) == BUS_OPEN;
    if (l->state != LANE_CONSUMING || is_elsewhere) {
        attempt_give_back(a);
        return;
    }
    if (!l->is_refused) {
        l->is_refused = true;
        l->refused_since = loop_now(l->worker->loop);
    }
    if (!loop_timer_is_set(l->timer)) {
        /* Claims may have been under way when it fired: the two seconds go on, they do not begin
         * anew. */
        int64_t held_ms = mono_since_ms(l->refused_since, loop_now(l->worker->loop));
        loop_timer_set(l->timer, held_ms < REFUSED_HOLD_MS ? REFUSED_HOLD_MS - held_ms : 0);
    }
    list_push_back(&l->refused, attempt_refused_link(a));
}

void lane_served(struct lane *l)
{
    l->is_refused = false;
}

void lane_refit(struct lane *l)
{
    if (l->state == LANE_CONSUMING && l->consumer != NULL && prefetch_of(l) != l->prefetch) {
        drop_consumer(l);
        consume(l);
    }
}

void lane_hint(struct lane *l)
{
    struct list again;
    struct list *link;

    if (l->state == LANE_RESTING) {
        lane_move(l, LANE_ROOM);
        return;
    }
    list_init(&again);
    while ((link = list_pop_front(&l->refused)) != NULL) {
        list_push_back(&again, link);
    }
    while ((link = list_pop_front(&again)) != NULL) {
        attempt_retry_claim(attempt_of_refused(link));
    }
}

int lane_new(struct worker *w, const char *tenant, const char *class, struct lane **ret)
{
    struct lane *l = calloc(1, sizeof *l);
    int rc = ERR_NOMEM;

    if (l == NULL) {
        return rc;
    }
    l->worker = w;
    l->class = class;
    l->state = LANE_IDLE;
    list_init(&l->refused);
    l->tenant = str_dup(str_of(tenant));
    if (l->tenant != NULL) {
        rc = loop_timer_new(w->loop, on_timer, l, &l->timer);
    }
    if (rc != ERR_OK) {
        free(l->tenant);
        free(l);
        return rc;
    }
    *ret = l;
    return ERR_OK;
}

void lane_free(struct lane *l)
{
    if (l == NULL) {
        return;
    }
    drop_consumer(l);
    loop_timer_free(l->timer);
    free(l->tenant);
    free(l);
}
