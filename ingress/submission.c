/* SPDX-License-Identifier: Apache-2.0 */
#include "submission.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "brisk.h"
#include "bundles.h"
#include "calls.h"
#include "daemon/wire.h"
#include "ease.h"
#include "marks.h"
#include "waiters.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STORE_PATIENCE_MS = 4500,
    AGAIN_MS = 100,
    ROUTE_LOOK_MS = 20,
    ROUTE_PATIENCE_MS = 3000,
    MARK_LATER_MS = 100,
    LATE_SIZE = WAITER_NAME_SIZE + STR_I64_SIZE + 1
};

enum step {
    STEP_QUOTA,
    STEP_ROUTE,
    STEP_ACCEPT,
    STEP_PUBLISH,
    STEP_UNDO,
    STEP_CONFIRMED, /* its mark may turn out to be needless, and its record be written by now */
    STEP_MARK,
    STEP_FOLLOW /* accept, of one whose message went first */
};

struct submission {
    struct ingress *ingress;
    struct list all;
    enum step step;
    struct caller caller;
    char waiter[WAITER_NAME_SIZE]; /* "" for an asynchronous one */
    bool is_waiting;               /* the caller is the waiters' */
    bool is_marked_later;          /* not at once */
    bool is_gone;                  /* the caller hung up before it was answered */
    size_t together;               /* so many may share its message; 0: its tenant is not brisk */
    bool follows;                  /* its record follows its message (decision 0015) */
    char late[LATE_SIZE];          /* then the message's field */
    char generation[STR_I64_SIZE]; /* and the store's, when it left */
    struct registry_entry *tenant;
    struct job_message message; /* borrows from `own`, `channel` and `body` */
    struct buf own;
    char *body;
    char epoch[64];
    struct tenant_rate rate; /* the caller's, if it has one */
    int64_t ttl_ms;
    int64_t due_in_ms;
    struct mono arrived;
    struct mono accept_sent;
    struct mono step_began;
    struct loop_timer *timer;
};

static void accept_call(struct submission *s);
static void undo(struct submission *s);

static int64_t age_ms(const struct submission *s, struct mono since)
{
    return mono_since_ms(since, loop_now(s->ingress->loop));
}

static void finish(struct submission *s)
{
    struct ingress *g = s->ingress;

    list_remove(&s->all);
    loop_timer_free(s->timer);
    registry_unref(s->tenant);
    buf_fini(&s->own);
    free(s->body);
    free(s);
    g->n_submissions--;
    g->moved = loop_now(g->loop);
    ingress_note(g);
}

/* Takes the caller back from the waiters, if it is there. */
static void recall(struct submission *s)
{
    if (s->is_waiting) {
        s->is_waiting = false;
        (void)waiter_take(s->ingress, s->caller.id, s->waiter, &s->caller);
    }
}

static void refuse(struct submission *s, enum problem p, const char *detail, int retry_after_s)
{
    recall(s);
    metric_add(s->ingress->metrics.refused, (struct str[]){str_of(problem_type(p))}, 1);
    caller_problem(&s->caller, p, detail, retry_after_s);
    finish(s);
}

static void refuse_unknown(struct submission *s)
{
    refuse(
        s, PROBLEM_OUTCOME_UNKNOWN,
        "Whether the job was accepted is not known. Ask for it by its id, or repeat with the same "
        "Idempotency-Key.",
        2);
}

static void on_gone(struct httpd_req *r, void *arg)
{
    struct submission *s = httpd_data(r);

    (void)arg;
    s->caller.request = NULL;
    s->is_gone = true;
}

/* The job stands: an asynchronous caller gets its 202; the others wait already. */
static void accepted(struct submission *s, const char *state)
{
    metric_add(s->ingress->metrics.accepted, (struct str[]){s->message.class}, 1);
    if (!s->is_waiting) {
        caller_accepted(&s->caller, state, &s->message);
    }
    finish(s);
}

static const char *state_word(const struct submission *s)
{
    return s->due_in_ms > 0 ? "scheduled" : "queued";
}

/* --- undo ------------------------------------------------------------------------------------- */

