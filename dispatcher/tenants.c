/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "config/node.h"
#include "daemon/keyring.h"
#include "enroll.h"
#include "overlay.h"
#include "snapshot.h"
#include "views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TENANT_SIZE = 80,
    INSTANCE_SIZE = 136,
    PIECES = 4,
    NOTE_MAX = 1000,
    LOOK_MS = 20,
    LOOKS_FOR_MS = 3000,
    /* Ingress and workers read the index each second: a tenant's first call finds it known. */
    NEW_TENANT_MS = 1200
};

struct tenants {
    struct dispatcher *dispatcher;
    struct list ops;
    bool is_freed;
};

struct op;

struct verb {
    const char *method;
    const char *word; /* the path's last piece; NULL: the thing itself */
    bool is_instance;
    /* Judges the request by the fresh overlay and adds what is to be said; false: answered. */
    bool (*plan)(struct op *op);
};

/* A word of the overlay, owned. */
struct saying {
    const char *word;
    char *field;
    char *value;
};

struct op {
    struct list link;
    struct tenants *tenants;
    struct httpd_req *req; /* NULL: answered, or its caller has gone */
    const struct verb *verb;
    char tenant[TENANT_SIZE];
    char instance[INSTANCE_SIZE];
    char *body;
    size_t body_n;
    struct saying *says;
    size_t n_says;
    bool has_failed; /* without memory */
    bool is_new;     /* tenant or instance */
    bool is_removal;
    bool is_put_back; /* a removal that was refused */
    char fresh[INSTANCE_SIZE];
    int64_t exact_after_ms;
    struct loop_timer *timer;
    struct mono enrolled;
    char version[ENROLL_VERSION_SIZE];
};

/* --- an op's life ------------------------------------------------------------------------------
 */

static void forget_says(struct op *op)
{
    for (size_t i = 0; i < op->n_says; i++) {
        free(op->says[i].field);
        free(op->says[i].value);
    }
    free(op->says);
    op->says = NULL;
    op->n_says = 0;
}

static void op_release(struct op *op)
{
    loop_timer_free(op->timer);
    forget_says(op);
    free(op->body);
    free(op);
}

static void let_go(struct tenants *t)
{
    if (t->is_freed && list_is_empty(&t->ops)) {
        free(t);
    }
}

static void op_free(struct op *op)
{
    struct tenants *t = op->tenants;

    list_remove(&op->link);
    op_release(op);
    let_go(t);
}

static void refuse(struct op *op, enum problem p, const char *detail)
{
    struct problem_more more = {.detail = detail};

    if (op->req != NULL) {
        problem_answer(op->req, p, &more);
        op->req = NULL;
    }
}

static void on_gone(struct httpd_req *r, void *arg)
{
    struct op *op = httpd_data(r);

    (void)arg;
    op->req = NULL; /* what was asked for goes on */
}

