/* SPDX-License-Identifier: Apache-2.0 */
/* jobs — /v1/jobs: submit, status (with long-polling), result, cancel, retry, resolve; and one dead
 * letter: show, drop, redrive. */
#pragma once

#include "daemon/keyring.h"
#include "ingress.h"

/* POST /v1/jobs */
void jobs_submit(struct ingress *g, struct httpd_req *r);
/* The rest, about the job `id`; action: "", "result", "retry", "resolve", "complete". */
void jobs_act(struct ingress *g, struct httpd_req *r, struct str id, struct str action);
/* /v1/dead/{id}; action: "", "redrive". */
void jobs_dead(struct ingress *g, struct httpd_req *r, struct str id, struct str action);
/* The process drains: long-polls are answered with what is there. */
void jobs_drain(struct ingress *g);
/* The process ends, and the store with it: what is still asked is answered with 503. */
void jobs_free(struct ingress *g);