static void on_undone(int rc, const struct store_value *v, void *arg)
{
    struct submission *s = arg;

    if (rc != ERR_OK) {
        if (age_ms(s, s->step_began) >= STORE_PATIENCE_MS) {
            refuse_unknown(s);
        } else {
            loop_timer_set(s->timer, AGAIN_MS);
        }
    } else if (str_is(store_word(v, 0), STR("unknown"))) {
        refuse_unknown(s);
    } else if (str_is(store_word(v, 0), STR("lost"))) {
        /* A worker has it already: the message did arrive. */
        accepted(s, state_word(s));
    } else {
        refuse(s, PROBLEM_UNAVAILABLE,
               "The broker did not confirm the job in time. It will not run; it may be repeated.",
               1);
    }
}

static struct calls_life life_of(const struct submission *s)
{
    return (struct calls_life){
        .epoch = s->epoch, .generation = s->generation, .ms = s->message.created_ms};
}

static void undo(struct submission *s)
{
    if (s->step != STEP_UNDO) {
        s->step = STEP_UNDO;
        s->step_began = loop_now(s->ingress->loop);
    }
    FAULT_HERE(ingress_undo);
    struct calls_life life = life_of(s);
    int rc = calls_undo(s->ingress, s->message.id, s->follows ? &life : NULL, on_undone, s);
    if (rc != ERR_OK) {
        on_undone(rc, NULL, s);
    }
}

/* --- publish ---------------------------------------------------------------------------------- */

/* Its message is confirmed: it is never undone from here. */
static void follow(struct submission *s)
{
    if (s->step != STEP_FOLLOW) {
        s->step = STEP_FOLLOW;
        s->step_began = loop_now(s->ingress->loop);
    }
    accept_call(s);
}

static void mark(struct submission *s);

/* 202 comes only after mark has spoken: until then the leader may take an accept whose lease is
 * over for abandoned, and undo it. */
static void on_marked(const char *state, void *arg)
{
    struct submission *s = arg;
    bool is_late = age_ms(s, s->step_began) >= STORE_PATIENCE_MS;

    if (FAULT(ingress_marked)) {
        state = NULL;
    }
    if (RULE(mark_until_spoken) && state == NULL && !is_late) {
        loop_timer_set(s->timer, AGAIN_MS);
    } else if ((state == NULL || state[0] == '\0') && s->is_marked_later) {
        /* It stood, and runs perhaps. Its caller waits, whatever the store has forgotten since. */
        accepted(s, NULL);
    } else if (state == NULL || state[0] == '\0') {
        /* Confirmed by the broker: it is never undone from here. */
        refuse_unknown(s);
    } else if (str_is(str_of(state), STR("canceled"))) {
        refuse(s, PROBLEM_UNAVAILABLE,
               "The broker confirmed too late; the job was withdrawn. It may be repeated.", 1);
    } else {
        accepted(s, state);
    }
}

static void mark(struct submission *s)
{
    if (s->follows) {
        follow(s);
        return;
    }
    if (s->step != STEP_MARK) {
        s->step = STEP_MARK;
        s->step_began = loop_now(s->ingress->loop);
    }
    marks_add(s->ingress->marks, s->message.id, s->tenant->tenant->lost_after_ms, on_marked, s);
}

/* Most calls are over within a moment: then nobody needs to know that they stood. Not of one whose
 * key or place in a line others may ask for. */
static bool may_be_marked_later(const struct submission *s)
{
    return s->is_waiting && s->caller.mode == CALLER_SYNC && s->due_in_ms == 0 &&
           s->message.key.n == 0 && s->message.ordering_key.n == 0;
}

static void on_confirmed(enum bus_outcome outcome, void *arg)
{
    struct submission *s = arg;

    s->ingress->moved = loop_now(s->ingress->loop);
    if (FAULT(ingress_confirmed)) {
        outcome = BUS_UNKNOWN;
    }
    standing_doubt(s->ingress->standing, str_of(s->tenant->tenant->name), outcome);
    if (RULE(confirm_before_202) && outcome != BUS_CONFIRMED) {
        undo(s);
        return;
    }
    if (!RULE(mark_before_202)) {
        accepted(s, state_word(s));
        return;
    }
    s->is_marked_later = may_be_marked_later(s);
    if (s->is_marked_later) {
        s->step = STEP_CONFIRMED;
        loop_timer_set(s->timer, MARK_LATER_MS);
    } else {
        mark(s);
    }
}