static void fail(struct op *op, int rc)
{
    if (rc == ERR_NOMEM) {
        refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else {
        refuse(op, PROBLEM_UNAVAILABLE,
               "The store did not answer: it is not known whether this holds. Send it again.");
    }
    op_free(op);
}

static struct dispatcher *dispatcher_of(const struct op *op)
{
    return op->tenants->dispatcher;
}

/* --- what is said ------------------------------------------------------------------------------
 */

static void say(struct op *op, const char *word, struct str field, struct str value)
{
    struct saying *more = realloc(op->says, (op->n_says + 1) * sizeof *more);

    if (more == NULL) {
        op->has_failed = true;
        return;
    }
    op->says = more;
    struct saying *s = &more[op->n_says++];
    *s = (struct saying){word, str_dup(field), str_dup(value)};
    op->has_failed = op->has_failed || s->field == NULL || s->value == NULL;
}

/* About the tenant (instance empty) or an instance of it. */
static void say_of(struct op *op, const char *word, char kind, const char *instance,
                   struct str value)
{
    struct buf field = {0};

    overlay_field(kind, str_of(op->tenant), str_of(instance), &field);
    if (buf_failed(&field)) {
        op->has_failed = true;
    } else {
        say(op, word, buf_as_str(&field), value);
    }
    buf_fini(&field);
}

/* ttl and forever name the instance alone. */
static void say_time(struct op *op, const char *tenant, const char *instance, int64_t ttl_ms)
{
    struct buf name = {0};
    char number[24] = "";

    if (ttl_ms > 0) {
        (void)snprintf(number, sizeof number, "%" PRId64, ttl_ms);
    }
    buf_printf(&name, "%s %s", tenant, instance);
    if (buf_failed(&name)) {
        op->has_failed = true;
    } else {
        say(op, ttl_ms > 0 ? "ttl" : "forever", buf_as_str(&name), str_of(number));
    }
    buf_fini(&name);
}

static int send_says(struct op *op, overlay_cb cb)
{
    struct overlay_op *ops = calloc(op->n_says + 1, sizeof *ops);

    if (ops == NULL || op->has_failed) {
        free(ops);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < op->n_says; i++) {
        ops[i] = (struct overlay_op){op->says[i].word, str_of(op->says[i].field),
                                     str_of(op->says[i].value)};
    }
    int rc = overlay_apply(dispatcher_of(op)->overlay, ops, op->n_says, cb, op);
    free(ops);
    return rc;
}

/* --- answers -----------------------------------------------------------------------------------
 */

/* One line a mistake becomes one sentence. */
static void refuse_mistakes(struct op *op, const struct buf *mistakes)
{
    struct str rest = mistakes->n == 0 ? (struct str){"", 0} : buf_as_str(mistakes);
    struct buf detail = {0};
    struct str line;

    while (str_cut(&rest, '\n', &line)) {
        if (line.n > 0) {
            buf_text(&detail, detail.n == 0 ? "" : "; ");
            buf_str(&detail, line);
        }
    }
    refuse(op, PROBLEM_INVALID, buf_failed(&detail) ? NULL : detail.p);
    buf_fini(&detail);
}

static void answer(struct op *op, int status, struct buf *body)
{
    struct httpd_answer a = {
        .status = status, .content_type = "application/json", .body = buf_as_str(body)};

    if (op->req != NULL && buf_failed(body)) {
        refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else if (op->req != NULL) {
        httpd_answer(op->req, &a);
        op->req = NULL;
    }
    buf_fini(body);
}

static void answer_nothing(struct op *op)
{
    struct httpd_answer a = {.status = 204};

    if (op->req != NULL) {
        httpd_answer(op->req, &a);
        op->req = NULL;
    }
}

static void answer_view(struct op *op, const struct tenant *t)
{
    struct dispatcher *d = dispatcher_of(op);
    struct buf body = {0};
    const struct tenant_instance *i =
        op->instance[0] == '\0' ? NULL : tenant_instance_of(t, str_of(op->instance));

    if (i != NULL) {
        views_instance(d, t, i, &body);
    } else {
        views_tenant(d, t, /* has_settings= */ true, &body);
    }
    if (op->exact_after_ms > 0 && !buf_failed(&body)) {
        body.n--; /* the brace */
        buf_printf(&body, ",\"exact_after_s\":%.3f}", (double)op->exact_after_ms / 1000);
    }
    answer(op, op->is_new && op->verb->word == NULL ? 201 : 200, &body);
}

static void answer_enrolled(struct op *op)
{
    struct tenant *t;
    int rc = overlay_effective(dispatcher_of(op)->overlay, str_of(op->tenant), &t);

    if (op->is_put_back) {
        refuse(op, PROBLEM_TENANT_BUSY,
               "The tenant has unended jobs: wait until they have ended, or cancel them. Nothing "
               "was changed.");
    } else if (rc == ERR_MISSING && !op->is_removal) {
        refuse(op, PROBLEM_UNKNOWN_TENANT, NULL); /* it left meanwhile: nothing was said */
    } else if (rc == ERR_OK && !(op->is_removal && op->instance[0] != '\0')) {
        answer_view(op, t);
    } else {
        answer_nothing(op);
    }
    if (rc == ERR_OK) {
        tenant_free(t);
    }
    op_free(op);
}

/* --- steps -------------------------------------------------------------------------------------
 */

/* Whether this process reads the registry as it was just written. */
static bool is_visible(const struct op *op)
{
    struct dispatcher *d = dispatcher_of(op);
    struct registry_entry *e = registry_find(d->registry, str_of(op->tenant));

    if (op->version[0] == '\0') {
        return e == NULL;
    }
    return e != NULL && strcmp(e->version, op->version) == 0;
}

static void on_look(struct loop_timer *timer, void *arg)
{
    struct op *op = arg;
    struct dispatcher *d = dispatcher_of(op);
    int64_t waited_ms = mono_since_ms(op->enrolled, loop_now(d->loop));
    bool is_tenant_new = op->is_new && op->instance[0] == '\0';

    if ((is_visible(op) && (!is_tenant_new || waited_ms >= NEW_TENANT_MS)) ||
        waited_ms >= LOOKS_FOR_MS) {
        answer_enrolled(op);
        return;
    }
    registry_refresh(d->registry);
    loop_timer_set(timer, LOOK_MS);
}

static void note_version(struct op *op)
{
    struct tenant *t;

    op->version[0] = '\0';
    if (overlay_effective(dispatcher_of(op)->overlay, str_of(op->tenant), &t) == ERR_OK) {
        char *json = tenant_to_json(t);
        if (json != NULL) {
            enroll_version(str_of(json), op->version);
        }
        free(json);
        tenant_free(t);
    }
}

static void on_said(int rc, void *arg);

/* A job was accepted while the tenant left: all that was said of it is said again. */
static void put_back(struct op *op)
{
    op->is_put_back = true;
    int rc = send_says(op, on_said);
    if (rc != ERR_OK) {
        fail(op, rc);
    }
}

static void on_enrolled(int rc, void *arg)
{
    struct op *op = arg;
    struct dispatcher *d = dispatcher_of(op);

    if (rc == ERR_BUSY && op->is_removal && !op->is_put_back) {
        put_back(op);
        return;
    }
    if (rc != ERR_OK) {
        fail(op, rc);
        return;
    }
    note_version(op);
    op->enrolled = loop_now(d->loop);
    loop_timer_set(op->timer, 0);
}

static void on_said(int rc, void *arg)
{
    struct op *op = arg;

    FAULT_HERE(dispatcher_said);
    rc = rc != ERR_OK
             ? rc
             : enroll_one(dispatcher_of(op)->enroll, op->tenant, op->fresh, on_enrolled, op);
    if (rc != ERR_OK) {
        fail(op, rc);
    }
}

static void on_fresh(int rc, void *arg)
{
    struct op *op = arg;

    if (rc != ERR_OK) {
        fail(op, rc);
        return;
    }
    if (!op->verb->plan(op)) {
        op_free(op);
    }
}

/* The plan is made. */
static bool go_on(struct op *op)
{
    int rc = send_says(op, on_said);

    if (rc != ERR_OK) {
        refuse(op, rc == ERR_NOMEM ? PROBLEM_INTERNAL : PROBLEM_UNAVAILABLE,
               "The store does not answer. Send it again.");
    }
    return rc == ERR_OK;
}

/* --- verbs -------------------------------------------------------------------------------------
 */

/* Slots are counted where something is limited. */
static bool is_counted(const struct tenant *t, const struct tenant_instance *i)
{
    return t->concurrency > 0 || i->concurrency > 0;
}

/* What runs uncounted when a limit comes is over by then. 0: nothing does. */
static int64_t exact_after_ms(const struct tenant *before, const struct tenant *after)
{
    for (size_t k = 0; before != NULL && k < before->n_instances; k++) {
        const struct tenant_instance *was = &before->instances[k];
        const struct tenant_instance *is = tenant_instance_of(after, str_of(was->name));
        bool is_limited = after->concurrency > 0 || (is != NULL && is_counted(after, is));
        if (is_limited && !is_counted(before, was)) {
            return before->timeouts.total_ms + before->slot_linger_ms;
        }
    }
    return 0;
}

static void trim_slashes(struct str *path)
{
    while (path->n > 1 && path->p[path->n - 1] == '/') {
        path->n--;
    }
}

/* An api belongs to one tenant. */
static void check_apis(const struct op *op, const struct tenant *t, struct buf *mistakes)
{
    struct registry *registry = dispatcher_of(op)->registry;
    size_t cursor = 0;
    struct registry_entry *e;

    while (registry_next(registry, &cursor, &e)) {
        for (size_t i = 0; i < t->n_apis && strcmp(e->tenant->name, t->name) != 0; i++) {
            for (size_t k = 0; k < e->tenant->n_apis; k++) {
                struct str mine = str_of(t->apis[i]);
                struct str other = str_of(e->tenant->apis[k]);
                trim_slashes(&mine);
                trim_slashes(&other);
                if (str_is(mine, other)) {
                    buf_printf(mistakes, "apis[%zu]: %s is an api of the tenant %s already\n", i,
                               t->apis[i], e->tenant->name);
                }
            }
        }
    }
}

static struct str body_of(const struct op *op)
{
    return (struct str){op->body == NULL ? "" : op->body, op->body_n};
}

/* What the overlay says must no longer hold: the document lists all its instances anew. */
static void say_listed(struct op *op)
{
    const struct overlay *o = dispatcher_of(op)->overlay;
    size_t cursor = 0;
    struct str field, value, tenant, instance;
    char kind;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &tenant, &instance) && kind == 'x' &&
            str_is(tenant, str_of(op->tenant))) {
            say(op, "del", field, (struct str){"", 0});
        }
    }
}

