/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"

#include "attempt.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "bus/topology.h"
#include "lookout.h"
#include "spread.h"
#include "surplus.h"
#include "turns.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { REST_MS = 2000, TROUBLE_MS = 1000, SAY_AGAIN_MS = 60000, MORE_MAX = 8 };

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

/* Its queue stands with the tenant's. */
static bool is_plain(const struct lane *l)
{
    struct str route = str_of(l->route);

    return str_is(route, STR("sync")) || str_is(route, STR("normal"));
}

static void on_delivery(struct bus_delivery *d, void *arg)
{
    struct lane *l = arg;

    l->worker->moved = loop_now(l->worker->loop);
    l->heard = l->worker->moved;
    attempts_begin(l, d);
    spread_note(l);
}

void lane_lost(struct lane *l, const char *why)
{
    log_event(LOG_WARN, "consumer_lost", "tenant=%s class=%s why=\"%s\"", l->tenant, l->route, why);
    if (is_plain(l)) {
        standing_missing(l->worker->standing, str_of(l->tenant));
    }
    lookout_hurry(l);
    lane_move(l, LANE_TROUBLE);
}

static void on_lost(struct bus_consumer *c, const char *why, void *arg)
{
    (void)c;
    lane_lost(arg, why);
}

/* A tenant's own bound: its work waits in its queue, where others see it. While its classes or
 * callers wait for each other, each needs the next one in hand when a slot comes free: else its
 * turn would pass. */
uint32_t lane_capacity(const struct lane *l)
{
    struct registry_entry *e = registry_find(l->worker->registry, str_of(l->tenant));
    uint64_t capacity = 0;

    if (lane_is_for_polls(l)) {
        return UINT16_MAX; /* a poll takes no slot */
    }
    for (size_t i = 0; e != NULL && i < e->tenant->n_instances; i++) {
        uint32_t own = e->tenant->instances[i].concurrency;
        if (own == 0) {
            capacity = UINT16_MAX;
            break;
        }
        capacity += own;
    }
    if (e != NULL && e->tenant->concurrency > 0 && e->tenant->concurrency < capacity) {
        capacity = e->tenant->concurrency;
    }
    if (turns_are_mixed(l->group) && RULE(next_in_hand)) {
        capacity += capacity < MORE_MAX ? capacity : MORE_MAX;
    }
    capacity = capacity < 1 ? 1 : capacity;
    return capacity > UINT16_MAX ? UINT16_MAX : (uint32_t)capacity;
}

/* One more consumer of the lane's queue. */
static int add_consumer(struct lane *l, uint32_t prefetch)
{
    char queue[TOPOLOGY_KEY_SIZE];
    struct bus_consumer *c = NULL;

    topology_queue(l->tenant, l->route, queue);
    int rc =
        bus_consume(l->worker->consumer, queue, (uint16_t)prefetch, on_delivery, on_lost, l, &c);
    if (rc == ERR_OK) {
        l->consumers[l->n_consumers].consumer = c;
        l->consumers[l->n_consumers++].prefetch = (uint16_t)prefetch;
        l->prefetch += prefetch;
    }
    return rc;
}

static void drop_last(struct lane *l)
{
    struct bus_consumer *c = l->consumers[--l->n_consumers].consumer;

    l->prefetch -= l->consumers[l->n_consumers].prefetch;
    /* Attempts that run keep their channel until they are settled. */
    bus_consumer_retire(c);
}

static void drop_consumers(struct lane *l)
{
    while (l->n_consumers > 0) {
        drop_last(l);
    }
}

void lane_fit(struct lane *l, uint32_t prefetch)
{
    prefetch = prefetch > UINT16_MAX ? UINT16_MAX : prefetch;
    if (l->state != LANE_CONSUMING || prefetch == l->prefetch) {
        return;
    }
    l->fitted = loop_now(l->worker->loop);
    while (l->n_consumers > 0 && l->prefetch > prefetch) {
        drop_last(l);
    }
    if (l->n_consumers == LANE_CONSUMERS_MAX) {
        drop_last(l);
    }
    if (l->prefetch < prefetch && add_consumer(l, prefetch - l->prefetch) != ERR_OK &&
        l->n_consumers == 0) {
        lane_move(l, LANE_TROUBLE);
    }
    surplus_turn(l);
}

/* Tried again each second by each lane, and said once a minute. */
static void say_refused(struct worker *w, int rc)
{
    struct mono now = loop_now(w->loop);

    if (rc == ERR_LIMIT &&
        (w->said_full.ns == 0 || mono_since_ms(w->said_full, now) >= SAY_AGAIN_MS)) {
        w->said_full = now;
        log_event(LOG_ERROR, "channels_used_up", "lanes=%zu msg=\"%s\"", w->lanes.n,
                  "some queues are not consumed: raise the broker's channel_max");
    }
}

static void consume(struct lane *l)
{
    l->fitted = loop_now(l->worker->loop);
    l->peak = 0;
    int rc = add_consumer(l, spread_first(l));
    if (rc != ERR_OK) {
        say_refused(l->worker, rc);
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
            log_event(LOG_ERROR, "queue_declare_failed", "tenant=%s class=%s err=%s", l->tenant,
                      l->route, err_word(rc));
        }
        l->stands = rc == ERR_OK;
        lane_move(l, rc == ERR_OK ? LANE_DECLARED : LANE_TROUBLE);
    }
    free(d);
}