static void publish(struct submission *s)
{
    struct ingress *g = s->ingress;
    bool is_with_others = s->together > 1 && s->due_in_ms == 0 && bundles_may_take(&s->message);

    s->step = STEP_PUBLISH;
    FAULT_HERE(ingress_recorded);
    int rc = is_with_others
                 ? bundles_add(g->bundles, &s->message, s->together, on_confirmed, s)
                 : wire_publish(g->publisher, &s->message, s->due_in_ms, on_confirmed, s);
    if (rc != ERR_OK) {
        undo(s);
    }
}

/* --- accept ----------------------------------------------------------------------------------- */

static void start_waiting(struct submission *s)
{
    int64_t left = s->caller.wait_ms - age_ms(s, s->arrived);
    struct calls_life life = life_of(s);

    if (s->caller.request == NULL) {
        return;
    }
    if (waiter_add(s->ingress, &s->caller, s->waiter, left > 0 ? left : 0,
                   s->follows ? &life : NULL) != NULL) {
        s->caller.request = NULL;
        s->is_waiting = true;
    }
}

static void set_times(struct submission *s, int64_t now_ms)
{
    s->message.created_ms = now_ms;
    s->message.due_ms = s->due_in_ms > 0 ? now_ms + s->due_in_ms : 0;
    s->message.expires_ms = s->ttl_ms > 0 ? now_ms + s->ttl_ms : 0;
    /* One that waits with Prefer: wait=N gets a 202 at its deadline: the job has none. */
    s->message.deadline_ms = s->caller.mode == CALLER_SYNC ? now_ms + s->caller.wait_ms : 0;
}

static void on_new(struct submission *s, int64_t now_ms)
{
    if (s->is_gone) {
        undo(s);
        return;
    }
    set_times(s, now_ms);
    if (s->caller.mode != CALLER_ASYNC) {
        /* Before the publish: the answer may be faster than the confirm. */
        start_waiting(s);
    }
    publish(s);
}

/* The answer is about the job that holds the key. */
static void name_holder(struct submission *s, struct str name)
{
    char text[RANDOM_NAME_SIZE];

    (void)snprintf(text, sizeof text, "%.*s", STR_ARG(name));
    job_id_print(str_of(s->tenant->tenant->name), text, s->caller.id);
}

/* Another job holds the key: this caller gets that job's answer. */
static void on_replay(struct submission *s, struct str name, struct str state)
{
    char word[16];

    name_holder(s, name);
    (void)snprintf(word, sizeof word, "%.*s", STR_ARG(state));
    s->caller.is_replayed = true;
    if (s->caller.mode == CALLER_ASYNC) {
        caller_accepted(&s->caller, word, &s->message);
        finish(s);
        return;
    }
    if (s->caller.request != NULL) {
        struct waiter *w = waiter_add(s->ingress, &s->caller, s->waiter,
                                      s->caller.wait_ms - age_ms(s, s->arrived), NULL);
        if (w != NULL) {
            s->caller.request = NULL;
            waiter_read(w);
        } else {
            caller_problem(&s->caller, PROBLEM_UNAVAILABLE, "Out of memory.", 1);
        }
    } else if (calls_expire(s->ingress, str_of(s->caller.id), s->waiter, /* is_hangup= */ true,
                            NULL, NULL, NULL) != ERR_OK) {
        /* It stays among the job's waiters: the job runs, and nobody hears of it. */
        log_event(LOG_DEBUG, "waiter_left_behind", "job=%s", s->caller.id);
    }
    finish(s);
}

static int seconds_up(int64_t ms)
{
    return (int)((ms + 999) / 1000);
}

/* Of what is not new nothing is known, and the time may be none. */
static void note_brisk(struct submission *s, const struct store_value *v)
{
    struct ingress *g = s->ingress;
    bool is_new = str_is(store_word(v, 0), STR("new"));

    s->together = is_new ? (size_t)store_number(v, 5) : 0;
    brisk_note(g->brisk, str_of(s->tenant->tenant->name), s->together,
               is_new ? store_number(v, 2) : 0, loop_now(g->loop));
}

static void note_backoff(struct submission *s, const struct store_value *v)
{
    s->caller.backoff_s =
        ease_off_s(store_number(v, 3), store_number(v, 4), s->tenant->tenant->timeouts.sync_ms);
}

/* Whether its record will be there, and stays, is not known. */
static void leave_unfollowed(struct submission *s)
{
    if (s->is_marked_later) {
        accepted(s, NULL); /* its caller waits, and goes on waiting */
    } else {
        refuse_unknown(s);
    }
}

