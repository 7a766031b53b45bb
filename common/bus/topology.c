/* SPDX-License-Identifier: Apache-2.0 */
/* The delay ladder is the binary one of NServiceBus: level n holds a message 2^n units if bit n of
 * its delay is set (the routing key's digit), else hands it on at once; below level 0 stands
 * sluice.deliver. Within a level all messages wait equally long, so that expiry is first-in
 * first-out.
 *
 * Everything is declared at each call, nothing is skipped: repeating a declare is cheap, and what
 * somebody deleted comes back. */
#include "bus/topology.h"

#include "base/panic.h"
#include "bus/link.h"

#include <stdio.h>
#include <stdlib.h>

#define TOPOLOGY_DELIVER "sluice.deliver"

enum {
    UNITS_MAX = (1 << TOPOLOGY_LEVELS) - 1,
    DELIVERY_LIMIT_SINCE = 4 /* RabbitMQ 4 drops after 20 returns unless told otherwise */
};

/* One call of topology_declare_…: many declares, one answer. */
struct plan {
    struct bus_link *link;
    size_t pending;
    int rc; /* the first error */
    topology_cb cb;
    void *arg;
};

static void note(struct plan *p, int rc)
{
    p->rc = p->rc == ERR_OK ? rc : p->rc;
}

static void on_declared(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct plan *p = arg;

    (void)ready;
    (void)consumers;
    note(p, rc);
    if (--p->pending == 0) {
        p->cb(p->rc, p->arg);
        free(p);
    }
}

static void submitted(struct plan *p, int rc)
{
    if (rc == ERR_OK) {
        p->pending++;
    }
    note(p, rc);
}

static void queue(struct plan *p, const char *name, const struct bus_arg *args, size_t n)
{
    submitted(p, bus_declare_queue(p->link, name, args, n, on_declared, p));
}

static void exchange(struct plan *p, const char *name, const char *type, const struct bus_arg *args,
                     size_t n)
{
    submitted(p, bus_declare_exchange(p->link, name, type, args, n, on_declared, p));
}

static void bind_queue(struct plan *p, const char *name, const char *source, const char *key)
{
    submitted(p, bus_bind_queue(p->link, name, source, key, on_declared, p));
}

static struct plan *plan_new(struct bus_link *k, topology_cb cb, void *arg)
{
    struct plan *p = calloc(1, sizeof *p);

    if (p != NULL) {
        *p = (struct plan){.link = k, .cb = cb, .arg = arg};
    }
    return p;
}

/* Declares under way will answer, and free the plan; without any the error is the caller's. */
static int plan_sealed(struct plan *p)
{
    int rc = p->rc;

    if (p->pending > 0) {
        return ERR_OK;
    }
    CHECK(rc != ERR_OK);
    free(p);
    return rc;
}

/* --- names ----------------------------------------------------------------------------------- */

bool topology_route_read(struct str route, struct str *ret_class, struct str *ret_lane)
{
    static const char *const classes[] = {"sync", "high", "normal", "low", TOPOLOGY_POLL};
    struct str lane = route;
    struct str class;

    (void)str_cut(&lane, '.', &class);
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        bool is_plain = lane.p == NULL;
        bool is_laned =
            !is_plain && lane.n == 1 && lane.p[0] >= '0' && lane.p[0] < '0' + TOPOLOGY_LANES;
        if (str_is(class, str_of(classes[i])) && (is_plain || is_laned)) {
            *ret_class = class;
            *ret_lane = lane;
            return true;
        }
    }
    return false;
}

void topology_queue(const char *tenant, const char *route, char out[TOPOLOGY_KEY_SIZE])
{
    (void)snprintf(out, TOPOLOGY_KEY_SIZE, "sluice.%s.%s", tenant, route);
}

void topology_work_key(const char *tenant, const char *route, char out[TOPOLOGY_KEY_SIZE])
{
    (void)snprintf(out, TOPOLOGY_KEY_SIZE, "%s.%s", tenant, route);
}

static void level_name(int level, char out[TOPOLOGY_KEY_SIZE])
{
    if (level < 0) {
        (void)snprintf(out, TOPOLOGY_KEY_SIZE, TOPOLOGY_DELIVER);
    } else {
        (void)snprintf(out, TOPOLOGY_KEY_SIZE, "sluice.delay.%d", level);
    }
}

/* "*.*.1.#": any digits above the level, its own, anything below. */
static void level_key(int level, char digit, char out[TOPOLOGY_KEY_SIZE])
{
    size_t n = 0;

    for (int i = TOPOLOGY_LEVELS - 1; i > level; i--) {
        out[n++] = '*';
        out[n++] = '.';
    }
    (void)snprintf(out + n, TOPOLOGY_KEY_SIZE - n, "%c.#", digit);
}

static int64_t units_of(int64_t delay_ms)
{
    int64_t units = delay_ms / TOPOLOGY_UNIT_MS + (delay_ms % TOPOLOGY_UNIT_MS != 0 ? 1 : 0);

    return units > UNITS_MAX ? UNITS_MAX : units;
}

