/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

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

int schedules_make_job(struct schedules_op *op, const struct schedule *s, struct str kind,
                       struct schedule_job *j, store_cb cb)
{
    struct store_args a = {.n = 0};

    store_args_add(&a, str_of(s->name));
    store_args_add(&a, kind);
    store_args_number(&a, j->instant.ms);
    store_args_add(&a, str_of(j->name));
    int rc = schedule_add_job(s, j, &a);
    if (rc == ERR_OK) {
        rc = store_call_tenant(op->schedules->dispatcher->store, STORE_RUN_NOW,
                               str_of(s->job.tenant), a.at, a.n, cb, op);
    }
    schedule_job_fini(j);
    return rc;
}

static void begin(struct schedules_op *op, const struct schedule *s, struct str key)
{
    struct schedule_job j = {.instant = {clock_wall().ms / 1000 * 1000}, .is_run = true};

    name_run(s, key, j.name);
    job_id_print(str_of(s->job.tenant), j.name, op->job);
    int rc = schedules_make_job(op, s, STR("run"), &j, on_run);
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}

void schedules_run(struct schedules_op *op, const struct schedule *s)
{
    struct str key;

    if (read_key(op->req, &key)) {
        begin(op, s, key);
    } else {
        schedules_op_refuse(op, PROBLEM_INVALID,
                            "Idempotency-Key must be one value of 1 to 255 characters.");
    }
}
