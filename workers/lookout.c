/* SPDX-License-Identifier: Apache-2.0 */
#include "lookout.h"

#include "base/fault.h"
#include "bus/topology.h"
#include "turns.h"

#include <stdlib.h>

enum {
    HEARD_MS = 5000,   /* without a delivery, and since the last look */
    SETTLED_MS = 1000, /* after which a consumer that was begun is known, if it ever is */
    LOOKS_MAX = 10     /* a turn */
};

/* What is asked about may be gone when the answer comes. */
struct look {
    struct worker *worker;
    char lane[TOPOLOGY_KEY_SIZE];
    struct mono fitted; /* of the lane then: its consumers are the same */
};

static void on_looked(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct look *k = arg;
    struct lane *l = map_get(&k->worker->lanes, str_of(k->lane));
    bool is_unknown = rc == ERR_MISSING || (rc == ERR_OK && consumers == 0);

    (void)ready;
    if (is_unknown && l != NULL && l->state == LANE_CONSUMING && l->fitted.ns == k->fitted.ns) {
        lane_lost(l, "the broker knows of no consumer: its queue was deleted");
    }
    free(k);
}

static void look(struct lane *l)
{
    struct worker *w = l->worker;
    struct look *k = calloc(1, sizeof *k);
    char queue[TOPOLOGY_KEY_SIZE];

    if (k == NULL) {
        return;
    }
    l->heard = loop_now(w->loop);
    k->worker = w;
    k->fitted = l->fitted;
    topology_work_key(l->tenant, l->route, k->lane);
    topology_queue(l->tenant, l->route, queue);
    if (bus_inspect_queue(w->consumer, queue, on_looked, k) != ERR_OK) {
        free(k); /* another turn */
    }
}

static bool is_due(const struct lane *l, struct mono now)
{
    return l->state == LANE_CONSUMING && mono_since_ms(l->fitted, now) >= SETTLED_MS &&
           mono_since_ms(l->heard, now) >= HEARD_MS;
}

void lookout_turn(struct worker *w)
{
    struct mono now = loop_now(w->loop);
    int looks = 0;
    struct str name;
    void *value;

    for (size_t i = 0; RULE(consumers_are_looked_at) && i < w->lanes.n && looks < LOOKS_MAX; i++) {
        if (!map_next(&w->lanes, &w->lookout, &name, &value)) {
            w->lookout = 0; /* round again, from the next turn on */
            return;
        }
        if (is_due(value, now)) {
            look(value);
            looks++;
        }
    }
}

static void forget_group(struct turns_group *g)
{
    for (struct list *i = g->lanes.next; i != &g->lanes; i = i->next) {
        LIST_OF(i, struct lane, sibling)->heard = (struct mono){0};
    }
}

void lookout_hurry(struct lane *l)
{
    struct turns *t = l->group->turns;

    forget_group(&t->sync);
    forget_group(&t->async);
    forget_group(&t->polls);
}
