/* SPDX-License-Identifier: Apache-2.0 */
#include "polling.h"

#include "attempt_inside.h"
#include "base/fault.h"
#include "base/log.h"
#include "job/answer.h"
#include "origin.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETRY_AFTER_MOST_MS = 300000 };

static bool is_pending(const struct tenant *t, const struct httpc_result *r)
{
    for (size_t i = 0; i < t->offload.n_pending_statuses; i++) {
        if (r->kind == HTTPC_ANSWERED && r->status == t->offload.pending_statuses[i]) {
            return true;
        }
    }
    return false;
}

/* The tenant's own word on when to come again is heard, within reason. */
static int64_t wait_ms(const struct tenant *t, const struct httpc_result *r)
{
    int64_t said = r->kind == HTTPC_ANSWERED ? verdict_retry_after_ms(r->head, clock_wall()) : 0;

    said = said < RETRY_AFTER_MOST_MS ? said : RETRY_AFTER_MOST_MS;
    return said > t->offload.poll_ms ? said : t->offload.poll_ms;
}

/* --- it begins -------------------------------------------------------------------------------- */

static struct str location_of(struct str head, const char *header)
{
    struct str name;
    struct str value;

    while (job_head_next(&head, &name, &value)) {
        if (str_is_nocase(name, str_of(header))) {
            return value;
        }
    }
    return (struct str){"", 0};
}

/* Nobody can be polled there: it ends, without an answer. */
static void refuse(struct attempt *a, const char *error)
{
    a->verdict = (struct verdict){.kind = VERDICT_FAILED, .error = error, .frees_slot = true};
    a->status = 0;
    a->body_bytes = 0;
    buf_clear(&a->answer);
}

void polling_look(struct attempt *a, const struct httpc_result *r)
{
    const struct tenant *t = a->tenant->tenant;
    int rc = ERR_OK;

    if (!t->offload.is_enabled || !is_pending(t, r)) {
        return;
    }
    struct str location = location_of(r->head, t->offload.location_header);
    buf_clear(&a->poll_url);
    if (location.n > 0) {
        rc = origin_resolve(buf_as_str(&a->forward.url), location, &a->poll_url);
    }
    if (rc == ERR_DENIED && RULE(same_origin_only)) {
        refuse(a, "offload_foreign_origin");
        return;
    }
    if (rc != ERR_OK && rc != ERR_DENIED) {
        refuse(a, "offload_bad_location");
        return;
    }
    int64_t ms = location.n > 0 ? wait_ms(t, r) : t->offload.max_ms;
    a->is_polling = true;
    a->verdict = (struct verdict){.kind = VERDICT_OFFLOAD,
                                  .error = "",
                                  .delay_ms = ms,
                                  .frees_slot = t->offload.frees_slot,
                                  .poll_url = a->poll_url.n > 0 ? a->poll_url.p : ""};
    buf_clear(&a->answer); /* the outcome is still to come */
}

/* --- it is polled ----------------------------------------------------------------------------- */

static void on_recorded(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;

    a->worker->moved = loop_now(a->worker->loop);
    if (FAULT(worker_poll_recorded)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK) {
        if (rc == ERR_BUG) {
            log_event(LOG_ERROR, "script_failed", "job=%.*s script=polled err=\"%.*s\"",
                      STR_ARG(a->message.id), STR_ARG(v->text));
        }
        attempt_again(a, ATTEMPT_AGAIN_MS);
    } else if (str_is(store_word(v, 0), STR("waiting"))) {
        a->is_polling = true;
        attempt_delay_for(a, store_number(v, 1));
    } else {
        attempt_claim(a); /* the in-doubt policy decides, or the record changed */
    }
}

void polling_record(struct attempt *a)
{
    struct calls_job j = attempt_job(a);
    struct calls_question q = {a->seen_number, str_of(a->seen_token), a->question};

    a->step = STEP_POLLED;
    if (calls_polled(&j, &q, a->poll_word, a->poll_wait_ms, on_recorded, a) != ERR_OK) {
        attempt_again(a, ATTEMPT_AGAIN_MS);
    }
}

/* NULL: it is the outcome. */
static const char *word_of(const struct tenant *t, const struct httpc_result *r)
{
    if (is_pending(t, r)) {
        return "pending";
    }
    if (r->kind != HTTPC_ANSWERED || r->status >= 500 || r->status == 408 || r->status == 425 ||
        r->status == 429) {
        return "trouble";
    }
    return r->status == 404 || r->status == 410 ? "unknown" : NULL;
}

/* The complete answer of attempt n, as if it had come by the call itself. */
static void settle_outcome(struct attempt *a, const struct httpc_result *r)
{
    bool is_good = r->status < 400;

    a->verdict = (struct verdict){.kind = is_good ? VERDICT_SUCCEEDED : VERDICT_FAILED,
                                  .error = r->is_too_large ? "result_too_large" : "",
                                  .frees_slot = true};
    a->number = (uint32_t)a->seen_number;
    (void)snprintf(a->token, sizeof a->token, "%s", a->seen_token);
    a->mood = (struct mood){0}; /* a poll's pace is not the call's */
    attempt_keep_answer(a, r);
    attempt_set_running(a);
    attempt_settle(a);
}

static void on_polled(const struct httpc_result *r, void *arg)
{
    struct attempt *a = arg;
    const struct tenant *t = a->tenant->tenant;
    const char *word = word_of(t, r);

    a->call = NULL;
    FAULT_HERE(worker_polled);
    metric_add(a->worker->metrics.polls,
               (struct str[]){str_of(a->lane->tenant), str_of(word == NULL ? "outcome" : word)}, 1);
    if (word == NULL) {
        settle_outcome(a, r);
        return;
    }
    a->poll_word = word;
    a->poll_wait_ms = wait_ms(t, r);
    polling_record(a);
}

static void read_claim(struct attempt *a, const struct store_value *v)
{
    a->step = STEP_POLL;
    a->seen_number = store_number(v, 1);
    (void)snprintf(a->seen_token, sizeof a->seen_token, "%.*s", STR_ARG(store_word(v, 2)));
    a->question = store_number(v, 4);
    free(a->instance);
    a->instance = str_dup(store_word(v, 5));
    a->slot_end_ms = store_number(v, 6);
    a->counted = (uint32_t)store_number(v, 7);
}

/* Polling is harmless: it needs no slot, and takes no number. */
void polling_begin(struct attempt *a, const struct store_value *v)
{
    const struct tenant *t = a->tenant->tenant;
    struct httpc_result unasked = {.kind = HTTPC_UNSENT, .error = "not_sent"};

    read_claim(a, v);
    forward_fini(&a->forward);
    if (forward_make_poll(&a->message, store_word(v, 3), (uint32_t)a->seen_number, &a->forward) !=
        ERR_OK) {
        on_polled(&unasked, a);
        return;
    }
    struct httpc_request r = {
        .method = STR("GET"),
        .url = a->forward.url.p,
        .head = (const char *const *)a->forward.lines,
        .connect_ms = t->timeouts.connect_ms,
        .first_byte_ms = t->timeouts.first_byte_ms,
        .total_ms = t->timeouts.total_ms < CALLS_POLL_MS ? t->timeouts.total_ms : CALLS_POLL_MS,
        .max_answer_bytes = t->max_result_bytes,
        .done = on_polled,
        .arg = a};
    if (httpc_start(a->worker->http, &r, &a->call) != ERR_OK) {
        on_polled(&unasked, a);
    }
}
