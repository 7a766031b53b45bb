/* SPDX-License-Identifier: Apache-2.0 */
/* completion — POST /v1/jobs/{id}/complete: an outcome that a tenant posts, {"token", "status",
 * "headers", "body" | "body_text" | "body_base64"}, checked whole as a job's document is. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "job/complete_token.h"

struct job_completion {
    char token[JOB_COMPLETE_TOKEN_SIZE]; /* as given; a longer one is cut, and thus wrong */
    int status;                          /* 200 to 599; 200 unless given */
    struct buf head;                     /* "Name: value\r\n" lines, hop-by-hop ones dropped */
    struct buf body;
};

/* On ERR_INVALID `why` is a sentence for the tenant. To be freed with job_completion_fini, also
 * after an error. Returns 0, ERR_INVALID, ERR_NOMEM. */
MUST_CHECK int job_completion_parse(struct str json, struct job_completion *ret, struct buf *why);
void job_completion_fini(struct job_completion *c);
/* What tells two of them apart: 64 hex digits and NUL. */
void job_completion_digest(const struct job_completion *c, char out[65]);
