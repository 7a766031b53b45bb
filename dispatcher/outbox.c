/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include "daemon/handover.h"
#include "leader.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 1000 };

struct outbox {
    struct dispatcher *dispatcher;
    struct handovers *handovers;
    struct map looks; /* tenant → struct look, owned */
    unsigned int alive;
    bool is_freed;
};

/* One reading of a tenant's outbox at a time, however many are asked for. */
struct look {
    struct outbox *outbox;
    char tenant[80];
    bool is_asking;
    bool is_again; /* asked for while one was under way, or there was more than a page */
};

static void let_go(struct outbox *o)
{
    if (--o->alive == 0) {
        free(o);
    }
}

static void ask(struct look *k);

static void on_page(int rc, const struct store_value *v, void *arg)
{
    struct look *k = arg;
    struct outbox *o = k->outbox;

    k->is_asking = false;
    if (o->is_freed) {
        free(k);
    } else if (rc == ERR_OK && v->type == STORE_ARRAY) {
        for (size_t i = 0; i + 1 < v->n_items; i += 2) {
            handover_begin(o->handovers, str_of(k->tenant), v->items[i].text, v->items[i + 1].text);
        }
        /* The rest of a full page comes with the turn: until then some of it has gone. */
        if (v->n_items >= 2 * (size_t)PAGE) {
            k->is_again = true;
        } else if (k->is_again) {
            k->is_again = false;
            ask(k);
        }
    }
    let_go(o);
}

static void ask(struct look *k)
{
    struct outbox *o = k->outbox;
    struct dispatcher *d = o->dispatcher;
    char key[96];
    char last[24];

    /* Before its queue stands a message would go to the orphans, confirmed. */
    if (!leader_leads(d->leader) || bus_link_state(d->publisher) != BUS_OPEN ||
        !standing_has(d->standing, str_of(k->tenant))) {
        return;
    }
    (void)snprintf(key, sizeof key, "{%s}:o", k->tenant);
    (void)snprintf(last, sizeof last, "%d", PAGE - 1);
    struct str words[] = {STR("ZRANGE"), str_of(key), STR("0"), str_of(last), STR("WITHSCORES")};
    /* What only the primary knows is not published: nobody would remember it. */
    if (store_command_kept(d->store, words, 5, on_page, k) == ERR_OK) {
        k->is_asking = true;
        o->alive++;
    }
}

static struct look *find(struct outbox *o, const char *tenant)
{
    struct look *k = map_get(&o->looks, str_of(tenant));

    if (k != NULL) {
        return k;
    }
    k = calloc(1, sizeof *k);
    if (k != NULL) {
        k->outbox = o;
        (void)snprintf(k->tenant, sizeof k->tenant, "%s", tenant);
        if (map_put(&o->looks, str_of(tenant), k) != ERR_OK) {
            free(k);
            k = NULL;
        }
    }
    return k;
}

void outbox_look(struct outbox *o, const char *tenant)
{
    struct look *k = find(o, tenant);

    if (k != NULL && k->is_asking) {
        k->is_again = true;
    } else if (k != NULL) {
        ask(k);
    }
}

void outbox_turn(struct outbox *o)
{
    size_t cursor = 0;
    struct str tenant;
    void *value;

    while (map_next(&o->looks, &cursor, &tenant, &value)) {
        struct look *k = value;
        if (k->is_asking) {
            continue;
        }
        bool is_again = k->is_again;
        k->is_again = false;
        if (is_again) {
            ask(k);
        } else {
            (void)map_remove(&o->looks, tenant);
            free(k);
        }
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
    size_t cursor = 0;
    struct str tenant;
    void *value;

    if (o == NULL) {
        return;
    }
    while (map_next(&o->looks, &cursor, &tenant, &value)) {
        struct look *k = value;
        if (!k->is_asking) {
            free(k);
        }
    }
    map_fini(&o->looks);
    handovers_free(o->handovers);
    o->is_freed = true;
    let_go(o);
}
