/* SPDX-License-Identifier: Apache-2.0 */
#include "heartbeat.h"

#include "base/log.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS_KEY "{sluice}:w"

enum { SEND_MARGIN_MS = 1000 };

struct heartbeat {
    struct loop *loop;
    struct store *store;
    struct loop_timer *timer;
    int64_t lease_ms;
    char name[RANDOM_NAME_SIZE];
    struct mono renewed; /* when the last successful renewal was sent */
    bool was_renewed;
    struct mono sent;             /* the renewal under way */
    char asked[RANDOM_NAME_SIZE]; /* for whom */
    bool is_asking;
    bool is_leaving; /* goodbye was said, or will be when the store is open */
    bool has_left;
    unsigned int alive;
    bool is_freed;
};

static void let_go(struct heartbeat *h)
{
    if (--h->alive == 0) {
        free(h);
    }
}

static void on_renewed(int rc, const struct store_value *value, void *arg)
{
    struct heartbeat *h = arg;

    h->is_asking = false;
    if (!h->is_freed && rc == ERR_OK && value->type == STORE_ARRAY && value->n_items == 1) {
        bool is_current = str_is(str_of(h->asked), str_of(h->name));
        if (value->items[0].integer != 1) {
            heartbeat_reborn(h, h->asked);
        } else if (is_current) {
            h->renewed = h->sent;
            h->was_renewed = true;
        }
    }
    let_go(h);
}

static void on_left(int rc, const struct store_value *value, void *arg)
{
    struct heartbeat *h = arg;

    (void)value;
    h->has_left = h->has_left || rc == ERR_OK;
    let_go(h);
}

static int renew(struct heartbeat *h, struct str leaves, store_cb cb)
{
    struct str key = STR(WORKERS_KEY);
    char lease[24];

    (void)snprintf(lease, sizeof lease, "%" PRId64, h->lease_ms);
    struct str args[] = {str_of(h->name), leaves, str_of(lease)};
    int rc = store_call(h->store, STORE_RENEW, &key, 1, args, 3, cb, h);
    h->alive += rc == ERR_OK ? 1 : 0;
    return rc;
}

static void ask(struct heartbeat *h)
{
    if (renew(h, STR("0"), on_renewed) == ERR_OK) {
        h->sent = loop_now(h->loop);
        (void)snprintf(h->asked, sizeof h->asked, "%s", h->name);
        h->is_asking = true;
    }
}

static void say_goodbye(struct heartbeat *h)
{
    (void)renew(h, STR("1"), on_left);
}

void heartbeat_now(struct heartbeat *h)
{
    if (h->is_leaving) {
        say_goodbye(h);
    } else if (!h->is_asking) {
        ask(h);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct heartbeat *h = arg;

    heartbeat_now(h);
    loop_timer_set(t, h->lease_ms / 5);
}

int heartbeat_new(struct loop *l, struct store *s, int64_t lease_ms, struct heartbeat **ret)
{
    struct heartbeat *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return ERR_NOMEM;
    }
    *h = (struct heartbeat){.loop = l, .store = s, .lease_ms = lease_ms, .alive = 1};
    random_name(h->name);
    int rc = loop_timer_new(l, on_timer, h, &h->timer);
    if (rc != ERR_OK) {
        free(h);
        return rc;
    }
    loop_timer_set(h->timer, 0);
    *ret = h;
    return ERR_OK;
}

void heartbeat_free(struct heartbeat *h)
{
    if (h == NULL) {
        return;
    }
    loop_timer_free(h->timer);
    h->is_freed = true;
    let_go(h);
}

const char *heartbeat_name(const struct heartbeat *h)
{
    return h->name;
}

bool heartbeat_may_send(const struct heartbeat *h, const char *name)
{
    return h->was_renewed && str_is(str_of(name), str_of(h->name)) &&
           mono_since_ms(h->renewed, loop_now(h->loop)) < h->lease_ms - SEND_MARGIN_MS;
}

void heartbeat_reborn(struct heartbeat *h, const char *name)
{
    if (h->is_leaving || !str_is(str_of(name), str_of(h->name))) {
        return;
    }
    log_event(LOG_WARN, "worker_declared_dead", "worker=%s msg=\"a new incarnation begins\"",
              h->name);
    random_name(h->name);
    h->was_renewed = false;
    loop_timer_set(h->timer, 0);
}

void heartbeat_leave(struct heartbeat *h)
{
    h->is_leaving = true;
    loop_timer_cancel(h->timer);
    say_goodbye(h);
}

bool heartbeat_has_left(const struct heartbeat *h)
{
    return h->has_left;
}
