/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/standing.h"

#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "bus/topology.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WAVE = 32,         /* tenants under way at a time; each is eight declares */
    HURRIED_TURN = 50, /* declared anew a turn while something is in doubt */
    LEISURE_TURN = 5,  /* and without a reason */
    DOUBT_MS = 5000
};

struct entry {
    struct list line; /* in `missing` or `stale` */
    struct standing *standing;
    char tenant[80];
    bool stands;
    bool is_under_way;
    bool is_gone; /* the tenant left the registry while it was under way */
    int rc;       /* of its last turn: a failure is logged once */
};

struct standing {
    struct standing_options o;
    struct map tenants;  /* name → struct entry */
    struct list missing; /* those that do not stand, first come, first served */
    struct list stale;   /* those that stand, and are declared anew behind the others */
    size_t n_under_way;
    size_t stale_left; /* how many of them may begin in this turn */
    bool is_hurried;
    bool is_sharing; /* the shared part is under way */
    bool is_shared;  /* it stands */
    bool was_whole;
    struct mono doubted; /* zero: never yet */
    struct mono looked;
};

static void fill(struct standing *s);

static void entry_free(struct entry *e)
{
    list_remove(&e->line);
    free(e);
}

/* --- tenants ---------------------------------------------------------------------------------- */

static struct entry *entry_of(struct standing *s, struct str tenant)
{
    struct entry *e = map_get(&s->tenants, tenant);

    if (e != NULL || tenant.n >= sizeof e->tenant) {
        return e;
    }
    e = calloc(1, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    e->standing = s;
    (void)snprintf(e->tenant, sizeof e->tenant, "%.*s", STR_ARG(tenant));
    if (map_put(&s->tenants, tenant, e) != ERR_OK) {
        free(e);
        return NULL;
    }
    return e;
}

static void on_tenant(int rc, void *arg)
{
    struct entry *e = arg;
    struct standing *s = e->standing;

    s->n_under_way--;
    e->is_under_way = false;
    e->stands = e->stands || rc == ERR_OK;
    if (rc != ERR_OK && rc != ERR_DOWN && rc != e->rc) {
        log_event(LOG_WARN, "queue_declare_failed", "tenant=%s err=%s", e->tenant, err_word(rc));
    }
    e->rc = rc;
    if (rc != ERR_DOWN && !e->is_gone && s->o.on_tenant != NULL) {
        s->o.on_tenant(e->tenant, rc, s->o.arg);
    }
    if (e->is_gone) {
        entry_free(e);
    }
    fill(s);
}

static struct entry *next_of(struct standing *s)
{
    struct list *from = &s->missing;

    if (list_is_empty(from)) {
        if (list_is_empty(&s->stale) || s->stale_left == 0) {
            return NULL;
        }
        from = &s->stale;
        s->stale_left--;
    }
    return LIST_OF(list_pop_front(from), struct entry, line);
}

/* Begins with whom it is the turn of, as far as the wave has room. */
static void fill(struct standing *s)
{
    struct entry *e;

    while (s->is_shared && s->n_under_way < WAVE && bus_link_state(s->o.link) == BUS_OPEN &&
           (e = next_of(s)) != NULL) {
        if (topology_declare_tenant(s->o.link, e->tenant, s->o.is_quorum, on_tenant, e) != ERR_OK) {
            list_push_front(e->stands ? &s->stale : &s->missing, &e->line);
            return; /* the next turn tries again */
        }
        e->is_under_way = true;
        s->n_under_way++;
    }
}

static void drop_absent(struct standing *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->tenants, &cursor, &name, &value)) {
        struct entry *e = value;
        if (registry_find(s->o.registry, name) != NULL) {
            continue;
        }
        (void)map_remove(&s->tenants, name);
        if (e->is_under_way) {
            e->is_gone = true;
        } else {
            entry_free(e);
        }
    }
}

static void get_in_line(struct standing *s, struct str tenant)
{
    struct entry *e = entry_of(s, tenant);

    if (e != NULL && !e->stands && !e->is_under_way && !list_is_linked(&e->line)) {
        list_push_back(&s->missing, &e->line);
    }
}

static void note_missing(struct standing *s)
{
    size_t cursor = 0;
    struct registry_entry *r;

    drop_absent(s);
    while (registry_next(s->o.registry, &cursor, &r)) {
        get_in_line(s, str_of(r->tenant->name));
    }
}

/* Unless they are still at it. */
static void note_stale(struct standing *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (!list_is_empty(&s->stale)) {
        return;
    }
    while (map_next(&s->tenants, &cursor, &name, &value)) {
        struct entry *e = value;
        if (e->stands && !e->is_under_way && !list_is_linked(&e->line)) {
            list_push_back(&s->stale, &e->line);
        }
    }
}

