/* SPDX-License-Identifier: Apache-2.0 */
#include "attempt.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"
#include "calls.h"
#include "daemon/wire.h"
#include "forward.h"
#include "job/answer.h"
#include "job/id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    AGAIN_MS = 500,
    TOKEN_SIZE = 17,
    SHELF_FULL_MS = 60000,
    SHELF_FULL_MAX_MS = 3600000,
    KEY_FULL_MS = 1000,
    KEY_FULL_MAX_MS = 60000,
    QUESTION_MS = 30000 /* a status path is quick, or it is asked again */
};

/* What is under way: exactly one answer is awaited at a time, or the timer. */
enum step {
    STEP_CLAIM,    /* the claim script */
    STEP_REBUILD,  /* the rebuild script: everything was lost */
    STEP_REFUSED,  /* nothing: the lane tries again */
    STEP_FORWARD,  /* the HTTP call */
    STEP_ASK,      /* the HTTP call that asks what became of an attempt */
    STEP_ASKED,    /* the asked script */
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
    struct list refused;
    struct loop_timer *timer;
    enum step step;
    char token[TOKEN_SIZE];
    char fallback_id[JOB_ID_SIZE]; /* for an undecodable message */
    bool is_undecodable;
    bool is_turn;       /* its claim went out by turns (turns.h) */
    bool is_claim_open; /* a claim was sent and not answered: it may have been granted */
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
    char seen_token[TOKEN_SIZE];
    int64_t question;
    enum verdict_fate fate;
    const char *reason;
    bool is_dead;
    bool is_out_of_turn; /* to the shelf for another job, not for a person */
    int64_t delay_ms;
    bool is_counted_park;
};

static void claim(struct attempt *a);
static void forward(struct attempt *a, const struct store_value *v);
static void ask(struct attempt *a, const struct store_value *v);
static void asked(struct attempt *a);
static void settle(struct attempt *a);
static void shelve(struct attempt *a);
static void rebuild(struct attempt *a);
static void register_again(struct attempt *a);
static void publish_shelf(struct attempt *a);
static void delay(struct attempt *a);

static struct calls_job job_of(const struct attempt *a)
{
    return (struct calls_job){.store = a->worker->store,
                              .message = &a->message,
                              .tenant = a->tenant->tenant,
                              .token = a->token,
                              .number = a->number,
                              .shelf_max_bytes = a->worker->shelf_max_bytes,
                              .region = a->worker->region};
}

struct list *attempt_refused_link(struct attempt *a)
{
    return &a->refused;
}

struct attempt *attempt_of_refused(struct list *link)
{
    return LIST_OF(link, struct attempt, refused);
}

static bool was_attempted(const struct attempt *a)
{
    /* Who had it before may have attempted it. */
    return a->message.was_attempted || a->number > 0 ||
           (bus_delivery_is_redelivered(a->delivery) && RULE(requeue_marks_attempted));
}

/* Drawn before the claim: with the attempt's number it is the fence. */
static void draw_token(struct attempt *a)
{
    (void)snprintf(a->token, sizeof a->token, "%016" PRIx64, random_u64());
}

static void set_running(struct attempt *a, bool is_running)
{
    if (a->is_running != is_running) {
        a->is_running = is_running;
        a->worker->running += is_running ? 1u : (size_t)-1;
    }
}

/* The end of an attempt. is_done: acknowledge; else the delivery goes back to its queue. */
static void end(struct attempt *a, bool is_done)
{
    struct worker *w = a->worker;

    set_running(a, false);
    list_remove(&a->refused);
    list_remove(&a->all);
    if (is_done) {
        FAULT_HERE(worker_acknowledges);
        bus_ack(a->delivery);
    } else {
        bus_requeue(a->delivery);
    }
    loop_timer_free(a->timer);
    forward_fini(&a->forward);
    free(a->instance);
    buf_fini(&a->answer);
    registry_unref(a->tenant);
    a->lane->in_hand--;
    w->in_hand--;
    w->moved = loop_now(w->loop);
    free(a);
    worker_note(w);
}

/* The step failed for a reason outside: it is tried again. What was not begun is let go when its
 * channel is gone, for the broker has given the message to somebody else. */
