/* SPDX-License-Identifier: Apache-2.0 */
/* problem — error answers as RFC 9457 application/problem+json, from one table (problem.def). */
#pragma once

#include "base/buf.h"
#include "httpd/httpd.h"

enum problem {
#define PROBLEM(NAME, status, type, title) PROBLEM_##NAME,
#include "daemon/problem.def"
#undef PROBLEM
    PROBLEMS
};

int problem_status(enum problem p);
/* "urn:sluice:problem:unknown_tenant" */
const char *problem_type(enum problem p);
const char *problem_title(enum problem p);

struct problem_more {
    const char *detail; /* what to do; NULL: the title */
    struct str job;     /* the job's id, or empty: members "job" and header Sluice-Job-Id */
    int retry_after_s;  /* 0: none; every 503 and 429 gets one anyway */
    const struct httpd_field *fields; /* further header fields */
    size_t n_fields;
};

/* Answers the request. `more` may be NULL. */
void problem_answer(struct httpd_req *r, enum problem p, const struct problem_more *more);
/* The same with its detail made of `mistakes`, one a line, as one sentence. */
void problem_answer_mistakes(struct httpd_req *r, enum problem p, const struct buf *mistakes);
/* The JSON document alone. */
void problem_print(enum problem p, const struct problem_more *more, struct buf *out);
/* For what the server refuses by itself: the problem of a bare status (400, 408, 413, 431, 503). */
enum problem problem_of_status(int status);
