/* SPDX-License-Identifier: Apache-2.0 */
#include "enroll.h"

#include "base/fault.h"
#include "base/log.h"
#include "job/document.h"
#include "overlay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Which of the overlay's revisions an entry of the index comes from. */
#define REVISIONS "{sluice}:revisions"

enum { AGAIN_MS = 10000, VERSION_SIZE = ENROLL_VERSION_SIZE, TRIES = 5 };

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
    struct one *one; /* what is being sent is for this one, not for the round */
    int64_t least; /* a revision that a tenant has seen and the overlay has not: the store forgot */
};

/* One tenant that was asked for. */
struct one {
    struct enroll *enroll;
    enroll_cb cb;
    void *arg;
    char name[80];
    char fresh[136];
    unsigned int tries;
    int64_t least; /* the revision that the tenant has seen */
    bool is_sent;
};

/* One tenant on its way. */
struct write {
    struct enroll *enroll;
    struct one *one; /* NULL: of the round */
    char name[80];
    char version[VERSION_SIZE]; /* "" to remove */
    int64_t revision;           /* of the overlay, from which it comes */
};

static void let_go(struct enroll *e)
{
    if (--e->alive == 0) {
        free(e);
    }
}

static void on_index(int rc, const struct store_value *v, void *arg);
static void read_for(struct one *one);