static void again(struct attempt *a, int64_t ms)
{
    if (!a->is_running && !a->is_claim_open && !bus_delivery_is_live(a->delivery)) {
        end(a, /* is_done= */ false);
        return;
    }
    loop_timer_set(a->timer, ms);
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct attempt *a = arg;

    (void)t;
    switch (a->step) {
    case STEP_CLAIM:
    case STEP_REFUSED:
        claim(a);
        break;
    case STEP_REBUILD:
        rebuild(a);
        break;
    case STEP_REGISTER:
        register_again(a);
        break;
    case STEP_SHELF:
        publish_shelf(a);
        break;
    case STEP_SETTLE:
        settle(a);
        break;
    case STEP_SHELVE:
        shelve(a);
        break;
    case STEP_DELAY:
        delay(a);
        break;
    case STEP_ASKED:
        asked(a);
        break;
    case STEP_FORWARD:
    case STEP_ASK:
        PANIC("a forward has no timer of the attempt's");
    }
}

/* --- another message takes this one's place --------------------------------------------------- */

static void on_delayed(enum bus_outcome outcome, void *arg)
{
    struct attempt *a = arg;

    a->worker->moved = loop_now(a->worker->loop);
    if (FAULT(worker_delayed)) {
        outcome = BUS_UNKNOWN;
    }
    redeclare_doubt(&a->worker->redeclare, outcome);
    if (outcome == BUS_CONFIRMED || !RULE(park_confirm_before_ack)) {
        end(a, /* is_done= */ true);
        return;
    }
    /* Perhaps it is stored, perhaps not: a superfluous copy is acknowledged and forgotten. */
    again(a, AGAIN_MS);
}

