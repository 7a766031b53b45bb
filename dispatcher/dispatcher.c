/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher.h"

#include "base/log.h"
#include "bus/topology.h"
#include "cron/cron.h"
#include "daemon/keyring.h"
#include "deaths.h"
#include "enroll.h"
#include "figures.h"
#include "health.h"
#include "leader.h"
#include "moods.h"
#include "orphans.h"
#include "outbox.h"
#include "overlay.h"
#include "schedules/control.h"
#include "schedules/preview.h"
#include "schedules/schedules.h"
#include "services.h"
#include "shelf.h"
#include "tenants.h"
#include "views.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TICK_MS = 100,
    ROUND_MS = 500, /* the slower rounds: heartbeats, health, figures */
    HTTP_IDLE_S = 4,
    CONNECT_MS = 5000,
    ANSWER_MS = 3000,
    PUBLISH_MS = 10000,
    DECLARE_MS = 60000,
    HEARTBEAT_S = 5,
    COMMANDS_MAX = 100000,
    PUBLISHES_MAX = 10000,
    BUFFER_MAX = 256 * 1024 * 1024,
    DRAIN_MS = 2000,
    PROBES_MAX = 10,     /* tenants a round */
    REDECLARE_MS = 15000 /* nobody consumes the ladder, and would be told that a level is gone */
};

static struct daemon_server server_of(const struct config *c)
{
    return (struct daemon_server){.listen = c->dispatcher.listen,
                                  .max_header_bytes = 16384,
                                  .max_body_bytes = 1048576,
                                  .max_connections = 1024,
                                  .drain_ms = DRAIN_MS};
}

/* --- links ------------------------------------------------------------------------------------ */

static void on_shared(void *arg)
{
    struct dispatcher *d = arg;

    routes_turn(d->routes, /* is_link_ready= */ true);
}

static void on_publisher_state(struct bus_link *k, bool is_open, void *arg)
{
    struct dispatcher *d = arg;

    brokers_note(k, "publisher", is_open);
    if (d->routes != NULL) {
        routes_link_lost(d->routes);
    }
    standing_link(d->standing, is_open);
}

static void on_consumer_state(struct bus_link *k, bool is_open, void *arg)
{
    struct dispatcher *d = arg;

    brokers_note(k, "consumer", is_open);
    if (!is_open && d->shelf != NULL) {
        shelf_reset(d->shelf);
        orphans_reset(d->orphans);
    }
}

static void on_store_state(struct store *s, bool is_open, void *arg)
{
    struct dispatcher *d = arg;

    log_event(is_open ? LOG_INFO : LOG_WARN, is_open ? "store_open" : "store_lost",
              "server=%s msg=\"%s\"", store_server(s), is_open ? "" : store_trouble(s));
    if (is_open) {
        (void)memory_note(&d->memory, s);
    }
    if (is_open && d->routes != NULL) {
        routes_store_open(d->routes);
    }
    if (is_open && d->leader != NULL) {
        schedules_begin(d->schedules);
        leader_now(d->leader);
    }
}

static void on_message(struct str channel, struct str message, void *arg)
{
    (void)channel;
    (void)message;
    (void)arg;
}

static void on_tenant(struct str name, struct registry_entry *before, struct registry_entry *now,
                      void *arg)
{
    struct dispatcher *d = arg;

    if (before == NULL && now != NULL && d->standing != NULL) {
        standing_add(d->standing, name);
    }
}

static void on_overlay(struct dispatcher *d)
{
    enroll_dirty(d->enroll);
}

static void on_lead(bool leads, void *arg)
{
    struct dispatcher *d = arg;

    if (leads) {
        enroll_dirty(d->enroll);
        deaths_begin(d->deaths);
        schedules_begin(d->schedules);
    }
}

/* --- the turn --------------------------------------------------------------------------------- */

/* Queues that stand in the broker, and that a store which lost its memory has forgotten: each
 * tenant's are looked for once, a few a round. */
