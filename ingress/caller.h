/* SPDX-License-Identifier: Apache-2.0 */
/* caller — one HTTP request that waits for its job: what it asked for, and how it is answered.
 *
 * A caller is answered exactly once, or leaves; either ends it. Thread: the loop's. */
#pragma once

#include "ingress.h"
#include "job/answer.h"
#include "job/id.h"
#include "job/message.h"
#include "job/record.h"
#include "quota.h"

enum caller_mode {
    CALLER_ASYNC, /* 202 once accepted */
    CALLER_SYNC,  /* the tenant's answer, or 504 */
    CALLER_WAIT   /* the answer if it comes in time, else 202 */
};

struct caller {
    struct httpd_req *request; /* NULL once it hung up */
    enum caller_mode mode;
    int64_t wait_ms;   /* from its arrival */
    bool is_preferred; /* its mode was asked for by Prefer */
    bool is_replayed;  /* joined a job that was there already */
    char id[JOB_ID_SIZE];
    int backoff_s; /* Sluice-Backoff of a good answer; 0: none */
    struct quota quota;
};

/* 202 with Location and the job: its id and state, and what was asked for with what was filled in.
 * m: the message as it was accepted; NULL for a caller that only waited. */
void caller_accepted(struct caller *c, const char *state, const struct job_message *m);
/* The tenant's own answer, verbatim, with Sluice-Job-Id and Sluice-Attempts. */
void caller_answer(struct caller *c, const struct job_answer *a, uint32_t attempts);
/* A problem that carries the job's id. */
void caller_problem(struct caller *c, enum problem p, const char *detail, int retry_after_s);
/* What an ended or in-doubt job without a kept answer means for a synchronous caller. error: the
 * record's word. */
void caller_no_answer(struct caller *c, enum job_state state, struct str error);