/* What was turned away after its message had left is withdrawn by the same script. */
static void act_on(struct submission *s, const struct store_value *v)
{
    struct str word = store_word(v, 0);
    char state[16];

    note_brisk(s, v);
    if (s->follows && str_is(word, STR("new"))) {
        note_backoff(s, v);
        (void)str_put(store_word(v, 6), state, sizeof state, 0);
        accepted(s, state);
    } else if (s->follows && (str_is(word, STR("memory")) || str_is(word, STR("forgotten")))) {
        leave_unfollowed(s);
    } else if (str_is(word, STR("new"))) {
        note_backoff(s, v);
        on_new(s, store_number(v, 2));
    } else if (str_is(word, STR("replay"))) {
        on_replay(s, store_word(v, 1), store_word(v, 3));
    } else if (str_is(word, STR("busy"))) {
        refuse(
            s, PROBLEM_KEY_BUSY,
            "The first request with this Idempotency-Key is still being accepted; repeat this one.",
            store_number(v, 3) > 2000 ? 1 : seconds_up(store_number(v, 3)));
    } else if (str_is(word, STR("reused"))) {
        name_holder(s, store_word(v, 1));
        refuse(s, PROBLEM_KEY_REUSED,
               "This Idempotency-Key belongs to a request with another method, path or body.", 0);
    } else if (str_is(word, STR("full"))) {
        refuse(s, PROBLEM_QUEUE_FULL, "The tenant has max_queue unended jobs.",
               seconds_up(store_number(v, 3)));
    } else if (str_is(word, STR("shed"))) {
        refuse(s, PROBLEM_OVERLOADED,
               "The tenant's queue could not be worked off before this call's deadline. Nothing "
               "ran, and nothing will.",
               seconds_up(store_number(v, 3)));
    } else if (str_is(word, STR("undone"))) {
        refuse(s, PROBLEM_UNAVAILABLE,
               "The store answered too late; the job was withdrawn. It may be repeated.", 1);
    } else {
        refuse(s, PROBLEM_UNAVAILABLE,
               "The store is new or was emptied; the registry is not written yet. Repeat later.",
               1);
    }
}

/* Its message is with the broker: what the store does not say now, the claim will write. */
static void on_follow_failed(struct submission *s)
{
    if (age_ms(s, s->step_began) < STORE_PATIENCE_MS) {
        loop_timer_set(s->timer, AGAIN_MS);
    } else {
        leave_unfollowed(s);
    }
}

static void on_accepted(int rc, const struct store_value *v, void *arg)
{
    struct submission *s = arg;

    s->ingress->moved = loop_now(s->ingress->loop);
    if (FAULT(ingress_accepted)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK && s->follows) {
        on_follow_failed(s);
    } else if (rc == ERR_OK || !RULE(record_before_publish)) {
        act_on(s, v);
    } else if (rc == ERR_UNKNOWN || rc == ERR_DOWN) {
        /* It may have happened: the same script with the same name gives the same answer. */
        if (age_ms(s, s->arrived) >= STORE_PATIENCE_MS) {
            refuse_unknown(s);
        } else {
            loop_timer_set(s->timer, AGAIN_MS);
        }
    } else {
        if (rc == ERR_BUG) {
            log_event(LOG_ERROR, "script_failed", "job=%.*s script=accept err=\"%.*s\"",
                      STR_ARG(s->message.id), STR_ARG(v->text));
        }
        refuse(s, PROBLEM_UNAVAILABLE,
               rc == ERR_LIMIT ? "The store is out of memory. Nothing was accepted."
                               : "The store refuses writes. Nothing was accepted.",
               5);
    }
}

/* A millisecond at least: 0 would be no deadline. */
static int64_t wait_left_ms(const struct submission *s)
{
    int64_t left = s->caller.wait_ms - (s->follows ? age_ms(s, s->arrived) : 0);

    return left > 0 ? left : 1;
}

/* Only who was sent away by a process that stops was told that the job goes on. */
static bool is_promised(const struct submission *s)
{
    return s->is_waiting && s->ingress->is_draining &&
           !waiter_is_there(s->ingress, s->caller.id, s->waiter);
}

