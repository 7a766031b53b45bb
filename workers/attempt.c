/* SPDX-License-Identifier: Apache-2.0 */
#include "attempt.h"

#include "asking.h"
#include "attempt_inside.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"
#include "daemon/wire.h"
#include "drain.h"
#include "forgotten.h"
#include "job/answer.h"
#include "job/complete_token.h"
#include "job/id.h"
#include "polling.h"
#include "surplus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    AGAIN_MS = ATTEMPT_AGAIN_MS,
    SHELF_FULL_MS = 60000,
    SHELF_FULL_MAX_MS = 3600000,
    KEY_FULL_MS = 1000,
    KEY_FULL_MAX_MS = 60000,
    /* An offloaded job may end without a delivery, and its message must find the record, which
     * lives for a minute at least: it comes back sooner, and waits again. */
    POLL_DELAY_MS = 45000,
    POLL_QUEUE_LOOK_MS = 100,
    POLL_QUEUE_LOOKS = 50,
    /* So often a claim may remain unknown, a second or so each time, before what it was given is
     * too old to be used: its slot's time has begun with the first. */
    UNKNOWN_CLAIMS = 5
};

static void claim(struct attempt *a);
static void forward(struct attempt *a, const struct store_value *v);
static void settle(struct attempt *a);
static void shelve(struct attempt *a);
static void rebuild(struct attempt *a);
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
    random_token(a->token);
    a->unknown_claims = 0;
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
    a->lane->messages -= bus_delivery_is_last(a->delivery) ? 1 : 0;
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
    buf_fini(&a->poll_url);
    registry_unref(a->tenant);
    struct lane *l = a->lane;
    l->in_hand--;
    l->begun -= a->is_begun ? 1 : 0;
    w->in_hand--;
    w->moved = loop_now(w->loop);
    free(a);
    surplus_turn(l);
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
        forgotten_register(a);
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
        asking_record(a);
        break;
    case STEP_POLLED:
        polling_record(a);
        break;
    case STEP_FORWARD:
    case STEP_ASK:
    case STEP_POLL:
        PANIC("a forward has no timer of the attempt's");
    }
}

static bool has_queue_for_polls(const struct attempt *a)
{
    return routes_have(a->worker->routes, str_of(a->lane->tenant), STR(TOPOLOGY_POLL),
                       (struct str){NULL, 0});
}

/* Polls have a queue of their own, which may still be coming into being: it is waited for. In the
 * common one a poll stands behind a backlog that waits for the slot which it frees. */
static bool must_await_queue(struct attempt *a)
{
    if (!a->is_polling || has_queue_for_polls(a)) {
        return false;
    }
    routes_want(a->worker->routes, str_of(a->lane->tenant), STR(TOPOLOGY_POLL),
                /* is_laned= */ false);
    return ++a->looks <= POLL_QUEUE_LOOKS;
}

/* --- another message takes this one's place --------------------------------------------------- */

static void on_delayed(enum bus_outcome outcome, void *arg)
{
    struct attempt *a = arg;

    a->worker->moved = loop_now(a->worker->loop);
    if (FAULT(worker_delayed)) {
        outcome = BUS_UNKNOWN;
    }
    standing_doubt(a->worker->standing, str_of(a->lane->tenant), outcome);
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
    if (must_await_queue(a)) {
        again(a, POLL_QUEUE_LOOK_MS);
        return;
    }
    m.was_attempted = was_attempted(a);
    /* What ran has had room: it is counted anew. */
    m.parks = a->is_counted_park ? m.parks + 1 : a->number > 0 ? 0 : m.parks;
    bool goes_to_polls = a->is_polling && has_queue_for_polls(a);
    if ((goes_to_polls ? wire_publish_poll : wire_publish)(a->worker->publisher, &m, a->delay_ms,
                                                           on_delayed, a) != ERR_OK) {
        again(a, AGAIN_MS);
    }
}

static void delay_for(struct attempt *a, int64_t ms)
{
    set_running(a, false);
    a->delay_ms = a->is_polling && ms > POLL_DELAY_MS ? POLL_DELAY_MS : ms;
    delay(a);
}

