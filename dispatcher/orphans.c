/* SPDX-License-Identifier: Apache-2.0 */
#include "orphans.h"

#include "base/list.h"
#include "base/log.h"
#include "bus/topology.h"
#include "daemon/shelving.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 100, LOOK_MS = 1000, PAGE_MS = 3000, LEFT_MS = 30000 };

enum fate {
    FATE_WORK, /* to its work queue again */
    FATE_COPY, /* to its shelf queue again: the shelf has it already */
    FATE_SHELF /* to the shelf: nobody can run it */
};

struct orphan {
    struct orphans *orphans;
    struct bus_delivery *delivery;
    struct job_message message; /* borrows from the delivery, or from what follows */
    struct orphan_key key;
    char fallback_id[JOB_ID_SIZE]; /* for one that cannot be read */
    enum fate fate;
    const char *reason; /* of FATE_SHELF */
    struct list link;   /* in group.waiting, or in orphans.kept */
};

/* The orphans of a tenant, while its queues are being declared. */
struct group {
    struct orphans *orphans;
    struct list waiting;
    bool is_declaring;
    bool is_declared; /* on this page */
};

struct orphans {
    struct dispatcher *dispatcher;
    uint64_t shelf_max_bytes;
    struct bus_consumer *consumer;
    struct loop_timer *page_end;
    struct list kept;  /* given back at the end of the page */
    struct map groups; /* tenant → struct group */
    size_t under_way;
    size_t placed;  /* on this page */
    bool is_coming; /* a queue that one of them needs is being declared */
    bool is_looking;
    struct mono next_look;
    int64_t rest_ms; /* after a page of which none was placed: twice as long each time */
    unsigned int alive;
    bool is_freed;
};

/* --- what a routing key tells (pure) ---------------------------------------------------------- */

static bool is_tenant(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= JOB_TENANT_MAX;
}

/* Cuts what follows the last dot off the end of *rest; without a dot, all of it. */
static struct str cut_last(struct str *rest)
{
    size_t at = rest->n;

    while (at > 0 && rest->p[at - 1] != '.') {
        at--;
    }
    struct str last = {rest->p + at, rest->n - at};
    rest->n = at > 0 ? at - 1 : 0;
    return last;
}

bool orphan_key_read(struct str key, struct orphan_key *ret)
{
    size_t n = key.n;
    struct str last = cut_last(&key);
    struct str end = last;
    struct str class = STR("normal");
    struct str lane = {NULL, 0};
    bool is_copy = last.n == n;

    if (!is_copy && last.n == 1) {
        struct str before = cut_last(&key); /* "normal.3": the class stands before the lane */
        end = (struct str){before.p, before.n + 1 + last.n};
    }
    if (!is_copy && !topology_route_read(end, &class, &lane)) {
        return false;
    }
    struct str tenant = is_copy ? last : cut_last(&key);
    if (!is_tenant(tenant)) {
        return false;
    }
    *ret = (struct orphan_key){.is_copy = is_copy};
    (void)snprintf(ret->tenant, sizeof ret->tenant, "%.*s", STR_ARG(tenant));
    (void)snprintf(ret->class, sizeof ret->class, "%.*s", STR_ARG(class));
    (void)snprintf(ret->lane, sizeof ret->lane, "%.*s", STR_ARG(lane));
    return true;
}

/* --- the end of an orphan --------------------------------------------------------------------- */

