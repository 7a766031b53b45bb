/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include "base/log.h"
#include "history.h"
#include "leader.h"
#include "rota.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PROBE_MS = 1000,
    ASK_MS = 5000,
    ANSWER_MAX = 65536,
    KEY_SIZE = 400,
    HISTORY_BUDGET = 1000000 /* polls that all histories keep together: 16 MB */
};

struct instance {
    struct health *health;
    char *tenant;
    char *name;
    bool is_connected; /* this time, by a ping */
    struct health_state state;
    bool is_known; /* asked or told at least once */
    bool is_asking;
    bool is_gone;  /* its tenant left while a poll runs */
    int64_t taken; /* slots, at the last reading; -1: not counted */
    struct buf url;
    struct history history;
};

struct health {
    struct dispatcher *dispatcher;
    struct map instances; /* "tenant instance" → struct instance */
    struct rota marks;    /* whose marks are read */
    size_t history_budget;
    uint64_t tells; /* a reading sent before the last of them is out of date */
    unsigned int alive;
    bool is_freed;
};

static int64_t probe_ms(const struct tenant_polling *p)
{
    return p->retry_delay_ms > 0 ? p->retry_delay_ms : PROBE_MS;
}

struct health_state health_after(struct health_state before, const struct tenant_polling *p,
                                 enum health_answer answer, struct mono now)
{
    struct health_state s = before;

    if (answer == HEALTH_GOOD) {
        s.is_up = true;
        s.failures = 0;
        s.next = mono_plus_ms(now, p->frequency_ms);
        if (p->method == TENANT_POLL_NONE) {
            s.next.ns = INT64_MAX;
        }
        return s;
    }
    s.failures++;
    if (answer == HEALTH_REFUSED || s.failures > p->retries) {
        s.is_up = false;
    }
    s.next = mono_plus_ms(now, probe_ms(p));
    return s;
}

static void let_go(struct health *h)
{
    if (--h->alive == 0) {
        free(h);
    }
}

static void instance_free(struct instance *i)
{
    free(i->tenant);
    free(i->name);
    buf_fini(&i->url);
    history_fini(&i->history, &i->health->history_budget);
    free(i);
}

static void ignore(int rc, const struct store_value *v, void *arg)
{
    (void)rc; /* the next change, or the next turn's reading, mends it */
    (void)v;
    (void)arg;
}

static void tell(struct instance *i)
{
    struct str args[] = {str_of(i->name), i->state.is_up ? STR("1") : STR("0")};
    struct dispatcher *d = i->health->dispatcher;

    i->health->tells++;
    log_event(LOG_INFO, i->state.is_up ? "instance_up" : "instance_down", "tenant=%s instance=%s",
              i->tenant, i->name);
    if (store_call_tenant(d->store, STORE_HEALTH, str_of(i->tenant), args, 2, ignore, NULL) !=
        ERR_OK) {
        i->is_known = false; /* told again after the next answer */
    }
}

static const struct tenant_instance *registered(const struct health *h, const struct instance *i,
                                                const struct tenant **ret_tenant)
{
    struct registry_entry *e = registry_find(h->dispatcher->registry, str_of(i->tenant));

    for (size_t k = 0; e != NULL && k < e->tenant->n_instances; k++) {
        if (str_is(str_of(e->tenant->instances[k].name), str_of(i->name))) {
            *ret_tenant = e->tenant;
            return &e->tenant->instances[k];
        }
    }
    return NULL;
}

static enum health_answer judge(const struct tenant_polling *p, const struct httpc_result *r,
                                bool is_connected)
{
    bool wants_status = p->method == TENANT_POLL_HEALTH;

    if (r->kind == HTTPC_UNSENT && str_is(str_of(r->error), STR("connect_refused"))) {
        return HEALTH_REFUSED;
    }
    if (wants_status) {
        return r->kind == HTTPC_ANSWERED && r->status < 400 ? HEALTH_GOOD : HEALTH_BAD;
    }
    return is_connected ? HEALTH_GOOD : HEALTH_BAD;
}

static void remember(struct instance *i, const struct tenant_polling *p, enum health_answer answer,
                     const struct httpc_result *r)
{
    bool is_answered = r->kind == HTTPC_ANSWERED && r->status > 0 && r->status <= UINT16_MAX;
    struct history_poll poll = {.at_ms = clock_wall().ms,
                                .took_ms =
                                    r->took_ms < UINT32_MAX ? (uint32_t)r->took_ms : UINT32_MAX,
                                .status = is_answered ? (uint16_t)r->status : 0,
                                .outcome = (uint8_t)answer};

    history_add(&i->history, &poll, p->packet_limit, &i->health->history_budget);
}