static bool plan_put_tenant(struct op *op)
{
    struct dispatcher *d = dispatcher_of(op);
    const struct config *c = daemon_config(d->daemon);
    struct registry_entry *before = registry_find(d->registry, str_of(op->tenant));
    struct buf mistakes = {0};
    struct tenant *t;
    struct tenant *old;
    char *json = NULL;
    bool is_going = false;
    int rc = tenant_decode_over(str_of(op->tenant), str_of(c->defaults_json), body_of(op), &t,
                                &mistakes);

    if (rc == ERR_OK) {
        check_apis(op, t, &mistakes);
    }
    if (mistakes.n > 0 || (rc != ERR_OK && rc != ERR_NOMEM)) {
        refuse_mistakes(op, &mistakes);
    } else if (rc == ERR_OK && (json = tenant_to_json(t)) != NULL) {
        op->is_new = overlay_effective(d->overlay, str_of(op->tenant), &old) != ERR_OK;
        if (!op->is_new) {
            tenant_free(old);
        }
        op->exact_after_ms = exact_after_ms(before == NULL ? NULL : before->tenant, t);
        say_of(op, "set", 't', "", str_of(json));
        say_listed(op);
        is_going = go_on(op);
    } else {
        refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    }
    if (rc == ERR_OK) {
        tenant_free(t);
    }
    free(json);
    buf_fini(&mistakes);
    return is_going;
}