static void let_go(struct orphans *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (--s->alive > 0) {
        return;
    }
    while (map_next(&s->groups, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&s->groups);
    free(s);
}

static void count(const struct orphans *s, const char *outcome)
{
    if (!s->is_freed) {
        metric_add(s->dispatcher->metrics.orphans, (struct str[]){str_of(outcome)}, 1);
    }
}

/* Its place is taken by another message, or by the shelf. */
static void place(struct orphan *o, const char *outcome)
{
    struct orphans *s = o->orphans;

    count(s, outcome);
    bus_ack(o->delivery);
    free(o);
    s->under_way--;
    s->placed++;
    let_go(s);
}

/* Not now: it goes back at the end of the page; given back at once it would come again at once. */
static void leave(struct orphan *o)
{
    struct orphans *s = o->orphans;

    count(s, "left");
    s->under_way--;
    if (s->is_freed || s->consumer == NULL) {
        bus_requeue(o->delivery);
        free(o);
    } else {
        list_push_back(&s->kept, &o->link);
    }
    let_go(s);
}

/* --- to a queue again ------------------------------------------------------------------------- */

static void on_published(enum bus_outcome outcome, void *arg)
{
    struct orphan *o = arg;

    if (outcome == BUS_CONFIRMED) {
        place(o, "republished");
    } else {
        leave(o);
    }
}

static void on_shelved(int rc, const struct store_value *v, void *arg)
{
    struct orphan *o = arg;
    bool is_shelved = rc == ERR_OK && str_is(store_word(v, 0), STR("shelved"));

    if (!is_shelved) {
        leave(o);
    } else if (store_word(v, 1).n > 0) {
        place(o, "superfluous");
    } else {
        log_event(LOG_WARN, "job_shelved", "job=%.*s reason=%s", STR_ARG(o->message.id), o->reason);
        place(o, o->reason);
    }
}

/* The record that says that it is on the shelf, with the request. */
static void on_copied(enum bus_outcome outcome, void *arg)
{
    struct orphan *o = arg;
    struct orphans *s = o->orphans;
    struct shelving how = {.seen_number = -1,
                           .seen_token = STR(""),
                           .reason = o->reason,
                           .max_bytes = s->shelf_max_bytes};

    if (outcome != BUS_CONFIRMED || s->is_freed ||
        shelving_call(s->dispatcher->store, &o->message, &how, on_shelved, o) != ERR_OK) {
        leave(o);
    }
}

/* Its own queue stands; if not, it will on a later page. */
static bool has_route(struct orphan *o)
{
    struct routes *r = o->orphans->dispatcher->routes;
    const struct job_message *m = &o->message;
    struct str tenant = str_of(o->key.tenant);

    if (routes_have(r, tenant, m->class, m->lane)) {
        return true;
    }
    routes_want(r, tenant, m->class, m->lane.n > 0);
    o->orphans->is_coming = true;
    return false;
}

/* Its tenant's queues stand. */
static void act(struct orphan *o)
{
    struct bus_link *k = o->orphans->dispatcher->publisher;
    int rc = ERR_OK;

    if (o->fate == FATE_WORK && !has_route(o)) {
        leave(o);
        return;
    }

    switch (o->fate) {
    case FATE_WORK:
        rc = wire_publish(k, &o->message, /* delay_ms= */ 0, on_published, o);
        break;
    case FATE_COPY:
        rc = wire_publish_shelf(k, &o->message, on_published, o);
        break;
    case FATE_SHELF:
        o->message.was_attempted = true; /* or may have been: as all that is on the shelf */
        rc = wire_publish_shelf(k, &o->message, on_copied, o);
        break;
    }
    if (rc != ERR_OK) {
        leave(o);
    }
}

static void on_declared(int rc, void *arg)
{
    struct group *g = arg;
    struct orphans *s = g->orphans;
    struct list *link;

    g->is_declaring = false;
    g->is_declared = rc == ERR_OK;
    while ((link = list_pop_front(&g->waiting)) != NULL) {
        struct orphan *o = LIST_OF(link, struct orphan, link);
        if (rc == ERR_OK && !s->is_freed) {
            act(o);
        } else {
            leave(o);
        }
    }
    let_go(s);
}

static struct group *group_of(struct orphans *s, const char *tenant)
{
    struct group *g = map_get(&s->groups, str_of(tenant));

    if (g != NULL) {
        return g;
    }
    g = calloc(1, sizeof *g);
    if (g == NULL) {
        return NULL;
    }
    g->orphans = s;
    list_init(&g->waiting);
    if (map_put(&s->groups, str_of(tenant), g) != ERR_OK) {
        free(g);
        return NULL;
    }
    return g;
}

/* What was deleted comes back first, else the message would come back here. */
static void declare_and_act(struct orphan *o)
{
    struct orphans *s = o->orphans;
    struct dispatcher *d = s->dispatcher;
    struct group *g = group_of(s, o->key.tenant);

    if (g == NULL) {
        leave(o);
        return;
    }
    if (g->is_declared) {
        act(o);
        return;
    }
    if (!g->is_declaring) {
        if (topology_declare_tenant(d->publisher, o->key.tenant, d->is_quorum, on_declared, g) !=
            ERR_OK) {
            leave(o);
            return;
        }
        g->is_declaring = true;
        s->alive++;
    }
    list_push_back(&g->waiting, &o->link);
}

/* --- what becomes of it ----------------------------------------------------------------------- */

/* Poisonous: to the shelf of the tenant that its id or its key names, with an id made up if it has
 * none. False when nothing names one. */
static bool judge_unreadable(struct orphan *o, bool is_key_read)
{
    struct str its_id = o->message.id;
    struct str class = is_key_read ? str_of(o->key.class) : STR("normal");
    struct job_id id;

    o->message = (struct job_message){.id = its_id,
                                      .body = o->message.body,
                                      .class = class,
                                      .method = STR("POST"),
                                      .path = STR("/")};
    if (job_id_parse(its_id, &id)) {
        (void)snprintf(o->key.tenant, sizeof o->key.tenant, "%.*s", STR_ARG(id.tenant));
    } else if (is_key_read) {
        char name[RANDOM_NAME_SIZE];
        random_name(name);
        job_id_print(str_of(o->key.tenant), name, o->fallback_id);
        o->message.id = str_of(o->fallback_id);
    } else {
        return false;
    }
    o->fate = FATE_SHELF;
    o->reason = "undecodable";
    return true;
}

/* rc: of what was read into its message. */
static bool judge(struct orphan *o, int rc)
{
    bool is_key_read = orphan_key_read(bus_delivery_key(o->delivery), &o->key);
    struct job_id id;

    if (rc != ERR_OK || !job_id_parse(o->message.id, &id)) {
        return judge_unreadable(o, is_key_read);
    }
    (void)snprintf(o->key.tenant, sizeof o->key.tenant, "%.*s", STR_ARG(id.tenant));
    if (is_key_read && o->key.is_copy) {
        o->fate = FATE_COPY;
    } else if (registry_find(o->orphans->dispatcher->registry, id.tenant) != NULL) {
        o->fate = FATE_WORK;
    } else {
        o->fate = FATE_SHELF;
        o->reason = "tenant_unknown";
    }
    return true;
}

static void take(struct orphans *s, struct bus_delivery *d, struct wire_jobs *jobs)
{
    struct job_message m;
    int rc = wire_next(jobs, &m);
    struct orphan *o = calloc(1, sizeof *o);

    if (o == NULL) {
        bus_requeue(d);
        return;
    }
    o->orphans = s;
    o->delivery = d;
    o->message = m;
    s->under_way++;
    s->alive++;
    if (judge(o, rc)) {
        declare_and_act(o);
    } else {
        log_event(LOG_WARN, "orphan_left", "key=\"%.*s\"", STR_ARG(bus_delivery_key(d)));
        leave(o);
    }
}

static void on_delivery(struct bus_delivery *d, void *arg)
{
    struct wire_jobs jobs;

    wire_open(d, &jobs);
    bus_share(d, jobs.n);
    while (jobs.n > 0) {
        take(arg, d, &jobs);
    }
}

/* --- pages ------------------------------------------------------------------------------------ */

static void end_page(struct orphans *s)
{
    struct bus_consumer *c = s->consumer;
    struct list *link;

    s->consumer = NULL;
    loop_timer_cancel(s->page_end);
    bool is_hopeless = s->placed == 0 && !s->is_coming && !list_is_empty(&s->kept);
    int64_t twice_ms = 2 * s->rest_ms;
    while ((link = list_pop_front(&s->kept)) != NULL) {
        struct orphan *o = LIST_OF(link, struct orphan, link);
        bus_requeue(o->delivery);
        free(o);
    }
    s->rest_ms = !is_hopeless ? LOOK_MS : twice_ms < LEFT_MS ? twice_ms : LEFT_MS;
    s->next_look = mono_plus_ms(loop_now(s->dispatcher->loop), s->rest_ms);
    if (c != NULL) {
        bus_consumer_retire(c);
    }
}

static void on_page_end(struct loop_timer *t, void *arg)
{
    (void)t;
    end_page(arg);
}

static void on_lost(struct bus_consumer *c, const char *why, void *arg)
{
    (void)c;
    (void)why;
    end_page(arg);
}

static void begin_page(struct orphans *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->groups, &cursor, &name, &value)) {
        ((struct group *)value)->is_declared = false;
    }
    s->placed = 0;
    s->is_coming = false;
    if (bus_consume(s->dispatcher->consumer, TOPOLOGY_ORPHAN, PAGE, on_delivery, on_lost, s,
                    &s->consumer) != ERR_OK) {
        s->consumer = NULL;
        return;
    }
    loop_timer_set(s->page_end, PAGE_MS);
}