/* An answer of the index is awaited, unless it could not be asked. */
static void await_index(struct enroll *e, int rc)
{
    if (rc == ERR_OK) {
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
        struct str words[] = {STR("HSET"), STR(REGISTRY_INDEX), STR(REGISTRY_WRITTEN),
                              str_of(e->epoch)};
        await_index(e, store_command(e->dispatcher->store, words, 4, on_index, e));
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

static void one_ended(struct one *one, int rc)
{
    if (one->enroll->is_freed) {
        rc = ERR_CLOSED;
    } else {
        registry_refresh(one->enroll->dispatcher->registry);
    }
    one->cb(rc, one->arg);
    free(one);
}

static void on_one_index(int rc, const struct store_value *v, void *arg)
{
    struct one *one = arg;
    struct enroll *e = one->enroll;

    (void)v;
    one_ended(one, rc);
    let_go(e);
}

/* The last step of one tenant. */
static void index_write(struct write *w)
{
    struct enroll *e = w->enroll;
    struct str keys[] = {STR(REGISTRY_INDEX), STR(REVISIONS)};
    char revision[24];
    struct str args[] = {STR(""), str_of(w->name), str_of(w->version), {revision, 0}};

    args[3].n = (size_t)snprintf(revision, sizeof revision, "%" PRId64, w->revision);
    if (w->one == NULL) {
        await_index(e,
                    store_call(e->dispatcher->store, STORE_INDEX, keys, 2, args, 4, on_index, e));
        return;
    }
    int rc = store_call(e->dispatcher->store, STORE_INDEX, keys, 2, args, 4, on_one_index, w->one);
    if (rc == ERR_OK) {
        e->alive++;
    } else {
        one_ended(w->one, rc);
    }
}

/* A step was refused or failed. least: the later revision that refused it, or 0. */
static void write_failed(struct write *w, int rc, int64_t least)
{
    struct enroll *e = w->enroll;

    if (w->one == NULL) {
        e->has_failed = true;
        e->least = least > e->least ? least : e->least;
    } else if (least > 0 && ++w->one->tries < TRIES) {
        w->one->least = least;
        read_for(w->one);
    } else {
        one_ended(w->one, rc == ERR_OK ? ERR_BUSY : rc);
    }
}

static void write_over(struct write *w)
{
    struct enroll *e = w->enroll;

    if (w->one == NULL && !e->is_freed) {
        settle(e);
    } else if (w->one != NULL && e->is_freed) {
        one_ended(w->one, ERR_CLOSED);
    }
    free(w);
    let_go(e);
}

static void on_governed(int rc, const struct store_value *v, void *arg)
{
    struct write *w = arg;
    struct enroll *e = w->enroll;

    e->writing -= w->one == NULL ? 1 : 0;
    if (!e->is_freed) {
        if (rc != ERR_OK || store_number(v, 0) < -1) {
            write_failed(w, rc, rc == ERR_OK ? store_number(v, 1) : 0);
        } else {
            index_write(w);
        }
    }
    write_over(w);
}

/* The tenant stands; now what operators say of it. */
static int govern(struct write *w)
{
    struct enroll *e = w->enroll;
    const struct overlay *o = e->dispatcher->overlay;
    struct str none = {"", 0};
    struct str note = overlay_pause(o, str_of(w->name), NULL);
    struct buf drains = {0};
    struct store_args a = {.n = 0};

    overlay_drains(o, str_of(w->name), &drains);
    store_args_add(&a, STR("rv"));
    store_args_number(&a, overlay_revision(o));
    store_args_add(&a, STR("paused"));
    store_args_add(&a, note.p == NULL ? none : note);
    store_args_add(&a, STR("drain"));
    store_args_add(&a, drains.n == 0 ? none : buf_as_str(&drains));
    if (w->one != NULL && w->one->fresh[0] != '\0') {
        store_args_add(&a, STR("up"));
        store_args_add(&a, str_of(w->one->fresh));
    }
    int rc = buf_failed(&drains) ? ERR_NOMEM
                                 : store_call_tenant(e->dispatcher->store, STORE_GOVERN,
                                                     str_of(w->name), a.at, a.n, on_governed, w);
    buf_fini(&drains);
    if (rc == ERR_OK) {
        e->writing += w->one == NULL ? 1 : 0;
        e->alive++;
    }
    return rc;
}

/* True: `w` goes on to the next step. */
static bool take_registered(struct write *w, int rc, const struct store_value *v)
{
    int64_t what = rc == ERR_OK ? store_number(v, 0) : 0;

    if (rc != ERR_OK || what < -1) {
        write_failed(w, rc, what < -1 ? store_number(v, 1) : 0);
        return false;
    }
    if (w->version[0] != '\0') {
        FAULT_HERE(dispatcher_registered);
        rc = govern(w);
        if (rc != ERR_OK) {
            write_failed(w, rc, 0);
        }
        return rc == ERR_OK;
    }
    if (what >= 0) {
        log_event(LOG_INFO, "tenant_removed", "tenant=%s", w->name);
        index_write(w);
    } else if (w->one != NULL) {
        one_ended(w->one, ERR_BUSY);
    }
    return false;
}

static void on_registered(int rc, const struct store_value *v, void *arg)
{
    struct write *w = arg;
    struct enroll *e = w->enroll;

    e->writing -= w->one == NULL ? 1 : 0;
    if (!e->is_freed && take_registered(w, rc, v)) {
        let_go(e);
        return;
    }
    write_over(w);
}

static void register_tenant(struct enroll *e, const char *name, struct str document,
                            struct str instances, const char *concurrency, struct str policy,
                            const char *version)
{
    struct write *w = calloc(1, sizeof *w);
    char revision[24];
    struct str args[] = {document,  instances, str_of(concurrency), STR("pol"), policy,
                         STR("rv"), {"", 0}};

    if (w == NULL) {
        e->has_failed = true;
        return;
    }
    (void)snprintf(revision, sizeof revision, "%" PRId64, overlay_revision(e->dispatcher->overlay));
    args[6] = str_of(revision);
    w->enroll = e;
    w->one = e->one;
    w->revision = overlay_revision(e->dispatcher->overlay);
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    (void)snprintf(w->version, sizeof w->version, "%s", version);
    if (store_call_tenant(e->dispatcher->store, STORE_REGISTER, str_of(name), args, 7,
                          on_registered, w) == ERR_OK) {
        if (e->one != NULL) {
            e->one->is_sent = true;
        } else {
            e->writing++;
        }
        e->alive++;
    } else {
        e->has_failed = true;
        free(w);
    }
}

void enroll_version(struct str document, char out[ENROLL_VERSION_SIZE])
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
    enroll_version(str_of(document), version);
    register_tenant(e, t->name, str_of(document), buf_as_str(&instances), concurrency,
                    buf_as_str(&policy), version);
    buf_fini(&policy);
    buf_fini(&instances);
    free(document);
}

/* What stands in the registry and no longer in file or overlay. */
static void remove_absent(struct enroll *e, const struct config *c)
{
    struct str none = {"", 0};
    size_t cursor = 0;
    struct registry_entry *entry;

    while (registry_next(e->dispatcher->registry, &cursor, &entry)) {
        struct str name = str_of(entry->tenant->name);
        if (config_tenant(c, name) == NULL &&
            overlay_get(e->dispatcher->overlay, 't', name, none).p == NULL) {
            register_tenant(e, entry->tenant->name, none, none, "0", none, "");
        }
    }
}

static void write_effective(struct enroll *e, struct str name)
{
    struct tenant *t;
    int rc = overlay_effective(e->dispatcher->overlay, name, &t);

    if (rc == ERR_OK) {
        write_tenant(e, t);
        tenant_free(t);
    } else {
        log_event(LOG_ERROR, "tenant_unreadable", "tenant=%.*s err=%s", STR_ARG(name),
                  err_word(rc));
        e->has_failed = e->has_failed || rc == ERR_NOMEM;
    }
}

/* The overlay is fresh. */
static void write_all(struct enroll *e)
{
    const struct overlay *o = e->dispatcher->overlay;
    const struct config *c = daemon_config(e->dispatcher->daemon);
    size_t cursor = 0;
    struct str field, value, name, instance;
    char kind;

    for (size_t i = 0; i < c->n_tenants; i++) {
        if (overlay_is_silent(o, str_of(c->tenants[i]->name))) {
            write_tenant(e, c->tenants[i]);
        } else {
            write_effective(e, str_of(c->tenants[i]->name));
        }
    }
    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &name, &instance) && kind == 't' &&
            config_tenant(c, name) == NULL) {
            write_effective(e, name);
        }
    }
    remove_absent(e, c);
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

