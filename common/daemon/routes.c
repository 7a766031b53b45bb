/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/routes.h"

#include "base/fault.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* At most so many declares at a time, so that a link that opens is not flooded. */
enum { DECLARES_MAX = 200, TENANT_SIZE = 80 };

struct route {
    char tenant[TENANT_SIZE];
    char name[ROUTE_NAME_SIZE];
    bool is_declared;  /* on this life of the link */
    bool is_stale;     /* declare it again all the same */
    bool is_declaring; /* a declare is under way */
    bool is_listed;    /* the store said so, in its current life */
    bool is_listing;
    bool is_told; /* the callback has run */
};

struct routes {
    struct loop *loop;
    struct store *store;
    struct bus_link *link;
    bool is_quorum;
    routes_cb cb;
    void *arg;
    struct map known; /* "tenant.route" → struct route */
    struct loop_timer *soon;
    bool is_link_ready;
    size_t n_declaring;
    bool is_asking;
    int64_t length;     /* of the list, when it was last read; −1: never */
    unsigned int alive; /* answers under way, and the owner */
    bool is_freed;
};

/* An answer names its route by what both sides can check: the link may have been lost meanwhile. */
struct errand {
    struct routes *routes;
    struct route *route; /* routes keeps them until it is freed itself */
    struct str class;    /* of a probe; a constant */
    char tenant[TENANT_SIZE];
    bool is_laned;
};

static void let_go(struct routes *r)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (--r->alive > 0) {
        return;
    }
    while (map_next(&r->known, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&r->known);
    free(r);
}

static struct errand *errand_new(struct routes *r, struct route *x)
{
    struct errand *e = calloc(1, sizeof *e);

    if (e != NULL) {
        *e = (struct errand){.routes = r, .route = x};
        r->alive++;
    }
    return e;
}

static void errand_free(struct errand *e)
{
    struct routes *r = e->routes;

    free(e);
    let_go(r);
}

static void soon(struct routes *r)
{
    if (!loop_timer_is_set(r->soon)) {
        loop_timer_set(r->soon, 0);
    }
}

static struct route *add(struct routes *r, struct str tenant, struct str name)
{
    char key[TOPOLOGY_KEY_SIZE];
    struct route *x;

    if (tenant.n >= TENANT_SIZE || name.n >= ROUTE_NAME_SIZE) {
        return NULL;
    }
    (void)snprintf(key, sizeof key, "%.*s.%.*s", STR_ARG(tenant), STR_ARG(name));
    x = map_get(&r->known, str_of(key));
    if (x != NULL) {
        return x;
    }
    x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    (void)snprintf(x->tenant, sizeof x->tenant, "%.*s", STR_ARG(tenant));
    (void)snprintf(x->name, sizeof x->name, "%.*s", STR_ARG(name));
    if (map_put(&r->known, str_of(key), x) != ERR_OK) {
        free(x);
        return NULL;
    }
    return x;
}

static void listed(struct routes *r, struct route *x)
{
    x->is_listed = true;
    if (!x->is_told && r->cb != NULL) {
        x->is_told = true;
        r->cb(x->tenant, x->name, r->arg);
    }
}

/* --- the list --------------------------------------------------------------------------------- */

static void on_listed(int rc, const struct store_value *v, void *arg)
{
    struct errand *e = arg;
    struct routes *r = e->routes;

    (void)v;
    e->route->is_listing = false;
    if (!r->is_freed && rc == ERR_OK) {
        listed(r, e->route);
    }
    errand_free(e);
}

static void list(struct routes *r, struct route *x)
{
    char key[TOPOLOGY_KEY_SIZE];
    struct errand *e = errand_new(r, x);

    if (e == NULL) {
        return;
    }
    topology_work_key(x->tenant, x->name, key);
    struct str words[] = {STR("HSET"), STR(ROUTES_LIST), str_of(key), STR("1")};
    x->is_listing = store_command(r->store, words, 4, on_listed, e) == ERR_OK;
    if (!x->is_listing) {
        errand_free(e);
    }
}

