/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include "daemon/handover.h"
#include "leader.h"

#include <stdio.h>
#include <stdlib.h>

struct outbox {
    struct dispatcher *dispatcher;
    struct handovers *handovers;
    unsigned int alive;
    bool is_freed;
};

struct look {
    struct outbox *outbox;
    char tenant[80];
};

static void let_go(struct outbox *o)
{
    if (--o->alive == 0) {
        free(o);
    }
}

static void on_page(int rc, const struct store_value *v, void *arg)
{
    struct look *k = arg;
    struct outbox *o = k->outbox;

    if (rc == ERR_OK && !o->is_freed && v->type == STORE_ARRAY) {
        for (size_t i = 0; i + 1 < v->n_items; i += 2) {
            handover_begin(o->handovers, str_of(k->tenant), v->items[i].text, v->items[i + 1].text);
        }
    }
    free(k);
    let_go(o);
}

void outbox_look(struct outbox *o, const char *tenant)
{
    struct dispatcher *d = o->dispatcher;
    struct look *k;
    char key[96];

    /* Before its queue stands a message would go to the orphans, confirmed. */
    if (!leader_leads(d->leader) || bus_link_state(d->publisher) != BUS_OPEN ||
        !standing_has(d->standing, str_of(tenant))) {
        return;
    }
    k = calloc(1, sizeof *k);
    if (k == NULL) {
        return;
    }
    k->outbox = o;
    (void)snprintf(k->tenant, sizeof k->tenant, "%s", tenant);
    (void)snprintf(key, sizeof key, "{%s}:o", tenant);
    struct str words[] = {STR("ZRANGE"), str_of(key), STR("0"), STR("99"), STR("WITHSCORES")};
    /* What only the primary knows is not published: nobody would remember it. */
    if (store_command_kept(d->store, words, 5, on_page, k) == ERR_OK) {
        o->alive++;
    } else {
        free(k);
    }
}

int outbox_new(struct dispatcher *d, struct outbox **ret)
{
    struct outbox *o = calloc(1, sizeof *o);

    if (o == NULL) {
        return ERR_NOMEM;
    }
    o->dispatcher = d;
    int rc = handovers_new(d->store, d->publisher, d->standing, d->routes, &o->handovers);
    if (rc != ERR_OK) {
        free(o);
        return rc;
    }
    o->alive = 1;
    *ret = o;
    return ERR_OK;
}

void outbox_free(struct outbox *o)
{
    if (o == NULL) {
        return;
    }
    handovers_free(o->handovers);
    o->is_freed = true;
    let_go(o);
}
