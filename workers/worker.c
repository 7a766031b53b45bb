/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include "attempt.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "bus/topology.h"
#include "drain.h"
#include "lane.h"
#include "lookout.h"
#include "spread.h"
#include "surplus.h"
#include "turns.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TICK_MS = 1000,
    AWAY_MS = 2000,      /* a store that is restarted comes back sooner, mostly */
    LEAVE_MS = 50,       /* between two looks whether the store has heard the goodbye */
    LEAVE_MAX_MS = 3000, /* without it the leader declares the incarnation dead, in vain */
    HTTP_IDLE_S = 4,     /* below the usual 5 s of a tenant's keep-alive */
    CONNECT_MS = 5000,
    ANSWER_MS = 3000,
    PUBLISH_MS = 15000,
    DECLARE_MS = 60000,
    COMMANDS_MAX = 200000,
    PUBLISHES_MAX = 20000,
    BUFFER_MAX = 256 * 1024 * 1024,
    PROGRESS_MS = 60000
};

/* The routes that every tenant has; the others are listed (daemon/routes.h). */
static const char *const plain_routes[] = {"sync", "normal"};

static struct daemon_server server_of(const struct config *c)
{
    return (struct daemon_server){.listen = c->worker.listen,
                                  .max_header_bytes = 16384,
                                  .max_body_bytes = 65536,
                                  .max_connections = 256};
}

/* --- lanes ------------------------------------------------------------------------------------ */

static struct lane *find_lane(struct worker *w, const char *tenant, const char *route)
{
    char key[TOPOLOGY_KEY_SIZE];

    topology_work_key(tenant, route, key);
    return map_get(&w->lanes, str_of(key));
}

static void wake_lane(struct worker *w, struct lane *l)
{
    if (standing_is_ready(w->standing) && !w->is_draining) {
        lane_move(l, LANE_LINK_UP);
    }
}

static struct turns *turns_of(struct worker *w, const char *tenant)
{
    struct turns *t = map_get(&w->turns, str_of(tenant));

    if (t != NULL || turns_new(w, &t) != ERR_OK) {
        return t;
    }
    if (map_put(&w->turns, str_of(tenant), t) != ERR_OK) {
        turns_free(t);
        return NULL;
    }
    return t;
}

static void add_lane(struct worker *w, const char *tenant, const char *route)
{
    char key[TOPOLOGY_KEY_SIZE];
    struct lane *l;

    if (find_lane(w, tenant, route) != NULL) {
        return;
    }
    struct turns *t = turns_of(w, tenant);
    topology_work_key(tenant, route, key);
    if (t == NULL || lane_new(w, tenant, route, turns_group_of(t, route), &l) != ERR_OK) {
        return;
    }
    if (map_put(&w->lanes, str_of(key), l) != ERR_OK) {
        lane_free(l);
        return;
    }
    wake_lane(w, l);
}

/* The plain ones, and those that came into being since: a queue that ever carried a tenant's
 * messages is consumed. */
static void add_listed_lanes(struct worker *w)
{
    size_t cursor = 0;
    const char *tenant;
    const char *route;

    while (!w->is_draining && RULE(listed_is_consumed) &&
           routes_next(w->routes, &cursor, &tenant, &route)) {
        if (registry_find(w->registry, str_of(tenant)) != NULL) {
            add_lane(w, tenant, route);
        }
    }
}

static void on_route(const char *tenant, const char *route, void *arg)
{
    struct worker *w = arg;

    if (!w->is_draining && RULE(listed_is_consumed) &&
        registry_find(w->registry, str_of(tenant)) != NULL) {
        add_lane(w, tenant, route);
    }
}

/* Polls have a queue of their own, which stays: some may be under way when the tenant no longer
 * offloads. */
static void want_polls(struct worker *w, const struct tenant *t)
{
    if (t->offload.is_enabled) {
        routes_want(w->routes, str_of(t->name), STR(TOPOLOGY_POLL), /* is_laned= */ false);
    }
}