static void take_listed(struct routes *r, struct str key)
{
    struct str rest = key;
    struct str tenant;
    struct str class;
    struct str lane;

    if (!str_cut(&rest, '.', &tenant) || rest.p == NULL ||
        !topology_route_read(rest, &class, &lane)) {
        return;
    }
    struct route *x = add(r, tenant, rest);
    if (x != NULL) {
        listed(r, x);
    }
}

static void on_list(int rc, const struct store_value *v, void *arg)
{
    struct routes *r = arg;

    r->is_asking = false;
    if (!r->is_freed && rc == ERR_OK && v->type == STORE_ARRAY) {
        r->length = (int64_t)v->n_items;
        for (size_t i = 0; i < v->n_items; i++) {
            take_listed(r, v->items[i].text);
        }
        soon(r); /* this process declares them, too */
    }
    let_go(r);
}

static void ask(struct routes *r, const char *word, store_cb cb)
{
    struct str words[] = {str_of(word), STR(ROUTES_LIST)};

    r->is_asking = store_command(r->store, words, 2, cb, r) == ERR_OK;
    r->alive += r->is_asking ? 1 : 0;
}

static void on_length(int rc, const struct store_value *v, void *arg)
{
    struct routes *r = arg;

    r->is_asking = false;
    if (!r->is_freed && rc == ERR_OK && v->type == STORE_INTEGER && v->integer != r->length) {
        ask(r, "HKEYS", on_list);
    }
    let_go(r);
}

/* --- the queues ------------------------------------------------------------------------------- */

static void on_declared(int rc, void *arg)
{
    struct errand *e = arg;
    struct routes *r = e->routes;

    e->route->is_declaring = false;
    r->n_declaring--;
    if (r->is_freed) {
        errand_free(e);
        return;
    }
    if (rc == ERR_OK) {
        e->route->is_declared = true;
        e->route->is_stale = false;
        soon(r);
    } else if (rc != ERR_DOWN) {
        log_event(LOG_WARN, "queue_declare_failed", "tenant=%s route=%s err=%s", e->route->tenant,
                  e->route->name, err_word(rc));
    }
    errand_free(e);
}

static void declare(struct routes *r, struct route *x)
{
    struct errand *e = errand_new(r, x);

    if (e == NULL) {
        return;
    }
    x->is_declaring =
        topology_declare_route(r->link, x->tenant, x->name, r->is_quorum, on_declared, e) == ERR_OK;
    r->n_declaring += x->is_declaring ? 1 : 0;
    if (!x->is_declaring) {
        errand_free(e);
    }
}

static void step(struct routes *r)
{
    bool may_declare = r->is_link_ready && bus_link_state(r->link) == BUS_OPEN;
    size_t cursor = 0;
    struct str key;
    void *value;

    while (map_next(&r->known, &cursor, &key, &value)) {
        struct route *x = value;
        bool must_declare = !x->is_declared || x->is_stale;
        if (must_declare && may_declare && !x->is_declaring && r->n_declaring < DECLARES_MAX) {
            declare(r, x);
        }
        /* Listed only when it stands: a worker would consume nothing, with noise. */
        if (x->is_declared && !x->is_listed && !x->is_listing && store_is_open(r->store)) {
            list(r, x);
        }
    }
}

static void on_soon(struct loop_timer *t, void *arg)
{
    (void)t;
    step(arg);
}

void routes_turn(struct routes *r, bool is_link_ready)
{
    r->is_link_ready = is_link_ready;
    step(r);
    if (!r->is_asking && store_is_open(r->store)) {
        ask(r, "HLEN", on_length);
    }
}

void routes_link_lost(struct routes *r)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    r->is_link_ready = false;
    while (map_next(&r->known, &cursor, &key, &value)) {
        ((struct route *)value)->is_declared = false;
    }
}

void routes_store_open(struct routes *r)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    r->length = -1;
    while (map_next(&r->known, &cursor, &key, &value)) {
        ((struct route *)value)->is_listed = false;
    }
    soon(r);
}

void routes_redeclare(struct routes *r)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    while (map_next(&r->known, &cursor, &key, &value)) {
        ((struct route *)value)->is_stale = true;
    }
    soon(r);
}

/* --- what is wanted --------------------------------------------------------------------------- */

