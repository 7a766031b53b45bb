/* SPDX-License-Identifier: Apache-2.0 */
#include "enroll.h"

#include "base/log.h"
#include "job/document.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { AGAIN_MS = 10000, VERSION_SIZE = 17 };

struct enroll {
    struct dispatcher *dispatcher;
    bool is_dirty;
    unsigned int writing; /* scripts under way of the round that runs */
    bool has_failed;      /* the round */
    bool is_closing;      /* all is written but the word that says so */
    bool is_freed;
    unsigned int alive;
    char epoch[64]; /* for which the last whole round was written */
    struct mono written;
};

/* One tenant on its way. */
struct write {
    struct enroll *enroll;
    char name[80];
    char version[VERSION_SIZE]; /* "" to remove */
};

static void let_go(struct enroll *e)
{
    if (--e->alive == 0) {
        free(e);
    }
}

static void on_index(int rc, const struct store_value *v, void *arg);

static void index_command(struct enroll *e, const char *word, const char *name, const char *version)
{
    struct str words[] = {str_of(word), STR(REGISTRY_INDEX), str_of(name), str_of(version)};
    size_t n = version[0] == '\0' ? 3 : 4;

    if (store_command(e->dispatcher->store, words, n, on_index, e) == ERR_OK) {
        e->writing++;
        e->alive++;
    } else {
        e->has_failed = true;
    }
}

/* The round is whole when the index says so, last: who reads that word finds every tenant. */
static void settle(struct enroll *e)
{
    if (e->writing > 0 || e->is_freed) {
        return;
    }
    if (!e->has_failed && !e->is_closing) {
        e->is_closing = true;
        index_command(e, "HSET", REGISTRY_WRITTEN, e->epoch);
    }
    if (e->has_failed) {
        e->is_dirty = true;
    } else if (e->writing == 0) {
        e->written = loop_now(e->dispatcher->loop);
        registry_refresh(e->dispatcher->registry);
    }
}

static void on_index(int rc, const struct store_value *v, void *arg)
{
    struct enroll *e = arg;

    (void)v;
    e->writing--;
    e->has_failed = e->has_failed || rc != ERR_OK;
    settle(e);
    let_go(e);
}

static void on_registered(int rc, const struct store_value *v, void *arg)
{
    struct write *w = arg;
    struct enroll *e = w->enroll;

    e->writing--;
    if (!e->is_freed) {
        int64_t what = store_number(v, 0);
        if (rc != ERR_OK) {
            e->has_failed = true;
        } else if (w->version[0] != '\0') {
            index_command(e, "HSET", w->name, w->version);
        } else if (what >= 0) {
            log_event(LOG_INFO, "tenant_removed", "tenant=%s", w->name);
            index_command(e, "HDEL", w->name, "");
        }
        settle(e);
    }
    free(w);
    let_go(e);
}

static void register_tenant(struct enroll *e, const char *name, struct str document,
                            struct str instances, const char *concurrency, struct str policy,
                            const char *version)
{
    struct write *w = calloc(1, sizeof *w);
    struct str args[] = {document, instances, str_of(concurrency), STR("pol"), policy};

    if (w == NULL) {
        e->has_failed = true;
        return;
    }
    w->enroll = e;
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    (void)snprintf(w->version, sizeof w->version, "%s", version);
    if (store_call_tenant(e->dispatcher->store, STORE_REGISTER, str_of(name), args, 5,
                          on_registered, w) == ERR_OK) {
        e->writing++;
        e->alive++;
    } else {
        e->has_failed = true;
        free(w);
    }
}

