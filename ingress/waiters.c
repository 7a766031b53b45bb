/* SPDX-License-Identifier: Apache-2.0 */
#include "waiters.h"

#include "base/fault.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { READ_AGAIN_MS = 3000, READ_JITTER_MS = 2000, ACCEPT_LOOK_MS = 50, EPOCH_SIZE = 64 };

/* All callers of this process that wait for one job. */
struct waiters {
    struct list head;
};

struct waiter {
    struct ingress *ingress;
    struct caller caller;
    struct list link; /* in its job's list */
    char name[WAITER_NAME_SIZE];
    char epoch[EPOCH_SIZE]; /* with the generation: where its message left before its record; "" */
    char generation[STR_I64_SIZE];
    int64_t went_ms;
    struct mono deadline;
    struct loop_timer *timer;
    uint32_t attempts;    /* as last seen, for the answer */
    enum job_state state; /* likewise */
    char error[64];       /* likewise */
    unsigned int asking;  /* answers of the store under way: memory stays until they came */
    bool is_over;         /* answered, or left */
    bool is_expiring;     /* its deadline came; the script decides */
    bool reads_again;     /* told of news while it was reading */
};

void waiter_name(const struct ingress *g, char out[WAITER_NAME_SIZE])
{
    char token[RANDOM_TOKEN_SIZE];
    size_t n = str_put(str_of(g->channel), out, WAITER_NAME_SIZE, 0);

    random_token(token);
    n = str_put(STR("|"), out, WAITER_NAME_SIZE, n);
    (void)str_put(str_of(token), out, WAITER_NAME_SIZE, n);
}

static void release(struct waiter *w)
{
    if (w->is_over && w->asking == 0) {
        free(w);
    }
}

static void drop_if_empty(struct ingress *g, struct waiters *all, const char *id)
{
    if (list_is_empty(&all->head)) {
        (void)map_remove(&g->waiting, str_of(id));
        free(all);
    }
}

/* Leaves the table. Memory goes with the last answer under way. */
static void finish(struct waiter *w)
{
    struct ingress *g = w->ingress;
    struct waiters *all = map_get(&g->waiting, str_of(w->caller.id));

    list_remove(&w->link);
    if (all != NULL) {
        drop_if_empty(g, all, w->caller.id);
    }
    loop_timer_free(w->timer);
    w->timer = NULL;
    w->is_over = true;
    g->n_waiting--;
    g->moved = loop_now(g->loop);
    release(w);
    ingress_note(g);
}

static void on_left(int rc, const struct store_value *v, void *arg)
{
    struct waiter *w = arg;

    (void)rc;
    (void)v;
    w->asking--;
    release(w);
}

static int expire(struct waiter *w, bool is_hangup, store_cb cb)
{
    struct calls_life life = {.epoch = w->epoch, .generation = w->generation, .ms = w->went_ms};

    return calls_expire(w->ingress, str_of(w->caller.id), w->name, is_hangup,
                        w->epoch[0] != '\0' ? &life : NULL, cb, w);
}

/* The caller hung up: what was not started is not started. */
static void on_gone(struct httpd_req *r, void *arg)
{
    struct waiter *w = httpd_data(r);

    (void)arg;
    w->caller.request = NULL;
    if (w->is_over) {
        return;
    }
    FAULT_HERE(ingress_hangup);
    if (expire(w, /* is_hangup= */ true, on_left) == ERR_OK) {
        w->asking++;
    }
    finish(w);
}

static void on_gone_cb(struct httpd_req *r, void *arg)
{
    on_gone(r, arg);
}

static void answer(struct waiter *w, struct str packed)
{
    struct job_answer a;

    if (job_answer_unpack(packed, &a) == ERR_OK) {
        caller_answer(&w->caller, &a, w->attempts);
    } else {
        caller_problem(&w->caller, PROBLEM_INTERNAL, "The stored answer cannot be read.", 0);
    }
    finish(w);
}

