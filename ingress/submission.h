/* SPDX-License-Identifier: Apache-2.0 */
/* submission — a request on its way to becoming an accepted job:
 *
 *   accept script ─new─► publish ─confirmed─► mark ─► 202, or the caller waits (marked a little
 *        │                  │                          later, if it still does)
 *        │                  └─unknown─► undo ─undone─► 503
 *        │                               └─lost───► accepted after all
 *        ├─replay──► the answer of the job that holds the key
 *        └─busy 409, reused 422, full 503, shed 503, memory 503
 *
 * A caller whose key has a rate is charged first (quota.h): over it 429.
 *
 * 202 comes only after record and confirm, and while the record is known not to be canceled
 * (protocol.md, invariant 1). No answer of the store in five seconds: 503 outcome_unknown. */
#pragma once

#include "caller.h"
#include "job/message.h"

struct submission_order {
    enum caller_mode mode;
    bool is_preferred;              /* the mode was asked for by Prefer */
    int64_t wait_ms;                /* SYNC, WAIT: until the caller's deadline */
    int64_t ttl_ms;                 /* the job's own deadline; 0 never */
    int64_t due_in_ms;              /* 0 now */
    struct str tenant;              /* known to the registry */
    const struct tenant_rate *rate; /* the caller's; NULL without one; copied */
    /* method, path, head, key, key_value, caller, fingerprint, labels, retry, traceparent,
     * ordering_key, timeout_ms, class and body; copied, but for the body, which is moved. */
    struct job_message message;
    char *body; /* heap, owned from now on; NULL when empty */
};

/* Takes the request over; it will be answered. */
void submission_start(struct ingress *g, struct httpd_req *r, struct registry_entry *tenant,
                      const struct submission_order *o);
/* The process ends. */
void submissions_free(struct ingress *g);
