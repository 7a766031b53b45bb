/* SPDX-License-Identifier: Apache-2.0 */
/* calls — the job scripts that a worker sends, by their own names (what each does: store/lua). The
 * callback gets the script's answer as it came; store_word and store_number read it. */
#pragma once

#include "config/tenant.h"
#include "job/message.h"
#include "mood.h"
#include "store/args.h"
#include "verdict.h"

enum { CALLS_POLL_MS = 30000 /* a poll takes at most */ };

/* Who asks, about which job. */
struct calls_job {
    struct store *store;
    const struct job_message *message;
    const struct tenant *tenant;
    const char *token;
    uint32_t number; /* the attempt's; 0 before the claim */
    uint64_t shelf_max_bytes;
    const char *region; /* the worker's, or NULL */
    bool has_more;      /* of a claim: others of its kind wait in this worker's hand */
};

MUST_CHECK int calls_claim(const struct calls_job *j, const char *worker, const char *channel,
                           int64_t lease_ms, store_cb cb, void *arg);
/* answer: packed, or empty. is_refused: the instance refused the connection.
 * is_unsent: the attempt provably never left. mood: what the outcome says of the instance. */
MUST_CHECK int calls_complete(const struct calls_job *j, const struct verdict *v,
                              const struct mood *mood, int status, struct str answer,
                              size_t body_bytes, bool is_refused, bool is_unsent, store_cb cb,
                              void *arg);
/* What the claim's answer named when it said: ask. */
struct calls_question {
    int64_t number;   /* the attempt's … */
    struct str token; /* … and its token */
    int64_t question; /* how many were put before */
};
/* answer: packed, or empty; only for FATE_KNOWN. The script gets the tenant's total_s as the time
 * between two answers "unknown". */
MUST_CHECK int calls_asked(const struct calls_job *j, const struct calls_question *q,
                           enum verdict_fate fate, const char *error, int status, struct str answer,
                           size_t body_bytes, store_cb cb, void *arg);
/* What an offloaded job's tenant said, but for an outcome. word: "pending", "trouble", "unknown";
 * wait_ms: until the next poll. */
MUST_CHECK int calls_polled(const struct calls_job *j, const struct calls_question *q,
                            const char *word, int64_t wait_ms, store_cb cb, void *arg);
/* seen_number, seen_token: what the claim's answer named. is_dead: attempts used up, else in doubt.
 * For a job without a record, seen_number is −1. */
MUST_CHECK int calls_shelve(const struct calls_job *j, int64_t seen_number, struct str seen_token,
                            const char *reason, bool is_dead, store_cb cb, void *arg);

/* Out of turn under its ordering key: stores the request until the jobs before it have ended. */
MUST_CHECK int calls_wait_turn(const struct calls_job *j, bool was_attempted, store_cb cb,
                               void *arg);

/* The record of a message of another epoch, written anew. was_attempted: perhaps. */
MUST_CHECK int calls_rebuild(const struct calls_job *j, bool was_attempted, int64_t lease_ms,
                             store_cb cb, void *arg);

/* What runs, as the store should know it. */
struct calls_running {
    const char *worker;
    const char *instance;
    int64_t slot_end_ms; /* by the store's clock */
    uint32_t counted;
};
MUST_CHECK int calls_reregister(const struct calls_job *j, const struct calls_running *r,
                                store_cb cb, void *arg);

/* The attempt's own limit: the tenant's total_s, or the job's smaller timeout_s. */
int64_t calls_limit_ms(const struct calls_job *j);
