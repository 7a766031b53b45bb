/* SPDX-License-Identifier: Apache-2.0 */
#include "shelf.h"

#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "bus/topology.h"
#include "daemon/shelving.h"
#include "daemon/wire.h"
#include "job/id.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 100, ROUND_MS = 15000, PAGE_MS = 3000 };

/* A delivery of the shelf queue, while its record is read. */
struct held {
    struct shelf *shelf;
    struct bus_delivery *delivery;
    struct list link;   /* in shelf.kept once it is known to stay */
    bool is_on_its_way; /* published to its work queue, not confirmed */
    bool is_forsaken;   /* the page ended meanwhile, and the delivery went back */
};

struct shelf {
    struct dispatcher *dispatcher;
    struct bus_consumer *consumer;
    struct loop_timer *page_end;
    struct list kept;
    char tenant[80];    /* the last one that was swept */
    uint64_t max_bytes; /* of each tenant's */
    struct mono swept;
    unsigned int alive;
    bool is_hurried; /* the page found what everybody has forgotten: more is behind it */
    bool is_freed;
};

static void let_go(struct shelf *s)
{
    if (--s->alive == 0) {
        free(s);
    }
}

static void settle(struct held *h, bool is_gone)
{
    list_remove(&h->link);
    if (is_gone) {
        bus_ack(h->delivery);
    } else {
        bus_requeue(h->delivery);
    }
    if (h->is_on_its_way) {
        h->is_forsaken = true;
    } else {
        free(h);
    }
}

static void on_run(enum bus_outcome outcome, void *arg)
{
    struct held *h = arg;
    struct shelf *s = h->shelf;

    h->is_on_its_way = false;
    if (h->is_forsaken) {
        free(h);
    } else if (outcome == BUS_CONFIRMED) {
        settle(h, /* is_gone= */ true);
    }
    let_go(s);
}

/* What was never attempted waited for its turn under its ordering key, and nobody remembers it: it
 * goes to its work queue. Whoever gets it there looks at its record, or writes it anew. */
static bool run(struct held *h, const struct job_message *m)
{
    struct shelf *s = h->shelf;
    struct dispatcher *d = s->dispatcher;
    struct job_id id;
    char tenant[80];

    if (m->was_attempted || m->ordering_key.n == 0 || !job_id_parse(m->id, &id) ||
        !RULE(line_is_rebuilt)) {
        return false;
    }
    (void)snprintf(tenant, sizeof tenant, "%.*s", STR_ARG(id.tenant));
    if (!standing_has(d->standing, str_of(tenant)) ||
        wire_publish(d->publisher, m, /* delay_ms= */ 0, on_run, h) != ERR_OK) {
        return true; /* at the next round */
    }
    h->is_on_its_way = true;
    s->alive++;
    s->is_hurried = true;
    log_event(LOG_INFO, "turn_published", "job=%.*s", STR_ARG(m->id));
    return true;
}

/* The record is gone, the copy is there: after a loss of memory the shelf is rebuilt from its
 * queue, and what is rebuilt waits for a person. */
static void put_back(struct held *h)
{
    struct shelf *s = h->shelf;
    struct store *store = s->dispatcher->store;
    struct job_message m;

    if (wire_read(h->delivery, &m) != ERR_OK ||
        (store_memory(store) == STORE_KEEPS && str_is(m.epoch, str_of(store_epoch(store))))) {
        return; /* of this epoch: it ended, and was forgotten in order */
    }
    if (run(h, &m)) {
        return;
    }
    struct shelving how = {.seen_number = -1,
                           .seen_token = STR(""),
                           .reason = "memory_lost",
                           .max_bytes = s->max_bytes};
    if (shelving_call(store, &m, &how, NULL, NULL) == ERR_OK) {
        s->is_hurried = true;
        log_event(LOG_WARN, "job_shelved", "job=%.*s reason=memory_lost", STR_ARG(m.id));
    }
}

/* Only a record that says so lets a copy go; one with an attempt in doubt may be about to be
 * shelved, and what was run again and has not begun may be in the outbox only, which is lost with
 * the store. v: state, on the shelf, in doubt. */
static bool has_left_the_shelf(const struct store_value *v)
{
    static const char *const staying[] = {"running", "queued", "scheduled", "in_doubt"};

    for (size_t i = 0; i < sizeof staying / sizeof staying[0]; i++) {
        if (str_is(store_word(v, 0), str_of(staying[i]))) {
            return false;
        }
    }
    return !str_is(store_word(v, 1), STR("1")) && !str_is(store_word(v, 2), STR("1"));
}

/* Its record has forgotten that it waits here for its turn, and the job counts as lost. */
static void find_again(struct held *h, const struct store_value *v)
{
    struct job_message m;

    if (str_is(store_word(v, 0), STR("in_doubt")) &&
        str_is(store_word(v, 3), STR("message_lost")) && wire_read(h->delivery, &m) == ERR_OK) {
        (void)run(h, &m);
    }
}

static void on_record(int rc, const struct store_value *v, void *arg)
{
    struct held *h = arg;
    struct shelf *s = h->shelf;
    bool is_forgotten = rc == ERR_OK && store_word(v, 0).n == 0;
    bool has_left =
        rc == ERR_OK && !is_forgotten && (has_left_the_shelf(v) || !RULE(shelf_queue_keeps_copy));

    if (has_left || s->is_freed || s->consumer == NULL) {
        settle(h, has_left);
    } else {
        if (is_forgotten) {
            put_back(h);
        } else {
            find_again(h, v);
        }
        /* Kept in hand to the end of the page: given back at once it would come again at once. */
        list_push_back(&s->kept, &h->link);
    }
    let_go(s);
}