static void accept_call(struct submission *s)
{
    bool is_first = s->accept_sent.ns == 0;
    struct calls_life life = life_of(s);
    struct calls_accept in = {.message = &s->message,
                              .tenant = s->tenant->tenant,
                              .is_async = s->caller.mode == CALLER_ASYNC,
                              .deadline_in_ms =
                                  s->caller.mode == CALLER_ASYNC ? s->ttl_ms : wait_left_ms(s),
                              .ttl_ms = s->ttl_ms,
                              .due_in_ms = s->due_in_ms,
                              .waiter = s->waiter,
                              .follows = s->follows ? &life : NULL,
                              .is_promised = is_promised(s),
                              .takes_202 = s->caller.mode == CALLER_WAIT};

    s->step = s->follows ? STEP_FOLLOW : STEP_ACCEPT;
    if (is_first) {
        s->accept_sent = loop_now(s->ingress->loop);
    }
    int rc = calls_accept(s->ingress, &in, on_accepted, s);
    if (rc != ERR_OK && is_first && !s->follows) {
        refuse(s, PROBLEM_UNAVAILABLE, "The store does not answer. Nothing was accepted.", 1);
    } else if (rc != ERR_OK) {
        on_accepted(ERR_DOWN, NULL, s);
    }
}

static bool is_plain_text(struct str s)
{
    return memchr(s.p == NULL ? "" : s.p, '\n', s.n) == NULL;
}

static size_t together_now(const struct submission *s)
{
    const struct ingress *g = s->ingress;

    return brisk_together(g->brisk, str_of(s->tenant->tenant->name), loop_now(g->loop));
}

/* The record of a plain job may follow its message while the tenant is brisk: whoever claims it
 * writes it, or the confirm does, whichever is first (decision 0015). */
static bool may_follow(const struct submission *s)
{
    const struct job_message *m = &s->message;
    const struct ingress *g = s->ingress;

    return s->caller.mode != CALLER_WAIT && s->due_in_ms == 0 && s->ttl_ms == 0 && m->key.n == 0 &&
           m->ordering_key.n == 0 && !s->is_gone && bundles_may_take(m) && is_plain_text(m->path) &&
           is_plain_text(m->labels) && is_plain_text(m->caller) && store_is_open(g->store) &&
           together_now(s) > 0;
}

static void publish_first(struct submission *s)
{
    struct ingress *g = s->ingress;
    size_t n = 0;

    s->follows = true;
    s->together = together_now(s);
    (void)str_from_i64(store_generation(g->store), s->generation);
    n = str_put(str_of(s->generation), s->late, sizeof s->late, n);
    n = str_put(STR(" "), s->late, sizeof s->late, n);
    (void)str_put(str_of(s->waiter), s->late, sizeof s->late, n);
    s->message.late = str_of(s->late);
    on_new(s, brisk_store_ms(g->brisk, loop_now(g->loop)));
}

static void begin(struct submission *s)
{
    if (may_follow(s)) {
        publish_first(s);
    } else {
        accept_call(s);
    }
}

/* Its queue comes into being with its first use (daemon/routes.h). */
static void find_route(struct submission *s)
{
    const struct job_message *m = &s->message;
    struct str tenant = str_of(s->tenant->tenant->name);

    s->step = STEP_ROUTE;
    if (routes_have(s->ingress->routes, tenant, m->class, m->lane)) {
        begin(s);
        return;
    }
    if (age_ms(s, s->arrived) >= ROUTE_PATIENCE_MS) {
        refuse(s, PROBLEM_UNAVAILABLE,
               "The queue of its class is being declared. Nothing was accepted.", 1);
        return;
    }
    routes_want(s->ingress->routes, tenant, m->class, m->lane.n > 0);
    loop_timer_set(s->timer, ROUTE_LOOK_MS);
}

/* --- quota ------------------------------------------------------------------------------------ */

/* Without an answer nobody is refused: the accept that follows says what is the matter. */
static void on_charged(int rc, const struct store_value *v, void *arg)
{
    struct submission *s = arg;

    if (rc == ERR_BUG) {
        log_event(LOG_ERROR, "script_failed", "job=%.*s script=quota err=\"%.*s\"",
                  STR_ARG(s->message.id), STR_ARG(v->text));
    }
    if (s->is_gone) {
        finish(s);
    } else if (rc == ERR_OK && quota_read(v, &s->rate, &s->caller.quota) &&
               s->caller.quota.next_ms > 0) {
        refuse(s, PROBLEM_TOO_MANY, "The key's rate is used up. Nothing was accepted.",
               seconds_up(s->caller.quota.next_ms));
    } else {
        find_route(s);
    }
}

