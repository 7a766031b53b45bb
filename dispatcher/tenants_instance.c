/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include <stdio.h>
#include <stdlib.h>

/* Puts the instance into `t`, too, to see what changes. */
static bool say_instance(struct tenants_op *op, struct tenant *t, struct tenant_instance *i,
                         int64_t ttl_ms)
{
    const struct tenant_instance *was = tenant_instance_of(t, str_of(op->instance));
    char *json = tenant_instance_to_json(i, ttl_ms);
    struct str none = {"", 0};

    op->is_new = was == NULL;
    if (was == NULL || strcmp(was->url, i->url) != 0) {
        (void)snprintf(op->fresh, sizeof op->fresh, "%s", op->instance);
    }
    int rc = tenant_take_instance(t, i);
    op->has_failed = op->has_failed || json == NULL || rc != ERR_OK;
    tenants_note_exact(op, t);
    tenants_say_of(op, "set", 'i', op->instance, json == NULL ? none : str_of(json));
    tenants_say_of(op, "del", 'd', op->instance, none);
    tenants_say_of(op, "del", 'x', op->instance, none);
    tenants_say_time(op, ttl_ms);
    free(json);
    return tenants_go_on(op);
}

bool tenants_plan_put_instance(struct tenants_op *op)
{
    struct tenant *t = tenants_standing(op);
    struct tenant_instance *i;
    struct buf mistakes = {0};
    int64_t ttl_ms;
    bool is_going = false;

    if (t != NULL) {
        int rc =
            tenant_instance_decode(str_of(op->instance), tenants_body(op), &i, &ttl_ms, &mistakes);
        if (rc == ERR_OK) {
            is_going = say_instance(op, t, i, ttl_ms);
        } else if (rc == ERR_NOMEM) {
            tenants_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
        } else {
            tenants_refuse_mistakes(op, &mistakes);
        }
    }
    tenant_free(t);
    buf_fini(&mistakes);
    return is_going;
}

/* The tenant, and in it the instance; NULL: answered. The caller frees. */
static struct tenant *standing_instance(struct tenants_op *op)
{
    struct tenant *t = tenants_standing(op);

    if (t != NULL && tenant_instance_of(t, str_of(op->instance)) == NULL) {
        tenants_refuse(op, PROBLEM_NOT_FOUND, "The tenant has no such instance.");
        tenant_free(t);
        t = NULL;
    }
    return t;
}

bool tenants_plan_delete_instance(struct tenants_op *op)
{
    struct tenant *t = standing_instance(op);
    struct tenant *document;
    struct str none = {"", 0};

    if (t == NULL) {
        return false;
    }
    tenant_free(t);
    int rc = overlay_document(tenants_dispatcher(op)->overlay, str_of(op->tenant), &document);
    if (rc != ERR_OK) {
        tenants_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
        return false;
    }
    op->is_removal = true;
    tenants_say_of(op, "del", 'i', op->instance, none);
    tenants_say_of(op, "del", 'd', op->instance, none);
    tenants_say_time(op, 0);
    if (tenant_instance_of(document, str_of(op->instance)) != NULL) {
        tenants_say_of(op, "set", 'x', op->instance, STR("1"));
    }
    tenant_free(document);
    return tenants_go_on(op);
}

bool tenants_plan_drain(struct tenants_op *op)
{
    struct tenant *t = standing_instance(op);

    if (t == NULL) {
        return false;
    }
    tenant_free(t);
    tenants_say_of(op, "set", 'd', op->instance, STR("hand"));
    return tenants_go_on(op);
}