static void probe_some(struct dispatcher *d)
{
    size_t cursor = 0;
    size_t n = 0;
    struct registry_entry *e;

    if (d->probed_at != store_epoch_changes(d->store)) {
        d->probed_at = store_epoch_changes(d->store);
        map_fini(&d->probed);
    }
    while (standing_is_ready(d->standing) && n < PROBES_MAX &&
           registry_next(d->registry, &cursor, &e)) {
        struct str name = str_of(e->tenant->name);
        /* The value only says "yes". */
        if (map_get(&d->probed, name) == NULL && map_put(&d->probed, name, d) == ERR_OK) {
            routes_probe(d->routes, e->tenant->name);
            n++;
        }
    }
}

static void lead(struct dispatcher *d, bool is_round)
{
    enroll_turn(d->enroll);
    schedules_turn(d->schedules);
    outbox_turn(d->outbox);
    if (is_round) {
        schedules_say_ahead(d->schedules);
        deaths_turn(d->deaths);
        health_turn(d->health);
        shelf_turn(d->shelf);
        orphans_turn(d->orphans);
        standing_refresh(d->standing, REDECLARE_MS);
        probe_some(d);
    }
}

static void on_tick(struct loop_timer *t, void *arg)
{
    struct dispatcher *d = arg;
    struct mono now = loop_now(d->loop);
    bool is_round = mono_since_ms(d->round, now) >= ROUND_MS;

    if (d->is_draining) {
        /* A turn after the lease was given back: the word has left. */
        daemon_drained(d->daemon);
        return;
    }
    brokers_watch(&d->publisher_watch, d->publisher, "publisher", now);
    brokers_watch(&d->consumer_watch, d->consumer, "consumer", now);
    if (is_round) {
        standing_turn(d->standing);
        routes_turn(d->routes, standing_is_ready(d->standing));
    }
    schedules_see_clock(d->schedules);
    if (store_is_open(d->store)) {
        d->round = is_round ? now : d->round;
        if (leader_leads(d->leader)) {
            lead(d, is_round);
        } else if (is_round) {
            health_watch(d->health);
        }
        if (is_round) {
            overlay_turn(d->overlay);
            schedules_round(d->schedules);
            figures_turn(d->figures);
            services_turn(d->services);
            moods_turn(d->moods);
        }
    }
    loop_timer_set(t, TICK_MS);
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_metrics(struct dispatcher *d)
{
    struct metrics *m = daemon_metrics(d->daemon);

    memory_init(&d->memory, m);
    d->metrics.leader = metrics_gauge(m, "sluice_leader", "1 while this dispatcher leads", "");
    d->metrics.fired = metrics_counter(m, "sluice_schedule_fires_total", "Instants handled here",
                                       "schedule,outcome");
    d->metrics.clock_steps = metrics_counter(m, "sluice_clock_steps_total",
                                             "Times that the wall clock was set", "direction");
    d->metrics.schedules_ahead = metrics_gauge(
        m, "sluice_schedules_ahead",
        "Schedules that wait until a clock that was set back is past what they fired", "");
    d->metrics.buried =
        metrics_counter(m, "sluice_workers_buried_total", "Workers declared dead here", "");
    d->metrics.lost = metrics_counter(m, "sluice_jobs_lost_total",
                                      "Jobs whose message is lost: in doubt", "tenant");
    d->metrics.orphans = metrics_counter(
        m, "sluice_orphans_total", "Messages that had no queue, by what became of them", "outcome");
    d->metrics.queue_ready =
        metrics_gauge(m, "sluice_queue_ready", "Jobs that could run now", "tenant");
    d->metrics.running = metrics_gauge(m, "sluice_running", "Running jobs", "tenant");
    d->metrics.in_doubt = metrics_gauge(m, "sluice_jobs_in_doubt", "Jobs in doubt", "tenant");
    d->metrics.dead =
        metrics_gauge(m, "sluice_dead_letters", "Jobs on the shelf, failed or in doubt", "tenant");
    d->metrics.desired =
        metrics_gauge(m, "sluice_desired_workers", "What an autoscaler should set", "");
    d->metrics.instance_up =
        metrics_gauge(m, "sluice_instance_up", "0 while an instance is out", "tenant,instance");
    d->metrics.breaker_state = metrics_gauge(m, "sluice_breaker_state",
                                             "0 closed, 1 half open, 2 open", "tenant,instance");
}

static int open_links(struct dispatcher *d, const struct config *c)
{
    struct bus_options bus = {.name = "sluice-dispatcher publisher",
                              .heartbeat_s = HEARTBEAT_S,
                              .connect_ms = CONNECT_MS,
                              .publish_ms = PUBLISH_MS,
                              .declare_ms = DECLARE_MS,
                              .max_outstanding = PUBLISHES_MAX,
                              .max_buffer_bytes = BUFFER_MAX,
                              .on_state = on_publisher_state,
                              .arg = d};
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
                                  .on_state = on_store_state,
                                  .on_message = on_message,
                                  .arg = d};
    brokers_of(c, &bus);
    int rc = store_new(d->loop, &store, &d->store);

    if (rc == ERR_OK) {
        rc = registry_new(d->loop, d->store, on_tenant, d, &d->registry);
    }
    if (rc == ERR_OK) {
        rc = bus_link_new(d->loop, &bus, &d->publisher);
    }
    if (rc == ERR_OK) {
        bus.name = "sluice-dispatcher consumer";
        bus.on_state = on_consumer_state;
        rc = bus_link_new(d->loop, &bus, &d->consumer);
    }
    if (rc == ERR_OK) {
        rc = routes_new(d->loop, d->store, d->publisher, d->is_quorum, NULL, NULL, &d->routes);
    }
    if (rc == ERR_OK) {
        struct standing_options standing = {.loop = d->loop,
                                            .link = d->publisher,
                                            .registry = d->registry,
                                            .routes = d->routes,
                                            .is_quorum = d->is_quorum,
                                            .on_shared = on_shared,
                                            .arg = d};
        rc = standing_new(&standing, &d->standing);
    }
    return rc;
}

