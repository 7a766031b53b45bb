/* SPDX-License-Identifier: Apache-2.0 */
#include "turns.h"

#include "attempt.h"
#include "base/fault.h"
#include "bus/topology.h"

#include <stdlib.h>

enum {
    REFUSED_HOLD_MS = 2000,
    WINDOW_MAX = 16,
    HINTED_MS = 100,    /* a hint this young may have overtaken a claim's answer */
    EXPECT_MS = 250,    /* for a lane that woke to have something in hand */
    LATELY_MS = 5000,   /* a lane with a delivery since then has work */
    STARVED_MS = 60000, /* far below the broker's 30 minutes */
    PLACES = 16         /* above the number of lanes of a class */
};

static struct mono now_of(const struct turns_group *g)
{
    return loop_now(g->turns->worker->loop);
}

static bool has_waiting(const struct turns_group *g, bool has_work[WRR_CLASSES])
{
    bool any = false;

    for (int c = 0; c < WRR_CLASSES; c++) {
        has_work[c] = false;
    }
    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        const struct lane *l = LIST_OF(i, struct lane, sibling);
        if (!list_is_empty(&l->refused)) {
            has_work[wrr_class_of(str_of(l->class))] = true;
            any = true;
        }
    }
    return any;
}

bool turns_have_waiting(const struct turns_group *g)
{
    bool has_work[WRR_CLASSES];

    return has_waiting(g, has_work);
}

/* The lane of the class that waits and is next behind the one that was served last. */
static struct lane *next_lane(const struct turns_group *g, enum wrr_class c, int last)
{
    struct lane *best = NULL;
    int best_distance = PLACES + 1;

    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        struct lane *l = LIST_OF(i, struct lane, sibling);
        int distance = (l->place - last - 1 + 2 * PLACES) % PLACES;
        if (wrr_class_of(str_of(l->class)) == c && !list_is_empty(&l->refused) &&
            distance < best_distance) {
            best = l;
            best_distance = distance;
        }
    }
    return best;
}

/* A lane that woke has nothing in hand yet, and its time is not over. */
static bool is_expecting(const struct turns_group *g)
{
    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        const struct lane *l = LIST_OF(i, struct lane, sibling);
        if (l->is_expecting && mono_since_ms(l->woke, now_of(g)) < EXPECT_MS) {
            return true;
        }
    }
    return false;
}

int64_t turns_may_succeed_ms(const struct turns_group *g)
{
    int64_t ms = mono_since_ms(now_of(g), g->may_succeed);

    return ms > 0 ? ms : 0;
}

static void set_timer(struct turns_group *g)
{
    bool has_work[WRR_CLASSES];
    int64_t ms = REFUSED_HOLD_MS;

    if (!has_waiting(g, has_work)) {
        loop_timer_cancel(g->timer);
        return;
    }
    if (g->is_refused) {
        int64_t till_ms = -mono_since_ms(g->may_succeed, now_of(g));
        ms -= mono_since_ms(g->refused_since, now_of(g));
        ms = till_ms < ms ? till_ms : ms;
    }
    if (is_expecting(g) && ms > EXPECT_MS) {
        ms = EXPECT_MS;
    }
    loop_timer_set(g->timer, ms > 1 ? ms : 1);
}

/* Sends the next claims. The order is that of a copy: what is not granted has not been served. */
static void go(struct turns_group *g)
{
    bool has_work[WRR_CLASSES];
    struct wrr wrr = g->wrr;
    int last[WRR_CLASSES];

    if (g->is_going) {
        return;
    }
    if (g->flying > 0) {
        g->is_again = true;
        return;
    }
    g->is_going = true;
    g->is_again = false;
    for (int c = 0; c < WRR_CLASSES; c++) {
        last[c] = g->last[c];
    }
    while (g->flying < g->window && !is_expecting(g) && has_waiting(g, has_work)) {
        enum wrr_class c = wrr_next(&wrr, has_work);
        struct lane *l = next_lane(g, c, last[c]);
        wrr_served(&wrr, c, has_work);
        last[c] = l->place;
        g->flying++;
        attempt_claim_by_turn(attempt_of_refused(list_pop_front(&l->refused)));
    }
    g->is_going = false;
    set_timer(g);
}

void turns_over(struct turns_group *g)
{
    g->flying--;
    /* A refusal ends the round: the next hint or the timer begins another. */
    if (g->flying == 0 && !g->is_going && (g->window > 1 || g->is_again)) {
        go(g);
    } else if (g->flying == 0) {
        set_timer(g);
    }
}

void turns_begin(struct turns_group *g, struct lane *l, struct attempt *a)
{
    bool has_work[WRR_CLASSES];

    l->is_expecting = false;
    l->delivered = now_of(g);
    if (has_waiting(g, has_work) || is_expecting(g)) {
        list_push_back(&l->refused, attempt_refused_link(a));
        if (g->is_refused) {
            set_timer(g);
        } else {
            go(g);
        }
        return;
    }
    attempt_retry_claim(a);
}

