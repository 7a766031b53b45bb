/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"

#include "base/log.h"
#include "base/random.h"
#include "brisk.h"
#include "bundles.h"
#include "bus/topology.h"
#include "daemon/keyring.h"
#include "jobs.h"
#include "marks.h"
#include "route.h"
#include "submission.h"
#include "waiters.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TICK_MS = 1000,
    CONNECT_MS = 5000,
    ANSWER_MS = 1500, /* a frozen store is told from a slow one well within five seconds */
    PUBLISH_MS = 3000,
    DECLARE_MS = 60000,
    HEARTBEAT_S = 5,
    COMMANDS_MAX = 200000,
    PUBLISHES_MAX = 50000,
    BUFFER_MAX = 256 * 1024 * 1024,
    STUCK_MS = 20000
};

static struct daemon_server server_of(const struct config *c)
{
    return (struct daemon_server){.listen = c->ingress.listen,
                                  .max_header_bytes = c->ingress.max_header_bytes,
                                  .max_body_bytes = c->ingress.max_body_bytes,
                                  .max_connections = c->ingress.max_connections,
                                  .drain_ms = c->ingress.drain_ms};
}

/* --- topology --------------------------------------------------------------------------------- */

/* Those of the usual classes before anybody asks for them: else the first call would wait. */
static void want_fair_lanes(struct ingress *g)
{
    size_t cursor = 0;
    struct registry_entry *e;

    while (registry_next(g->registry, &cursor, &e)) {
        if (e->tenant->fair_by != NULL) {
            routes_want(g->routes, str_of(e->tenant->name), STR("sync"), /* is_laned= */ true);
            routes_want(g->routes, str_of(e->tenant->name), STR("normal"), /* is_laned= */ true);
        }
    }
}

static void on_shared(void *arg)
{
    struct ingress *g = arg;

    want_fair_lanes(g);
    routes_turn(g->routes, /* is_link_ready= */ true);
}

static void on_tenant(struct str name, struct registry_entry *before, struct registry_entry *now,
                      void *arg)
{
    struct ingress *g = arg;

    if (before == NULL && now != NULL && g->standing != NULL) {
        standing_add(g->standing, name);
    }
}

/* --- links ------------------------------------------------------------------------------------ */

static void on_publisher_state(struct bus_link *k, bool is_open, void *arg)
{
    struct ingress *g = arg;

    brokers_note(k, "publisher", is_open);
    if (g->routes != NULL) {
        routes_link_lost(g->routes);
    }
    standing_link(g->standing, is_open);
}

static void on_store_state(struct store *s, bool is_open, void *arg)
{
    struct ingress *g = arg;

    log_event(is_open ? LOG_INFO : LOG_WARN, is_open ? "store_open" : "store_lost",
              "server=%s msg=\"%s\"", store_server(s), is_open ? "" : store_trouble(s));
    if (is_open) {
        (void)memory_note(&g->memory, s);
    }
    if (is_open && g->routes != NULL) {
        routes_store_open(g->routes);
    }
    if (is_open && g->registry != NULL) {
        registry_refresh(g->registry);
        waiters_read_all(g);
    }
}

static void on_message(struct str channel, struct str message, void *arg)
{
    struct ingress *g = arg;

    (void)channel;
    g->moved = loop_now(g->loop);
    waiters_on_message(g, message);
}