static void on_read(int rc, void *arg)
{
    struct enroll *e = arg;

    e->writing--;
    if (!e->is_freed && rc != ERR_OK) {
        e->is_dirty = true;
    } else if (!e->is_freed) {
        e->is_dirty = false; /* what was read just now is what is written */
        e->writing++;        /* holds the round open until all is sent */
        write_all(e);
        e->writing--;
        settle(e);
    }
    let_go(e);
}

void enroll_turn(struct enroll *e)
{
    char least[24];
    struct overlay_op op = {"atleast", {"", 0}, {"", 0}};

    if (!is_due(e)) {
        return;
    }
    (void)snprintf(least, sizeof least, "%" PRId64, e->least);
    op.value = str_of(least);
    e->is_dirty = false;
    e->has_failed = false;
    e->is_closing = false;
    (void)snprintf(e->epoch, sizeof e->epoch, "%s", store_epoch(e->dispatcher->store));
    if (overlay_apply(e->dispatcher->overlay, &op, e->least > 0 ? 1 : 0, on_read, e) == ERR_OK) {
        e->least = 0;
        e->writing++;
        e->alive++;
    } else {
        e->is_dirty = true;
    }
}

/* --- one ------------------------------------------------------------------------------------- */

static void send_one(struct one *one)
{
    struct enroll *e = one->enroll;
    bool has_failed = e->has_failed;
    struct tenant *t;
    int rc = overlay_effective(e->dispatcher->overlay, str_of(one->name), &t);

    one->is_sent = false;
    e->one = one;
    if (rc == ERR_OK) {
        write_tenant(e, t);
        tenant_free(t);
    } else if (rc == ERR_MISSING) {
        register_tenant(e, one->name, STR(""), STR(""), "0", STR(""), "");
    }
    e->one = NULL;
    e->has_failed = has_failed; /* the round's */
    if (!one->is_sent) {
        one_ended(one, rc == ERR_OK || rc == ERR_MISSING ? ERR_DOWN : rc);
    }
}

static void on_read_for(int rc, void *arg)
{
    struct one *one = arg;
    struct enroll *e = one->enroll;

    if (e->is_freed || rc != ERR_OK) {
        one_ended(one, rc);
    } else {
        send_one(one);
    }
    let_go(e);
}

/* The tenant has seen a later revision: one that another dispatcher was told of, or one that the
 * store has forgotten since. */
static void read_for(struct one *one)
{
    struct enroll *e = one->enroll;
    char least[24];

    (void)snprintf(least, sizeof least, "%" PRId64, one->least);
    struct overlay_op op = {"atleast", {"", 0}, str_of(least)};
    int rc = overlay_apply(e->dispatcher->overlay, &op, 1, on_read_for, one);
    if (rc == ERR_OK) {
        e->alive++;
    } else {
        one_ended(one, rc);
    }
}

int enroll_one(struct enroll *e, const char *tenant, const char *fresh, enroll_cb cb, void *arg)
{
    struct one *one = calloc(1, sizeof *one);

    if (one == NULL) {
        return ERR_NOMEM;
    }
    *one = (struct one){.enroll = e, .cb = cb, .arg = arg};
    (void)snprintf(one->name, sizeof one->name, "%s", tenant);
    (void)snprintf(one->fresh, sizeof one->fresh, "%s", fresh);
    int rc = overlay_apply(e->dispatcher->overlay, NULL, 0, on_read_for, one);
    if (rc == ERR_OK) {
        e->alive++;
    } else {
        free(one);
    }
    return rc;
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
