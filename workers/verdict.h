/* SPDX-License-Identifier: Apache-2.0 */
/* verdict — what an attempt's outcome means for its job. Pure: no clock, no I/O; the random number
 * is an argument. protocol.md, invariant 5; configuration.md, `retry`. */
#pragma once

#include "config/tenant.h"
#include "httpc/httpc.h"
#include "job/message.h"

enum verdict_kind {
    VERDICT_SUCCEEDED,
    VERDICT_FAILED,    /* ended with the tenant's answer, or without one (sync) */
    VERDICT_DEAD,      /* failed with its attempts used up: to the shelf */
    VERDICT_RETRY,     /* answered; again after delay_ms */
    VERDICT_ELSEWHERE, /* answered, and the answer cools: again when an instance may take it */
    VERDICT_UNSENT,    /* provably never left; again after delay_ms, not counted */
    VERDICT_DOUBT,     /* may have arrived, policy retry; again after delay_ms */
    VERDICT_ASK,    /* in doubt, policy ask: the tenant is asked after delay_ms, its slot's end */
    VERDICT_HOLD,   /* in doubt: to the shelf */
    VERDICT_OFFLOAD /* answered, and not yet: polled, or posted by the tenant; after delay_ms */
};

struct verdict_input {
    const struct tenant *tenant;
    const struct job_message *message;
    const struct httpc_result *result;
    uint32_t number;  /* the attempt's number: failures so far, for the backoff */
    uint32_t counted; /* attempts counted so far, this one among them */
    int64_t rest_ms;  /* until the job's deadline; -1: none */
    int64_t slot_ms;  /* until the end of the attempt's slot */
    struct wall now;  /* for dates in Retry-After */
    double unit;      /* in [0, 1) */
    int64_t cool_ms;  /* the answer asks to be left alone so long (mood.h); 0: it does not */
};

struct verdict {
    enum verdict_kind kind;
    const char *error; /* stable word, or "" */
    int64_t delay_ms;
    bool frees_slot;
    uint32_t max_attempts; /* of VERDICT_ELSEWHERE: beyond its bound it is counted, up to so many */
    bool is_sync_safe;     /* likewise, for verdict_instead */
    const char *poll_url;  /* VERDICT_OFFLOAD: where, or "": the tenant will post the outcome */
};

struct verdict verdict_of(const struct verdict_input *in);

/* What VERDICT_ELSEWHERE becomes when the store says that it does not go on. reason: deadline or
 * attempts_used_up. */
struct verdict verdict_instead(const struct verdict *v, struct str reason);

enum { VERDICT_UNCOUNTED_FACTOR = 10 };

/* What a tenant's answer says of an attempt that it was asked about (policy ask). */
enum verdict_fate {
    FATE_KNOWN,   /* 200: the answer is the outcome */
    FATE_UNKNOWN, /* 404: it never arrived, if said twice */
    FATE_PENDING, /* 202: ask again */
    FATE_UNCLEAR, /* another status: for a person */
    FATE_SILENT   /* no complete answer */
};

enum verdict_fate verdict_fate_of(const struct httpc_result *r);
/* "known", "unknown", …: as the script asked.lua knows them. */
struct str verdict_fate_word(enum verdict_fate fate);

/* The job's own retry settings laid over the tenant's. */
struct tenant_retry verdict_retry_settings(const struct tenant *t, struct str own);

/* Retry-After (RFC 9110, 10.2.3), seconds or an IMF-fixdate, as milliseconds from now; 0 without
 * one, at most a day. head: "Name: value\r\n" lines. */
int64_t verdict_retry_after_ms(struct str head, struct wall now);