/* All that is said of the tenant, so that it can be said again. */
static void save_says(struct op *op)
{
    const struct overlay *o = dispatcher_of(op)->overlay;
    size_t cursor = 0;
    struct str field, value, tenant, instance;
    char kind;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &tenant, &instance) && str_is(tenant, str_of(op->tenant))) {
            say(op, "nx", field, value);
        }
    }
}

static void drop(struct op *op)
{
    struct overlay_op ops = {"drop", str_of(op->tenant), {"", 0}};

    save_says(op);
    int rc = op->has_failed ? ERR_NOMEM
                            : overlay_apply(dispatcher_of(op)->overlay, &ops, 1, on_said, op);
    if (rc != ERR_OK) {
        fail(op, rc);
    }
}

static void on_counted(int rc, const struct store_value *v, void *arg)
{
    struct op *op = arg;

    if (rc != ERR_OK || v->type != STORE_INTEGER) {
        fail(op, rc == ERR_OK ? ERR_PROTOCOL : rc);
    } else if (v->integer > 0) {
        op->is_put_back = true;
        answer_enrolled(op);
    } else {
        drop(op);
    }
}

static bool plan_delete_tenant(struct op *op)
{
    struct dispatcher *d = dispatcher_of(op);
    struct str none = {"", 0};
    bool is_put = overlay_get(d->overlay, 't', str_of(op->tenant), none).p != NULL;
    bool is_of_file = config_tenant(daemon_config(d->daemon), str_of(op->tenant)) != NULL;
    char key[TENANT_SIZE + 8];

    if (!is_put) {
        refuse(op, is_of_file ? PROBLEM_OWNED_BY_FILE : PROBLEM_UNKNOWN_TENANT,
               is_of_file ? "The tenant stands in the configuration file: take it out there."
                          : NULL);
        return false;
    }
    op->is_removal = true;
    if (is_of_file) {
        drop(op); /* the file's is in force again: it does not leave */
        return true;
    }
    (void)snprintf(key, sizeof key, "{%s}:u", op->tenant);
    struct str words[] = {STR("ZCARD"), str_of(key)};
    if (store_command(d->store, words, 2, on_counted, op) != ERR_OK) {
        refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer. Send it again.");
        return false;
    }
    return true;
}

/* The tenant as it stands; NULL: answered. The caller frees. */
static struct tenant *standing(struct op *op)
{
    struct str none = {"", 0};
    struct tenant *t;
    int rc = overlay_effective(dispatcher_of(op)->overlay, str_of(op->tenant), &t);

