/* SPDX-License-Identifier: Apache-2.0 */
/* calls — the job scripts that an ingress sends (what each does: store/lua). Each returns as
 * store_call does; the callback gets the script's answer; store_word and store_number read it. */
#pragma once

#include "config/tenant.h"
#include "dead_filter.h"
#include "ingress.h"
#include "job/completion.h"
#include "job/message.h"
#include "store/args.h"

enum { CALLS_ACCEPT_LEASE_MS = 30000, CALLS_DAY_MS = 86400000 };

/* When a message left before its record (decision 0015): in which life of the store, and by its
 * clock. */
struct calls_life {
    const char *epoch;
    const char *generation;
    int64_t ms;
};

struct calls_accept {
    const struct job_message *message;
    const struct tenant *tenant;
    bool is_async;
    int64_t deadline_in_ms; /* the caller's; 0 never */
    int64_t ttl_ms;         /* the job's own; 0 never */
    int64_t due_in_ms;
    const char *waiter;               /* "channel|token", or "" */
    bool takes_202;                   /* in the end, when its wait is over */
    const struct calls_life *follows; /* its message is confirmed, and went before; or NULL */
    bool is_promised;                 /* of such a one: its caller was told that it goes on */
};

MUST_CHECK int calls_accept(struct ingress *g, const struct calls_accept *a, store_cb cb,
                            void *arg);
/* Why it is not running (why.h). t: NULL for a tenant that has left. */
MUST_CHECK int calls_why(struct ingress *g, struct str id, const struct tenant *t, store_cb cb,
                         void *arg);
/* went_in: of a message that left before its record; or NULL. */
MUST_CHECK int calls_undo(struct ingress *g, struct str id, const struct calls_life *went_in,
                          store_cb cb, void *arg);
/* went_in: likewise. */
MUST_CHECK int calls_expire(struct ingress *g, struct str id, const char *waiter, bool is_hangup,
                            const struct calls_life *went_in, store_cb cb, void *arg);
MUST_CHECK int calls_give_202(struct ingress *g, struct str id, const char *waiter, store_cb cb,
                              void *arg);
MUST_CHECK int calls_cancel(struct ingress *g, struct str id, const struct tenant *t, store_cb cb,
                            void *arg);
/* to: "retry", "succeeded", "failed". */
MUST_CHECK int calls_resolve(struct ingress *g, struct str id, const struct tenant *t,
                             const char *to, struct str note, store_cb cb, void *arg);
/* What the tenant posted as the outcome of attempt (number, fence). */
MUST_CHECK int calls_complete(struct ingress *g, struct str id, const struct tenant *t,
                              uint32_t number, struct str fence, const struct job_completion *c,
                              store_cb cb, void *arg);
/* A dead letter as it stands, and one that a person drops. */
MUST_CHECK int calls_dead_show(struct ingress *g, struct str id, store_cb cb, void *arg);
MUST_CHECK int calls_drop(struct ingress *g, struct str id, const struct tenant *t, store_cb cb,
                          void *arg);

/* A page of a tenant's shelf. */
struct calls_dead {
    const char *mode; /* "list", "count", "redrive" */
    const struct dead_filter *filter;
    int64_t most;  /* matches */
    int64_t looks; /* entries looked at */
};
MUST_CHECK int calls_dead(struct ingress *g, const struct calls_dead *d, store_cb cb, void *arg);
/* The whole record (HGETALL), some of its fields (HMGET), its answer (GET). */
MUST_CHECK int calls_record(struct ingress *g, struct str id, store_cb cb, void *arg);
MUST_CHECK int calls_state(struct ingress *g, struct str id, store_cb cb, void *arg);
MUST_CHECK int calls_result(struct ingress *g, struct str id, store_cb cb, void *arg);