static void on_delivery(struct bus_delivery *d, void *arg)
{
    struct shelf *s = arg;
    struct job_id id;
    char key[160];
    struct held *h = calloc(1, sizeof *h);

    if (h == NULL || !job_id_parse(bus_delivery_message(d)->id, &id)) {
        free(h);
        bus_requeue(d);
        return;
    }
    h->shelf = s;
    h->delivery = d;
    (void)snprintf(key, sizeof key, "{%.*s}:j:%.*s", STR_ARG(id.tenant), STR_ARG(id.name));
    struct str words[] = {STR("HMGET"), str_of(key), STR("st"), STR("sh"), STR("db"), STR("er")};
    /* The copy goes for good when the record says so. */
    if (store_command_kept(s->dispatcher->store, words, 6, on_record, h) == ERR_OK) {
        s->alive++;
    } else {
        settle(h, /* is_gone= */ false);
    }
}

static void on_turned(enum bus_outcome outcome, void *arg)
{
    struct held *h = arg;
    struct shelf *s = h->shelf;

    if (outcome == BUS_CONFIRMED) {
        bus_ack(h->delivery);
    } else {
        bus_requeue(h->delivery);
    }
    free(h);
    let_go(s);
}

/* Puts it behind all others: given back, it may come again before those that nobody has seen.
 * False: it was not tried. */
static bool turn_over(struct held *h)
{
    struct shelf *s = h->shelf;
    struct job_message m;

    if (!RULE(full_page_is_turned_over) || wire_read(h->delivery, &m) != ERR_OK ||
        wire_publish_shelf(s->dispatcher->publisher, &m, on_turned, h) != ERR_OK) {
        return false;
    }
    s->alive++;
    return true;
}

static size_t count(const struct list *l)
{
    size_t n = 0;

    for (const struct list *at = l->next; at != l; at = at->next) {
        n++;
    }
    return n;
}

/* A page full of copies that stay would hide what is behind it for ever. */
static void turn_page(struct shelf *s)
{
    struct list *at = s->kept.next;

    if (count(&s->kept) < PAGE) {
        return;
    }
    while (at != &s->kept) {
        struct held *h = LIST_OF(at, struct held, link);
        at = at->next;
        if (!h->is_on_its_way && bus_delivery_is_live(h->delivery) && turn_over(h)) {
            list_remove(&h->link);
        }
    }
}

static void end_page(struct shelf *s)
{
    struct bus_consumer *c = s->consumer;
    struct list *link;

    s->consumer = NULL;
    loop_timer_cancel(s->page_end);
    while ((link = list_pop_front(&s->kept)) != NULL) {
        settle(LIST_OF(link, struct held, link), /* is_gone= */ false);
    }
    bus_consumer_retire(c);
}

static void on_page_end(struct loop_timer *t, void *arg)
{
    (void)t;
    turn_page(arg);
    end_page(arg);
}

static void on_lost(struct bus_consumer *c, const char *why, void *arg)
{
    (void)c;
    (void)why;
    end_page(arg);
}

void shelf_reset(struct shelf *s)
{
    if (s->consumer != NULL) {
        end_page(s);
    }
}

/* The tenant after the last one, in no particular order, round and round. */
static const char *next_tenant(const struct shelf *s)
{
    size_t cursor = 0;
    struct registry_entry *e;
    const char *first = NULL;
    bool takes_next = s->tenant[0] == '\0';

    while (registry_next(s->dispatcher->registry, &cursor, &e)) {
        if (takes_next) {
            return e->tenant->name;
        }
        first = first == NULL ? e->tenant->name : first;
        takes_next = str_is(str_of(e->tenant->name), str_of(s->tenant));
    }
    return first;
}

void shelf_turn(struct shelf *s)
{
    struct dispatcher *d = s->dispatcher;
    char queue[TOPOLOGY_KEY_SIZE];
    struct mono now = loop_now(d->loop);
    size_t n = 1;
    size_t cursor = 0;
    struct registry_entry *e;

    while (registry_next(d->registry, &cursor, &e)) {
        n++;
    }
    if (s->consumer != NULL || bus_link_state(d->consumer) != BUS_OPEN ||
        !standing_is_ready(d->standing) ||
        (!s->is_hurried && mono_since_ms(s->swept, now) < ROUND_MS / (int64_t)n)) {
        return;
    }
    const char *tenant = next_tenant(s);
    if (tenant == NULL) {
        return;
    }
    s->swept = now;
    s->is_hurried = false;
    (void)snprintf(s->tenant, sizeof s->tenant, "%s", tenant);
    topology_queue(tenant, "shelf", queue);
    if (bus_consume(d->consumer, queue, PAGE, on_delivery, on_lost, s, &s->consumer) != ERR_OK) {
        s->consumer = NULL;
        return;
    }
    loop_timer_set(s->page_end, PAGE_MS);
}

int shelf_new(struct dispatcher *d, uint64_t max_bytes, struct shelf **ret)
{
    struct shelf *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dispatcher = d;
    s->max_bytes = max_bytes;
    s->alive = 1;
    list_init(&s->kept);
    int rc = loop_timer_new(d->loop, on_page_end, s, &s->page_end);
    if (rc != ERR_OK) {
        free(s);
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void shelf_free(struct shelf *s)
{
    if (s == NULL) {
        return;
    }
    end_page(s);
    loop_timer_free(s->page_end);
    s->is_freed = true;
    let_go(s);
}