    if (rc == ERR_OK) {
        if (overlay_get(dispatcher_of(op)->overlay, 't', str_of(op->tenant), none).p != NULL) {
            say_of(op, "only", 't', "", none); /* another dispatcher may be removing it */
        }
        return t;
    }
    if (rc == ERR_NOMEM) {
        refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else {
        refuse(op, PROBLEM_UNKNOWN_TENANT, NULL);
    }
    return NULL;
}

/* {"note": "…"} or nothing. */
static bool read_note(struct op *op, struct buf *note)
{
    struct node *tree = NULL;
    struct buf why = {0};
    int line = 0;
    int rc = op->body_n == 0 ? ERR_OK : node_parse(body_of(op), &tree, &line, &why);
    const struct node *n = node_get(tree, "note");
    size_t n_known = n != NULL ? 1 : 0;
    bool is_empty = tree == NULL || tree->kind == NODE_NULL;

    if (n != NULL && n->kind == NODE_TEXT) {
        buf_str(note, node_text(n));
    }
    bool is_sound = rc == ERR_OK && (is_empty || (tree->kind == NODE_MAP && tree->n == n_known)) &&
                    (n == NULL || n->kind == NODE_TEXT || n->kind == NODE_NULL) &&
                    note->n <= NOTE_MAX;
    for (size_t i = 0; i < note->n; i++) {
        is_sound = is_sound && (unsigned char)note->p[i] >= 0x20 && note->p[i] != 0x7F;
    }
    if (!is_sound) {
        refuse(op, PROBLEM_INVALID,
               "Expected {\"note\": \"…\"}, of 1000 bytes at most and without control characters.");
    } else if (note->n == 0) {
        buf_text(note, "paused");
    }
    node_free(tree);
    buf_fini(&why);
    return is_sound;
}

static bool plan_pause(struct op *op)
{
    struct tenant *t = standing(op);
    struct buf note = {0};
    struct buf value = {0};
    bool is_going = false;

    if (t != NULL && read_note(op, &note)) {
        buf_printf(&value, "%" PRId64 "\t", clock_wall().ms);
        buf_str(&value, buf_as_str(&note));
        op->has_failed = op->has_failed || buf_failed(&note) || buf_failed(&value);
        say_of(op, "set", 'p', "", buf_as_str(&value));
        is_going = go_on(op);
    }
    tenant_free(t);
    buf_fini(&note);
    buf_fini(&value);
    return is_going;
}

static bool plan_resume(struct op *op)
{
    struct tenant *t = standing(op);
    bool is_going = false;

    if (t != NULL) {
        say_of(op, "del", 'p', "", (struct str){"", 0});
        is_going = go_on(op);
    }
    tenant_free(t);
    return is_going;
}

/* Puts the instance into `t`, too, to see what changes. */
static bool say_instance(struct op *op, struct tenant *t, struct tenant_instance *i, int64_t ttl_ms)
{
    struct registry_entry *before = registry_find(dispatcher_of(op)->registry, str_of(op->tenant));
    const struct tenant_instance *was = tenant_instance_of(t, str_of(op->instance));
    char *json = tenant_instance_to_json(i, ttl_ms);
    struct str none = {"", 0};

    op->is_new = was == NULL;
    if (was == NULL || strcmp(was->url, i->url) != 0) {
        (void)snprintf(op->fresh, sizeof op->fresh, "%s", op->instance);
    }
    int rc = tenant_take_instance(t, i);
    op->has_failed = op->has_failed || json == NULL || rc != ERR_OK;
    op->exact_after_ms = exact_after_ms(before == NULL ? NULL : before->tenant, t);
    say_of(op, "set", 'i', op->instance, json == NULL ? none : str_of(json));
    say_of(op, "del", 'd', op->instance, none);
    say_of(op, "del", 'x', op->instance, none);
    say_time(op, op->tenant, op->instance, ttl_ms);
    free(json);
    return go_on(op);
}

static bool plan_put_instance(struct op *op)
{
    struct tenant *t = standing(op);
    struct tenant_instance *i;
    struct buf mistakes = {0};
    int64_t ttl_ms;
    bool is_going = false;

    if (t != NULL) {
        int rc = tenant_instance_decode(str_of(op->instance), body_of(op), &i, &ttl_ms, &mistakes);
        if (rc == ERR_OK) {
            is_going = say_instance(op, t, i, ttl_ms);
        } else if (rc == ERR_NOMEM) {
            refuse(op, PROBLEM_INTERNAL, "Out of memory.");
        } else {
            refuse_mistakes(op, &mistakes);
        }
    }
    tenant_free(t);
    buf_fini(&mistakes);
    return is_going;
}

/* The tenant, and in it the instance; NULL: answered. The caller frees. */
static struct tenant *standing_instance(struct op *op)
{
    struct tenant *t = standing(op);