void turns_refused(struct turns_group *g, struct lane *l, struct attempt *a, int64_t ms)
{
    struct mono till = mono_plus_ms(now_of(g), ms);

    if (!g->is_refused) {
        g->is_refused = true;
        g->refused_since = now_of(g);
    }
    if (list_is_empty(&l->refused)) {
        l->waits_since = now_of(g);
    }
    /* It did not go out by turns, so that nobody tried at the hint. */
    bool is_hinted = g->flying == 0 && g->turns->hinted.ns != 0 &&
                     mono_since_ms(g->turns->hinted, now_of(g)) < HINTED_MS;
    g->may_succeed = is_hinted ? now_of(g) : till;
    g->window = 1;
    if (g->flying > 0) {
        list_push_front(&l->refused, attempt_refused_link(a)); /* it was the first */
    } else {
        list_push_back(&l->refused, attempt_refused_link(a));
        set_timer(g);
    }
}

void turns_served(struct turns_group *g, struct lane *l)
{
    bool has_work[WRR_CLASSES];
    enum wrr_class c = wrr_class_of(str_of(l->class));

    (void)has_waiting(g, has_work);
    wrr_served(&g->wrr, c, has_work);
    g->last[c] = l->place;
    g->is_refused = false;
    l->waits_since = now_of(g);
    g->window = g->window < WINDOW_MAX ? g->window * 2 : WINDOW_MAX;
}

void turns_hint(struct turns *t)
{
    t->hinted = loop_now(t->worker->loop);
    turns_wake(&t->sync);
    turns_wake(&t->async);
    go(&t->sync);
    go(&t->async);
}

void turns_wake(struct turns_group *g)
{
    unsigned int n = 0;

    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        n += LIST_OF(i, struct lane, sibling)->state == LANE_RESTING ? 1 : 0;
    }
    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        struct lane *l = LIST_OF(i, struct lane, sibling);
        if (l->state == LANE_RESTING) {
            /* One alone has nobody to wait for. */
            l->is_expecting = n > 1 && RULE(wake_together);
            l->woke = now_of(g);
            lane_move(l, LANE_ROOM);
        }
    }
}

bool turns_are_mixed(const struct turns_group *g)
{
    unsigned int n = 0;

    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        const struct lane *l = LIST_OF(i, struct lane, sibling);
        bool is_lately = l->delivered.ns != 0 && mono_since_ms(l->delivered, now_of(g)) < LATELY_MS;
        n += is_lately || l->in_hand > 0 || l->state == LANE_RESTING ? 1 : 0;
    }
    return n > 1;
}

/* Nothing was granted for two seconds: what waits goes back. So does a lane that is never served
 * though others are. */
static void rest(struct turns_group *g)
{
    bool is_long = g->is_refused && mono_since_ms(g->refused_since, now_of(g)) >= REFUSED_HOLD_MS;

    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        struct lane *l = LIST_OF(i, struct lane, sibling);
        bool is_starved = mono_since_ms(l->waits_since, now_of(g)) >= STARVED_MS;
        if (RULE(park_never_hold) && !list_is_empty(&l->refused) && (is_long || is_starved)) {
            lane_move(l, LANE_NO_ROOM);
        }
    }
    if (is_long) {
        g->is_refused = false;
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct turns_group *g = arg;

    (void)t;
    if (g->flying > 0) {
        return; /* the answer decides */
    }
    rest(g);
    go(g);
}

static int group_init(struct turns *t, struct turns_group *g)
{
    g->turns = t;
    g->window = 1;
    list_init(&g->lanes);
    return loop_timer_new(t->worker->loop, on_timer, g, &g->timer);
}

int turns_new(struct worker *w, struct turns **ret)
{
    struct turns *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->worker = w;
    int rc = group_init(t, &t->sync);
    if (rc == ERR_OK) {
        rc = group_init(t, &t->async);
    }
    if (rc == ERR_OK) {
        rc = group_init(t, &t->polls);
    }
    if (rc != ERR_OK) {
        turns_free(t);
        return rc;
    }
    *ret = t;
    return ERR_OK;
}

void turns_free(struct turns *t)
{
    if (t == NULL) {
        return;
    }
    loop_timer_free(t->sync.timer);
    loop_timer_free(t->async.timer);
    loop_timer_free(t->polls.timer);
    free(t);
}

struct turns_group *turns_group_of(struct turns *t, const char *route)
{
    if (str_is(str_of(route), STR(TOPOLOGY_POLL))) {
        return &t->polls;
    }
    return str_starts(str_of(route), STR("sync")) ? &t->sync : &t->async;
}
