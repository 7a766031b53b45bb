/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handover.h"

#include "base/fault.h"
#include "base/log.h"
#include "daemon/wire.h"
#include "store/args.h"

#include <stdio.h>
#include <stdlib.h>

struct handovers {
    struct store *store;
    struct bus_link *publisher;
    struct standing *standing;
    struct routes *routes;
    struct map busy; /* "tenant name" of entries under way */
    unsigned int alive;
    bool is_freed;
};

/* One entry on its way: read, published, removed. */
struct entry {
    struct handovers *all;
    char tenant[80];
    char name[32];
    char score[32];
    char busy_key[128];
};

static void let_go(struct handovers *h)
{
    if (--h->alive == 0) {
        free(h);
    }
}

static void entry_free(struct entry *e)
{
    struct handovers *h = e->all;

    if (!h->is_freed) {
        (void)map_remove(&h->busy, str_of(e->busy_key));
    }
    free(e);
    let_go(h);
}

static void on_removed(int rc, const struct store_value *v, void *arg)
{
    (void)rc; /* what stays is published again: a superfluous message is forgotten */
    (void)v;
    entry_free(arg);
}

static void on_published(enum bus_outcome outcome, void *arg)
{
    struct entry *e = arg;
    struct str args[] = {str_of(e->name), str_of(e->score)};

    if (FAULT(dispatcher_published)) {
        outcome = BUS_UNKNOWN;
    }
    if (!e->all->is_freed) {
        standing_doubt(e->all->standing, str_of(e->tenant), outcome);
    }
    bool is_owed = RULE(outbox_until_confirmed) && outcome != BUS_CONFIRMED;
    if (is_owed || e->all->is_freed ||
        store_call_tenant(e->all->store, STORE_OUTBOX_DONE, str_of(e->tenant), args, 2, on_removed,
                          e) != ERR_OK) {
        entry_free(e);
    }
}

static void publish(struct entry *e, struct str head, struct str body, bool is_turn)
{
    struct job_message m;

    if (job_message_unpack(head, body, &m) != ERR_OK) {
        log_event(LOG_ERROR, "outbox_unreadable", "tenant=%s name=%s", e->tenant, e->name);
        entry_free(e);
        return;
    }
    m.epoch = str_of(store_epoch(e->all->store));
    m.parks = 0;
    if (!is_turn) {
        /* Run again, it owes its old caller nothing: whoever wants to know asks by its id. */
        m.class = str_is(m.class, STR("sync")) ? STR("normal") : m.class;
        m.deadline_ms = 0;
        m.channel = (struct str){NULL, 0};
    }
    routes_want(e->all->routes, str_of(e->tenant), m.class, m.lane.n > 0);
    /* One that is not due yet is parked by the worker that gets it. */
    if (wire_publish(e->all->publisher, &m, /* delay_ms= */ 0, on_published, e) != ERR_OK) {
        entry_free(e);
    }
}

static void on_request(int rc, const struct store_value *v, void *arg)
{
    struct entry *e = arg;
    bool is_answered =
        rc == ERR_OK && !e->all->is_freed && v->type == STORE_ARRAY && v->n_items == 3;

    if (!is_answered) {
        entry_free(e);
    } else if (v->items[0].type != STORE_TEXT) {
        /* The job was settled meanwhile, and its request with it: nothing is owed. */
        log_event(LOG_WARN, "outbox_empty", "tenant=%s name=%s", e->tenant, e->name);
        on_published(BUS_CONFIRMED, e);
    } else {
        publish(e, v->items[0].text, v->items[1].text, str_is(store_word(v, 2), STR("1")));
    }
}

static void read_request(struct entry *e)
{
    char key[160];

    (void)snprintf(key, sizeof key, "{%s}:b:%s", e->tenant, e->name);
    struct str words[] = {STR("HMGET"), str_of(key), STR("h"), STR("b"), STR("t")};
    if (store_command(e->all->store, words, 5, on_request, e) != ERR_OK) {
        entry_free(e);
    }
}

void handover_begin(struct handovers *h, struct str tenant, struct str name, struct str score)
{
    struct entry *e = calloc(1, sizeof *e);

    if (e == NULL) {
        return;
    }
    e->all = h;
    (void)snprintf(e->tenant, sizeof e->tenant, "%.*s", STR_ARG(tenant));
    (void)snprintf(e->name, sizeof e->name, "%.*s", STR_ARG(name));
    (void)snprintf(e->score, sizeof e->score, "%.*s", STR_ARG(score));
    (void)snprintf(e->busy_key, sizeof e->busy_key, "%s %s", e->tenant, e->name);
    if (map_get(&h->busy, str_of(e->busy_key)) != NULL ||
        map_put(&h->busy, str_of(e->busy_key), h) != ERR_OK) {
        free(e);
        return;
    }
    h->alive++;
    read_request(e);
}

int handovers_new(struct store *store, struct bus_link *publisher, struct standing *standing,
                  struct routes *routes, struct handovers **ret)
{
    struct handovers *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return ERR_NOMEM;
    }
    h->store = store;
    h->publisher = publisher;
    h->standing = standing;
    h->routes = routes;
    h->alive = 1;
    *ret = h;
    return ERR_OK;
}

void handovers_free(struct handovers *h)
{
    if (h == NULL) {
        return;
    }
    map_fini(&h->busy);
    h->is_freed = true;
    let_go(h);
}