static void version_of(struct str document, char out[VERSION_SIZE])
{
    unsigned char digest[32];

    job_sha256(document, digest);
    for (size_t i = 0; i < (VERSION_SIZE - 1) / 2; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static void print_rate(const struct tenant_rate *r, char gap, struct buf *out)
{
    buf_printf(out, "%.9g%c%" PRId64 "%c%.9g", r->limit, gap, r->period_ms, gap, r->burst);
}

/* A line, as _pool.lua reads it. */
static void print_instance(const struct tenant_instance *i, struct buf *out)
{
    const char *region = i->region == NULL ? "" : i->region;

    buf_printf(out, "%s\t%s\t%u\t%d\t%u\t", i->name, i->url, i->concurrency, (int)i->priority,
               i->weight);
    buf_printf(out, "%s\t", region);
    if (i->rate.is_set) {
        print_rate(&i->rate, ' ', out);
    }
    buf_text(out, "\n");
}

/* What the claim needs of the tenant's settings, likewise. */
static void print_policy(const struct tenant *t, struct buf *out)
{
    static const char *const balances[] = {
        [TENANT_ROUND_ROBIN] = "round_robin",     [TENANT_LEAST_BUSY] = "least_busy",
        [TENANT_LEAST_LATENCY] = "least_latency", [TENANT_PRIORITY] = "priority",
        [TENANT_WEIGHTED] = "weighted",           [TENANT_REGION] = "region"};

    buf_printf(out, "balance=%s sync_share=%.9g", balances[t->balance], t->sync_share);
    if (t->rate.is_set) {
        buf_text(out, " rate=");
        print_rate(&t->rate, ',', out);
    }
    if (t->per_key.is_set) {
        buf_printf(out, " per_key=%u", t->per_key.concurrency);
    }
}

static void write_tenant(struct enroll *e, const struct tenant *t)
{
    char *document = tenant_to_json(t);
    char concurrency[16];
    char version[VERSION_SIZE];
    struct buf instances = {0};
    struct buf policy = {0};

    if (document == NULL) {
        e->has_failed = true;
        return;
    }
    for (size_t i = 0; i < t->n_instances; i++) {
        print_instance(&t->instances[i], &instances);
    }
    print_policy(t, &policy);
    (void)snprintf(concurrency, sizeof concurrency, "%u", t->concurrency);
    version_of(str_of(document), version);
    register_tenant(e, t->name, str_of(document), buf_as_str(&instances), concurrency,
                    buf_as_str(&policy), version);
    buf_fini(&policy);
    buf_fini(&instances);
    free(document);
}

/* What stands in the registry and no longer in the file. */
static void remove_absent(struct enroll *e, const struct config *c)
{
    size_t cursor = 0;
    struct registry_entry *entry;

    while (registry_next(e->dispatcher->registry, &cursor, &entry)) {
        if (config_tenant(c, str_of(entry->tenant->name)) == NULL) {
            register_tenant(e, entry->tenant->name, STR(""), STR(""), "0", STR(""), "");
        }
    }
}

void enroll_dirty(struct enroll *e)
{
    e->is_dirty = true;
}

static bool is_due(const struct enroll *e)
{
    struct dispatcher *d = e->dispatcher;
    const char *epoch = store_epoch(d->store);

    if (e->writing > 0 || epoch == NULL || !store_is_open(d->store)) {
        return false;
    }
    /* Again from time to time: a tenant that could not be removed yet, a store that was emptied. */
    return e->is_dirty || !str_is(str_of(e->epoch), str_of(epoch)) ||
           mono_since_ms(e->written, loop_now(d->loop)) > AGAIN_MS;
}

void enroll_turn(struct enroll *e)
{
    const struct config *c = daemon_config(e->dispatcher->daemon);

    if (!is_due(e)) {
        return;
    }
    e->is_dirty = false;
    e->has_failed = false;
    e->is_closing = false;
    (void)snprintf(e->epoch, sizeof e->epoch, "%s", store_epoch(e->dispatcher->store));
    e->writing++; /* holds the round open until all is sent */
    for (size_t i = 0; i < c->n_tenants; i++) {
        write_tenant(e, c->tenants[i]);
    }
    remove_absent(e, c);
    e->writing--;
    settle(e);
}

int enroll_new(struct dispatcher *d, struct enroll **ret)
{
    struct enroll *e = calloc(1, sizeof *e);

    if (e == NULL) {
        return ERR_NOMEM;
    }
    e->dispatcher = d;
    e->is_dirty = true;
    e->alive = 1;
    *ret = e;
    return ERR_OK;
}

void enroll_free(struct enroll *e)
{
    if (e != NULL) {
        e->is_freed = true;
        let_go(e);
    }
}