static void leave_tenant(struct worker *w, const char *tenant)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    while (map_next(&w->lanes, &cursor, &key, &value)) {
        struct lane *l = value;
        if (str_is(str_of(l->tenant), str_of(tenant))) {
            lane_move(l, LANE_LEAVE);
        }
    }
}

static void on_tenant(struct str name, struct registry_entry *before, struct registry_entry *now,
                      void *arg)
{
    struct worker *w = arg;
    char tenant[80];

    (void)before;
    (void)snprintf(tenant, sizeof tenant, "%.*s", STR_ARG(name));
    if (now == NULL) {
        leave_tenant(w, tenant);
        return;
    }
    if (w->standing != NULL) {
        standing_add(w->standing, name);
    }
    for (size_t i = 0; i < 2; i++) {
        add_lane(w, tenant, plain_routes[i]);
    }
    want_polls(w, now->tenant);
}

static void each_lane(struct worker *w, void (*do_it)(struct lane *l, enum lane_event event),
                      enum lane_event event)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&w->lanes, &cursor, &name, &value)) {
        do_it(value, event);
    }
}

/* A tenant that left: its lanes go when nothing of them is in hand, and come anew if it is back. */
static void free_left_lanes(struct worker *w)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&w->lanes, &cursor, &name, &value)) {
        struct lane *l = value;
        if (l->state == LANE_LEFT && l->in_hand == 0 && !w->is_draining) {
            (void)map_remove(&w->lanes, name);
            lane_free(l);
        }
    }
}

static void add_missing_lanes(struct worker *w)
{
    size_t cursor = 0;
    struct registry_entry *e;

    while (!w->is_draining && registry_next(w->registry, &cursor, &e)) {
        for (size_t i = 0; i < 2; i++) {
            add_lane(w, e->tenant->name, plain_routes[i]);
        }
        want_polls(w, e->tenant);
    }
    add_listed_lanes(w);
}

/* --- links ------------------------------------------------------------------------------------ */

static void on_shared(void *arg)
{
    struct worker *w = arg;

    routes_turn(w->routes, /* is_link_ready= */ true);
    if (!w->is_draining) {
        each_lane(w, lane_move, LANE_LINK_UP);
    }
}

/* Their own queues stand with the tenant. */
static void on_standing(const char *tenant, int rc, void *arg)
{
    for (size_t i = 0; i < sizeof plain_routes / sizeof plain_routes[0]; i++) {
        struct lane *l = find_lane(arg, tenant, plain_routes[i]);
        if (l != NULL) {
            lane_standing(l, rc);
        }
    }
}

static void on_consumer_state(struct bus_link *k, bool is_open, void *arg)
{
    struct worker *w = arg;

    brokers_note(k, "consumer", is_open);
    if (!is_open && w->routes != NULL) {
        routes_link_lost(w->routes);
    }
    if (is_open) {
        w->moved = loop_now(w->loop);
    } else {
        each_lane(w, lane_move, LANE_LINK_DOWN);
    }
    standing_link(w->standing, is_open);
}

static void on_publisher_state(struct bus_link *k, bool is_open, void *arg)
{
    (void)arg;
    brokers_note(k, "publisher", is_open);
}

/* Another life of the store: what runs here is told again, for one lease, while nobody claims. */
static void note_life(struct worker *w)
{
    bool was_lost = memory_note(&w->memory, w->store);
    bool is_new = was_lost || store_generation(w->store) != w->generation;

    if (is_new && store_memory(w->store) != STORE_KEEPS) {
        w->may_have_forgotten = true;
        w->forgot = loop_now(w->loop);
        attempt_say_again(w);
    }
    w->generation = store_generation(w->store);
}

static void say_again(struct worker *w)
{
    if (!w->may_have_forgotten || !store_is_open(w->store)) {
        return;
    }
    attempt_say_again(w);
    w->may_have_forgotten = mono_since_ms(w->forgot, loop_now(w->loop)) < w->lease_ms;
}

