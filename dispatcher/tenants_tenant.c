/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include "config/node.h"
#include "note.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- put -------------------------------------------------------------------------------------- */

static void trim_slashes(struct str *path)
{
    while (path->n > 1 && path->p[path->n - 1] == '/') {
        path->n--;
    }
}

/* An api belongs to one tenant. */
static void check_apis(const struct tenants_op *op, const struct tenant *t, struct buf *mistakes)
{
    struct registry *registry = tenants_dispatcher(op)->registry;
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

/* What the overlay says must no longer hold: the document lists all its instances anew. */
static void say_listed(struct tenants_op *op)
{
    const struct overlay *o = tenants_dispatcher(op)->overlay;
    size_t cursor = 0;
    struct str field, value, tenant, instance;
    char kind;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &tenant, &instance) && kind == 'x' &&
            str_is(tenant, str_of(op->tenant))) {
            tenants_say(op, "del", field, (struct str){"", 0});
        }
    }
}

static bool say_tenant(struct tenants_op *op, const struct tenant *t, const char *json)
{
    struct tenant *old;

    op->is_new =
        overlay_effective(tenants_dispatcher(op)->overlay, str_of(op->tenant), &old) != ERR_OK;
    if (!op->is_new) {
        tenant_free(old);
    }
    tenants_note_exact(op, t);
    tenants_say_of(op, "set", 't', "", str_of(json));
    say_listed(op);
    return tenants_go_on(op);
}

bool tenants_plan_put(struct tenants_op *op)
{
    const struct config *c = daemon_config(tenants_dispatcher(op)->daemon);
    struct buf mistakes = {0};
    struct tenant *t;
    char *json = NULL;
    bool is_going = false;
    int rc = tenant_decode_over(str_of(op->tenant), str_of(c->defaults_json), tenants_body(op), &t,
                                &mistakes);

    if (rc == ERR_OK) {
        check_apis(op, t, &mistakes);
    }
    if (mistakes.n > 0 || (rc != ERR_OK && rc != ERR_NOMEM)) {
        tenants_refuse_mistakes(op, &mistakes);
    } else if (rc == ERR_OK && (json = tenant_to_json(t)) != NULL) {
        is_going = say_tenant(op, t, json);
    } else {
        tenants_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    }
    if (rc == ERR_OK) {
        tenant_free(t);
    }
    free(json);
    buf_fini(&mistakes);
    return is_going;
}

/* --- delete ----------------------------------------------------------------------------------- */

/* All that is said of the tenant, so that it can be said again. */
static void save_says(struct tenants_op *op)
{
    const struct overlay *o = tenants_dispatcher(op)->overlay;
    size_t cursor = 0;
    struct str field, value, tenant, instance;
    char kind;

    while (overlay_next(o, &cursor, &field, &value)) {
        if (overlay_split(field, &kind, &tenant, &instance) && str_is(tenant, str_of(op->tenant))) {
            tenants_say(op, "nx", field, value);
        }
    }
}

static void drop(struct tenants_op *op)
{
    struct overlay_op ops = {"drop", str_of(op->tenant), {"", 0}};

    save_says(op);
    int rc = op->has_failed
                 ? ERR_NOMEM
                 : overlay_apply(tenants_dispatcher(op)->overlay, &ops, 1, tenants_on_said, op);
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
    }
}

static void on_counted(int rc, const struct store_value *v, void *arg)
{
    struct tenants_op *op = arg;

    if (rc != ERR_OK || v->type != STORE_INTEGER) {
        tenants_fail(op, rc == ERR_OK ? ERR_PROTOCOL : rc);
    } else if (v->integer > 0) {
        op->is_put_back = true;
        tenants_answer_enrolled(op);
    } else {
        drop(op);
    }
}

bool tenants_plan_delete(struct tenants_op *op)
{
    struct dispatcher *d = tenants_dispatcher(op);
    struct str none = {"", 0};
    bool is_put = overlay_get(d->overlay, 't', str_of(op->tenant), none).p != NULL;
    bool is_of_file = config_tenant(daemon_config(d->daemon), str_of(op->tenant)) != NULL;
    char key[TENANTS_NAME_SIZE + 8];

    if (!is_put) {
        tenants_refuse(
            op, is_of_file ? PROBLEM_OWNED_BY_FILE : PROBLEM_UNKNOWN_TENANT,
            is_of_file ? "The tenant stands in the configuration file: take it out there." : NULL);
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
        tenants_refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer. Send it again.");
        return false;
    }
    return true;
}

/* --- pause and resume ------------------------------------------------------------------------- */

static bool read_note(struct tenants_op *op, struct buf *note)
{
    if (!note_read(tenants_body(op), note)) {
        tenants_refuse(op, PROBLEM_INVALID, note_expected());
        return false;
    }
    if (note->n == 0) {
        buf_text(note, "paused");
    }
    return true;
}

bool tenants_plan_pause(struct tenants_op *op)
{
    struct tenant *t = tenants_standing(op);
    struct buf note = {0};
    struct buf value = {0};
    bool is_going = false;

    if (t != NULL && read_note(op, &note)) {
        buf_printf(&value, "%" PRId64 "\t", clock_wall().ms);
        buf_str(&value, buf_as_str(&note));
        op->has_failed = op->has_failed || buf_failed(&note) || buf_failed(&value);
        tenants_say_of(op, "set", 'p', "", buf_as_str(&value));
        is_going = tenants_go_on(op);
    }
    tenant_free(t);
    buf_fini(&note);
    buf_fini(&value);
    return is_going;
}

bool tenants_plan_resume(struct tenants_op *op)
{
    struct tenant *t = tenants_standing(op);
    bool is_going = false;

    if (t != NULL) {
        tenants_say_of(op, "del", 'p', "", (struct str){"", 0});
        is_going = tenants_go_on(op);
    }
    tenant_free(t);
    return is_going;
}