void lane_standing(struct lane *l, int rc)
{
    if (l->state == LANE_DECLARING) {
        lane_move(l, rc == ERR_OK ? LANE_DECLARED : LANE_TROUBLE);
    }
}

static void declare_route(struct lane *l)
{
    struct declare *d = calloc(1, sizeof *d);

    if (d == NULL) {
        lane_move(l, LANE_TROUBLE);
        return;
    }
    d->worker = l->worker;
    d->number = ++l->declares;
    topology_work_key(l->tenant, l->route, d->lane);
    if (topology_declare_route(l->worker->consumer, l->tenant, l->route, l->worker->is_quorum,
                               on_declared, d) != ERR_OK) {
        free(d);
        lane_move(l, LANE_TROUBLE);
    }
}

/* Once each time the link opens, and when the queue was found missing: a lane that has rested goes
 * on at once. */
static void declare(struct lane *l)
{
    bool stands = is_plain(l) ? standing_has(l->worker->standing, str_of(l->tenant)) : l->stands;

    if (stands) {
        lane_move(l, LANE_DECLARED);
    } else if (is_plain(l)) {
        standing_hurry(l->worker->standing, str_of(l->tenant)); /* lane_standing() follows */
    } else {
        declare_route(l);
    }
}

/* Everything that waits here goes back to the queue. */
static void give_back_waiting(struct lane *l)
{
    struct list *link;

    while ((link = list_pop_front(&l->refused)) != NULL) {
        attempt_give_back(attempt_of_refused(link));
    }
    surplus_give_back(l);
}

static void leave(struct lane *l, enum lane_state from)
{
    if (from == LANE_CONSUMING) {
        drop_consumers(l);
    }
    loop_timer_cancel(l->timer);
}

/* About two seconds, each worker at its own time; sooner where it is known when a claim may
 * succeed. */
static int64_t rest_ms(const struct lane *l)
{
    int64_t ms = REST_MS + (int64_t)(random_unit() * REST_MS / 2);
    int64_t till_ms = turns_may_succeed_ms(l->group);

    return till_ms > 0 && till_ms < ms ? till_ms : ms;
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
        give_back_waiting(l);
        loop_timer_set(l->timer, rest_ms(l));
        break;
    case LANE_IDLE:
        l->stands = false;
        give_back_waiting(l);
        if (bus_link_state(l->worker->consumer) == BUS_OPEN) {
            loop_timer_set(l->timer, TROUBLE_MS);
        }
        break;
    case LANE_LEFT:
        give_back_waiting(l);
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
    log_event(LOG_DEBUG, "lane", "tenant=%s class=%s from=%s to=%s", l->tenant, l->route,
              state_words[from], state_words[to]);
    leave(l, from);
    l->state = to;
    enter(l, to);
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct lane *l = arg;

    if (l->state == LANE_RESTING && worker_is_away(l->worker)) {
        loop_timer_set(t, REST_MS);
    } else if (l->state == LANE_RESTING) {
        turns_wake(l->group); /* with those that rest beside it */
    } else {
        lane_move(l, LANE_ROOM);
    }
}

void lane_begin(struct lane *l, struct attempt *a)
{
    turns_begin(l->group, l, a);
}

void lane_refused(struct lane *l, struct attempt *a, int64_t ms)
{
    /* Polls go on: what needs a slot by now waits with its own class. */
    bool is_elsewhere = lane_is_for_polls(l) && bus_link_state(l->worker->publisher) == BUS_OPEN;
    if (l->state != LANE_CONSUMING || is_elsewhere) {
        attempt_give_back(a);
        return;
    }
    turns_refused(l->group, l, a, ms);
}

void lane_served(struct lane *l)
{
    turns_served(l->group, l);
}

void lane_turn_over(struct lane *l)
{
    turns_over(l->group);
}

bool lane_has_waiting(const struct lane *l)
{
    return turns_have_waiting(l->group);
}

void lane_hint(struct lane *l)
{
    turns_hint(l->group->turns);
}

static int name_route(struct lane *l, const char *route)
{
    static const char *const classes[] = {"sync", "high", "normal", "low", TOPOLOGY_POLL};
    struct str class;
    struct str fair;

    (void)snprintf(l->route, sizeof l->route, "%s", route);
    if (!topology_route_read(str_of(l->route), &class, &fair)) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        l->class = str_is(class, str_of(classes[i])) ? classes[i] : l->class;
    }
    l->fair = fair.n > 0 ? fair.p : "";
    l->place = fair.n > 0 ? fair.p[0] - '0' + 1 : 0;
    return ERR_OK;
}

int lane_new(struct worker *w, const char *tenant, const char *route, struct turns_group *g,
             struct lane **ret)
{
    struct lane *l = calloc(1, sizeof *l);
    int rc = ERR_NOMEM;

    if (l == NULL) {
        return rc;
    }
    l->worker = w;
    l->group = g;
    l->state = LANE_IDLE;
    list_init(&l->refused);
    list_init(&l->surplus);
    l->tenant = str_dup(str_of(tenant));
    if (l->tenant != NULL) {
        rc = name_route(l, route);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(w->loop, on_timer, l, &l->timer);
    }
    if (rc != ERR_OK) {
        free(l->tenant);
        free(l);
        return rc;
    }
    list_push_back(&g->lanes, &l->sibling);
    *ret = l;
    return ERR_OK;
}

void lane_free(struct lane *l)
{
    if (l == NULL) {
        return;
    }
    drop_consumers(l);
    list_remove(&l->sibling);
    loop_timer_free(l->timer);
    free(l->tenant);
    free(l);
}
