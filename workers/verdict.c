/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include "base/backoff.h"
#include "base/fault.h"
#include "job/answer.h"

#include <stdlib.h>
#include <time.h>

enum { RETRY_AFTER_MAX_MS = 86400000 };

static double number_of(struct str s)
{
    char text[64];

    if (s.n == 0 || s.n >= sizeof text) {
        return 0;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return strtod(text, NULL);
}

struct tenant_retry verdict_retry_settings(const struct tenant *t, struct str own)
{
    struct tenant_retry r = t->retry;
    struct str piece;
    double values[4] = {0};

    for (size_t i = 0; i < 4 && own.n > 0 && str_cut(&own, ' ', &piece); i++) {
        values[i] = number_of(piece);
    }
    r.max_attempts = values[0] >= 1 ? (uint32_t)values[0] : r.max_attempts;
    r.initial_ms = values[1] > 0 ? (int64_t)values[1] : r.initial_ms;
    r.factor = values[2] >= 1 ? values[2] : r.factor;
    r.max_ms = values[3] > 0 ? (int64_t)values[3] : r.max_ms;
    return r;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static int64_t date_ms(struct str value, struct wall now)
{
    char text[40];
    struct tm tm = {0};

    if (value.n >= sizeof text) {
        return 0;
    }
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL) {
        return 0;
    }
    int64_t ms = (int64_t)timegm(&tm) * 1000 - now.ms;
    return ms > 0 ? ms : 0;
}

int64_t verdict_retry_after_ms(struct str head, struct wall now)
{
    struct str name;
    struct str value;

    while (job_head_next(&head, &name, &value)) {
        if (!str_is_nocase(name, STR("retry-after"))) {
            continue;
        }
        uint64_t seconds;
        int rc = str_to_u64(value, RETRY_AFTER_MAX_MS / 1000, &seconds);
        int64_t ms = rc == ERR_OK          ? (int64_t)seconds * 1000
                     : rc == ERR_TOO_LARGE ? RETRY_AFTER_MAX_MS
                                           : date_ms(value, now);
        return ms < RETRY_AFTER_MAX_MS ? ms : RETRY_AFTER_MAX_MS;
    }
    return 0;
}

static bool is_sync_safe(const struct verdict_input *in)
{
    return str_is(in->message->class, STR("sync")) && !in->tenant->retry.is_sync_full;
}

/* GET, HEAD, OPTIONS, PUT, DELETE are idempotent by RFC 9110, section 9.2.2; DOUBT_RETRY by
 * default. */
static bool is_policy_retry(const struct verdict_input *in)
{
    return !RULE(no_silent_repeat) ||
           tenant_doubt_policy(in->tenant, in->message->method) == TENANT_DOUBT_RETRY;
}

static int64_t delay_of(const struct verdict_input *in, const struct tenant_retry *r,
                        int64_t floor_ms)
{
    struct backoff b = {r->initial_ms, r->factor, r->max_ms};

    return backoff_full_jitter_ms(&b, in->number, floor_ms, in->unit);
}

/* A retry that could not end before the deadline is not made. */
static bool fits(const struct verdict_input *in, int64_t delay_ms)
{
    return in->rest_ms < 0 || delay_ms < in->rest_ms;
}

static struct verdict ended(enum verdict_kind kind, const char *error)
{
    return (struct verdict){.kind = kind, .error = error, .frees_slot = true};
}

static bool is_retried(const struct verdict_input *in)
{
    int status = in->result->status;

    if (is_sync_safe(in)) {
        return status == 429 || status == 503;
    }
    return tenant_retries_status(in->tenant, in->message->method, status);
}

/* A question that could not be put before the deadline is not waited for. */
static struct verdict held_or_asked(const struct verdict_input *in, struct verdict v)
{
    bool is_asked = tenant_doubt_policy(in->tenant, in->message->method) == TENANT_DOUBT_ASK &&
                    fits(in, in->slot_ms);

    v.kind = is_asked ? VERDICT_ASK : VERDICT_HOLD;
    v.delay_ms = is_asked ? in->slot_ms : 0;
    return v;
}

/* It said when it will take more: nobody is to blame, and the attempt is not counted. */
static bool is_cooled(const struct verdict_input *in)
{
    return in->cool_ms > 0 && (in->result->status == 429 || in->result->status == 503);
}

/* The store knows the other instances, and the deadline of whoever joined the wait. */
static struct verdict elsewhere(const struct verdict_input *in, const struct tenant_retry *r,
                                int64_t delay)
{
    struct verdict v = ended(VERDICT_ELSEWHERE, "");

    v.delay_ms = delay;
    v.max_attempts = r->max_attempts;
    v.is_sync_safe = is_sync_safe(in);
    return v;
}

struct verdict verdict_instead(const struct verdict *v, struct str reason)
{
    if (!str_is(reason, STR("attempts_used_up"))) {
        return ended(VERDICT_FAILED, "deadline");
    }
    return ended(v->is_sync_safe ? VERDICT_FAILED : VERDICT_DEAD, "attempts_used_up");
}

static struct verdict of_answer(const struct verdict_input *in, const struct tenant_retry *r)
{
    int status = in->result->status;

    if (status < 400) {
        return ended(VERDICT_SUCCEEDED, in->result->is_too_large ? "result_too_large" : "");
    }
    if ((status == 502 || status == 504) && !is_policy_retry(in)) {
        return held_or_asked(in, ended(VERDICT_HOLD, "gateway_in_doubt"));
    }
    if (!is_retried(in)) {
        return ended(VERDICT_FAILED, in->result->is_too_large ? "result_too_large" : "");
    }
    int64_t delay = delay_of(in, r, verdict_retry_after_ms(in->result->head, in->now));
    if (is_cooled(in)) {
        return elsewhere(in, r, delay);
    }
    if (in->counted >= r->max_attempts) {
        return ended(is_sync_safe(in) ? VERDICT_FAILED : VERDICT_DEAD, "attempts_used_up");
    }
    if (!fits(in, delay)) {
        return ended(VERDICT_FAILED, "deadline");
    }
    struct verdict v = ended(VERDICT_RETRY, "");
    v.delay_ms = delay;
    return v;
}

static struct verdict of_unsent(const struct verdict_input *in, const struct tenant_retry *r)
{
    int64_t delay = delay_of(in, r, 0);
    struct verdict v = ended(VERDICT_UNSENT, in->result->error);

    if (!fits(in, delay) && str_is(in->message->class, STR("sync"))) {
        v.kind = VERDICT_FAILED;
    }
    v.delay_ms = delay;
    return v;
}

static struct verdict of_doubt(const struct verdict_input *in, const struct tenant_retry *r)
{
    struct verdict v = {.error = in->result->error, .frees_slot = false};

    v.delay_ms = delay_of(in, r, 0);
    if (!is_policy_retry(in)) {
        v = held_or_asked(in, v);
    } else if (is_sync_safe(in)) {
        v.kind = VERDICT_FAILED;
    } else if (in->counted >= r->max_attempts) {
        v.kind = VERDICT_DEAD;
        v.error = "attempts_used_up";
    } else {
        v.kind = fits(in, v.delay_ms) ? VERDICT_DOUBT : VERDICT_HOLD;
    }
    return v;
}

struct verdict verdict_of(const struct verdict_input *in)
{
    struct tenant_retry r = verdict_retry_settings(in->tenant, in->message->retry);

    switch (in->result->kind) {
    case HTTPC_ANSWERED:
        return of_answer(in, &r);
    case HTTPC_UNSENT:
        return of_unsent(in, &r);
    case HTTPC_DOUBT:
        break;
    }
    return of_doubt(in, &r);
}

enum verdict_fate verdict_fate_of(const struct httpc_result *r)
{
    if (r->kind != HTTPC_ANSWERED) {
        return FATE_SILENT;
    }
    return r->status == 200   ? FATE_KNOWN
           : r->status == 404 ? FATE_UNKNOWN
           : r->status == 202 ? FATE_PENDING
                              : FATE_UNCLEAR;
}

struct str verdict_fate_word(enum verdict_fate fate)
{
    switch (fate) {
    case FATE_KNOWN:
        return STR("known");
    case FATE_UNKNOWN:
        return STR("unknown");
    case FATE_PENDING:
        return STR("pending");
    case FATE_UNCLEAR:
        return STR("unclear");
    case FATE_SILENT:
        break;
    }
    return STR("silent");
}
