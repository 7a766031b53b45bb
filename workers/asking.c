/* SPDX-License-Identifier: Apache-2.0 */
#include "asking.h"

#include "attempt_inside.h"
#include "base/log.h"

#include <stdio.h>

enum { QUESTION_MS = 30000 /* a status path is quick, or it is asked again */ };

static void on_asked(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;
    struct str word = store_word(v, 0);

    a->worker->moved = loop_now(a->worker->loop);
    if (rc != ERR_OK) {
        if (rc == ERR_BUG) {
            log_event(LOG_ERROR, "script_failed", "job=%.*s script=asked err=\"%.*s\"",
                      STR_ARG(a->message.id), STR_ARG(v->text));
        }
        attempt_again(a, ATTEMPT_AGAIN_MS);
        return;
    }
    struct lane *l = a->lane;
    if (str_is(word, STR("waiting"))) {
        attempt_delay_for(a, store_number(v, 1));
    } else if (str_is(word, STR("ended"))) {
        a->verdict.kind = VERDICT_SUCCEEDED;
        attempt_publish_next(a, v, 2);
        attempt_ended(a);
    } else if (str_is(word, STR("unclear")) || str_is(word, STR("silent"))) {
        a->is_dead = false;
        a->is_out_of_turn = false;
        a->reason = str_is(word, STR("unclear")) ? "asked_unclear" : "asked_silent";
        attempt_publish_shelf(a);
    } else {
        attempt_claim(a); /* it never arrived, or the record changed */
    }
    lane_hint(l);
}

void asking_record(struct attempt *a)
{
    struct calls_job j = attempt_job(a);
    struct calls_question q = {a->seen_number, str_of(a->seen_token), a->question};
    bool is_known = a->fate == FATE_KNOWN;
    const char *error = is_known && a->answer.n == 0 ? "result_too_large" : "";

    a->step = STEP_ASKED;
    if (calls_asked(&j, &q, a->fate, error, a->status, buf_as_str(&a->answer), a->body_bytes,
                    on_asked, a) != ERR_OK) {
        attempt_again(a, ATTEMPT_AGAIN_MS);
    }
}

static void on_told(const struct httpc_result *r, void *arg)
{
    struct attempt *a = arg;

    a->call = NULL;
    a->fate = verdict_fate_of(r);
    attempt_keep_answer(a, r);
    if (a->fate != FATE_KNOWN) {
        buf_clear(&a->answer);
    }
    metric_add(a->worker->metrics.asked,
               (struct str[]){str_of(a->lane->tenant), verdict_fate_word(a->fate)}, 1);
    asking_record(a);
}

/* Asking is harmless: it needs neither slot nor lease, and several workers may do it. */
void asking_begin(struct attempt *a, const struct store_value *v)
{
    const struct tenant *t = a->tenant->tenant;
    struct str base = store_word(v, 4);
    struct httpc_result unasked = {.kind = HTTPC_UNSENT, .error = "not_sent"};

    a->step = STEP_ASK;
    a->seen_number = store_number(v, 1);
    (void)snprintf(a->seen_token, sizeof a->seen_token, "%.*s", STR_ARG(store_word(v, 2)));
    a->question = store_number(v, 5);
    a->number = (uint32_t)a->seen_number;
    forward_fini(&a->forward);
    if (base.n == 0 || t->in_doubt.ask_path == NULL ||
        forward_make_question(&a->message, base, str_of(t->in_doubt.ask_path), a->number,
                              &a->forward) != ERR_OK) {
        on_told(&unasked, a);
        return;
    }
    struct httpc_request r = {.method = STR("GET"),
                              .url = a->forward.url.p,
                              .head = (const char *const *)a->forward.lines,
                              .connect_ms = t->timeouts.connect_ms,
                              .first_byte_ms = t->timeouts.first_byte_ms,
                              .total_ms = t->timeouts.total_ms < QUESTION_MS ? t->timeouts.total_ms
                                                                             : QUESTION_MS,
                              .max_answer_bytes = t->max_result_bytes,
                              .done = on_told,
                              .arg = a};
    if (httpc_start(a->worker->http, &r, &a->call) != ERR_OK) {
        on_told(&unasked, a);
    }
}
