/* SPDX-License-Identifier: Apache-2.0 */
/* forward — the request that goes out, made from a job's message and the chosen instance. Pure. */
#pragma once

#include "base/buf.h"
#include "job/message.h"

struct forward {
    struct buf url;
    struct buf text; /* the head lines, NUL-separated; `lines` points into it */
    char **lines;    /* NULL-terminated */
};

/* base: the instance's URL. token: with which the tenant may post the outcome, or empty. Returns 0
 * or ERR_NOMEM. */
MUST_CHECK int forward_make(const struct job_message *m, struct str base, uint32_t number,
                            struct str token, struct forward *ret);
/* The question what became of attempt `number`: a GET of `path`, where "{id}" stands for the job's
 * id (all of whose characters are unreserved in a URL). No key and no header of the caller's go
 * along. */
MUST_CHECK int forward_make_question(const struct job_message *m, struct str base, struct str path,
                                     uint32_t number, struct forward *ret);
/* A poll of offloaded work: a GET of `url` as it stands. Of the caller's fields those go along that
 * a tenant needs to answer it: Accept, Authorization, Cookie. */
MUST_CHECK int forward_make_poll(const struct job_message *m, struct str url, uint32_t number,
                                 struct forward *ret);
void forward_fini(struct forward *f);
