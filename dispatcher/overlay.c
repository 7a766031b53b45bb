/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay.h"

#include "base/log.h"
#include "leader.h"
#include "snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OVERLAY_KEY "{sluice}:put"
#define EPOCH_KEY "{sluice}:epoch"

enum { EPOCH_SIZE = 64, HEAD = 3, REVISION_SIZE = 24, KEEP_AGAIN_MS = 5000 };

struct overlay {
    struct dispatcher *dispatcher;
    overlay_changed_cb on_change;
    struct snapshot *snapshot; /* or NULL */
    struct map fields;         /* field → text, owned */
    struct mono tried;         /* when the snapshot was written last, or could not be */
    int64_t revision;
    char epoch[EPOCH_SIZE]; /* of the copy; "" before the first reading */
    int64_t ahead_ms;       /* how far the store's clock is ahead of our monotonic one */
    bool has_times;         /* refreshes are no changes: where times are, all is read again */
    bool is_asking;         /* a turn's reading is under way */
    bool is_freed;
    unsigned int alive;
};

/* One call of the script on its way. */
struct call {
    struct overlay *overlay;
    overlay_cb cb;
    void *arg;
    char epoch[EPOCH_SIZE]; /* as it was sent */
};

static void clear(struct overlay *o)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    while (map_next(&o->fields, &cursor, &key, &value)) {
        free(value);
    }
    map_fini(&o->fields);
    o->fields = (struct map){0};
}

static void let_go(struct overlay *o)
{
    if (--o->alive == 0) {
        clear(o);
        snapshot_free(o->snapshot);
        free(o);
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

void overlay_field(char kind, struct str tenant, struct str instance, struct buf *out)
{
    buf_clear(out);
    buf_char(out, kind);
    buf_char(out, ' ');
    buf_str(out, tenant);
    if (instance.n > 0) {
        buf_char(out, ' ');
        buf_str(out, instance);
    }
}

bool overlay_split(struct str field, char *ret_kind, struct str *ret_tenant,
                   struct str *ret_instance)
{
    struct str rest = {field.p + 2, field.n - 2};

    if (field.n < 3 || field.p[1] != ' ') {
        return false;
    }
    *ret_kind = field.p[0];
    (void)str_cut(&rest, ' ', ret_tenant);
    *ret_instance = rest.p == NULL ? (struct str){"", 0} : rest;
    return true;
}

struct str overlay_get(const struct overlay *o, char kind, struct str tenant, struct str instance)
{
    struct buf field = {0};

    overlay_field(kind, tenant, instance, &field);
    const char *text = buf_failed(&field) ? NULL : map_get(&o->fields, buf_as_str(&field));
    buf_fini(&field);
    return str_of(text);
}

bool overlay_next(const struct overlay *o, size_t *cursor, struct str *ret_field,
                  struct str *ret_value)
{
    void *text;

    if (!map_next(&o->fields, cursor, ret_field, &text)) {
        return false;
    }
    *ret_value = str_of(text);
    return true;
}

bool overlay_is_silent(const struct overlay *o, struct str tenant)
{
    size_t cursor = 0;
    struct str field, value, name, instance;
    char kind;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &name, &instance) && str_is(name, tenant)) {
            return false;
        }
    }
    return true;
}

void overlay_drains(const struct overlay *o, struct str tenant, struct buf *out)
{
    size_t cursor = 0;
    struct str field, value, name, instance;
    char kind;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &name, &instance) && kind == 'd' && str_is(name, tenant)) {
            buf_str(out, instance);
            buf_char(out, '\n');
        }
    }
}

/* "<ms>\t<note>" */
struct str overlay_pause(const struct overlay *o, struct str tenant, struct wall *ret_since)
{
    struct str value = overlay_get(o, 'p', tenant, (struct str){"", 0});
    struct str since;
    int64_t ms = 0;

    if (value.p == NULL || !str_cut(&value, '\t', &since) || value.p == NULL) {
        return (struct str){NULL, 0};
    }
    (void)str_to_i64(since, &ms); /* our own writing */
    if (ret_since != NULL) {
        *ret_since = (struct wall){ms};
    }
    return value;
}