static void on_store_state(struct store *s, bool is_open, void *arg)
{
    struct worker *w = arg;

    log_event(is_open ? LOG_INFO : LOG_WARN, is_open ? "store_open" : "store_lost",
              "server=%s msg=\"%s\"", store_server(s), is_open ? "" : store_trouble(s));
    if (is_open) {
        note_life(w);
    }
    if (is_open && w->routes != NULL) {
        routes_store_open(w->routes);
    }
    if (is_open && w->heartbeat != NULL) {
        heartbeat_now(w->heartbeat);
        registry_refresh(w->registry);
    }
}

/* "slot <tenant>": a slot came free somewhere. */
static void on_message(struct str channel, struct str message, void *arg)
{
    struct worker *w = arg;
    char tenant[80];
    struct str word;

    (void)channel;
    if (!str_cut(&message, ' ', &word) || !str_is(word, STR("slot"))) {
        return;
    }
    (void)str_put(message, tenant, sizeof tenant, 0);
    struct turns *t = map_get(&w->turns, str_of(tenant));
    if (t != NULL) {
        turns_hint(t);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_metrics(struct worker *w)
{
    struct metrics *m = daemon_metrics(w->daemon);

    w->metrics.attempts =
        metrics_counter(m, "sluice_attempts_total", "Attempts by outcome", "tenant,outcome");
    w->metrics.ended =
        metrics_counter(m, "sluice_jobs_ended_total", "Jobs that ended here", "tenant,state");
    w->metrics.seconds =
        metrics_histogram(m, "sluice_attempt_seconds", "From claim to answer", "tenant");
    w->metrics.missing = metrics_counter(m, "sluice_record_missing_total",
                                         "Messages without a record, and undecodable ones", "");
    w->metrics.rebuilt = metrics_counter(m, "sluice_records_rebuilt_total",
                                         "Records written anew after a loss of memory", "");
    memory_init(&w->memory, m);
    metric_add(w->metrics.missing, NULL, 0); /* seen from the start */
    metric_add(w->metrics.rebuilt, NULL, 0);
    w->metrics.shelf_full = metrics_counter(m, "sluice_shelf_full_total",
                                            "Jobs parked because the shelf is full", "tenant");
    w->metrics.asked =
        metrics_counter(m, "sluice_asked_total",
                        "Questions after attempts in doubt, by what was said", "tenant,answer");
    w->metrics.polls =
        metrics_counter(m, "sluice_offload_polls_total",
                        "Polls of offloaded jobs, by what was said", "tenant,outcome");
    w->metrics.running = metrics_gauge(m, "sluice_worker_running", "Attempts that run here", "");
    w->metrics.in_hand = metrics_gauge(m, "sluice_worker_in_hand", "Deliveries in hand", "");
}

static void on_scrape(void *self)
{
    struct worker *w = self;

    metric_set(w->metrics.running, NULL, (double)w->running);
    metric_set(w->metrics.in_hand, NULL, (double)w->in_hand);
}

void worker_note(struct worker *w)
{
    if (w->is_draining && !w->is_stopping && !w->has_left && w->in_hand == 0) {
        heartbeat_leave(w->heartbeat);
        w->has_left = true;
        w->left = loop_now(w->loop);
        loop_timer_set(w->tick, LEAVE_MS);
    }
}

bool worker_is_away(const struct worker *w)
{
    return w->is_away;
}

static void wake_all(struct worker *w)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&w->turns, &cursor, &name, &value)) {
        turns_hint(value);
    }
}

/* A worker cut off from the store alone would take from the queues what others could do. */
static void look_at_store(struct worker *w)
{
    bool was_away = w->is_away;

    if (store_is_open(w->store) && heartbeat_may_send(w->heartbeat, heartbeat_name(w->heartbeat))) {
        w->reached = loop_now(w->loop);
    }
    /* Judged after the look: a turn of the loop that was late says nothing of the store. */
    w->is_away =
        mono_since_ms(w->reached, loop_now(w->loop)) >= AWAY_MS && RULE(away_holds_nothing);
    if (w->is_away) {
        each_lane(w, lane_move, LANE_NO_ROOM);
    }
    if (was_away && !w->is_away) {
        log_event(LOG_INFO, "store_reached", "msg=\"taking work again\"");
        wake_all(w);
    }
}