static void on_asked(const struct httpc_result *r, void *arg)
{
    struct instance *i = arg;
    struct health *h = i->health;
    const struct tenant *t;

    i->is_asking = false;
    if (h->is_freed || i->is_gone) {
        instance_free(i);
        let_go(h);
        return;
    }
    const struct tenant_instance *known = registered(h, i, &t);
    if (known != NULL) {
        const struct tenant_polling *p = tenant_polling_of(t, known);
        bool was_up = i->state.is_up;
        bool was_known = i->is_known;
        enum health_answer answer = judge(p, r, i->is_connected);
        remember(i, p, answer, r);
        i->state = health_after(i->state, p, answer, loop_now(h->dispatcher->loop));
        i->is_known = true;
        if (was_up != i->state.is_up || !was_known) {
            tell(i);
        }
    }
    let_go(h);
}

/* A ping is a connection alone: a request would be a call to a tenant that takes one at a time. */
static bool never_send(void *arg)
{
    struct instance *i = arg;

    i->is_connected = true;
    return false;
}

static void ask(struct instance *i, const struct tenant *t, const struct tenant_instance *known)
{
    const struct tenant_polling *p = tenant_polling_of(t, known);
    static const char *const head[] = {"User-Agent: sluice-health", NULL};
    struct httpc_call *call;
    bool wants_status = p->method == TENANT_POLL_HEALTH;
    bool wants_path = wants_status && p->endpoint != NULL;

    buf_clear(&i->url);
    buf_text(&i->url, known->url);
    buf_text(&i->url, wants_path ? p->endpoint : "/");
    if (buf_failed(&i->url)) {
        return;
    }
    struct httpc_request r = {.method = wants_path ? STR("GET") : STR("HEAD"),
                              .url = i->url.p,
                              .head = head,
                              .connect_ms = t->timeouts.connect_ms,
                              .first_byte_ms = ASK_MS,
                              .total_ms = ASK_MS,
                              .max_answer_bytes = ANSWER_MAX,
                              .may_send = wants_status ? NULL : never_send,
                              .done = on_asked,
                              .arg = i};
    if (httpc_start(i->health->dispatcher->http, &r, &call) == ERR_OK) {
        i->is_asking = true;
        i->is_connected = false;
        i->health->alive++;
    }
}

static struct instance *instance_of(struct health *h, const struct tenant *t,
                                    const struct tenant_instance *known)
{
    char key[KEY_SIZE];
    const char *name = known->name;

    (void)snprintf(key, sizeof key, "%s %s", t->name, name);
    struct instance *i = map_get(&h->instances, str_of(key));
    if (i != NULL) {
        return i;
    }
    i = calloc(1, sizeof *i);
    if (i == NULL) {
        return NULL;
    }
    i->health = h;
    i->state.is_up = true;
    i->taken = -1;
    i->tenant = str_dup(str_of(t->name));
    i->name = str_dup(str_of(name));
    if (i->tenant == NULL || i->name == NULL || map_put(&h->instances, str_of(key), i) != ERR_OK) {
        instance_free(i);
        return NULL;
    }
    if (tenant_polling_of(t, known)->method == TENANT_POLL_NONE) {
        i->state.next = (struct mono){INT64_MAX};
    }
    return i;
}

/* What workers have found meanwhile: the tenant's hash says who is out. */
struct reading {
    struct health *health;
    struct registry_entry *entry;
    uint64_t tells; /* as the reading was sent */
};

static void on_read(int rc, const struct store_value *v, void *arg)
{
    struct reading *g = arg;
    struct health *h = g->health;
    const struct tenant *t = g->entry->tenant;
    bool is_fresh = !h->is_freed && g->tells == h->tells;

    for (size_t k = 0; is_fresh && rc == ERR_OK && v->type == STORE_ARRAY && k < t->n_instances;
         k++) {
        struct instance *i = instance_of(h, t, &t->instances[k]);
        if (i == NULL) {
            continue;
        }
        i->taken =
            store_word(v, t->n_instances + k).n > 0 ? store_number(v, t->n_instances + k) : -1;
        bool is_out = str_is(store_word(v, k), STR("0"));
        if (is_out && i->state.is_up && !i->is_asking) {
            i->state.is_up = false;
            i->state.next = mono_plus_ms(loop_now(h->dispatcher->loop),
                                         probe_ms(tenant_polling_of(t, &t->instances[k])));
            log_event(LOG_INFO, "instance_down", "tenant=%s instance=%s msg=\"by a worker's word\"",
                      i->tenant, i->name);
        } else if (!is_out && !i->state.is_up && !i->is_asking) {
            if (leader_leads(h->dispatcher->leader)) {
                /* The mark was lost (a store that forgot): told again. */
                tell(i);
            } else {
                i->state.is_up = true;
            }
        }
    }
    registry_unref(g->entry);
    free(g);
    let_go(h);
}

