/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include "base/fault.h"
#include "base/log.h"
#include "daemon/wire.h"
#include "leader.h"

#include <stdio.h>
#include <stdlib.h>

struct outbox {
    struct dispatcher *dispatcher;
    struct map busy; /* "tenant name" of entries under way */
    unsigned int alive;
    bool is_freed;
};

/* One entry on its way: read, published, removed. */
struct entry {
    struct outbox *outbox;
    char tenant[80];
    char name[32];
    char score[32];
    char busy_key[128];
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

static void entry_free(struct entry *e)
{
    struct outbox *o = e->outbox;

    if (!o->is_freed) {
        (void)map_remove(&o->busy, str_of(e->busy_key));
    }
    free(e);
    let_go(o);
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
    if (!e->outbox->is_freed) {
        redeclare_doubt(&e->outbox->dispatcher->redeclare, outcome);
    }
    bool is_owed = RULE(outbox_until_confirmed) && outcome != BUS_CONFIRMED;
    if (is_owed || e->outbox->is_freed ||
        store_call_tenant(e->outbox->dispatcher->store, STORE_OUTBOX_DONE, str_of(e->tenant), args,
                          2, on_removed, e) != ERR_OK) {
        entry_free(e);
    }
}

static void publish(struct entry *e, struct str head, struct str body)
{
    struct job_message m;

    if (job_message_unpack(head, body, &m) != ERR_OK) {
        log_event(LOG_ERROR, "outbox_unreadable", "tenant=%s name=%s", e->tenant, e->name);
        entry_free(e);
        return;
    }
    m.epoch = str_of(store_epoch(e->outbox->dispatcher->store));
    m.parks = 0;
    /* Run again, it owes its old caller nothing: whoever wants to know asks by its id. */
    m.class = str_is(m.class, STR("sync")) ? STR("normal") : m.class;
    routes_want(e->outbox->dispatcher->routes, str_of(e->tenant), m.class, m.lane.n > 0);
    m.deadline_ms = 0;
    m.channel = (struct str){NULL, 0};
    /* One that is not due yet is parked by the worker that gets it. */
    if (wire_publish(e->outbox->dispatcher->publisher, &m, /* delay_ms= */ 0, on_published, e) !=
        ERR_OK) {
        entry_free(e);
    }
}

static void on_request(int rc, const struct store_value *v, void *arg)
{
    struct entry *e = arg;
    bool is_answered =
        rc == ERR_OK && !e->outbox->is_freed && v->type == STORE_ARRAY && v->n_items == 2;

    if (!is_answered) {
        entry_free(e);
    } else if (v->items[0].type != STORE_TEXT) {
        /* The job was settled meanwhile, and its request with it: nothing is owed. */
        log_event(LOG_WARN, "outbox_empty", "tenant=%s name=%s", e->tenant, e->name);
        on_published(BUS_CONFIRMED, e);
    } else {
        publish(e, v->items[0].text, v->items[1].text);
    }
}

static void read_request(struct entry *e)
{
    char key[160];

    (void)snprintf(key, sizeof key, "{%s}:b:%s", e->tenant, e->name);
    struct str words[] = {STR("HMGET"), str_of(key), STR("h"), STR("b")};
    if (store_command(e->outbox->dispatcher->store, words, 4, on_request, e) != ERR_OK) {
        entry_free(e);
    }
}

static void begin(struct outbox *o, const char *tenant, struct str name, struct str score)
{
    struct entry *e = calloc(1, sizeof *e);

    if (e == NULL) {
        return;
    }
    e->outbox = o;
    (void)snprintf(e->tenant, sizeof e->tenant, "%s", tenant);
    (void)snprintf(e->name, sizeof e->name, "%.*s", STR_ARG(name));
    (void)snprintf(e->score, sizeof e->score, "%.*s", STR_ARG(score));
    (void)snprintf(e->busy_key, sizeof e->busy_key, "%s %s", tenant, e->name);
    if (map_get(&o->busy, str_of(e->busy_key)) != NULL ||
        map_put(&o->busy, str_of(e->busy_key), o) != ERR_OK) {
        free(e);
        return;
    }
    o->alive++;
    read_request(e);
}

static void on_page(int rc, const struct store_value *v, void *arg)
{
    struct look *k = arg;
    struct outbox *o = k->outbox;

    if (rc == ERR_OK && !o->is_freed && v->type == STORE_ARRAY) {
        for (size_t i = 0; i + 1 < v->n_items; i += 2) {
            begin(o, k->tenant, v->items[i].text, v->items[i + 1].text);
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
        map_get(&d->declared, str_of(tenant)) == NULL) {
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
    if (store_command(d->store, words, 5, on_page, k) == ERR_OK) {
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
    o->alive = 1;
    *ret = o;
    return ERR_OK;
}

void outbox_free(struct outbox *o)
{
    if (o == NULL) {
        return;
    }
    map_fini(&o->busy);
    o->is_freed = true;
    let_go(o);
}