static void on_result(int rc, const struct store_value *v, void *arg)
{
    struct waiter *w = arg;

    w->asking--;
    if (w->is_over) {
        release(w);
    } else if (rc != ERR_OK) {
        loop_timer_set(w->timer, READ_JITTER_MS / 4);
    } else if (v->type == STORE_TEXT) {
        answer(w, v->text);
    } else {
        caller_no_answer(&w->caller, w->state, str_of(w->error));
        finish(w);
    }
}

static void read_result(struct waiter *w)
{
    if (calls_result(w->ingress, str_of(w->caller.id), on_result, w) == ERR_OK) {
        w->asking++;
    } else {
        loop_timer_set(w->timer, READ_JITTER_MS / 4);
    }
}

static bool is_over_state(enum job_state s)
{
    return job_state_is_final(s) || s == JOB_IN_DOUBT;
}

static void on_state(int rc, const struct store_value *v, void *arg)
{
    struct waiter *w = arg;

    w->asking--;
    if (w->is_over) {
        release(w);
        return;
    }
    if (rc == ERR_OK && job_state_parse(store_word(v, 0), &w->state) == ERR_OK &&
        is_over_state(w->state)) {
        w->attempts = (uint32_t)store_number(v, 1);
        (void)snprintf(w->error, sizeof w->error, "%.*s", STR_ARG(store_word(v, 2)));
        read_result(w);
    } else if (w->reads_again) {
        waiter_read(w);
    } else if (w->is_expiring) {
        loop_timer_set(w->timer, ACCEPT_LOOK_MS); /* nothing else would look again */
    }
}

void waiter_read(struct waiter *w)
{
    if (w->is_over) {
        return;
    }
    w->reads_again = w->asking > 0;
    if (w->reads_again) {
        return;
    }
    if (calls_state(w->ingress, str_of(w->caller.id), on_state, w) == ERR_OK) {
        w->asking++;
    } else if (w->is_expiring) {
        loop_timer_set(w->timer, ACCEPT_LOOK_MS);
    }
}

static void on_expired(int rc, const struct store_value *v, void *arg)
{
    struct waiter *w = arg;
    enum job_state state = JOB_RUNNING;

    w->asking--;
    if (w->is_over) {
        release(w);
        return;
    }
    bool is_known = rc == ERR_OK && job_state_parse(store_word(v, 0), &state) == ERR_OK;
    if (is_known && is_over_state(state) && state != JOB_EXPIRED) {
        /* It ended in the last instant: the answer is there. */
        waiter_read(w);
        return;
    }
    bool has_started = is_known && store_number(v, 1) > 0;
    const char *detail =
        !is_known ? "No answer came in time; whether the job was started is not known. "
                    "Ask for it by its id."
        : state == JOB_EXPIRED ? "No answer came in time. The job was not started, and will not be."
        : !has_started         ? "No answer came in time. The job is not started yet, but others "
                                 "wait for it: it may be. Ask for it by its id."
                               : "No answer came in time. The job has started or waits for another "
                                 "attempt; ask for it by its id.";
    caller_problem(&w->caller, PROBLEM_SYNC_TIMEOUT, detail, 0);
    finish(w);
}

static void on_given_202(int rc, const struct store_value *v, void *arg)
{
    struct waiter *w = arg;
    enum job_state state = JOB_RUNNING;

    w->asking--;
    if (w->is_over) {
        release(w);
        return;
    }
    bool is_known = rc == ERR_OK && job_state_parse(store_word(v, 0), &state) == ERR_OK;
    if (RULE(no_202_of_what_ended) && is_known && is_over_state(state)) {
        /* Expired or withdrawn, it must not be promised; ended well, the answer is there. */
        waiter_read(w);
        return;
    }
    if (RULE(wait_202_after_mark) && is_known && state == JOB_ACCEPTED) {
        /* Between record and confirm: the submission takes the caller back, or the mark comes. */
        loop_timer_set(w->timer, ACCEPT_LOOK_MS);
        return;
    }
    if (!is_known) {
        caller_problem(
            &w->caller, PROBLEM_OUTCOME_UNKNOWN,
            "The job was accepted, but its deadline could not be lifted; ask for it by its id.", 1);
    } else {
        caller_accepted(&w->caller, job_state_word(state), NULL);
    }
    finish(w);
}

