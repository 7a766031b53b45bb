/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include "base/fault.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_MS = 20,
    LOOKS_FOR_MS = 3000,
    /* Ingress and workers read the index each second: a tenant's first call finds it known. */
    NEW_TENANT_MS = 1200
};

/* Whether this process reads the registry as it was just written. */
static bool is_visible(const struct tenants_op *op)
{
    struct dispatcher *d = tenants_dispatcher(op);
    struct registry_entry *e = registry_find(d->registry, str_of(op->tenant));

    if (op->version[0] == '\0') {
        return e == NULL;
    }
    /* The revision since which it is so stands behind the digest (index.lua). */
    return e != NULL && str_starts(str_of(e->version), str_of(op->version));
}

static void on_look(struct loop_timer *timer, void *arg)
{
    struct tenants_op *op = arg;
    struct dispatcher *d = tenants_dispatcher(op);
    int64_t waited_ms = mono_since_ms(op->enrolled, loop_now(d->loop));
    bool is_tenant_new = op->is_new && op->instance[0] == '\0';

    if ((is_visible(op) && (!is_tenant_new || waited_ms >= NEW_TENANT_MS)) ||
        waited_ms >= LOOKS_FOR_MS) {
        tenants_answer_enrolled(op);
        return;
    }
    registry_refresh(d->registry);
    loop_timer_set(timer, LOOK_MS);
}

static void note_version(struct tenants_op *op)
{
    struct tenant *t;

    op->version[0] = '\0';
    if (overlay_effective(tenants_dispatcher(op)->overlay, str_of(op->tenant), &t) == ERR_OK) {
        char *json = tenant_to_json(t);
        if (json != NULL) {
            enroll_version(str_of(json), op->version);
        }
        free(json);
        tenant_free(t);
    }
}

/* A job was accepted while the tenant left: all that was said of it is said again. */
static void put_back(struct tenants_op *op)
{
    op->is_put_back = true;
    int rc = tenants_send_says(op, tenants_on_said);
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
    }
}

static void on_enrolled(int rc, void *arg)
{
    struct tenants_op *op = arg;
    struct dispatcher *d = tenants_dispatcher(op);

    if (rc == ERR_BUSY && op->is_removal && !op->is_put_back) {
        put_back(op);
        return;
    }
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
        return;
    }
    note_version(op);
    op->enrolled = loop_now(d->loop);
    loop_timer_set(op->timer, 0);
}

void tenants_on_said(int rc, void *arg)
{
    struct tenants_op *op = arg;

    FAULT_HERE(dispatcher_said);
    rc = rc != ERR_OK
             ? rc
             : enroll_one(tenants_dispatcher(op)->enroll, op->tenant, op->fresh, on_enrolled, op);
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
    }
}

bool tenants_go_on(struct tenants_op *op)
{
    int rc = tenants_send_says(op, tenants_on_said);

    if (rc != ERR_OK) {
        tenants_refuse(op, rc == ERR_NOMEM ? PROBLEM_INTERNAL : PROBLEM_UNAVAILABLE,
                       "The store does not answer. Send it again.");
    }
    return rc == ERR_OK;
}

static void on_fresh(int rc, void *arg)
{
    struct tenants_op *op = arg;

    if (rc != ERR_OK) {
        tenants_fail(op, rc);
        return;
    }
    if (!op->verb->plan(op)) {
        tenants_op_free(op);
    }
}

static void on_gone(struct httpd_req *r, void *arg)
{
    struct tenants_op *op = httpd_data(r);

    (void)arg;
    op->req = NULL; /* what was asked for goes on */
}

void tenants_begin(struct tenants *t, struct httpd_req *r, const struct tenants_verb *verb,
                   const char *tenant, const char *instance)
{
    struct tenants_op *op = calloc(1, sizeof *op);

    if (op == NULL || loop_timer_new(t->dispatcher->loop, on_look, op, &op->timer) != ERR_OK) {
        free(op);
        problem_answer(r, PROBLEM_INTERNAL, NULL);
        return;
    }
    op->tenants = t;
    op->req = r;
    op->verb = verb;
    (void)snprintf(op->tenant, sizeof op->tenant, "%s", tenant);
    (void)snprintf(op->instance, sizeof op->instance, "%s", instance);
    op->body = httpd_body_take(r, &op->body_n);
    list_push_back(&t->ops, &op->link);
    httpd_set_data(r, op);
    httpd_keep(r, on_gone);
    if (overlay_apply(t->dispatcher->overlay, NULL, 0, on_fresh, op) != ERR_OK) {
        tenants_refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer. Send it again.");
        tenants_op_free(op);
    }
}