static int make_parts(struct dispatcher *d, const struct config *c)
{
    int rc = httpc_new(d->loop, HTTP_IDLE_S, &d->http);

    rc = rc != ERR_OK ? rc : overlay_new(d, c->dispatcher.state_dir, on_overlay, &d->overlay);
    rc = rc != ERR_OK ? rc : enroll_new(d, &d->enroll);
    rc = rc != ERR_OK ? rc : tenants_new(d, &d->tenants);
    rc = rc != ERR_OK ? rc : deaths_new(d, &d->deaths);
    rc = rc != ERR_OK ? rc : health_new(d, &d->health);
    rc = rc != ERR_OK ? rc : schedules_new(d, c->dispatcher.state_dir, &d->schedules);
    rc = rc != ERR_OK ? rc : services_new(d, &d->services);
    rc = rc != ERR_OK ? rc : outbox_new(d, &d->outbox);
    rc = rc != ERR_OK ? rc : figures_new(d, &d->figures);
    rc = rc != ERR_OK ? rc : moods_new(d, &d->moods);
    rc = rc != ERR_OK ? rc : orphans_new(d, c->store.shelf_max_bytes, &d->orphans);
    rc = rc != ERR_OK ? rc : shelf_new(d, c->store.shelf_max_bytes, &d->shelf);
    rc = rc != ERR_OK ? rc : leader_new(d, on_lead, d, &d->leader);
    return rc;
}