/* For want of room that is its own: each time twice as long, as its message counts. */
static void park_doubling(struct attempt *a, int64_t ms, int64_t max_ms)
{
    for (uint32_t i = 0; i < a->message.parks && ms < max_ms; i++) {
        ms *= 2;
    }
    a->is_counted_park = true;
    a->is_polling = false;
    delay_for(a, ms < max_ms ? ms : max_ms);
}

/* What came in one message stands together in the worker's list. */
static bool is_with_busy(struct attempt *a, bool is_forward)
{
    struct list *all = &a->worker->attempts;

    for (struct list *i = &a->all;;) {
        i = is_forward ? i->next : i->prev;
        const struct attempt *b = i == all ? NULL : LIST_OF(i, struct attempt, all);
        if (b == NULL || b->delivery != a->delivery) {
            return false;
        }
        if (!list_is_linked(&b->refused) && b->step != STEP_DELAY) {
            return true;
        }
    }
}

/* The broker would have its message again only when another of its jobs is over. */
static bool is_held_by_another(struct attempt *a)
{
    return (is_with_busy(a, true) || is_with_busy(a, false)) && RULE(back_without_the_others);
}

/* To the end of its queue, as it came. */
static void hand_back(struct attempt *a)
{
    bool is_open = bus_link_state(a->worker->publisher) == BUS_OPEN;

    list_remove(&a->refused);
    /* A delivery whose channel is gone is with somebody else already. */
    if (!RULE(give_back_as_new) || !bus_delivery_is_live(a->delivery) ||
        (!is_open && !is_held_by_another(a))) {
        end(a, /* is_done= */ false);
        return;
    }
    delay_for(a, 0);
}

void attempt_give_back(struct attempt *a)
{
    a->is_polling = false;
    hand_back(a);
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
    standing_doubt(a->worker->standing, str_of(a->lane->tenant), outcome);
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
    static const char *const known[] = {"deadline", "worker_lost", "policy_changed",
                                        "offload_unknown", "offload_over"};

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
        asking_begin(a, v);
    } else if (str_is(word, STR("poll"))) {
        polling_begin(a, v);
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
        a->unknown_claims++;
        again(a, AGAIN_MS);
        return;
    }
    a->is_claim_open = false;
    if (!str_is(store_word(v, 0), STR("go"))) {
        a->unknown_claims = 0; /* it holds nothing that could be stale */
    }
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

static bool send_claim(struct attempt *a)
{
    struct worker *w = a->worker;
    struct calls_job j = job_of(a);

    j.has_more = lane_has_waiting(a->lane);
    (void)str_put(str_of(heartbeat_name(w->heartbeat)), a->claimant, sizeof a->claimant, 0);
    /* Without a renewed lease nothing may be sent: a claim would only hold a slot. */
    bool is_sent = heartbeat_may_send(w->heartbeat, a->claimant) &&
                   calls_claim(&j, a->claimant, w->channel, w->lease_ms, on_claimed, a) == ERR_OK;
    a->is_claim_open = a->is_claim_open || is_sent;
    return is_sent;
}

/* While draining nothing new is begun; with the store away nothing can be, here. A claim whose
 * answer never came may have been granted: it is asked again, for nobody else can. */
static void claim(struct attempt *a)
{
    struct lane *l = a->lane;
    bool begins = !a->worker->is_draining || a->is_claim_open || !RULE(drain_begins_nothing);

    a->step = STEP_CLAIM;
    if (begins && send_claim(a)) {
        return;
    }
    bool was_turn = end_turn(a);
    if (a->is_claim_open || (begins && !worker_is_away(a->worker))) {
        again(a, AGAIN_MS);
    } else {
        hand_back(a);
    }
    if (was_turn) {
        lane_turn_over(l);
    }
}

void attempt_retry_claim(struct attempt *a)
{
    claim(a);
}

void attempt_claim_first(struct attempt *a)
{
    a->is_begun = true;
    a->lane->begun++;
    lane_begin(a->lane, a);
}