static void on_looked(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct orphans *s = arg;

    (void)consumers;
    s->is_looking = false;
    if (!s->is_freed && rc == ERR_OK && ready > 0 && s->consumer == NULL &&
        bus_link_state(s->dispatcher->consumer) == BUS_OPEN) {
        begin_page(s);
    }
    let_go(s);
}

void orphans_turn(struct orphans *s)
{
    struct dispatcher *d = s->dispatcher;
    struct mono now = loop_now(d->loop);

    if (s->consumer != NULL || s->is_looking || s->under_way > 0 ||
        !standing_is_ready(d->standing) || bus_link_state(d->publisher) != BUS_OPEN ||
        !registry_is_read(d->registry) || mono_since_ms(s->next_look, now) < 0) {
        return;
    }
    s->next_look = mono_plus_ms(now, LOOK_MS);
    if (bus_inspect_queue(d->publisher, TOPOLOGY_ORPHAN, on_looked, s) == ERR_OK) {
        s->is_looking = true;
        s->alive++;
    }
}

void orphans_reset(struct orphans *s)
{
    if (s->consumer != NULL) {
        end_page(s);
    }
}

int orphans_new(struct dispatcher *d, uint64_t shelf_max_bytes, struct orphans **ret)
{
    struct orphans *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    *s = (struct orphans){
        .dispatcher = d, .shelf_max_bytes = shelf_max_bytes, .rest_ms = LOOK_MS, .alive = 1};
    list_init(&s->kept);
    int rc = loop_timer_new(d->loop, on_page_end, s, &s->page_end);
    if (rc != ERR_OK) {
        free(s);
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void orphans_free(struct orphans *s)
{
    if (s == NULL) {
        return;
    }
    end_page(s);
    loop_timer_free(s->page_end);
    s->is_freed = true;
    let_go(s);
}