    if (t != NULL && tenant_instance_of(t, str_of(op->instance)) == NULL) {
        refuse(op, PROBLEM_NOT_FOUND, "The tenant has no such instance.");
        tenant_free(t);
        t = NULL;
    }
    return t;
}

static bool plan_delete_instance(struct op *op)
{
    struct tenant *t = standing_instance(op);
    struct tenant *document;
    struct str none = {"", 0};

    if (t == NULL) {
        return false;
    }
    tenant_free(t);
    int rc = overlay_document(dispatcher_of(op)->overlay, str_of(op->tenant), &document);
    if (rc != ERR_OK) {
        refuse(op, PROBLEM_INTERNAL, "Out of memory.");
        return false;
    }
    op->is_removal = true;
    say_of(op, "del", 'i', op->instance, none);
    say_of(op, "del", 'd', op->instance, none);
    say_time(op, op->tenant, op->instance, 0);
    if (tenant_instance_of(document, str_of(op->instance)) != NULL) {
        say_of(op, "set", 'x', op->instance, STR("1"));
    }
    tenant_free(document);
    return go_on(op);
}

static bool plan_drain(struct op *op)
{
    struct tenant *t = standing_instance(op);

    if (t == NULL) {
        return false;
    }
    tenant_free(t);
    say_of(op, "set", 'd', op->instance, STR("hand"));
    return go_on(op);
}

static const struct verb verbs[] = {
    {"PUT", NULL, false, plan_put_tenant},  {"DELETE", NULL, false, plan_delete_tenant},
    {"POST", "pause", false, plan_pause},   {"POST", "resume", false, plan_resume},
    {"PUT", NULL, true, plan_put_instance}, {"DELETE", NULL, true, plan_delete_instance},
    {"POST", "drain", true, plan_drain},
};

/* --- restore -----------------------------------------------------------------------------------
 */

static struct str restore_path(void)
{
    return STR("/v1/registry/restore");
}

static bool has_parameter(const struct httpd_req *r, struct str wanted)
{
    struct str rest = httpd_query(r);
    struct str piece;

    while (rest.p != NULL && str_cut(&rest, '&', &piece)) {
        if (str_is(piece, wanted)) {
            return true;
        }
    }
    return false;
}

/* Said anew meanwhile: that stands. */
static bool is_overtaken(const struct overlay *o, struct str field)
{
    struct str tenant, instance;
    char kind;

    if (!overlay_split(field, &kind, &tenant, &instance)) {
        return true;
    }
    return overlay_get(o, kind, tenant, instance).p != NULL ||
           ((kind == 'd' || kind == 'x') && overlay_get(o, 'i', tenant, instance).p != NULL);
}

static void say_lost(struct op *op, struct str field, struct str value)
{
    struct str tenant, instance;
    struct tenant_instance *i;
    int64_t ttl_ms;
    char kind;

    if (!overlay_split(field, &kind, &tenant, &instance)) {
        return;
    }
    say(op, "nx", field, value);
    if (kind == 'i' && tenant_instance_decode(instance, value, &i, &ttl_ms, NULL) == ERR_OK) {
        if (ttl_ms > 0) {
            char number[24];
            (void)snprintf(number, sizeof number, "%" PRId64, ttl_ms);
            say(op, "ttl", (struct str){field.p + 2, field.n - 2}, str_of(number));
        }
        tenant_instance_free(i);
    }
}

/* "erp", or "erp/erp-1". */
static void print_name(struct str field, struct buf *out)
{
    struct str tenant, instance;
    struct buf name = {0};
    char kind;

    if (overlay_split(field, &kind, &tenant, &instance)) {
        buf_printf(&name, "%.*s%s%.*s", STR_ARG(tenant), instance.n > 0 ? "/" : "",
                   STR_ARG(instance));
    }
    buf_json_str(out, buf_failed(&name) ? (struct str){"", 0} : buf_as_str(&name));
    buf_fini(&name);
}

static void print_lost(const struct snapshot *s, const struct overlay *o, char wanted,
                       const char *member, struct buf *out)
{
    size_t cursor = 0;
    struct str field, value;
    bool is_first = true;

    buf_printf(out, "\"%s\":[", member);
    while (snapshot_next_lost(s, &cursor, &field, &value)) {
        if (field.p[0] == wanted && !is_overtaken(o, field)) {
            buf_text(out, is_first ? "" : ",");
            print_name(field, out);
            is_first = false;
        }
    }
    buf_text(out, "],");
}

static void print_restore(const struct op *op, const char *done, struct buf *out)
{
    const struct overlay *o = dispatcher_of(op)->overlay;
    const struct snapshot *s = overlay_snapshot(o);

    buf_char(out, '{');
    print_lost(s, o, 't', "tenants", out);
    print_lost(s, o, 'i', "instances", out);
    print_lost(s, o, 'd', "draining", out);
    print_lost(s, o, 'x', "removed", out);
    print_lost(s, o, 'p', "paused", out);
    buf_printf(out, "\"done\":\"%s\"}", done);
}

static void on_restored(int rc, void *arg)
{
    struct op *op = arg;
    struct buf body = {0};

    if (rc != ERR_OK) {
        fail(op, rc);
        return;
    }
    buf_str(&body, body_of(op)); /* printed before: what was lost is no longer known */
    answer(op, 200, &body);
    op_free(op);
}

static bool plan_restore(struct op *op)
{
    struct overlay *o = dispatcher_of(op)->overlay;
    const struct snapshot *s = overlay_snapshot(o);
    bool is_dry = has_parameter(op->req, STR("dry_run=1"));
    bool is_discard = has_parameter(op->req, STR("discard=1"));
    struct buf body = {0};
    size_t cursor = 0;
    struct str field, value;

    if (s == NULL) {
        refuse(op, PROBLEM_NOT_FOUND,
               "This dispatcher keeps no snapshot: dispatcher.state_dir is not set.");
        return false;
    }
    print_restore(op, is_dry ? "nothing" : is_discard ? "discarded" : "restored", &body);
    if (is_dry) {
        answer(op, 200, &body);
        return false;
    }
    free(op->body);
    op->body = buf_take(&body, &op->body_n);
    op->has_failed = op->body == NULL;
    while (!is_discard && snapshot_next_lost(s, &cursor, &field, &value)) {
        if (!is_overtaken(o, field)) {
            say_lost(op, field, value);
        }
    }
    say(op, "set", STR(":restored"), STR("1"));
    log_event(LOG_INFO, "registry_restored", "sayings=%zu", op->n_says - 1);
    int rc = send_says(op, on_restored);
    if (rc != ERR_OK) {
        refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer. Send it again.");
    }
    return rc == ERR_OK;
}

static const struct verb restore_verb = {"POST", NULL, false, plan_restore};

/* --- requests ----------------------------------------------------------------------------------
 */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* A piece of the path, percent-decoded; false: with a NUL. One that is too long for any name is
 * cut, and still too long. */
static bool decode_piece(struct str piece, char *to, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        if (c == '%' && i + 2 < piece.n && hex(piece.p[i + 1]) >= 0 && hex(piece.p[i + 2]) >= 0) {
            c = (char)(hex(piece.p[i + 1]) * 16 + hex(piece.p[i + 2]));
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        if (n + 1 < size) {
            to[n++] = c;
        }
    }
    to[n] = '\0';
    return n > 0;
}

/* What a path asks about. */
struct asked {
    char tenant[TENANT_SIZE];
    char instance[INSTANCE_SIZE];
    struct str word; /* empty: the thing itself */
    bool is_instance;
};

static bool read_path(struct str path, struct asked *ret)
{
    struct str prefix = STR("/v1/tenants/");
    struct str pieces[PIECES] = {{"", 0}};
    struct str rest = {path.p + prefix.n, path.n - prefix.n};
    size_t n = 0;

    *ret = (struct asked){.word = {"", 0}};
    if (!str_starts(path, prefix)) {
        return false;
    }
    while (n < PIECES && rest.p != NULL && str_cut(&rest, '/', &pieces[n])) {
        n++;
    }
    /* A slash at the end names nothing: some take …/instances/.. for it. */
    if (n > 1 && pieces[n - 1].n == 0) {
        return false;
    }
    if (rest.p != NULL || !decode_piece(pieces[0], ret->tenant, sizeof ret->tenant)) {
        return false;
    }
    ret->is_instance = n >= 3 && str_is(pieces[1], STR("instances"));
    if (ret->is_instance) {
        ret->word = pieces[3];
        return decode_piece(pieces[2], ret->instance, sizeof ret->instance);
    }
    ret->word = pieces[1];
    return n <= 2;
}

static const struct verb *verb_of(const struct asked *a, struct str method, struct buf *allow)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct str word = verbs[i].word == NULL ? (struct str){"", 0} : str_of(verbs[i].word);
        if (verbs[i].is_instance != a->is_instance || !str_is(word, a->word)) {
            continue;
        }
        if (str_is(method, str_of(verbs[i].method))) {
            return &verbs[i];
        }
        buf_printf(allow, "%s%s", allow->n == 0 ? "" : ", ", verbs[i].method);
    }
    return NULL;
}

