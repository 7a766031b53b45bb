/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/brokers.h"

#include "base/log.h"

enum {
    FIRST_MS = 5000, /* a start or a fail-over in good order is over by then */
    AGAIN_MS = 60000
};

void brokers_of(const struct config *c, struct bus_options *o)
{
    bool is_cluster = c->broker.n_urls > 0;

    /* Only const is added. */
    o->urls = (const char *const *)(is_cluster ? c->broker.urls : &c->broker.url);
    o->n_urls = is_cluster ? c->broker.n_urls : 1;
}

void brokers_note(const struct bus_link *k, const char *name, bool is_open)
{
    if (is_open) {
        log_event(LOG_INFO, "broker_open", "link=%s node=%s", name, bus_link_node(k));
    } else {
        log_event(LOG_WARN, "broker_lost", "link=%s node=%s msg=\"%s\"", name, bus_link_node(k),
                  bus_link_why(k));
    }
}

bool brokers_is_open(const struct bus_link *k, struct buf *why)
{
    enum bus_state state = bus_link_state(k);

    if (state == BUS_BLOCKED) {
        buf_printf(why, "the broker takes nothing: an alarm is raised: %s", bus_link_node(k));
    } else if (state != BUS_OPEN) {
        const char *last = bus_link_why(k);
        buf_printf(why, "the broker is not open: %s", last[0] == '\0' ? "no try ended yet" : last);
    }
    return state == BUS_OPEN;
}

void brokers_watch(struct brokers_watch *w, const struct bus_link *k, const char *name,
                   struct mono now)
{
    enum bus_state state = bus_link_state(k);

    if (state == BUS_OPEN || state == BUS_BLOCKED) {
        w->due = (struct mono){0};
    } else if (w->due.ns == 0) {
        w->due = mono_plus_ms(now, FIRST_MS);
    } else if (w->due.ns <= now.ns) {
        log_event(LOG_WARN, "broker_away", "link=%s msg=\"%s\"", name, bus_link_why(k));
        w->due = mono_plus_ms(now, AGAIN_MS);
    }
}