static int open_links(struct ingress *g, const struct config *c)
{
    struct bus_options bus = {.name = "sluice-ingress publisher",
                              .heartbeat_s = HEARTBEAT_S,
                              .connect_ms = CONNECT_MS,
                              .publish_ms = PUBLISH_MS,
                              .declare_ms = DECLARE_MS,
                              .max_outstanding = PUBLISHES_MAX,
                              .max_buffer_bytes = BUFFER_MAX,
                              .on_state = on_publisher_state,
                              .arg = g};
    struct store_options store = {.url = c->store.url,
                                  .sentinels = (const char *const *)c->store.sentinels,
                                  .n_sentinels = c->store.n_sentinels,
                                  .master = c->store.master,
                                  .is_strict = c->store.is_strict,
                                  .connect_ms = CONNECT_MS,
                                  .answer_ms = ANSWER_MS,
                                  .wait_replicas = c->store.wait_replicas,
                                  .wait_ms = c->store.wait_ms,
                                  .has_standby = c->store.n_sentinels > 0,
                                  .max_outstanding = COMMANDS_MAX,
                                  .channel = g->channel,
                                  .on_state = on_store_state,
                                  .on_message = on_message,
                                  .arg = g};
    brokers_of(c, &bus);
    int rc = store_new(g->loop, &store, &g->store);

    if (rc == ERR_OK) {
        rc = registry_new(g->loop, g->store, on_tenant, g, &g->registry);
    }
    if (rc == ERR_OK) {
        rc = bus_link_new(g->loop, &bus, &g->publisher);
    }
    if (rc == ERR_OK) {
        rc = routes_new(g->loop, g->store, g->publisher, g->is_quorum, NULL, NULL, &g->routes);
    }
    if (rc == ERR_OK) {
        struct standing_options standing = {.loop = g->loop,
                                            .link = g->publisher,
                                            .registry = g->registry,
                                            .routes = g->routes,
                                            .is_quorum = g->is_quorum,
                                            .on_shared = on_shared,
                                            .arg = g};
        rc = standing_new(&standing, &g->standing);
    }
    return rc;
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_metrics(struct ingress *g)
{
    struct metrics *m = daemon_metrics(g->daemon);

    g->metrics.accepted =
        metrics_counter(m, "sluice_jobs_accepted_total", "Jobs accepted here", "class");
    g->metrics.refused = metrics_counter(m, "sluice_requests_refused_total",
                                         "Requests refused, by problem type", "type");
    memory_init(&g->memory, m);
    g->metrics.waiting = metrics_gauge(m, "sluice_waiting_callers", "Callers that wait here", "");
}

static void on_scrape(void *self)
{
    struct ingress *g = self;

    metric_set(g->metrics.waiting, NULL, (double)g->n_waiting);
}

void ingress_note(struct ingress *g)
{
    if (g->is_draining && g->n_submissions == 0 && g->n_waiting == 0 && g->n_asks == 0) {
        daemon_drained(g->daemon);
    }
}

static void on_tick(struct loop_timer *t, void *arg)
{
    struct ingress *g = arg;

    brokers_watch(&g->broker_watch, g->publisher, "publisher", loop_now(g->loop));
    standing_turn(g->standing);
    if (standing_is_ready(g->standing)) {
        want_fair_lanes(g);
    }
    routes_turn(g->routes, standing_is_ready(g->standing));
    loop_timer_set(t, TICK_MS);
}

static void on_drain_end(struct loop_timer *t, void *arg)
{
    (void)t;
    waiters_dismiss(arg);
}

static void stop(void *self)
{
    struct ingress *g = self;

    if (g == NULL) {
        return;
    }
    g->is_draining = false; /* nothing is noted any more */
    loop_timer_free(g->tick);
    loop_timer_free(g->drain_end);
    waiters_dismiss(g);
    /* Links first: what was under way ends with an unknown outcome, and its callers learn so. */
    routes_free(g->routes);
    g->routes = NULL;
    bus_link_free(g->publisher);
    standing_free(g->standing);
    store_free(g->store);
    submissions_free(g);
    jobs_free(g);
    waiters_free(g);
    bundles_free(g->bundles);
    brisk_free(g->brisk);
    marks_free(g->marks);
    registry_free(g->registry);
    keyring_free(g->keys);
    free(g);
}

static int start(struct daemon *d, void **ret_self, struct buf *why)
{
    const struct config *c = daemon_config(d);
    struct ingress *g = calloc(1, sizeof *g);
    char name[RANDOM_NAME_SIZE];

    if (g == NULL) {
        return ERR_NOMEM;
    }
    g->daemon = d;
    g->loop = daemon_loop(d);
    g->is_quorum = c->broker.is_quorum;
    g->moved = loop_now(g->loop);
    list_init(&g->submissions);
    list_init(&g->asks);
    random_name(name);
    (void)snprintf(g->channel, sizeof g->channel, "{sluice}:reply:%s", name);
    make_metrics(g);
    int rc = keyring_new(c, &g->keys);
    if (rc == ERR_OK) {
        keyring_leave_submissions(g->keys);
        rc = open_links(g, c);
    }
    if (rc == ERR_OK) {
        rc = marks_new(g, &g->marks);
    }
    if (rc == ERR_OK) {
        rc = bundles_new(g, &g->bundles);
    }
    if (rc == ERR_OK) {
        rc = brisk_new(&g->brisk);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(g->loop, on_tick, g, &g->tick);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(g->loop, on_drain_end, g, &g->drain_end);
    }
    if (rc != ERR_OK) {
        buf_printf(why, "cannot open broker or store: %s", err_text(rc));
        stop(g);
        return rc;
    }
    loop_timer_set(g->tick, TICK_MS);
    *ret_self = g;
    return ERR_OK;
}

static bool is_ready(void *self, struct buf *why)
{
    struct ingress *g = self;

    if (!store_is_open(g->store)) {
        buf_printf(why, "the store is not open: %s", store_trouble(g->store));
    } else if (store_doubt(g->store)[0] != '\0') {
        buf_text(why, store_doubt(g->store));
    } else if (!brokers_is_open(g->publisher, why)) {
        /* It has said why. */
    } else if (!registry_is_read(g->registry)) {
        buf_text(why, "no dispatcher has written the registry yet");
        /* A tenant that comes later finds a process that is ready: its first callers are asked to
         * wait. */
    } else if (!standing_was_whole(g->standing)) {
        buf_text(why, "the queues are being declared");
    } else if (g->n_submissions > 0 && mono_since_ms(g->moved, loop_now(g->loop)) > STUCK_MS) {
        buf_text(why, "requests are being accepted and nothing has moved for a while");
    }
    return why->n == 0;
}

static void on_reload(void *self, const struct config *c)
{
    struct ingress *g = self;
    struct keyring *keys;

    if (keyring_new(c, &keys) == ERR_OK) {
        keyring_free(g->keys);
        g->keys = keys;
        keyring_leave_submissions(g->keys);
    }
}

/* Waiting callers are held until their answer or the end of the drain time; then they learn that
 * the job goes on. */
static void on_drain(void *self)
{
    struct ingress *g = self;

    g->is_draining = true;
    jobs_drain(g);
    loop_timer_set(g->drain_end, daemon_config(g->daemon)->ingress.drain_ms);
    ingress_note(g);
}

const struct daemon_program ingress_program = {.name = "sluice-ingress",
                                               .server = server_of,
                                               .start = start,
                                               .on_head = route_head,
                                               .on_request = route_request,
                                               .is_ready = is_ready,
                                               .on_scrape = on_scrape,
                                               .on_reload = on_reload,
                                               .on_drain = on_drain,
                                               .stop = stop};
