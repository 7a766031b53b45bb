/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules_op.h"

#include "outbox.h"

#include <stdio.h>

enum { KEY_MAX = 255 };

/* One value of printable characters, or nothing. */
static bool read_key(const struct httpd_req *r, struct str *ret)
{
    size_t n = httpd_header_count(r, "Idempotency-Key");

    *ret = n == 1 ? httpd_header(r, "Idempotency-Key") : (struct str){"", 0};
    return n == 0 || (n == 1 && ret->n >= 1 && ret->n <= KEY_MAX);
}

/* Without a key each run is another job. */
static void name_run(const struct schedule *s, struct str key, char ret_name[RANDOM_NAME_SIZE])
{
    struct buf what = {0};

    if (key.n == 0) {
        random_name(ret_name);
        return;
    }
    buf_text(&what, "run\n");
    buf_str(&what, key);
    schedule_name_job(s, buf_as_str(&what), ret_name);
    buf_fini(&what);
}

static void on_run(int rc, const struct store_value *v, void *arg)
{
    struct schedules_op *op = arg;
    const struct schedule *s = schedules_op_schedule(op);
    struct buf body = {0};

    if (!schedules_op_went_well(op, rc, v)) {
        return;
    }
    if (s != NULL) {
        outbox_look(op->schedules->dispatcher->outbox, s->job.tenant);
    }
    buf_printf(&body, "{\"id\":\"%s\",\"links\":{\"self\":\"/v1/jobs/%s\"}}", op->job, op->job);
    schedules_op_answer(op, 202, &body);
}

void schedules_run(struct schedules_op *op, const struct schedule *s)
{
    char name[RANDOM_NAME_SIZE];
    struct store_args a = {.n = 0};
    struct buf head = {0};
    struct str key;

    if (!read_key(op->req, &key)) {
        schedules_op_refuse(op, PROBLEM_INVALID,
                            "Idempotency-Key must be one value of 1 to 255 characters.");
        return;
    }
    name_run(s, key, name);
    job_id_print(str_of(s->job.tenant), name, op->job);
    store_args_add(&a, str_of(s->name));
    store_args_add(&a, str_of(name));
    int rc = schedule_add_job(s, clock_wall(), name, &head, &a);
    if (rc == ERR_OK) {
        rc = store_call_tenant(op->schedules->dispatcher->store, STORE_RUN_NOW,
                               str_of(s->job.tenant), a.at, a.n, on_run, op);
    }
    buf_fini(&head);
    if (rc == ERR_MISSING) {
        schedules_op_refuse(op, PROBLEM_UNAVAILABLE, "Its tenant is not registered yet.");
    } else if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}