static void begin(struct tenants *t, struct httpd_req *r, const struct verb *verb,
                  const struct asked *a)
{
    struct op *op = calloc(1, sizeof *op);

    if (op == NULL || loop_timer_new(t->dispatcher->loop, on_look, op, &op->timer) != ERR_OK) {
        free(op);
        problem_answer(r, PROBLEM_INTERNAL, NULL);
        return;
    }
    op->tenants = t;
    op->req = r;
    op->verb = verb;
    memcpy(op->tenant, a->tenant, sizeof op->tenant);
    memcpy(op->instance, a->instance, sizeof op->instance);
    op->body = httpd_body_take(r, &op->body_n);
    list_push_back(&t->ops, &op->link);
    httpd_set_data(r, op);
    httpd_keep(r, on_gone);
    if (overlay_apply(t->dispatcher->overlay, NULL, 0, on_fresh, op) != ERR_OK) {
        refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer. Send it again.");
        op_free(op);
    }
}

/* True: refused, and answered. */
static bool refuse_key(struct tenants *t, struct httpd_req *r, struct str tenant)
{
    struct dispatcher *d = t->dispatcher;
    struct keyring_pass pass = keyring_check(d->keys, r, CONFIG_ADMIN, tenant, loop_now(d->loop));

    return keyring_refuse(&pass, r);
}