/* --- what it makes of the tenants ------------------------------------------------------------- */

int overlay_document(const struct overlay *o, struct str name, struct tenant **ret)
{
    struct str put = overlay_get(o, 't', name, (struct str){"", 0});
    const struct config *c = daemon_config(o->dispatcher->daemon);

    if (put.p != NULL) {
        return tenant_from_json(name, put, ret);
    }
    const struct tenant *own = config_tenant(c, name);
    if (own == NULL) {
        return ERR_MISSING;
    }
    char *json = tenant_to_json(own);
    int rc = json == NULL ? ERR_NOMEM : tenant_from_json(name, str_of(json), ret);
    free(json);
    return rc;
}

static int add_instance(struct tenant *t, struct str name, struct str json)
{
    struct tenant_instance *i;
    int64_t ttl_ms;
    int rc = tenant_instance_decode(name, json, &i, &ttl_ms, NULL);

    return rc != ERR_OK ? rc : tenant_take_instance(t, i);
}

static int compare_names(const void *a, const void *b)
{
    const struct tenant_instance *left = a;
    const struct tenant_instance *right = b;

    return strcmp(left->name, right->name);
}

/* The document's instances in their order, then the others by name: the same everywhere. */
static void sort_added(struct tenant *t, size_t n_own)
{
    if (t->n_instances > n_own) {
        qsort(t->instances + n_own, t->n_instances - n_own, sizeof *t->instances, compare_names);
    }
}

int overlay_effective(const struct overlay *o, struct str name, struct tenant **ret)
{
    struct tenant *t;
    size_t cursor = 0;
    struct str field, value, tenant, instance;
    char kind;
    int rc = overlay_document(o, name, &t);

    if (rc != ERR_OK) {
        return rc;
    }
    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &tenant, &instance) && kind == 'x' &&
            str_is(tenant, name)) {
            tenant_drop_instance(t, instance);
        }
    }
    size_t n_own = t->n_instances;
    cursor = 0;
    while (rc == ERR_OK && overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &tenant, &instance) && kind == 'i' &&
            str_is(tenant, name)) {
            rc = add_instance(t, instance, value);
        }
    }
    if (rc != ERR_OK) {
        tenant_free(t);
        return rc;
    }
    sort_added(t, n_own);
    *ret = t;
    return ERR_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int put(struct map *m, struct str field, struct str text)
{
    char *copy = str_dup(text);
    int rc = copy == NULL ? ERR_NOMEM : map_put(m, field, copy);

    if (rc != ERR_OK) {
        free(copy);
    }
    return rc;
}

static void keep(struct overlay *o)
{
    o->tried = loop_now(o->dispatcher->loop);
    if (o->snapshot != NULL &&
        snapshot_keep(o->snapshot, o->epoch, o->revision, &o->fields) != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_failed", "revision=%" PRId64, o->revision);
    }
}

/* The disk was full, say: nobody may say anything new for a long time. */
static void keep_again(struct overlay *o)
{
    struct mono now = loop_now(o->dispatcher->loop);

    if (o->snapshot != NULL && snapshot_is_stale(o->snapshot) && overlay_is_read(o) &&
        mono_since_ms(o->tried, now) >= KEEP_AGAIN_MS) {
        keep(o);
    }
}

/* The whole answer in place of the copy. Answers come in the order of their calls. */
static void take(struct overlay *o, const struct call *k, const struct store_value *v)
{
    bool is_whole = v->n_items > HEAD || store_number(v, 1) == 0;
    bool is_other = store_number(v, 1) != o->revision || strcmp(o->epoch, k->epoch) != 0;
    int rc = ERR_OK;

    o->ahead_ms = store_number(v, 2) - loop_now(o->dispatcher->loop).ns / 1000000;
    if (!is_whole && !is_other) {
        keep_again(o);
        return;
    }
    clear(o);
    o->has_times = false;
    for (size_t i = HEAD; rc == ERR_OK && i + 1 < v->n_items; i += 2) {
        rc = put(&o->fields, store_word(v, i), store_word(v, i + 1));
        o->has_times = o->has_times || str_starts(store_word(v, i), STR("e "));
    }
    if (rc != ERR_OK) {
        o->epoch[0] = '\0'; /* read again */
        return;
    }
    o->revision = store_number(v, 1);
    (void)snprintf(o->epoch, sizeof o->epoch, "%s", k->epoch);
    keep(o);
    if (is_other) {
        o->on_change(o->dispatcher);
    }
}