static void read_marks(struct health *h, struct registry_entry *e)
{
    const struct tenant *t = e->tenant;
    struct reading *g = calloc(1, sizeof *g);
    size_t n = 2 * t->n_instances;
    struct str *words = calloc(n + 2, sizeof *words);
    struct buf fields = {0};
    char key[96];

    if (g == NULL || words == NULL || t->n_instances == 0) {
        goto out;
    }
    (void)snprintf(key, sizeof key, "{%s}:t", t->name);
    for (size_t k = 0; k < t->n_instances; k++) {
        buf_printf(&fields, "up:%s", t->instances[k].name);
        buf_char(&fields, '\0');
    }
    for (size_t k = 0; k < t->n_instances; k++) {
        buf_printf(&fields, "c:%s", t->instances[k].name);
        buf_char(&fields, '\0');
    }
    if (buf_failed(&fields)) {
        goto out;
    }
    words[0] = STR("HMGET");
    words[1] = str_of(key);
    const char *at = fields.p;
    for (size_t k = 0; k < n; k++) {
        words[k + 2] = str_of(at);
        at += words[k + 2].n + 1;
    }
    g->health = h;
    g->entry = e;
    g->tells = h->tells;
    if (store_command(h->dispatcher->store, words, n + 2, on_read, g) == ERR_OK) {
        (void)registry_ref(e);
        h->alive++;
        g = NULL;
    }
out:
    free(g);
    free(words);
    buf_fini(&fields);
}

static void drop_absent(struct health *h)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    const struct tenant *t;

    while (map_next(&h->instances, &cursor, &key, &value)) {
        struct instance *i = value;
        if (registered(h, i, &t) != NULL) {
            continue;
        }
        (void)map_remove(&h->instances, key);
        if (i->is_asking) {
            i->is_gone = true;
        } else {
            instance_free(i);
        }
    }
}

/* One that is never asked by itself is when polling was configured meanwhile. */
static bool is_due(const struct instance *i, const struct tenant *t,
                   const struct tenant_instance *known, struct mono now)
{
    bool is_new =
        i->state.next.ns == INT64_MAX && tenant_polling_of(t, known)->method != TENANT_POLL_NONE;

    return !i->is_asking && (is_new || i->state.next.ns <= now.ns);
}

static void turn_tenant(struct health *h, struct registry_entry *e)
{
    const struct tenant *t = e->tenant;
    struct mono now = loop_now(h->dispatcher->loop);

    for (size_t k = 0; k < t->n_instances; k++) {
        struct instance *i = instance_of(h, t, &t->instances[k]);
        if (i != NULL && is_due(i, t, &t->instances[k], now)) {
            ask(i, t, &t->instances[k]);
        }
    }
}

const struct history *health_history(const struct health *h, const char *tenant,
                                     const char *instance)
{
    char key[KEY_SIZE];

    (void)snprintf(key, sizeof key, "%s %s", tenant, instance);
    const struct instance *i = map_get(&h->instances, str_of(key));
    return i == NULL ? NULL : &i->history;
}

void health_watch(struct health *h)
{
    const struct registry *tenants = h->dispatcher->registry;
    struct registry_entry *e;

    drop_absent(h);
    rota_begin(&h->marks, tenants, rota_share(registry_size(tenants)));
    while (rota_next(&h->marks, tenants, &e)) {
        read_marks(h, e);
    }
}

void health_turn(struct health *h)
{
    size_t cursor = 0;
    struct registry_entry *e;

    health_watch(h);
    while (registry_next(h->dispatcher->registry, &cursor, &e)) {
        turn_tenant(h, e);
    }
}

bool health_is_up(const struct health *h, const char *tenant, const char *instance)
{
    char key[KEY_SIZE];

    (void)snprintf(key, sizeof key, "%s %s", tenant, instance);
    const struct instance *i = map_get(&h->instances, str_of(key));
    return i == NULL || i->state.is_up;
}

int64_t health_taken(const struct health *h, const char *tenant, const char *instance)
{
    char key[KEY_SIZE];

    (void)snprintf(key, sizeof key, "%s %s", tenant, instance);
    const struct instance *i = map_get(&h->instances, str_of(key));
    return i == NULL ? -1 : i->taken;
}

int health_new(struct dispatcher *d, struct health **ret)
{
    struct health *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return ERR_NOMEM;
    }
    h->dispatcher = d;
    h->alive = 1;
    h->history_budget = HISTORY_BUDGET;
    *ret = h;
    return ERR_OK;
}

void health_free(struct health *h)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    if (h == NULL) {
        return;
    }
    h->is_freed = true;
    while (map_next(&h->instances, &cursor, &key, &value)) {
        struct instance *i = value;
        if (!i->is_asking) {
            instance_free(i);
        }
    }
    map_fini(&h->instances);
    let_go(h);
}