static void at_deadline(struct waiter *w)
{
    struct str id = str_of(w->caller.id);
    int rc;

    w->is_expiring = true;
    FAULT_HERE(ingress_deadline);
    if (w->caller.mode == CALLER_WAIT) {
        rc = calls_give_202(w->ingress, id, w->name, on_given_202, w);
    } else {
        rc = expire(w, /* is_hangup= */ false, on_expired);
    }
    w->asking++;
    if (rc != ERR_OK) {
        if (w->caller.mode == CALLER_WAIT) {
            on_given_202(rc, NULL, w);
        } else {
            on_expired(rc, NULL, w);
        }
    }
}

static int64_t next_look_ms(const struct waiter *w)
{
    int64_t left = mono_since_ms(loop_now(w->ingress->loop), w->deadline);
    int64_t look = READ_AGAIN_MS + (int64_t)(random_unit() * READ_JITTER_MS);

    return left < look ? (left > 0 ? left : 0) : look;
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct waiter *w = arg;

    (void)t;
    if (w->is_expiring) {
        /* Its last look found no answer yet, or got none. */
        if (is_over_state(w->state)) {
            read_result(w);
        } else {
            at_deadline(w);
        }
        return;
    }
    if (mono_since_ms(loop_now(w->ingress->loop), w->deadline) <= 0) {
        at_deadline(w);
        return;
    }
    if (RULE(waiters_read_again)) {
        waiter_read(w);
    }
    loop_timer_set(w->timer, next_look_ms(w));
}

static struct waiters *list_of(struct ingress *g, const char *id)
{
    struct waiters *all = map_get(&g->waiting, str_of(id));

    if (all != NULL) {
        return all;
    }
    all = calloc(1, sizeof *all);
    if (all == NULL) {
        return NULL;
    }
    list_init(&all->head);
    if (map_put(&g->waiting, str_of(id), all) != ERR_OK) {
        free(all);
        return NULL;
    }
    return all;
}

struct waiter *waiter_add(struct ingress *g, const struct caller *c, const char *name,
                          int64_t left_ms, const struct calls_life *went_in)
{
    struct waiter *w = calloc(1, sizeof *w);
    struct waiters *all = NULL;

    if (w != NULL && loop_timer_new(g->loop, on_timer, w, &w->timer) == ERR_OK) {
        all = list_of(g, c->id);
    }
    if (all == NULL) {
        if (w != NULL) {
            loop_timer_free(w->timer);
        }
        free(w);
        return NULL;
    }
    w->ingress = g;
    w->caller = *c;
    (void)str_put(str_of(name), w->name, sizeof w->name, 0);
    if (went_in != NULL) {
        (void)str_put(str_of(went_in->epoch), w->epoch, sizeof w->epoch, 0);
        (void)str_put(str_of(went_in->generation), w->generation, sizeof w->generation, 0);
        w->went_ms = went_in->ms;
    }
    w->deadline = mono_plus_ms(loop_now(g->loop), left_ms);
    list_push_back(&all->head, &w->link);
    g->n_waiting++;
    httpd_set_data(c->request, w);
    httpd_keep(c->request, on_gone_cb);
    loop_timer_set(w->timer, next_look_ms(w));
    return w;
}

static struct waiter *find(const struct ingress *g, const char *id, const char *name)
{
    struct waiters *all = map_get(&g->waiting, str_of(id));

    for (struct list *l = all == NULL ? NULL : all->head.next; l != NULL && l != &all->head;
         l = l->next) {
        struct waiter *w = LIST_OF(l, struct waiter, link);
        if (str_is(str_of(w->name), str_of(name))) {
            return w;
        }
    }
    return NULL;
}