static void charge(struct submission *s)
{
    int rc = quota_charge(s->ingress->store, s->message.caller, &s->rate, on_charged, s);

    if (rc != ERR_OK) {
        find_route(s);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct submission *s = arg;

    (void)t;
    if (s->step == STEP_ROUTE) {
        find_route(s);
    } else if (s->step == STEP_UNDO) {
        undo(s);
    } else if (s->step == STEP_CONFIRMED && !s->ingress->is_draining &&
               !waiter_is_there(s->ingress, s->caller.id, s->waiter)) {
        /* Answered, or it left: what becomes of the job is said by now. Only who was sent away by a
         * process that stops was told that the job goes on. */
        accepted(s, NULL);
    } else if (s->step == STEP_CONFIRMED || s->step == STEP_MARK) {
        mark(s);
    } else {
        accept_call(s);
    }
}

/* Copies what the order borrows: the request may be gone before the broker has confirmed. */
static int own_message(struct submission *s, const struct submission_order *o)
{
    struct job_message m = o->message;
    struct str body = o->message.body;

    m.id = str_of(s->caller.id);
    m.epoch = str_of(s->epoch);
    m.channel = o->mode == CALLER_ASYNC ? (struct str){NULL, 0} : str_of(s->ingress->channel);
    job_message_pack(&m, &s->own);
    s->body = o->body;
    if (buf_failed(&s->own)) {
        return ERR_NOMEM;
    }
    return job_message_unpack(buf_as_str(&s->own), body, &s->message);
}

static struct submission *submission_new(struct ingress *g, struct httpd_req *r,
                                         struct registry_entry *tenant,
                                         const struct submission_order *o)
{
    struct submission *s = calloc(1, sizeof *s);
    char name[RANDOM_NAME_SIZE];

    if (s == NULL || loop_timer_new(g->loop, on_timer, s, &s->timer) != ERR_OK) {
        free(s);
        return NULL;
    }
    s->ingress = g;
    s->caller.request = r;
    s->caller.mode = o->mode;
    s->caller.is_preferred = o->is_preferred;
    s->caller.wait_ms = o->wait_ms;
    if (o->rate != NULL) {
        s->rate = *o->rate;
    }
    s->ttl_ms = o->ttl_ms;
    s->due_in_ms = o->due_in_ms;
    s->arrived = loop_now(g->loop);
    s->tenant = registry_ref(tenant);
    random_name(name);
    job_id_print(o->tenant, name, s->caller.id);
    (void)str_put(str_of(store_epoch(g->store)), s->epoch, sizeof s->epoch, 0);
    if (o->mode != CALLER_ASYNC) {
        waiter_name(g, s->waiter);
    }
    list_push_back(&g->submissions, &s->all);
    g->n_submissions++;
    return s;
}

void submission_start(struct ingress *g, struct httpd_req *r, struct registry_entry *tenant,
                      const struct submission_order *o)
{
    struct problem_more more = {.detail = "Out of memory.", .retry_after_s = 1};
    struct submission *s = submission_new(g, r, tenant, o);

    if (s == NULL) {
        free(o->body);
        problem_answer(r, PROBLEM_UNAVAILABLE, &more);
        return;
    }
    if (own_message(s, o) != ERR_OK) {
        refuse(s, PROBLEM_UNAVAILABLE, more.detail, 1);
        return;
    }
    httpd_set_data(r, s);
    httpd_keep(r, on_gone);
    if (bus_link_state(g->publisher) == BUS_BLOCKED) {
        refuse(s, PROBLEM_UNAVAILABLE,
               "The broker takes nothing: an alarm is raised. Nothing was accepted.", 5);
        return;
    }
    if (!standing_has(g->standing, o->tenant)) {
        standing_hurry(g->standing, o->tenant);
        refuse(s, PROBLEM_UNAVAILABLE,
               "The tenant's queues are being declared. Nothing was accepted.", 1);
        return;
    }
    if (s->rate.is_set) {
        charge(s);
    } else {
        find_route(s);
    }
}

void submissions_free(struct ingress *g)
{
    while (!list_is_empty(&g->submissions)) {
        struct submission *s = LIST_OF(g->submissions.next, struct submission, all);
        refuse_unknown(s);
    }
}