static void on_answer(int rc, const struct store_value *v, void *arg)
{
    struct call *k = arg;
    struct overlay *o = k->overlay;

    if (!o->is_freed) {
        if (rc == ERR_OK && (v->type != STORE_ARRAY || store_number(v, 0) < 0)) {
            rc = ERR_DOWN; /* another epoch: the link notices within two seconds */
        }
        if (rc == ERR_OK) {
            take(o, k, v);
        } else if (rc == ERR_BUG) {
            log_event(LOG_ERROR, "script_failed", "script=overlay err=\"%.*s\"", STR_ARG(v->text));
        }
    }
    if (k->cb != NULL) {
        k->cb(o->is_freed ? ERR_CLOSED : rc, k->arg);
    }
    free(k);
    let_go(o);
}

/* known: the revision that need not be given again, or "". */
static int call(struct overlay *o, struct str known, const struct overlay_op *ops, size_t n_ops,
                overlay_cb cb, void *arg)
{
    struct store *s = o->dispatcher->store;
    struct str keys[] = {STR(OVERLAY_KEY), STR(EPOCH_KEY)};
    struct call *k = calloc(1, sizeof *k);
    struct str *args = calloc(2 + 3 * n_ops, sizeof *args);
    int rc = ERR_NOMEM;

    if (k == NULL || args == NULL) {
        goto out;
    }
    if (store_epoch(s) == NULL) {
        rc = ERR_DOWN;
        goto out;
    }
    *k = (struct call){.overlay = o, .cb = cb, .arg = arg};
    (void)snprintf(k->epoch, sizeof k->epoch, "%s", store_epoch(s));
    args[0] = known;
    args[1] = str_of(k->epoch);
    for (size_t i = 0; i < n_ops; i++) {
        args[2 + 3 * i] = str_of(ops[i].word);
        args[3 + 3 * i] = ops[i].field;
        args[4 + 3 * i] = ops[i].value;
    }
    rc = store_call(s, STORE_OVERLAY, keys, 2, args, 2 + 3 * n_ops, on_answer, k);
    if (rc == ERR_OK) {
        o->alive++;
        k = NULL;
    }
out:
    free(k);
    free(args);
    return rc;
}

int overlay_apply(struct overlay *o, const struct overlay_op *ops, size_t n_ops, overlay_cb cb,
                  void *arg)
{
    return call(o, (struct str){"", 0}, ops, n_ops, cb, arg);
}

bool overlay_is_read(const struct overlay *o)
{
    const char *epoch = store_epoch(o->dispatcher->store);

    return epoch != NULL && strcmp(epoch, o->epoch) == 0;
}

int64_t overlay_revision(const struct overlay *o)
{
    return o->revision;
}

struct snapshot *overlay_snapshot(const struct overlay *o)
{
    return o->snapshot;
}

/* --- times to live ---------------------------------------------------------------------------- */

/* An instance whose time is over and that drains: is it empty? */
struct look {
    struct overlay *overlay;
    struct buf instance; /* "tenant instance" */
    int64_t until_ms;    /* by the store's clock: whatever it ran has ended by then */
};

static int64_t store_now_ms(const struct overlay *o)
{
    return loop_now(o->dispatcher->loop).ns / 1000000 + o->ahead_ms;
}

static void say(struct overlay *o, const char *word, struct str instance)
{
    struct overlay_op op = {word, instance, {"", 0}};

    int rc = overlay_apply(o, &op, 1, NULL, NULL);
    (void)rc; /* the next turn says it again */
}

