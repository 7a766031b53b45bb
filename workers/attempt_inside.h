/* SPDX-License-Identifier: Apache-2.0 */
/* attempt_inside — what attempt.c shares with the files that take single steps of an attempt's
 * life: asking.c (policy ask), polling.c (offloaded), forgotten.c (the store has forgotten). Nobody
 * else includes it. */
#pragma once

#include "attempt.h"
#include "calls.h"
#include "forward.h"
#include "job/id.h"

enum { ATTEMPT_AGAIN_MS = 500, ATTEMPT_TOKEN_SIZE = 17 };

/* What is under way: exactly one answer is awaited at a time, or the timer. */
enum step {
    STEP_CLAIM,    /* the claim script */
    STEP_REBUILD,  /* the rebuild script: everything was lost */
    STEP_REFUSED,  /* nothing: the lane tries again */
    STEP_FORWARD,  /* the HTTP call */
    STEP_ASK,      /* the HTTP call that asks what became of an attempt */
    STEP_ASKED,    /* the asked script */
    STEP_POLL,     /* the HTTP call that polls an offloaded job */
    STEP_POLLED,   /* the polled script */
    STEP_REGISTER, /* the reregister script, before STEP_SETTLE: the store has forgotten */
    STEP_SHELF,    /* the confirm of the shelf queue's copy, before STEP_SETTLE or STEP_SHELVE */
    STEP_SETTLE,   /* the complete script */
    STEP_SHELVE,   /* the shelve script */
    STEP_DELAY     /* the confirm of the message that takes this one's place */
};

struct attempt {
    struct worker *worker;
    struct lane *lane;
    struct bus_delivery *delivery;
    struct job_message message; /* borrows from the delivery */
    struct registry_entry *tenant;
    struct list all;
    struct list refused; /* in lane.refused, or in lane.surplus */
    struct mono arrived;
    bool is_begun; /* counted in lane.begun */
    struct loop_timer *timer;
    enum step step;
    char token[ATTEMPT_TOKEN_SIZE];
    char fallback_id[JOB_ID_SIZE]; /* for an undecodable message */
    bool is_undecodable;
    bool is_turn;            /* its claim went out by turns (turns.h) */
    bool is_claim_open;      /* a claim was sent and not answered: it may have been granted */
    uint32_t unknown_claims; /* answers of this token's claim that did not count */
    char claimant[RANDOM_NAME_SIZE]; /* the incarnation that claims */
    bool is_running;                 /* claimed here, and not settled */
    uint32_t number;
    uint32_t counted;
    int64_t rest_ms;
    char *instance;      /* that was chosen; owned */
    int64_t slot_end_ms; /* by the store's clock */
    struct mono claimed;
    struct httpc_call *call;
    struct forward forward;
    struct verdict verdict;
    struct mood mood;
    int status;
    size_t body_bytes;
    bool is_refused_connection;
    bool is_unsent;
    struct buf answer;
    int64_t seen_number; /* what the claim's answer named: for the scripts shelve and asked */
    char seen_token[ATTEMPT_TOKEN_SIZE];
    int64_t question;
    enum verdict_fate fate;
    struct buf poll_url;   /* where an offloaded job is polled */
    const char *poll_word; /* what the poll said, as the script knows it */
    int64_t poll_wait_ms;
    uint32_t looks;  /* how often it has looked for the polls' queue */
    bool is_polling; /* its next message goes where polls are delivered */
    const char *reason;
    bool is_dead;
    bool is_out_of_turn; /* to the shelf for another job, not for a person */
    int64_t delay_ms;
    bool is_counted_park;
};

struct calls_job attempt_job(const struct attempt *a);
/* The step failed for a reason outside: it is tried again after `ms`. */
void attempt_again(struct attempt *a, int64_t ms);
/* Looks at the record again. */
void attempt_claim(struct attempt *a);
/* Another message takes this one's place after `ms`. */
void attempt_delay_for(struct attempt *a, int64_t ms);
/* To the shelf's queue, then settled or shelved. */
void attempt_publish_shelf(struct attempt *a);
void attempt_settle(struct attempt *a);
/* From now on the attempt is this worker's until it is settled, whatever becomes of its delivery.
 */
void attempt_set_running(struct attempt *a);
/* Keeps what a script needs of an answer: its bytes live only until httpc's callback returns. */
void attempt_keep_answer(struct attempt *a, const struct httpc_result *r);
/* A script named, from element `i` of its answer on, the job whose turn it is now. */
void attempt_publish_next(struct attempt *a, const struct store_value *v, size_t i);
/* The job has ended by a->verdict: counts it and acknowledges. `a` is gone. */
void attempt_ended(struct attempt *a);