int64_t attempt_age_ms(const struct attempt *a)
{
    return mono_since_ms(a->arrived, loop_now(a->worker->loop));
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
    polling_look(a, r);
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
    char token[JOB_COMPLETE_TOKEN_SIZE] = "";

    a->step = STEP_FORWARD;
    a->is_polling = false;
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
    if (t->offload.is_enabled) {
        job_complete_token(a->message.id, a->number, str_of(a->token), token);
    }
    if (a->unknown_claims > UNKNOWN_CLAIMS && RULE(stale_claim_is_released)) {
        /* Nothing of it has left: the slot is free, the message comes back a little later. */
        log_event(LOG_WARN, "claim_released", "job=%.*s unknown=%" PRIu32, STR_ARG(a->message.id),
                  a->unknown_claims);
        fail_to_start(a);
        return;
    }
    /* Granted so late in a drain that it would be cut off: it never leaves. */
    if (a->instance == NULL ||
        (!drain_has_time_for(a->worker, calls_limit_ms(&j)) && RULE(drain_begins_nothing)) ||
        forward_make(&a->message, store_word(v, 3), a->number, str_of(token), &a->forward) !=
            ERR_OK) {
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
        forgotten_register(a);
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
    a->message.class = lane_is_for_polls(a->lane) ? STR("normal") : str_of(a->lane->class);
    a->message.lane = str_of(a->lane->fair);
    a->message.method = a->message.method.n > 0 ? a->message.method : STR("POST");
    a->message.path = a->message.path.n > 0 ? a->message.path : STR("/");
}

static struct attempt *attempt_new(struct lane *l, struct bus_delivery *d)
{
    struct worker *w = l->worker;
    struct registry_entry *tenant = registry_find(w->registry, str_of(l->tenant));
    struct attempt *a = calloc(1, sizeof *a);

    if (a == NULL || tenant == NULL || loop_timer_new(w->loop, on_timer, a, &a->timer) != ERR_OK) {
        free(a);
        return NULL;
    }
    a->worker = w;
    a->lane = l;
    a->delivery = d;
    a->arrived = loop_now(w->loop);
    a->is_polling = lane_is_for_polls(l);
    a->tenant = registry_ref(tenant);
    draw_token(a);
    w->in_hand++;
    list_push_back(&w->attempts, &a->all);
    l->in_hand++;
    return a;
}

/* rc: of what was read into its message. */
static void begin(struct attempt *a, int rc, bool is_alone)
{
    if (rc != ERR_OK) {
        make_decodable(a);
        metric_add(a->worker->metrics.missing, NULL, 1);
        to_shelf(a, -1, STR(""), "undecodable");
    } else if (is_alone) {
        attempt_claim_first(a);
    } else {
        surplus_begin(a->lane, a);
    }
}

void attempts_begin(struct lane *l, struct bus_delivery *d)
{
    struct wire_jobs jobs;

    wire_open(d, &jobs);
    bus_share(d, jobs.n);
    bool is_alone = jobs.n == 1;
    l->messages++;
    while (jobs.n > 0) {
        struct job_message m;
        int rc = wire_next(&jobs, &m);
        FAULT_HERE(worker_delivered);
        struct attempt *a = attempt_new(l, d);
        if (a == NULL) {
            l->messages -= bus_delivery_is_last(d) ? 1 : 0;
            bus_requeue(d);
            continue;
        }
        a->message = m;
        begin(a, rc, is_alone);
    }
}

void attempt_drop_all(struct worker *w)
{
    while (!list_is_empty(&w->attempts)) {
        end(LIST_OF(w->attempts.next, struct attempt, all), /* is_done= */ false);
    }
}

/* --- for the files beside this one ------------------------------------------------------------ */

struct calls_job attempt_job(const struct attempt *a)
{
    return job_of(a);
}

void attempt_again(struct attempt *a, int64_t ms)
{
    again(a, ms);
}

void attempt_claim(struct attempt *a)
{
    claim(a);
}

void attempt_delay_for(struct attempt *a, int64_t ms)
{
    delay_for(a, ms);
}

void attempt_publish_shelf(struct attempt *a)
{
    publish_shelf(a);
}

void attempt_settle(struct attempt *a)
{
    settle(a);
}

void attempt_publish_next(struct attempt *a, const struct store_value *v, size_t i)
{
    publish_next(a, v, i);
}

void attempt_set_running(struct attempt *a)
{
    set_running(a, true);
}

void attempt_keep_answer(struct attempt *a, const struct httpc_result *r)
{
    keep_answer(a, r);
}

void attempt_ended(struct attempt *a)
{
    count_end(a);
    end(a, /* is_done= */ true);
}