static void on_looked(int rc, const struct store_value *v, void *arg)
{
    struct look *l = arg;
    struct overlay *o = l->overlay;

    if (!o->is_freed && rc == ERR_OK && v->type == STORE_ARRAY) {
        /* Where nothing is limited slots are not counted: the tenant's running jobs are, all. */
        bool is_counted = store_word(v, 0).n > 0;
        bool is_empty = is_counted ? store_number(v, 0) == 0 : store_number(v, 1) == 0;
        if (is_empty || store_now_ms(o) > l->until_ms) {
            log_event(LOG_INFO, "instance_left", "instance=\"%.*s\" msg=\"not refreshed\"",
                      STR_ARG(buf_as_str(&l->instance)));
            say(o, "gone", buf_as_str(&l->instance));
        }
    }
    buf_fini(&l->instance);
    free(l);
    let_go(o);
}

static void look(struct overlay *o, struct str tenant, struct str instance, int64_t over_ms)
{
    struct registry_entry *e = registry_find(o->dispatcher->registry, tenant);
    struct look *l = calloc(1, sizeof *l);
    struct buf key = {0};
    struct buf field = {0};

    if (l == NULL) {
        return;
    }
    l->overlay = o;
    l->until_ms =
        over_ms + (e == NULL ? 0 : e->tenant->timeouts.total_ms + e->tenant->slot_linger_ms);
    buf_printf(&l->instance, "%.*s %.*s", STR_ARG(tenant), STR_ARG(instance));
    buf_printf(&key, "{%.*s}:t", STR_ARG(tenant));
    buf_printf(&field, "c:%.*s", STR_ARG(instance));
    struct str words[] = {STR("HMGET"), buf_as_str(&key), buf_as_str(&field), STR("run")};
    if (!buf_failed(&l->instance) && !buf_failed(&key) && !buf_failed(&field) &&
        store_command(o->dispatcher->store, words, 4, on_looked, l) == ERR_OK) {
        o->alive++;
    } else {
        buf_fini(&l->instance);
        free(l);
    }
    buf_fini(&key);
    buf_fini(&field);
}

static void judge_times(struct overlay *o)
{
    size_t cursor = 0;
    struct str field, value, tenant, instance;
    char kind;
    int64_t over_ms;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (!overlay_split(field, &kind, &tenant, &instance) || kind != 'e' ||
            str_to_i64(value, &over_ms) != ERR_OK || over_ms > store_now_ms(o)) {
            continue;
        }
        if (str_is(overlay_get(o, 'd', tenant, instance), STR("ttl"))) {
            look(o, tenant, instance, over_ms);
        } else {
            /* The copy may be older than a refresh; the script knows. */
            say(o, "lapse", (struct str){field.p + 2, field.n - 2});
        }
    }
}

/* --- the turn --------------------------------------------------------------------------------- */

static void on_turn(int rc, void *arg)
{
    struct overlay *o = arg;

    o->is_asking = false;
    if (rc == ERR_OK && leader_leads(o->dispatcher->leader)) {
        judge_times(o);
    }
}

void overlay_turn(struct overlay *o)
{
    char known[REVISION_SIZE] = "";

    if (o->is_asking) {
        return;
    }
    if (overlay_is_read(o) && !o->has_times) {
        (void)snprintf(known, sizeof known, "%" PRId64, o->revision);
    }
    o->is_asking = call(o, str_of(known), NULL, 0, on_turn, o) == ERR_OK;
}

/* --- life ------------------------------------------------------------------------------------- */

int overlay_new(struct dispatcher *d, const char *state_dir, overlay_changed_cb on_change,
                struct overlay **ret)
{
    struct overlay *o = calloc(1, sizeof *o);
    struct buf why = {0};
    int rc = ERR_OK;

    if (o == NULL) {
        return ERR_NOMEM;
    }
    o->dispatcher = d;
    o->on_change = on_change;
    o->alive = 1;
    if (state_dir == NULL) {
        log_event(LOG_INFO, "snapshot_off",
                  "msg=\"no dispatcher.state_dir: what is said over HTTP is only in the store\"");
    } else {
        rc = snapshot_open(state_dir, &o->snapshot, &why);
    }
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_failed", "msg=\"%s\"", why.p == NULL ? "" : why.p);
        free(o);
    } else {
        *ret = o;
    }
    buf_fini(&why);
    return rc;
}

void overlay_free(struct overlay *o)
{
    if (o != NULL) {
        o->is_freed = true;
        let_go(o);
    }
}
