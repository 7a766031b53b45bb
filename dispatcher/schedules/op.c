/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

#include <stdio.h>
#include <stdlib.h>

static void on_gone(struct httpd_req *r, void *arg)
{
    struct schedules_op *op = httpd_data(r);

    (void)arg;
    op->req = NULL; /* what was asked for goes on */
}

struct schedules_op *schedules_op_new(struct schedules *s, struct httpd_req *r, struct str name)
{
    struct schedules_op *op = calloc(1, sizeof *op);

    if (op == NULL) {
        problem_answer(r, PROBLEM_INTERNAL, NULL);
        return NULL;
    }
    op->schedules = s;
    op->req = r;
    (void)snprintf(op->name, sizeof op->name, "%.*s", STR_ARG(name));
    list_push_back(&s->ops, &op->link);
    s->alive++;
    httpd_set_data(r, op);
    httpd_keep(r, on_gone);
    return op;
}

void schedules_op_free(struct schedules_op *op)
{
    struct schedules *s = op->schedules;

    list_remove(&op->link);
    free(op->instants);
    free(op);
    schedules_let_go(s);
}

struct schedule *schedules_op_schedule(const struct schedules_op *op)
{
    const struct schedules *s = op->schedules;

    return s->is_freed ? NULL : map_get(&s->by_name, str_of(op->name));
}

static void refuse(struct schedules_op *op, enum problem p, const char *detail)
{
    struct problem_more more = {.detail = detail};

    if (op->req != NULL) {
        problem_answer(op->req, p, &more);
        op->req = NULL;
    }
}

void schedules_refuse_unknown(struct httpd_req *r)
{
    struct str path = httpd_path(r);
    size_t at = STR("/v1/schedules/").n;
    bool is_word = memchr(path.p + at, '/', path.n - at) != NULL;
    struct problem_more more = {
        .detail = is_word ? "Of a schedule there is history to GET, and pause, resume, run, "
                            "backfill and rewind to POST."
                          : SCHEDULES_UNKNOWN};

    problem_answer(r, PROBLEM_NOT_FOUND, &more);
}

void schedules_op_refuse(struct schedules_op *op, enum problem p, const char *detail)
{
    refuse(op, p, detail);
    schedules_op_free(op);
}

void schedules_op_fail(struct schedules_op *op, int rc)
{
    if (rc == ERR_NOMEM) {
        schedules_op_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else if (rc == ERR_MISSING) {
        schedules_op_refuse(op, PROBLEM_NOT_FOUND, SCHEDULES_UNKNOWN);
    } else {
        schedules_op_refuse(
            op, PROBLEM_UNAVAILABLE,
            "The store did not answer: it is not known whether this holds. Send it again.");
    }
}

void schedules_op_answer(struct schedules_op *op, int status, struct buf *body)
{
    struct httpd_answer a = {
        .status = status, .content_type = "application/json", .body = buf_as_str(body)};

    if (buf_failed(body)) {
        refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else if (op->req != NULL) {
        httpd_answer(op->req, &a);
    }
    buf_fini(body);
    schedules_op_free(op);
}

static void on_facts(int rc, void *arg)
{
    struct schedules_op *op = arg;
    struct buf body = {0};

    if (rc == ERR_OK &&
        (op->schedules->is_freed || !schedules_print(op->schedules, str_of(op->name), &body))) {
        rc = ERR_MISSING;
    }
    if (rc != ERR_OK) {
        buf_fini(&body);
        schedules_op_fail(op, rc);
    } else {
        schedules_op_answer(op, 200, &body);
    }
}

void schedules_op_show(struct schedules_op *op)
{
    struct schedule *one = schedules_op_schedule(op);
    int rc = schedules_read_facts(op->schedules, &one, one == NULL ? 0 : 1, on_facts, op);

    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}

bool schedules_op_went_well(struct schedules_op *op, int rc, const struct store_value *v)
{
    if (rc == ERR_OK && str_is(store_word(v, 0), STR("memory"))) {
        schedules_op_refuse(
            op, PROBLEM_UNAVAILABLE,
            "The store has forgotten the tenant, and is told of it. Send it again.");
        return false;
    }
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
    return rc == ERR_OK;
}

void schedules_end_ops(struct schedules *s)
{
    /* The ops end with the answers that they wait for, at the latest when the store goes. */
    for (struct list *at = s->ops.next; at != &s->ops; at = at->next) {
        refuse(LIST_OF(at, struct schedules_op, link), PROBLEM_UNAVAILABLE,
               "This dispatcher is stopping: it is not known whether this holds. Send it again.");
    }
}
