/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_op — one request about schedules, from its beginning to its answer. For the files of
 * schedules alone.
 *
 * An op awaits one answer of the store at a time. Its schedule may be another object at each, or be
 * gone: it is looked up by its name. */
#pragma once

#include "config/value.h"
#include "daemon/problem.h"
#include "inside.h"
#include "job/id.h"

struct schedules_op {
    struct list link;
    struct schedules *schedules;
    struct httpd_req *req; /* NULL: nobody waits any more */
    char name[VALUE_NAME_MAX + 1];
    char job[JOB_ID_SIZE];           /* run: the one that is made */
    size_t limit;                    /* of a list: how many, behind `name` */
    char tenant[VALUE_NAME_MAX + 1]; /* backfill, rewind: whose schedule it is */
    struct wall *instants;           /* backfill: which, */
    size_t n_instants;
    size_t n_made; /* and how many of them are done */
};

/* Keeps the request. NULL: answered. */
struct schedules_op *schedules_op_new(struct schedules *s, struct httpd_req *r, struct str name);
void schedules_op_free(struct schedules_op *op);
/* NULL: it is gone, or all are. */
struct schedule *schedules_op_schedule(const struct schedules_op *op);

/* Each of these answers, if anybody still waits, and `op` is gone. */
/* detail: may be NULL. */
void schedules_op_refuse(struct schedules_op *op, enum problem p, const char *detail);
/* A step failed, with an error of the store. */
void schedules_op_fail(struct schedules_op *op, int rc);
/* Frees `body`. */
void schedules_op_answer(struct schedules_op *op, int status, struct buf *body);
/* With the schedule as it stands, read anew. */
void schedules_op_show(struct schedules_op *op);

/* What a script that was called about the op's schedule gave: true when it may go on; else it is
 * answered, and `op` is gone. */
bool schedules_op_went_well(struct schedules_op *op, int rc, const struct store_value *v);

/* Calls run_now.lua about *j, and frees what *j has. Returns 0; ERR_DOWN, too, when the tenant is
 * not registered yet; or as store_call: then cb does not run. */
MUST_CHECK int schedules_make_job(struct schedules_op *op, const struct schedule *s,
                                  struct str kind, struct schedule_job *j, store_cb cb);

/* --- what begins an op: the request is still there; `s` is borrowed for the call ----------------
 */

void schedules_run(struct schedules_op *op, const struct schedule *s);
void schedules_backfill(struct schedules_op *op, const struct schedule *s);
void schedules_rewind(struct schedules_op *op, const struct schedule *s);
void schedules_history(struct schedules_op *op, const struct schedule *s);