/* Nothing is in hand. */
static void end_when_heard(struct worker *w)
{
    if (heartbeat_has_left(w->heartbeat) ||
        mono_since_ms(w->left, loop_now(w->loop)) >= LEAVE_MAX_MS) {
        daemon_drained(w->daemon);
    } else {
        loop_timer_set(w->tick, LEAVE_MS);
    }
}

static void on_tick(struct loop_timer *t, void *arg)
{
    struct worker *w = arg;

    if (w->has_left) {
        end_when_heard(w);
        return;
    }
    brokers_watch(&w->publisher_watch, w->publisher, "publisher", loop_now(w->loop));
    brokers_watch(&w->consumer_watch, w->consumer, "consumer", loop_now(w->loop));
    standing_turn(w->standing);
    say_again(w);
    look_at_store(w);
    free_left_lanes(w);
    routes_turn(w->routes, standing_is_ready(w->standing));
    add_missing_lanes(w);
    surplus_look(w);
    spread_turn(w);
    lookout_turn(w);
    loop_timer_set(t, TICK_MS);
}

static int open_links(struct worker *w, const struct config *c)
{
    struct bus_options bus = {.name = "sluice-worker consumer",
                              .heartbeat_s =
                                  c->worker.lease_ms / 1000 < 10 ? c->worker.lease_ms / 1000 : 10,
                              .connect_ms = CONNECT_MS,
                              .publish_ms = PUBLISH_MS,
                              .declare_ms = DECLARE_MS,
                              .max_outstanding = PUBLISHES_MAX,
                              .max_buffer_bytes = BUFFER_MAX,
                              .on_state = on_consumer_state,
                              .arg = w};
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
                                  .channel = w->channel,
                                  .on_state = on_store_state,
                                  .on_message = on_message,
                                  .arg = w};

    brokers_of(c, &bus);
    bus.heartbeat_s = bus.heartbeat_s < 1 ? 1 : bus.heartbeat_s;
    int rc = store_new(w->loop, &store, &w->store);
    if (rc == ERR_OK) {
        rc = registry_new(w->loop, w->store, on_tenant, w, &w->registry);
    }
    if (rc == ERR_OK) {
        rc = heartbeat_new(w->loop, w->store, w->lease_ms, &w->heartbeat);
    }
    if (rc == ERR_OK) {
        rc = bus_link_new(w->loop, &bus, &w->consumer);
    }
    if (rc == ERR_OK) {
        bus.name = "sluice-worker publisher";
        bus.on_state = on_publisher_state;
        rc = bus_link_new(w->loop, &bus, &w->publisher);
    }
    if (rc == ERR_OK) {
        rc = routes_new(w->loop, w->store, w->consumer, w->is_quorum, on_route, w, &w->routes);
    }
    if (rc == ERR_OK) {
        struct standing_options standing = {.loop = w->loop,
                                            .link = w->consumer,
                                            .registry = w->registry,
                                            .routes = w->routes,
                                            .is_quorum = w->is_quorum,
                                            .on_shared = on_shared,
                                            .on_tenant = on_standing,
                                            .arg = w};
        rc = standing_new(&standing, &w->standing);
    }
    if (rc == ERR_OK) {
        rc = handovers_new(w->store, w->publisher, w->standing, w->routes, &w->handovers);
    }
    return rc;
}