static void stop(void *self)
{
    struct dispatcher *d = self;

    if (d == NULL) {
        return;
    }
    d->is_draining = true;
    tenants_free(d->tenants);
    loop_timer_free(d->tick);
    leader_free(d->leader);
    shelf_free(d->shelf);
    orphans_free(d->orphans);
    moods_free(d->moods);
    figures_free(d->figures);
    outbox_free(d->outbox);
    services_free(d->services);
    schedules_free(d->schedules);
    health_free(d->health);
    deaths_free(d->deaths);
    enroll_free(d->enroll);
    overlay_free(d->overlay);
    registry_free(d->registry);
    routes_free(d->routes);
    d->routes = NULL;
    map_fini(&d->probed);
    httpc_free(d->http);
    keyring_free(d->keys);
    d->shelf = NULL;
    d->leader = NULL;
    bus_link_free(d->consumer);
    bus_link_free(d->publisher);
    standing_free(d->standing);
    store_free(d->store);
    free(d);
}

static int start(struct daemon *daemon, void **ret_self, struct buf *why)
{
    const struct config *c = daemon_config(daemon);
    struct dispatcher *d = calloc(1, sizeof *d);

    if (d == NULL) {
        return ERR_NOMEM;
    }
    d->daemon = daemon;
    d->loop = daemon_loop(daemon);
    d->worker_concurrency = c->worker.concurrency;
    d->leader_lease_ms = c->dispatcher.leader_lease_ms;
    d->is_quorum = c->broker.is_quorum;
    make_metrics(d);
    int rc = keyring_new(c, &d->keys);
    rc = rc != ERR_OK ? rc : open_links(d, c);
    rc = rc != ERR_OK ? rc : make_parts(d, c);
    rc = rc != ERR_OK ? rc : loop_timer_new(d->loop, on_tick, d, &d->tick);
    if (rc != ERR_OK) {
        buf_printf(why, "cannot open broker or store: %s", err_text(rc));
        stop(d);
        return rc;
    }
    schedules_load(d->schedules, c);
    loop_timer_set(d->tick, TICK_MS);
    *ret_self = d;
    return ERR_OK;
}

static void on_request(struct httpd_req *r, void *self)
{
    struct dispatcher *d = self;

    if (!preview_request(d, r) && !tenants_request(d->tenants, r) &&
        !schedules_control_request(d->schedules, r) && !schedules_store_request(d->schedules, r)) {
        views_request(d, r);
    }
}

static bool is_ready(void *self, struct buf *why)
{
    struct dispatcher *d = self;

    if (!store_is_open(d->store)) {
        buf_printf(why, "the store is not open: %s", store_trouble(d->store));
    } else if (store_doubt(d->store)[0] != '\0') {
        buf_text(why, store_doubt(d->store));
    } else if (!brokers_is_open(d->publisher, why)) {
        /* It has said why. */
    } else if (!standing_is_ready(d->standing)) {
        buf_text(why, "the queues are being declared");
    } else if (!registry_is_read(d->registry)) {
        buf_text(why, "the registry is not written yet");
    } else if (!figures_are_complete(d->figures)) {
        buf_text(why, "the tenants' figures are being read");
    } else if (!schedules_are_known(d->schedules)) {
        buf_text(why, "the schedules that were put over HTTP are being read");
    }
    return why->n == 0;
}

static void on_reload(void *self, const struct config *c)
{
    struct dispatcher *d = self;
    struct keyring *keys;

    if (keyring_new(c, &keys) == ERR_OK) {
        keyring_free(d->keys);
        d->keys = keys;
    }
    d->worker_concurrency = c->worker.concurrency;
    schedules_load(d->schedules, c);
    enroll_dirty(d->enroll);
}

static void on_drain(void *self)
{
    struct dispatcher *d = self;

    d->is_draining = true;
    leader_resign(d->leader);
    loop_timer_set(d->tick, TICK_MS);
}

const struct daemon_program dispatcher_program = {.name = "sluice-dispatcher",
                                                  .server = server_of,
                                                  .cron_check = cron_check,
                                                  .start = start,
                                                  .on_request = on_request,
                                                  .is_ready = is_ready,
                                                  .on_scrape = views_scrape,
                                                  .on_reload = on_reload,
                                                  .on_drain = on_drain,
                                                  .stop = stop};