static void delay(struct attempt *a)
{
    struct job_message m = a->message;

    a->step = STEP_DELAY;
    m.was_attempted = was_attempted(a);
    /* What ran has had room: it is counted anew. */
    m.parks = a->is_counted_park ? m.parks + 1 : a->number > 0 ? 0 : m.parks;
    if (wire_publish(a->worker->publisher, &m, a->delay_ms, on_delayed, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

static void delay_for(struct attempt *a, int64_t ms)
{
    set_running(a, false);
    a->delay_ms = ms;
    delay(a);
}

/* For want of room that is its own: each time twice as long, as its message counts. */
static void park_doubling(struct attempt *a, int64_t ms, int64_t max_ms)
{
    for (uint32_t i = 0; i < a->message.parks && ms < max_ms; i++) {
        ms *= 2;
    }
    a->is_counted_park = true;
    delay_for(a, ms < max_ms ? ms : max_ms);
}

void attempt_give_back(struct attempt *a)
{
    list_remove(&a->refused);
    /* A delivery whose channel is gone is with somebody else already. */
    if (!RULE(give_back_as_new) || bus_link_state(a->worker->publisher) != BUS_OPEN ||
        !bus_delivery_is_live(a->delivery)) {
        end(a, /* is_done= */ false);
        return;
    }
    delay_for(a, 0);
}

/* Whose turn has come by what this script did stands in the outbox: item i of its answer is its
 * name, the next since when. The leader publishes it, too, but later. */
static void publish_next(struct attempt *a, const struct store_value *v, size_t i)
{
    if (store_word(v, i).n > 0 && RULE(next_at_once)) {
        handover_begin(a->worker->handovers, str_of(a->lane->tenant), store_word(v, i),
                       store_word(v, i + 1));
    }
}

/* --- the shelf -------------------------------------------------------------------------------- */

/* Full: 1 min doubling to 1 h; the record stays as it is, and its message asks again. ms: of one
 * out of turn, until then; else 0. */
static void shelf_is_full(struct attempt *a, int64_t ms)
{
    metric_add(a->worker->metrics.shelf_full, (struct str[]){str_of(a->lane->tenant)}, 1);
    if (a->is_out_of_turn && ms > 0) {
        delay_for(a, ms); /* its turn may come any moment */
    } else {
        park_doubling(a, SHELF_FULL_MS, SHELF_FULL_MAX_MS);
    }
}

static void on_shelved(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;
    struct str word = store_word(v, 0);

    if (FAULT(worker_shelved)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK) {
        again(a, AGAIN_MS);
    } else if (str_is(word, STR("shelved")) && a->is_out_of_turn) {
        end(a, /* is_done= */ true);
    } else if (str_is(word, STR("shelved"))) {
        publish_next(a, v, 2);
        metric_add(
            a->worker->metrics.ended,
            (struct str[]){str_of(a->lane->tenant), a->is_dead ? STR("failed") : STR("in_doubt")},
            1);
        log_event(LOG_WARN, "job_shelved", "job=%.*s reason=%s", STR_ARG(a->message.id), a->reason);
        end(a, /* is_done= */ true);
    } else if (str_is(word, STR("full"))) {
        shelf_is_full(a, store_number(v, 2));
    } else {
        claim(a); /* the record changed: look again */
    }
}

static void shelve(struct attempt *a)
{
    struct calls_job j = job_of(a);

    a->step = STEP_SHELVE;
    int rc = a->is_out_of_turn ? calls_wait_turn(&j, was_attempted(a), on_shelved, a)
                               : calls_shelve(&j, a->seen_number, str_of(a->seen_token), a->reason,
                                              a->is_dead, on_shelved, a);
    if (rc != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

static void on_shelf_stored(enum bus_outcome outcome, void *arg)
{
    struct attempt *a = arg;

    if (FAULT(worker_shelf_stored)) {
        outcome = BUS_UNKNOWN;
    }
    redeclare_doubt(&a->worker->redeclare, outcome);
    if (outcome != BUS_CONFIRMED) {
        a->step = STEP_SHELF;
        again(a, AGAIN_MS);
    } else if (a->is_running) {
        settle(a);
    } else {
        shelve(a);
    }
}

/* First the durable copy, then the record that says so, then the acknowledgement. */
static void publish_shelf(struct attempt *a)
{
    struct job_message m = a->message;

    a->step = STEP_SHELF;
    /* What waits for a person was attempted, or may have been. */
    m.was_attempted = !a->is_out_of_turn || was_attempted(a);
    if (wire_publish_shelf(a->worker->publisher, &m, on_shelf_stored, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

static void to_shelf(struct attempt *a, int64_t seen_number, struct str seen_token,
                     const char *reason)
{
    a->seen_number = seen_number;
    (void)snprintf(a->seen_token, sizeof a->seen_token, "%.*s", STR_ARG(seen_token));
    a->reason = reason;
    a->is_out_of_turn = false;
    publish_shelf(a);
}

/* --- the claim -------------------------------------------------------------------------------- */

static void on_rebuilt(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;
    struct str word = store_word(v, 0);

    a->worker->moved = loop_now(a->worker->loop);
    if (rc != ERR_OK || str_is(word, STR("settling")) || str_is(word, STR("memory"))) {
        again(a, AGAIN_MS);
    } else if (str_is(word, STR("hold"))) {
        metric_add(a->worker->metrics.missing, NULL, 1);
        to_shelf(a, -1, STR(""), "memory_lost");
    } else {
        if (!str_is(word, STR("there"))) {
            metric_add(a->worker->metrics.rebuilt, NULL, 1);
        }
        claim(a);
    }
}

/* Everything was lost; the message carries what accept wrote. */
static void rebuild(struct attempt *a)
{
    struct calls_job j = job_of(a);

    a->step = STEP_REBUILD;
    if (calls_rebuild(&j, was_attempted(a), a->worker->lease_ms, on_rebuilt, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

/* A message whose record is gone. Of another epoch: it is rebuilt. Of this one: an unkeyed
 * synchronous one past its deadline is superfluous; all else waits for a person (protocol.md,
 * "Loss of memory"). */
static void on_missing(struct attempt *a, int64_t now_ms)
{
    const struct job_message *m = &a->message;

    /* One that names no epoch was not accepted here, as far as anybody can tell: a person decides.
     */
    if (RULE(rebuild_by_epoch) && m->epoch.n > 0 &&
        !str_is(m->epoch, str_of(store_epoch(a->worker->store)))) {
        rebuild(a);
        return;
    }
    if (!RULE(missing_is_shelved) || (str_is(m->class, STR("sync")) && m->key.n == 0 &&
                                      m->deadline_ms > 0 && now_ms > m->deadline_ms)) {
        end(a, /* is_done= */ true);
        return;
    }
    metric_add(a->worker->metrics.missing, NULL, 1);
    to_shelf(a, -1, STR(""), "record_missing");
}

static const char *reason_of(struct str word)
{
    static const char *const known[] = {"deadline", "worker_lost", "policy_changed"};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (str_is(word, str_of(known[i]))) {
            return known[i];
        }
    }
    return "in_doubt";
}

static void act_on(struct attempt *a, const struct store_value *v)
{
    struct str word = store_word(v, 0);

    if (str_is(word, STR("ack"))) {
        publish_next(a, v, 2);
        end(a, /* is_done= */ true);
    } else if (str_is(word, STR("go"))) {
        forward(a, v);
    } else if (str_is(word, STR("park")) && str_is(store_word(v, 1), STR("concurrency"))) {
        park_doubling(a, KEY_FULL_MS, KEY_FULL_MAX_MS); /* its key has no room: nobody else waits */
    } else if (str_is(word, STR("park")) && str_is(store_word(v, 1), STR("shelf_full"))) {
        a->is_out_of_turn = true;
        shelf_is_full(a, store_number(v, 2));
    } else if (str_is(word, STR("park"))) {
        delay_for(a, store_number(v, 2));
    } else if (str_is(word, STR("order"))) {
        a->is_out_of_turn = true;
        publish_shelf(a);
    } else if (str_is(word, STR("ask"))) {
        ask(a, v);
    } else if (str_is(word, STR("hold"))) {
        a->is_dead = false;
        to_shelf(a, store_number(v, 1), store_word(v, 2), reason_of(store_word(v, 3)));
    } else if (str_is(word, STR("used_up"))) {
        a->is_dead = true;
        to_shelf(a, store_number(v, 1), store_word(v, 2), "attempts_used_up");
    } else if (str_is(word, STR("wait"))) {
        a->step = STEP_REFUSED;
        lane_refused(a->lane, a, store_number(v, 2));
    } else if (str_is(word, STR("missing"))) {
        on_missing(a, store_number(v, 1));
    } else {
        if (str_is(word, STR("dead"))) {
            heartbeat_reborn(a->worker->heartbeat, a->claimant);
        }
        again(a, AGAIN_MS);
    }
}

/* Whatever became of the claim, the next may have its turn. Says whether it was one by turns. */
static bool end_turn(struct attempt *a)
{
    bool was_turn = a->is_turn;

    a->is_turn = false;
    return was_turn;
}

static void on_claim(struct attempt *a, int rc, const struct store_value *v)
{
    a->worker->moved = loop_now(a->worker->loop);
    if (FAULT(worker_claimed)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK) {
        if (rc == ERR_BUG) {
            log_event(LOG_ERROR, "script_failed", "job=%.*s script=claim err=\"%.*s\"",
                      STR_ARG(a->message.id), STR_ARG(v->text));
        }
        again(a, AGAIN_MS);
        return;
    }
    a->is_claim_open = false;
    act_on(a, v);
}

static void on_claimed(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;
    struct lane *l = a->lane;
    bool was_turn = end_turn(a);

    on_claim(a, rc, v); /* `a` may be gone */
    if (was_turn) {
        lane_turn_over(l);
    }
}

static void claim(struct attempt *a)
{
    struct worker *w = a->worker;
    struct calls_job j = job_of(a);

    a->step = STEP_CLAIM;
    (void)snprintf(a->claimant, sizeof a->claimant, "%s", heartbeat_name(w->heartbeat));
    /* Without a renewed lease nothing may be sent: a claim would only hold a slot. */
    if (!heartbeat_may_send(w->heartbeat, a->claimant) ||
        calls_claim(&j, a->claimant, w->channel, w->lease_ms, on_claimed, a) != ERR_OK) {
        struct lane *l = a->lane;
        bool was_turn = end_turn(a);
        again(a, AGAIN_MS);
        if (was_turn) {
            lane_turn_over(l);
        }
        return;
    }
    a->is_claim_open = true;
}

void attempt_retry_claim(struct attempt *a)
{
    claim(a);
}

void attempt_claim_by_turn(struct attempt *a)
{
    a->is_turn = true;
    claim(a);
}

/* --- forwarding ------------------------------------------------------------------------------- */

static bool may_send(void *arg)
{
    struct attempt *a = arg;

    FAULT_HERE(worker_sends);
    return heartbeat_may_send(a->worker->heartbeat, a->claimant) || !RULE(lease_before_send);
}

static const char *outcome_word(const struct httpc_result *r)
{
    if (r->kind == HTTPC_ANSWERED) {
        return r->status < 400 ? "succeeded" : "answered";
    }
    return r->error;
}

/* Keeps what the script needs: the result's bytes live only until this returns. */
static void keep_answer(struct attempt *a, const struct httpc_result *r)
{
    struct job_answer answer = {r->status, r->head, r->body};

    buf_clear(&a->answer);
    a->status = r->kind == HTTPC_ANSWERED ? r->status : 0;
    a->body_bytes = r->body_bytes;
    a->is_unsent = r->kind == HTTPC_UNSENT;
    a->is_refused_connection =
        r->kind == HTTPC_UNSENT && str_is(str_of(r->error), STR("connect_refused"));
    if (r->kind == HTTPC_ANSWERED && !r->is_too_large) {
        job_answer_pack(&answer, &a->answer);
    }
}

static int64_t slot_left_ms(const struct attempt *a, int64_t took_ms)
{
    struct calls_job j = job_of(a);
    int64_t ms = calls_limit_ms(&j) + a->tenant->tenant->slot_linger_ms - took_ms;

    return ms > 0 ? ms : 0;
}

/* What goes to the shelf is first copied there. */
static void conclude(struct attempt *a)
{
    bool is_shelved = a->verdict.kind == VERDICT_HOLD || a->verdict.kind == VERDICT_DEAD;

    if (is_shelved && RULE(shelf_copy_first)) {
        publish_shelf(a);
    } else if ((a->verdict.kind == VERDICT_RETRY || a->verdict.kind == VERDICT_ELSEWHERE) &&
               !RULE(waiting_before_publish)) {
        delay_for(a, a->verdict.delay_ms);
    } else {
        settle(a);
    }
}

static void on_answered(const struct httpc_result *r, void *arg)
{
    struct attempt *a = arg;
    struct worker *w = a->worker;
    struct str tenant = str_of(a->lane->tenant);

    a->call = NULL;
    FAULT_HERE(worker_answered);
    int64_t took_ms = mono_since_ms(a->claimed, loop_now(w->loop));
    a->mood = mood_of(r, clock_wall());
    struct verdict_input in = {.tenant = a->tenant->tenant,
                               .message = &a->message,
                               .result = r,
                               .number = a->number,
                               .counted = a->counted,
                               .rest_ms = a->rest_ms < 0         ? -1
                                          : a->rest_ms > took_ms ? a->rest_ms - took_ms
                                                                 : 0,
                               .slot_ms = slot_left_ms(a, took_ms),
                               .now = clock_wall(),
                               .unit = random_unit(),
                               .cool_ms = a->mood.cool_ms};
    a->verdict = verdict_of(&in);
    metric_add(w->metrics.attempts, (struct str[]){tenant, str_of(outcome_word(r))}, 1);
    metric_observe(w->metrics.seconds, (struct str[]){tenant}, (double)took_ms / 1000.0);
    keep_answer(a, r);
    a->is_out_of_turn = false;
    conclude(a);
}

/* What could not even be asked: as an attempt that never left. */
static void fail_to_start(struct attempt *a)
{
    struct httpc_result r = {.kind = HTTPC_UNSENT, .error = "not_sent"};

    on_answered(&r, a);
}

static void forward(struct attempt *a, const struct store_value *v)
{
    const struct tenant *t = a->tenant->tenant;
    struct calls_job j = job_of(a);

    a->step = STEP_FORWARD;
    set_running(a, true);
    lane_served(a->lane);
    a->number = (uint32_t)store_number(v, 1);
    a->counted = (uint32_t)store_number(v, 5);
    a->rest_ms = store_number(v, 6);
    a->slot_end_ms = store_number(v, 4);
    free(a->instance);
    a->instance = str_dup(store_word(v, 2));
    a->claimed = loop_now(a->worker->loop);
    forward_fini(&a->forward);
    if (a->instance == NULL ||
        forward_make(&a->message, store_word(v, 3), a->number, &a->forward) != ERR_OK) {
        fail_to_start(a);
        return;
    }
    struct httpc_request r = {.method = a->message.method,
                              .url = a->forward.url.p,
                              .head = (const char *const *)a->forward.lines,
                              .body = a->message.body,
                              .connect_ms = t->timeouts.connect_ms,
                              .first_byte_ms = t->timeouts.first_byte_ms,
                              .total_ms = calls_limit_ms(&j),
                              .max_answer_bytes = t->max_result_bytes,
                              .may_send = may_send,
                              .done = on_answered,
                              .arg = a};
    int rc = httpc_start(a->worker->http, &r, &a->call);
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "forward_failed", "job=%.*s err=%s", STR_ARG(a->message.id),
                  err_word(rc));
        fail_to_start(a);
    }
}

/* --- the outcome ------------------------------------------------------------------------------ */

/* What waits for a person from now on is said. */
static void log_shelved(const struct attempt *a)
{
    if (a->verdict.kind == VERDICT_DEAD || a->verdict.kind == VERDICT_HOLD) {
        log_event(LOG_WARN, "job_shelved", "job=%.*s reason=%s", STR_ARG(a->message.id),
                  a->verdict.error);
    }
}

static void count_end(struct attempt *a)
{
    struct str tenant = str_of(a->lane->tenant);
    struct str state = a->verdict.kind == VERDICT_SUCCEEDED ? STR("succeeded")
                       : a->verdict.kind == VERDICT_HOLD    ? STR("in_doubt")
                                                            : STR("failed");

    metric_add(a->worker->metrics.ended, (struct str[]){tenant, state}, 1);
}

/* The record waits. What may go to another instance at once does so without losing its place. */
static void wait_on(struct attempt *a, const struct store_value *v)
{
    bool is_elsewhere = a->verdict.kind == VERDICT_ELSEWHERE;
    int64_t ms = is_elsewhere ? store_number(v, 2) : a->verdict.delay_ms;

    if (is_elsewhere && ms <= 0) {
        set_running(a, false);
        draw_token(a);
        claim(a);
    } else {
        delay_for(a, ms);
    }
}

static void on_settled(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;
    struct str word = store_word(v, 0);

    if (FAULT(worker_recorded)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK && RULE(outcome_before_ack)) {
        /* The truth is never thrown away: asked again until it is recorded. */
        if (rc == ERR_BUG) {
            log_event(LOG_ERROR, "script_failed", "job=%.*s script=complete err=\"%.*s\"",
                      STR_ARG(a->message.id), STR_ARG(v->text));
        }
        again(a, AGAIN_MS);
        return;
    }
    struct lane *l = a->lane;
    if (str_is(word, STR("waiting"))) {
        FAULT_HERE(worker_waiting);
        wait_on(a, v);
    } else if (str_is(word, STR("instead"))) {
        a->verdict = verdict_instead(&a->verdict, store_word(v, 1));
        conclude(a);
    } else if (str_is(word, STR("full"))) {
        /* The answer is in hand and stays there while the delivery does. */
        metric_add(a->worker->metrics.shelf_full, (struct str[]){str_of(l->tenant)}, 1);
        again(a, SHELF_FULL_MS);
    } else if (str_is(word, STR("missing"))) {
        register_again(a);
    } else if (str_is(word, STR("late"))) {
        set_running(a, false);
        claim(a); /* somebody else decided: the record says what this delivery is worth */
    } else {
        publish_next(a, v, 2);
        log_shelved(a);
        count_end(a);
        end(a, /* is_done= */ true);
    }
    lane_hint(l);
}

/* --- what the store has forgotten ------------------------------------------------------------- */

static int say_again(struct attempt *a, store_cb cb, void *arg)
{
    struct calls_job j = job_of(a);
    struct calls_running r = {.worker = a->claimant,
                              .instance = a->instance == NULL ? "" : a->instance,
                              .slot_end_ms = a->slot_end_ms,
                              .counted = a->counted};

    return calls_reregister(&j, &r, cb, arg);
}

static void on_registered(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;

    if (rc != ERR_OK || str_is(store_word(v, 0), STR("memory"))) {
        again(a, AGAIN_MS);
        return;
    }
    if (str_is(store_word(v, 0), STR("restored"))) {
        metric_add(a->worker->metrics.rebuilt, NULL, 1);
    }
    settle(a);
}

static void register_again(struct attempt *a)
{
    a->step = STEP_REGISTER;
    if (say_again(a, on_registered, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

void attempt_say_again(struct worker *w)
{
    for (struct list *l = w->attempts.next; l != &w->attempts; l = l->next) {
        struct attempt *a = LIST_OF(l, struct attempt, all);
        /* Nobody waits for the answer: it is said again each second for a lease. */
        if (RULE(running_is_said_again) && a->is_running && say_again(a, NULL, NULL) != ERR_OK) {
            return;
        }
    }
}

/* --- in doubt, policy ask --------------------------------------------------------------------- */

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
        again(a, AGAIN_MS);
        return;
    }
    struct lane *l = a->lane;
    if (str_is(word, STR("waiting"))) {
        delay_for(a, store_number(v, 1));
    } else if (str_is(word, STR("ended"))) {
        a->verdict.kind = VERDICT_SUCCEEDED;
        publish_next(a, v, 2);
        count_end(a);
        end(a, /* is_done= */ true);
    } else if (str_is(word, STR("unclear")) || str_is(word, STR("silent"))) {
        a->is_dead = false;
        a->is_out_of_turn = false;
        a->reason = str_is(word, STR("unclear")) ? "asked_unclear" : "asked_silent";
        publish_shelf(a);
    } else {
        claim(a); /* it never arrived, or the record changed */
    }
    lane_hint(l);
}

static void asked(struct attempt *a)
{
    struct calls_job j = job_of(a);
    struct calls_question q = {a->seen_number, str_of(a->seen_token), a->question};
    bool is_known = a->fate == FATE_KNOWN;
    const char *error = is_known && a->answer.n == 0 ? "result_too_large" : "";

    a->step = STEP_ASKED;
    if (calls_asked(&j, &q, a->fate, error, a->status, buf_as_str(&a->answer), a->body_bytes,
                    on_asked, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

static void on_told(const struct httpc_result *r, void *arg)
{
    struct attempt *a = arg;

    a->call = NULL;
    a->fate = verdict_fate_of(r);
    keep_answer(a, r);
    if (a->fate != FATE_KNOWN) {
        buf_clear(&a->answer);
    }
    metric_add(a->worker->metrics.asked,
               (struct str[]){str_of(a->lane->tenant), verdict_fate_word(a->fate)}, 1);
    asked(a);
}

/* Asking is harmless: it needs neither slot nor lease, and several workers may do it. */
static void ask(struct attempt *a, const struct store_value *v)
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

static void settle(struct attempt *a)
{
    struct calls_job j = job_of(a);

    a->step = STEP_SETTLE;
    if (calls_complete(&j, &a->verdict, &a->mood, a->status, buf_as_str(&a->answer), a->body_bytes,
                       a->is_refused_connection, a->is_unsent, on_settled, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

/* --- the beginning ---------------------------------------------------------------------------- */

/* Poisonous: it gets an id of its own, if it has none, and goes to the shelf as it is. */
static void make_decodable(struct attempt *a)
{
    struct job_id id;

    a->is_undecodable = true;
    if (!job_id_parse(a->message.id, &id)) {
        char name[RANDOM_NAME_SIZE];
        random_name(name);
        job_id_print(str_of(a->lane->tenant), name, a->fallback_id);
        a->message.id = str_of(a->fallback_id);
    }
    a->message.class = str_of(a->lane->class);
    a->message.lane = str_of(a->lane->fair);
    a->message.method = a->message.method.n > 0 ? a->message.method : STR("POST");
    a->message.path = a->message.path.n > 0 ? a->message.path : STR("/");
}

void attempt_begin(struct lane *l, struct bus_delivery *d)
{
    struct worker *w = l->worker;
    struct registry_entry *tenant = registry_find(w->registry, str_of(l->tenant));
    struct attempt *a = calloc(1, sizeof *a);

    FAULT_HERE(worker_delivered);
    if (a == NULL || tenant == NULL || loop_timer_new(w->loop, on_timer, a, &a->timer) != ERR_OK) {
        free(a);
        bus_requeue(d);
        return;
    }
    a->worker = w;
    a->lane = l;
    a->delivery = d;
    a->tenant = registry_ref(tenant);
    draw_token(a);
    w->in_hand++;
    list_push_back(&w->attempts, &a->all);
    l->in_hand++;
    if (wire_read(d, &a->message) != ERR_OK) {
        a->message = (struct job_message){.id = bus_delivery_message(d)->id,
                                          .body = bus_delivery_message(d)->body};
        make_decodable(a);
        metric_add(w->metrics.missing, NULL, 1);
        to_shelf(a, -1, STR(""), "undecodable");
        return;
    }
    lane_begin(l, a);
}

void attempt_drop_all(struct worker *w)
{
    while (!list_is_empty(&w->attempts)) {
        end(LIST_OF(w->attempts.next, struct attempt, all), /* is_done= */ false);
    }
}