static void stop(void *self)
{
    struct worker *w = self;
    size_t cursor = 0;
    struct str name;
    void *value;

    if (w == NULL) {
        return;
    }
    w->is_stopping = true;
    drain_say_cut(w);
    loop_timer_free(w->tick);
    /* Links first: their callbacks still find the attempts; then the attempts, then their lanes. */
    httpc_free(w->http);
    handovers_free(w->handovers);
    routes_free(w->routes);
    w->routes = NULL;
    store_free(w->store);
    bus_link_free(w->publisher);
    bus_link_free(w->consumer);
    standing_free(w->standing);
    w->standing = NULL;
    attempt_drop_all(w);
    while (map_next(&w->lanes, &cursor, &name, &value)) {
        lane_free(value);
    }
    map_fini(&w->lanes);
    cursor = 0;
    while (map_next(&w->turns, &cursor, &name, &value)) {
        turns_free(value);
    }
    map_fini(&w->turns);
    heartbeat_free(w->heartbeat);
    free(w->region);
    registry_free(w->registry);
    free(w);
}

static int start(struct daemon *d, void **ret_self, struct buf *why)
{
    const struct config *c = daemon_config(d);
    struct worker *w = calloc(1, sizeof *w);
    char name[RANDOM_NAME_SIZE];

    if (w == NULL) {
        return ERR_NOMEM;
    }
    w->daemon = d;
    w->loop = daemon_loop(d);
    w->concurrency = c->worker.concurrency;
    w->drain_ms = c->worker.drain_ms;
    w->region = c->worker.region == NULL ? NULL : str_dup(str_of(c->worker.region));
    w->lease_ms = c->worker.lease_ms;
    w->shelf_max_bytes = c->store.shelf_max_bytes;
    w->is_quorum = c->broker.is_quorum;
    w->moved = loop_now(w->loop);
    w->reached = w->moved;
    list_init(&w->attempts);
    random_name(name);
    (void)snprintf(w->channel, sizeof w->channel, "{sluice}:worker:%s", name);
    make_metrics(w);
    int rc = httpc_new(w->loop, HTTP_IDLE_S, &w->http);
    if (rc == ERR_OK) {
        rc = open_links(w, c);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(w->loop, on_tick, w, &w->tick);
    }
    if (rc != ERR_OK) {
        buf_printf(why, "cannot open broker or store: %s", err_text(rc));
        stop(w);
        return rc;
    }
    loop_timer_set(w->tick, TICK_MS);
    *ret_self = w;
    return ERR_OK;
}

static bool is_ready(void *self, struct buf *why)
{
    struct worker *w = self;

    if (!store_is_open(w->store)) {
        buf_printf(why, "the store is not open: %s", store_trouble(w->store));
    } else if (store_doubt(w->store)[0] != '\0') {
        buf_text(why, store_doubt(w->store));
    } else if (!brokers_is_open(w->publisher, why) || !brokers_is_open(w->consumer, why)) {
        /* It has said why. */
    } else if (!registry_is_read(w->registry)) {
        buf_text(why, "no dispatcher has written the registry yet");
    } else if (!standing_is_ready(w->standing)) {
        buf_text(why, "the queues are being declared");
    } else if (!heartbeat_may_send(w->heartbeat, heartbeat_name(w->heartbeat))) {
        buf_text(why, "the lease was not renewed");
    } else if (w->in_hand > w->running &&
               mono_since_ms(w->moved, loop_now(w->loop)) > PROGRESS_MS) {
        buf_text(why, "deliveries are in hand and nothing has moved for a minute");
    }
    return why->n == 0;
}

static int64_t drain_ms(void *self)
{
    return drain_bound_ms(self);
}

static void on_drain(void *self)
{
    struct worker *w = self;

    w->is_draining = true;
    drain_begin(w);
    each_lane(w, lane_move, LANE_LEAVE);
    worker_note(w);
}

static void on_request(struct httpd_req *r, void *self)
{
    (void)self;
    problem_answer(r, PROBLEM_NOT_FOUND, NULL);
}

const struct daemon_program worker_program = {.name = "sluice-worker",
                                              .server = server_of,
                                              .start = start,
                                              .on_request = on_request,
                                              .is_ready = is_ready,
                                              .on_scrape = on_scrape,
                                              .on_drain = on_drain,
                                              .drain_ms = drain_ms,
                                              .stop = stop};