static void to_the_front(struct standing *s, struct entry *e)
{
    if (!e->is_under_way) {
        list_remove(&e->line);
        list_push_front(e->stands ? &s->stale : &s->missing, &e->line);
    }
}

/* --- the shared part -------------------------------------------------------------------------- */

static void on_shared(int rc, void *arg)
{
    struct standing *s = arg;
    bool is_first = !s->is_shared;

    s->is_sharing = false;
    if (rc != ERR_OK) {
        /* A lost link declares all when it opens again. */
        log_event(rc == ERR_DOWN ? LOG_DEBUG : LOG_ERROR, "topology_failed", "err=%s",
                  err_word(rc));
        return;
    }
    s->is_shared = true;
    note_missing(s);
    fill(s);
    if (is_first) {
        s->o.on_shared(s->o.arg);
    } else {
        routes_redeclare(s->o.routes);
    }
}

static void declare_shared(struct standing *s)
{
    if (s->is_sharing || bus_link_state(s->o.link) != BUS_OPEN) {
        return;
    }
    int rc = topology_declare_shared(s->o.link, on_shared, s);
    s->is_sharing = rc == ERR_OK;
    if (rc != ERR_OK) {
        log_event(LOG_WARN, "topology_failed", "err=%s", err_word(rc));
    }
}

static void declare_all(struct standing *s, bool is_hurried)
{
    if (RULE(declare_again) && s->is_shared) {
        s->looked = loop_now(s->o.loop);
        s->is_hurried = is_hurried || (s->is_hurried && !list_is_empty(&s->stale));
        s->stale_left = s->is_hurried ? HURRIED_TURN : LEISURE_TURN;
        note_stale(s);
        declare_shared(s);
    }
}

/* --- for its owner ---------------------------------------------------------------------------- */

void standing_link(struct standing *s, bool is_open)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    s->is_shared = false;
    s->was_whole = false;
    while (map_next(&s->tenants, &cursor, &name, &value)) {
        struct entry *e = value;
        e->stands = false;
        list_remove(&e->line);
    }
    if (is_open) {
        declare_shared(s);
    }
}

void standing_add(struct standing *s, struct str tenant)
{
    get_in_line(s, tenant);
    fill(s);
}

void standing_turn(struct standing *s)
{
    if (!s->is_shared) {
        declare_shared(s);
        return;
    }
    note_missing(s);
    s->stale_left = s->is_hurried ? HURRIED_TURN : LEISURE_TURN;
    fill(s);
}

bool standing_is_ready(const struct standing *s)
{
    return s->is_shared;
}

bool standing_has(const struct standing *s, struct str tenant)
{
    const struct entry *e = map_get(&s->tenants, tenant);

    return e != NULL && e->stands;
}

bool standing_was_whole(struct standing *s)
{
    size_t cursor = 0;
    struct registry_entry *e;

    while (!s->was_whole && registry_next(s->o.registry, &cursor, &e)) {
        if (!standing_has(s, str_of(e->tenant->name))) {
            return false;
        }
    }
    s->was_whole = true;
    return true;
}

void standing_hurry(struct standing *s, struct str tenant)
{
    struct entry *e = map_get(&s->tenants, tenant);

    if (e != NULL && !e->stands && list_is_linked(&e->line)) {
        to_the_front(s, e);
        fill(s);
    }
}

void standing_missing(struct standing *s, struct str tenant)
{
    struct entry *e = map_get(&s->tenants, tenant);

    if (e != NULL) {
        e->stands = false;
        to_the_front(s, e);
        fill(s);
    }
}

void standing_doubt(struct standing *s, struct str tenant, enum bus_outcome outcome)
{
    struct mono now = loop_now(s->o.loop);

    if (outcome == BUS_CONFIRMED) {
        return;
    }
    if (s->doubted.ns == 0 || mono_since_ms(s->doubted, now) >= DOUBT_MS) {
        s->doubted = now;
        declare_all(s, /* is_hurried= */ true);
    }
    struct entry *e = map_get(&s->tenants, tenant);
    if (e != NULL && list_is_linked(&e->line)) {
        to_the_front(s, e);
    }
}

void standing_refresh(struct standing *s, int64_t period_ms)
{
    struct mono now = loop_now(s->o.loop);

    if (s->looked.ns == 0) {
        s->looked = now; /* the link declared all when it opened */
    } else if (mono_since_ms(s->looked, now) >= period_ms) {
        declare_all(s, /* is_hurried= */ false);
    }
}

int standing_new(const struct standing_options *o, struct standing **ret)
{
    struct standing *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->o = *o;
    list_init(&s->missing);
    list_init(&s->stale);
    *ret = s;
    return ERR_OK;
}

void standing_free(struct standing *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (s == NULL) {
        return;
    }
    while (map_next(&s->tenants, &cursor, &name, &value)) {
        entry_free(value);
    }
    map_fini(&s->tenants);
    free(s);
}
