/* SPDX-License-Identifier: Apache-2.0 */
#include "leader.h"

#include "base/log.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LEADER_KEY "{sluice}:leader"

struct leader {
    struct dispatcher *dispatcher;
    leader_cb cb;
    void *arg;
    struct loop_timer *timer;
    char name[RANDOM_NAME_SIZE];
    bool leads;
    struct mono granted; /* when the last grant was asked for */
    struct mono asked;
    bool is_asking;
    bool has_resigned;
    bool is_freed;
    unsigned int alive;
};

static void let_go(struct leader *l)
{
    if (--l->alive == 0) {
        free(l);
    }
}

static void set(struct leader *l, bool leads)
{
    if (l->leads != leads) {
        l->leads = leads;
        log_event(LOG_INFO, leads ? "leader_taken" : "leader_lost", "dispatcher=%s", l->name);
        l->cb(leads, l->arg);
    }
}

static void on_answer(int rc, const struct store_value *v, void *arg)
{
    struct leader *l = arg;

    l->is_asking = false;
    if (!l->is_freed && !l->has_resigned && rc == ERR_OK) {
        bool leads = store_number(v, 0) == 1;
        l->granted = leads ? l->asked : l->granted;
        set(l, leads);
    }
    let_go(l);
}

static void ask(struct leader *l, int64_t lease_ms)
{
    char text[24];
    struct str key = STR(LEADER_KEY);

    (void)snprintf(text, sizeof text, "%" PRId64, lease_ms);
    struct str args[] = {str_of(l->name), str_of(text)};
    if (store_call(l->dispatcher->store, STORE_LEAD, &key, 1, args, 2, on_answer, l) == ERR_OK) {
        l->asked = loop_now(l->dispatcher->loop);
        l->is_asking = true;
        l->alive++;
    }
}

void leader_now(struct leader *l)
{
    if (!l->is_asking && !l->has_resigned) {
        ask(l, l->dispatcher->leader_lease_ms);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct leader *l = arg;
    int64_t lease_ms = l->dispatcher->leader_lease_ms;

    if (l->leads && mono_since_ms(l->granted, loop_now(l->dispatcher->loop)) > lease_ms) {
        set(l, false);
    }
    leader_now(l);
    loop_timer_set(t, lease_ms / 5);
}

int leader_new(struct dispatcher *d, leader_cb cb, void *arg, struct leader **ret)
{
    struct leader *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return ERR_NOMEM;
    }
    *l = (struct leader){.dispatcher = d, .cb = cb, .arg = arg, .alive = 1};
    random_name(l->name);
    int rc = loop_timer_new(d->loop, on_timer, l, &l->timer);
    if (rc != ERR_OK) {
        free(l);
        return rc;
    }
    loop_timer_set(l->timer, 0);
    *ret = l;
    return ERR_OK;
}

void leader_free(struct leader *l)
{
    if (l == NULL) {
        return;
    }
    loop_timer_free(l->timer);
    l->is_freed = true;
    let_go(l);
}

bool leader_leads(const struct leader *l)
{
    return l->leads;
}

void leader_resign(struct leader *l)
{
    bool led = l->leads;

    l->has_resigned = true;
    set(l, false);
    if (led) {
        ask(l, 0);
    }
}