static bool is_plain(struct str class, struct str lane)
{
    return lane.n == 0 && (str_is(class, STR("sync")) || str_is(class, STR("normal")));
}

bool routes_have(const struct routes *r, struct str tenant, struct str class, struct str lane)
{
    char key[TOPOLOGY_KEY_SIZE];

    if (is_plain(class, lane)) {
        return true;
    }
    int n = snprintf(key, sizeof key, "%.*s.%.*s%s%.*s", STR_ARG(tenant), STR_ARG(class),
                     lane.n > 0 ? "." : "", STR_ARG(lane));
    const struct route *x = n > 0 && n < (int)sizeof key ? map_get(&r->known, str_of(key)) : NULL;
    return x != NULL && x->is_declared && x->is_listed;
}

void routes_want(struct routes *r, struct str tenant, struct str class, bool is_laned)
{
    char name[ROUTE_NAME_SIZE];
    bool is_new = false;

    for (int i = 0; i < (is_laned ? TOPOLOGY_LANES : 1); i++) {
        if (is_laned) {
            (void)snprintf(name, sizeof name, "%.*s.%d", STR_ARG(class), i);
        } else {
            (void)snprintf(name, sizeof name, "%.*s", STR_ARG(class));
        }
        if (is_laned || !is_plain(class, (struct str){NULL, 0})) {
            const struct route *x = add(r, tenant, str_of(name));
            is_new = is_new || (x != NULL && !(x->is_declared && x->is_listed));
        }
    }
    if (is_new) {
        soon(r);
    }
}

static void on_probed(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct errand *e = arg;

    (void)ready;
    (void)consumers;
    if (rc == ERR_OK && !e->routes->is_freed) {
        routes_want(e->routes, str_of(e->tenant), e->class, e->is_laned);
    }
    errand_free(e);
}

static void probe(struct routes *r, const char *tenant, const char *class, bool is_laned)
{
    char route[ROUTE_NAME_SIZE];
    char queue[TOPOLOGY_KEY_SIZE];
    struct errand *e = errand_new(r, NULL);

    if (e == NULL) {
        return;
    }
    /* Lanes come into being all at once: the first stands for them. */
    (void)snprintf(route, sizeof route, "%s%s", class, is_laned ? ".0" : "");
    topology_queue(tenant, route, queue);
    e->class = str_of(class);
    e->is_laned = is_laned;
    (void)snprintf(e->tenant, sizeof e->tenant, "%s", tenant);
    if (bus_inspect_queue(r->link, queue, on_probed, e) != ERR_OK) {
        errand_free(e);
    }
}

void routes_probe(struct routes *r, const char *tenant)
{
    static const char *const classes[] = {"high", "low", "sync", "normal"};

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (i < 2) {
            probe(r, tenant, classes[i], /* is_laned= */ false);
        }
        probe(r, tenant, classes[i], /* is_laned= */ true);
    }
    probe(r, tenant, TOPOLOGY_POLL, /* is_laned= */ false);
}

bool routes_next(const struct routes *r, size_t *cursor, const char **ret_tenant,
                 const char **ret_route)
{
    struct str key;
    void *value;

    if (!map_next(&r->known, cursor, &key, &value)) {
        return false;
    }
    *ret_tenant = ((struct route *)value)->tenant;
    *ret_route = ((struct route *)value)->name;
    return true;
}

int routes_new(struct loop *l, struct store *s, struct bus_link *k, bool is_quorum, routes_cb cb,
               void *arg, struct routes **ret)
{
    struct routes *r = calloc(1, sizeof *r);

    if (r == NULL) {
        return ERR_NOMEM;
    }
    *r = (struct routes){.loop = l,
                         .store = s,
                         .link = k,
                         .is_quorum = is_quorum,
                         .cb = cb,
                         .arg = arg,
                         .length = -1,
                         .alive = 1};
    int rc = loop_timer_new(l, on_soon, r, &r->soon);
    if (rc != ERR_OK) {
        free(r);
        return rc;
    }
    *ret = r;
    return ERR_OK;
}

void routes_free(struct routes *r)
{
    if (r == NULL) {
        return;
    }
    r->is_freed = true;
    loop_timer_free(r->soon);
    let_go(r);
}