void topology_delay(int64_t delay_ms, const char *tenant, const char *route,
                    char ret_exchange[TOPOLOGY_KEY_SIZE], char ret_key[TOPOLOGY_KEY_SIZE])
{
    int64_t units = delay_ms > 0 ? units_of(delay_ms) : 0;
    int highest = -1;
    size_t n = 0;

    if (units == 0) {
        (void)snprintf(ret_exchange, TOPOLOGY_KEY_SIZE, TOPOLOGY_WORK);
        topology_work_key(tenant, route, ret_key);
        return;
    }
    for (int level = TOPOLOGY_LEVELS - 1; level >= 0; level--) {
        bool is_set = (units >> level & 1) != 0;
        highest = highest < 0 && is_set ? level : highest;
        ret_key[n++] = is_set ? '1' : '0';
        ret_key[n++] = '.';
    }
    level_name(highest, ret_exchange);
    (void)snprintf(ret_key + n, TOPOLOGY_KEY_SIZE - n, "%s.%s", tenant, route);
}

/* --- shapes ---------------------------------------------------------------------------------- */

/* A level must exist before the one above it is bound to it. */
static void declare_level(struct plan *p, int level)
{
    char name[TOPOLOGY_KEY_SIZE];
    char below[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];

    level_name(level, name);
    level_name(level - 1, below);
    const struct bus_arg args[] = {
        {"x-queue-type", "quorum", 0},
        {"x-message-ttl", NULL, ((int64_t)1 << level) * TOPOLOGY_UNIT_MS},
        {"x-dead-letter-exchange", below, 0},
        /* Needs both others, else RabbitMQ falls back to at-most-once with a line in its log. */
        {"x-dead-letter-strategy", "at-least-once", 0},
        {"x-overflow", "reject-publish", 0}};
    exchange(p, name, "topic", NULL, 0);
    level_key(level, '0', key);
    submitted(p, bus_bind_exchange(p->link, below, name, key, on_declared, p));
    queue(p, name, args, sizeof args / sizeof args[0]);
    level_key(level, '1', key);
    bind_queue(p, name, name, key);
}

int topology_declare_shared(struct bus_link *k, topology_cb cb, void *arg)
{
    static const struct bus_arg quorum[] = {{"x-queue-type", "quorum", 0},
                                            {"x-delivery-limit", NULL, -1}};
    static const struct bus_arg orphaned[] = {{"alternate-exchange", TOPOLOGY_ORPHAN, 0}};
    size_t n_quorum = bus_link_server_major(k) >= DELIVERY_LIMIT_SINCE ? 2 : 1;
    struct plan *p = plan_new(k, cb, arg);

    if (p == NULL) {
        return ERR_NOMEM;
    }
    exchange(p, TOPOLOGY_ORPHAN, "fanout", NULL, 0);
    queue(p, TOPOLOGY_ORPHAN, quorum, n_quorum);
    bind_queue(p, TOPOLOGY_ORPHAN, TOPOLOGY_ORPHAN, "");
    exchange(p, TOPOLOGY_WORK, "direct", orphaned, 1);
    exchange(p, TOPOLOGY_SHELF, "direct", orphaned, 1);
    exchange(p, TOPOLOGY_DELIVER, "topic", orphaned, 1);
    for (int level = 0; level < TOPOLOGY_LEVELS; level++) {
        declare_level(p, level);
    }
    return plan_sealed(p);
}

static void declare_work(struct plan *p, const char *tenant, const char *route,
                         const struct bus_arg *args, size_t n_args)
{
    char name[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];
    char any[TOPOLOGY_KEY_SIZE];

    topology_queue(tenant, route, name);
    topology_work_key(tenant, route, key);
    (void)snprintf(any, sizeof any, "#.%.64s.%.32s", tenant, route);
    queue(p, name, args, n_args);
    bind_queue(p, name, TOPOLOGY_WORK, key);
    bind_queue(p, name, TOPOLOGY_DELIVER, any);
}

/* Fills in the arguments of a tenant's queue; gives how many count. */
static size_t queue_args(const struct bus_link *k, bool is_quorum, struct bus_arg out[2])
{
    out[0] = (struct bus_arg){"x-queue-type", is_quorum ? "quorum" : "classic", 0};
    out[1] = (struct bus_arg){"x-delivery-limit", NULL, -1};
    return is_quorum && bus_link_server_major(k) >= DELIVERY_LIMIT_SINCE ? 2 : 1;
}

int topology_declare_tenant(struct bus_link *k, const char *tenant, bool is_quorum, topology_cb cb,
                            void *arg)
{
    struct bus_arg args[2];
    size_t n = queue_args(k, is_quorum, args);
    char shelf[TOPOLOGY_KEY_SIZE];
    struct plan *p = plan_new(k, cb, arg);

    if (p == NULL) {
        return ERR_NOMEM;
    }
    declare_work(p, tenant, "sync", args, n);
    declare_work(p, tenant, "normal", args, n);
    topology_queue(tenant, "shelf", shelf);
    queue(p, shelf, args, n);
    bind_queue(p, shelf, TOPOLOGY_SHELF, tenant);
    return plan_sealed(p);
}

int topology_declare_route(struct bus_link *k, const char *tenant, const char *route,
                           bool is_quorum, topology_cb cb, void *arg)
{
    struct bus_arg args[2];
    size_t n = queue_args(k, is_quorum, args);
    struct plan *p = plan_new(k, cb, arg);

    if (p == NULL) {
        return ERR_NOMEM;
    }
    declare_work(p, tenant, route, args, n);
    return plan_sealed(p);
}
