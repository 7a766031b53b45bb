/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include "views.h"

#include <stdlib.h>

struct str tenants_body(const struct tenants_op *op)
{
    return (struct str){op->body == NULL ? "" : op->body, op->body_n};
}

/* --- life ------------------------------------------------------------------------------------- */

void tenants_op_release(struct tenants_op *op)
{
    loop_timer_free(op->timer);
    tenants_forget_says(op);
    free(op->body);
    free(op);
}

void tenants_let_go(struct tenants *t)
{
    if (t->is_freed && list_is_empty(&t->ops)) {
        free(t);
    }
}

void tenants_op_free(struct tenants_op *op)
{
    struct tenants *t = op->tenants;

    list_remove(&op->link);
    tenants_op_release(op);
    tenants_let_go(t);
}

/* --- answers ---------------------------------------------------------------------------------- */

void tenants_refuse(struct tenants_op *op, enum problem p, const char *detail)
{
    struct problem_more more = {.detail = detail};

    if (op->req != NULL) {
        problem_answer(op->req, p, &more);
        op->req = NULL;
    }
}

void tenants_refuse_mistakes(struct tenants_op *op, const struct buf *mistakes)
{
    if (op->req != NULL) {
        problem_answer_mistakes(op->req, PROBLEM_INVALID, mistakes);
        op->req = NULL;
    }
}

void tenants_fail(struct tenants_op *op, int rc)
{
    if (rc == ERR_NOMEM) {
        tenants_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else {
        tenants_refuse(
            op, PROBLEM_UNAVAILABLE,
            "The store did not answer: it is not known whether this holds. Send it again.");
    }
    tenants_op_free(op);
}

void tenants_answer(struct tenants_op *op, int status, struct buf *body)
{
    struct httpd_answer a = {
        .status = status, .content_type = "application/json", .body = buf_as_str(body)};

    if (op->req != NULL && buf_failed(body)) {
        tenants_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else if (op->req != NULL) {
        httpd_answer(op->req, &a);
        op->req = NULL;
    }
    buf_fini(body);
}

static void answer_nothing(struct tenants_op *op)
{
    struct httpd_answer a = {.status = 204};

    if (op->req != NULL) {
        httpd_answer(op->req, &a);
        op->req = NULL;
    }
}

static void answer_view(struct tenants_op *op, const struct tenant *t)
{
    struct dispatcher *d = tenants_dispatcher(op);
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
    tenants_answer(op, op->is_new && op->verb->word == NULL ? 201 : 200, &body);
}

void tenants_answer_enrolled(struct tenants_op *op)
{
    struct tenant *t;
    int rc = overlay_effective(tenants_dispatcher(op)->overlay, str_of(op->tenant), &t);

    if (op->is_put_back) {
        tenants_refuse(
            op, PROBLEM_TENANT_BUSY,
            "The tenant has unended jobs: wait until they have ended, or cancel them. Nothing "
            "was changed.");
    } else if (rc == ERR_MISSING && !op->is_removal) {
        tenants_refuse(op, PROBLEM_UNKNOWN_TENANT, NULL); /* it left meanwhile: nothing was said */
    } else if (rc == ERR_OK && !(op->is_removal && op->instance[0] != '\0')) {
        answer_view(op, t);
    } else {
        answer_nothing(op);
    }
    if (rc == ERR_OK) {
        tenant_free(t);
    }
    tenants_op_free(op);
}
