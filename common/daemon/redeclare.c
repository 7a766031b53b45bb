/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/redeclare.h"

#include "base/fault.h"
#include "base/log.h"
#include "bus/topology.h"

enum { DOUBT_MS = 5000 };

static void note(int rc, const char *tenant)
{
    /* A lost link declares all when it opens again. */
    if (rc != ERR_OK && rc != ERR_DOWN) {
        log_event(LOG_WARN, "queue_declare_failed", "tenant=%s err=%s", tenant, err_word(rc));
    }
}

static void on_tenant(int rc, void *arg)
{
    (void)arg;
    note(rc, "");
}

static void on_shared(int rc, void *arg)
{
    struct redeclare *r = arg;
    size_t cursor = 0;
    struct registry_entry *e;

    note(rc, "");
    while (rc == ERR_OK && registry_next(r->registry, &cursor, &e)) {
        note(topology_declare_tenant(r->link, e->tenant->name, r->is_quorum, on_tenant, NULL),
             e->tenant->name);
    }
    if (rc == ERR_OK && r->routes != NULL) {
        routes_redeclare(r->routes);
    }
}

static void declare_all(struct redeclare *r)
{
    if (RULE(declare_again) && bus_link_state(r->link) == BUS_OPEN) {
        r->looked = loop_now(r->loop);
        note(topology_declare_shared(r->link, on_shared, r), "");
    }
}

void redeclare_turn(struct redeclare *r, int64_t period_ms)
{
    struct mono now = loop_now(r->loop);

    if (r->looked.ns == 0) {
        r->looked = now; /* the link declared all when it opened */
    } else if (mono_since_ms(r->looked, now) >= period_ms) {
        declare_all(r);
    }
}

void redeclare_doubt(struct redeclare *r, enum bus_outcome outcome)
{
    struct mono now = loop_now(r->loop);

    if (outcome == BUS_CONFIRMED ||
        (r->doubted.ns != 0 && mono_since_ms(r->doubted, now) < DOUBT_MS)) {
        return;
    }
    r->doubted = now;
    declare_all(r);
}