bool waiter_is_there(const struct ingress *g, const char *id, const char *name)
{
    const struct waiter *w = find(g, id, name);

    return w != NULL && w->caller.request != NULL;
}

bool waiter_take(struct ingress *g, const char *id, const char *name, struct caller *ret)
{
    struct waiter *w = find(g, id, name);

    if (w == NULL || w->caller.request == NULL) {
        return false;
    }
    *ret = w->caller;
    w->caller.request = NULL;
    finish(w);
    return true;
}

/* Calls `tell` for each waiter of a job; each may end in it. */
static void each(struct ingress *g, struct str job, void (*tell)(struct waiter *w, void *arg),
                 void *arg)
{
    struct waiters *all = map_get(&g->waiting, job);
    char id[JOB_ID_SIZE];
    struct list told;
    struct list guard = {0};
    struct list *link;

    if (all == NULL) {
        return;
    }
    (void)str_put(job, id, sizeof id, 0);
    list_init(&told);
    while ((link = list_pop_front(&all->head)) != NULL) {
        list_push_back(&told, link);
    }
    /* Keeps the job's list from going with the first waiter that ends. */
    list_push_back(&all->head, &guard);
    while ((link = list_pop_front(&told)) != NULL) {
        list_push_back(&all->head, link);
        tell(LIST_OF(link, struct waiter, link), arg);
    }
    list_remove(&guard);
    drop_if_empty(g, all, id);
}

struct news {
    enum job_state state;
    uint32_t attempts;
    bool is_riding;
    struct str answer;
};

static void tell_news(struct waiter *w, void *arg)
{
    const struct news *n = arg;

    w->state = n->state;
    w->attempts = n->attempts;
    if (n->is_riding) {
        answer(w, n->answer);
    } else {
        waiter_read(w);
    }
}

void waiters_on_message(struct ingress *g, struct str message)
{
    struct str line;
    struct str word[5];
    struct news n = {0};
    uint64_t attempts;

    if (!str_cut(&message, '\n', &line)) {
        return;
    }
    for (size_t i = 0; i < 5; i++) {
        if (!str_cut(&line, ' ', &word[i])) {
            return;
        }
    }
    if (!str_is(word[0], STR("job")) || job_state_parse(word[2], &n.state) != ERR_OK ||
        str_to_u64(word[3], UINT32_MAX, &attempts) != ERR_OK) {
        return;
    }
    n.attempts = (uint32_t)attempts;
    n.is_riding = str_is(word[4], STR("1"));
    n.answer = message;
    each(g, word[1], tell_news, &n);
}

static void tell_read(struct waiter *w, void *arg)
{
    (void)arg;
    waiter_read(w);
}

static void tell_stop(struct waiter *w, void *arg)
{
    (void)arg;
    if (w->caller.mode == CALLER_WAIT) {
        at_deadline(w);
        return;
    }
    caller_problem(&w->caller, PROBLEM_DRAINING,
                   "This process is stopping. The job goes on: ask for it by its id.", 1);
    finish(w);
}

static void each_job(struct ingress *g, void (*tell)(struct waiter *w, void *arg))
{
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&g->waiting, &cursor, &id, &value)) {
        each(g, id, tell, NULL);
    }
}

void waiters_read_all(struct ingress *g)
{
    each_job(g, tell_read);
}

void waiters_dismiss(struct ingress *g)
{
    each_job(g, tell_stop);
}

void waiters_free(struct ingress *g)
{
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&g->waiting, &cursor, &id, &value)) {
        struct waiters *all = value;
        while (!list_is_empty(&all->head)) {
            struct waiter *w = LIST_OF(list_pop_front(&all->head), struct waiter, link);
            loop_timer_free(w->timer);
            free(w);
        }
        free(all);
    }
    map_fini(&g->waiting);
}