static void refuse_method(struct httpd_req *r, struct str allowed)
{
    struct httpd_field allow[] = {{STR("Allow"), allowed}};
    struct problem_more more = {.fields = allow, .n_fields = 1};

    problem_answer(r, PROBLEM_METHOD, &more);
}

static bool restore_request(struct tenants *t, struct httpd_req *r)
{
    struct asked nobody = {.word = {"", 0}};

    if (!str_is(httpd_path(r), restore_path())) {
        return false;
    }
    if (!str_is(httpd_method(r), STR("POST"))) {
        refuse_method(r, STR("POST"));
    } else if (!refuse_key(t, r, STR("*"))) { /* a key of some tenants may not */
        begin(t, r, &restore_verb, &nobody);
    }
    return true;
}

bool tenants_request(struct tenants *t, struct httpd_req *r)
{
    struct str method = httpd_method(r);
    bool is_read = str_is(method, STR("GET")) || str_is(method, STR("HEAD"));
    struct asked asked;
    struct buf allow = {0};

    if (restore_request(t, r)) {
        return true;
    }
    if (!read_path(httpd_path(r), &asked) || (is_read && !asked.is_instance && asked.word.n == 0)) {
        return false;
    }
    const struct verb *verb = verb_of(&asked, method, &allow);
    if (verb == NULL && allow.n == 0) {
        return false;
    }
    if (verb == NULL) {
        bool is_readable = !asked.is_instance && asked.word.n == 0;
        if (is_readable) {
            buf_text(&allow, ", GET, HEAD");
        }
        refuse_method(r, buf_as_str(&allow));
    } else if (!refuse_key(t, r, str_of(asked.tenant))) {
        begin(t, r, verb, &asked);
    }
    buf_fini(&allow);
    return true;
}

/* --- life --------------------------------------------------------------------------------------
 */

int tenants_new(struct dispatcher *d, struct tenants **ret)
{
    struct tenants *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->dispatcher = d;
    list_init(&t->ops);
    *ret = t;
    return ERR_OK;
}

void tenants_free(struct tenants *t)
{
    struct list *at;

    if (t == NULL) {
        return;
    }
    t->is_freed = true;
    at = t->ops.next;
    while (at != &t->ops) {
        struct op *op = LIST_OF(at, struct op, link);
        at = at->next;
        refuse(op, PROBLEM_UNAVAILABLE,
               "This dispatcher is stopping: it is not known whether this holds. Send it again.");
        /* The others end with the answer that they wait for, at the latest when the store goes. */
        if (loop_timer_is_set(op->timer)) {
            list_remove(&op->link);
            op_release(op);
        }
    }
    let_go(t);
}
