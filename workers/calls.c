/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include "base/buf.h"
#include "daemon/shelving.h"
#include "job/id.h"
#include "per_key.h"

enum {
    DAY_MS = 86400000,
    POLL_LEASE_MS = CALLS_POLL_MS + 5000 /* the poll, and the script that is told */
};

/* An ended record outlives its result, and every message published for it, by a day; that of an
 * unkeyed synchronous call need not. */
static void add_keeping(struct store_args *a, const struct calls_job *j)
{
    const struct tenant *t = j->tenant;

    store_args_number(a, t->result_ttl_ms + DAY_MS);
    store_args_number(a, t->idempotency.window_ms);
    store_args_number(a, t->result_ttl_ms);
    store_args_number(a, t->sync_result_ttl_ms);
}

/* The job's name is every script's first argument; its place is kept by `.n = 1`. */
static int call(const struct calls_job *j, enum store_script script, struct store_args *a,
                store_cb cb, void *arg)
{
    struct job_id id;

    if (!job_id_parse(j->message->id, &id)) {
        return ERR_INVALID;
    }
    a->at[0] = id.name;
    return store_call_tenant(j->store, script, id.tenant, a->at, a->n, cb, arg);
}

static void add_option(struct store_args *a, struct str name, struct str value)
{
    store_args_add(a, name);
    store_args_add(a, value);
}

/* The key that per_key counts, where there is one. key: borrowed until the call was made. */
static void add_key(struct store_args *a, const struct calls_job *j, char key[PER_KEY_SIZE])
{
    if (per_key_of(j->tenant, j->message, key)) {
        add_option(a, STR("pk"), str_of(key));
    }
}

/* Out of turn it may wait on the shelf, if there is room for its request. */
static void add_room(struct store_args *a, const struct calls_job *j)
{
    struct buf head = {0};

    if (j->message->ordering_key.n == 0) {
        return;
    }
    job_message_pack(j->message, &head);
    store_args_add(a, STR("room"));
    store_args_number(a, (int64_t)j->shelf_max_bytes);
    store_args_add(a, STR("size"));
    store_args_number(a, (int64_t)(head.n + j->message->body.n));
    buf_fini(&head);
}

/* The policy as the scripts know it. */
static struct str policy_word(const struct calls_job *j)
{
    enum tenant_doubt policy = tenant_doubt_policy(j->tenant, j->message->method);

    return policy == TENANT_DOUBT_RETRY ? STR("retry")
           : policy == TENANT_DOUBT_ASK ? STR("ask")
                                        : STR("hold");
}

static void put_field(struct buf *to, const char *name, struct str value)
{
    if (value.n > 0) {
        buf_text(to, name);
        buf_char(to, '\n');
        buf_str(to, value);
        buf_char(to, '\n');
    }
}

/* What write_following() in _follow.lua takes: the record of a message that went first. */
static void lay_out_following(const struct job_message *m, struct buf *ret)
{
    struct str waiter = m->late;
    struct str generation;

    (void)str_cut(&waiter, ' ', &generation);
    buf_str(ret, m->epoch);
    buf_char(ret, ' ');
    buf_str(ret, generation);
    buf_char(ret, ' ');
    buf_i64(ret, m->created_ms);
    buf_char(ret, ' ');
    buf_i64(ret, m->deadline_ms);
    buf_char(ret, ' ');
    buf_str(ret, job_message_kind(m));
    buf_char(ret, ' ');
    buf_str(ret, waiter.n > 0 ? waiter : STR("-"));
    buf_char(ret, '\n');
    put_field(ret, "m", m->method);
    put_field(ret, "p", m->path);
    put_field(ret, "cr", m->caller);
    put_field(ret, "lb", m->labels);
    put_field(ret, "pr", job_message_priority(m));
}

static void add_following(struct store_args *a, const struct calls_job *j, struct buf *text)
{
    if (j->message->late.n > 0) {
        lay_out_following(j->message, text);
        add_option(a, STR("lt"), buf_as_str(text));
    }
}

int64_t calls_limit_ms(const struct calls_job *j)
{
    int64_t own = j->message->timeout_ms;
    int64_t total = j->tenant->timeouts.total_ms;

    return own > 0 && own < total ? own : total;
}

int calls_claim(const struct calls_job *j, const char *worker, const char *channel,
                int64_t lease_ms, store_cb cb, void *arg)
{
    struct tenant_retry retry = verdict_retry_settings(j->tenant, j->message->retry);
    struct mood_policies policies;
    struct store_args a = {.n = 1};
    struct buf following = {0};
    char key[PER_KEY_SIZE];

    store_args_add(&a, str_of(j->token));
    store_args_add(&a, str_of(worker));
    store_args_add(&a, str_of(channel));
    store_args_number(&a, calls_limit_ms(j) + j->tenant->slot_linger_ms);
    store_args_add(&a, policy_word(j));
    store_args_number(&a, retry.max_attempts);
    store_args_number(&a, lease_ms);
    add_keeping(&a, j);
    add_following(&a, j, &following);
    if (j->has_more) {
        add_option(&a, STR("mw"), STR("1"));
    }
    if (j->region != NULL) {
        add_option(&a, STR("rg"), str_of(j->region));
    }
    add_key(&a, j, key);
    add_room(&a, j);
    mood_add_policies(j->tenant, &policies, &a);
    if (j->tenant->offload.is_enabled) {
        store_args_add(&a, STR("poll_lease_ms"));
        store_args_number(&a, POLL_LEASE_MS);
    }
    int rc = buf_failed(&following) ? ERR_NOMEM : call(j, STORE_CLAIM, &a, cb, arg);
    buf_fini(&following);
    return rc;
}

int calls_rebuild(const struct calls_job *j, bool was_attempted, int64_t lease_ms, store_cb cb,
                  void *arg)
{
    const struct job_message *m = j->message;
    struct store_args a = {.n = 1};

    store_args_flag(&a, was_attempted);
    store_args_add(&a, policy_word(j));
    store_args_number(&a, lease_ms);
    store_args_number(&a, j->tenant->lost_after_ms);
    store_args_number(&a, j->tenant->result_ttl_ms + DAY_MS);
    store_args_number(&a, m->due_ms);
    store_args_number(&a, m->expires_ms);
    store_args_number(&a, m->deadline_ms);
    store_args_add(&a, m->key);
    store_args_add(&a, m->fingerprint);
    store_args_add(&a, job_message_kind(m));
    store_args_number(&a, m->created_ms);
    store_args_add(&a, m->channel);
    shelving_add_request(&a, m);
    return call(j, STORE_REBUILD, &a, cb, arg);
}

int calls_reregister(const struct calls_job *j, const struct calls_running *r, store_cb cb,
                     void *arg)
{
    const struct job_message *m = j->message;
    struct store_args a = {.n = 1};
    char key[PER_KEY_SIZE];

    store_args_number(&a, j->number);
    store_args_add(&a, str_of(j->token));
    store_args_add(&a, str_of(r->worker));
    store_args_add(&a, str_of(r->instance));
    store_args_number(&a, r->slot_end_ms - calls_limit_ms(j) - j->tenant->slot_linger_ms);
    store_args_number(&a, r->slot_end_ms);
    store_args_number(&a, r->counted);
    store_args_add(&a, m->key);
    store_args_add(&a, m->fingerprint);
    store_args_add(&a, job_message_kind(m));
    store_args_number(&a, m->created_ms);
    store_args_add(&a, m->channel);
    store_args_number(&a, j->tenant->lost_after_ms);
    store_args_number(&a, m->expires_ms);
    shelving_add_request(&a, m);
    add_key(&a, j, key);
    return call(j, STORE_REREGISTER, &a, cb, arg);
}

static struct str verdict_word(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_SUCCEEDED:
    case VERDICT_FAILED:
        return STR("end");
    case VERDICT_DEAD:
        return STR("dead");
    case VERDICT_RETRY:
        return STR("retry");
    case VERDICT_ELSEWHERE:
        return STR("elsewhere");
    case VERDICT_UNSENT:
        return STR("unsent");
    case VERDICT_DOUBT:
        return STR("doubt");
    case VERDICT_ASK:
        return STR("ask");
    case VERDICT_OFFLOAD:
        return STR("offload");
    case VERDICT_HOLD:
        break;
    }
    return STR("hold");
}

/* What is on the shelf has been attempted, or may have been: a copy of it says so. */
static void pack_attempted(const struct job_message *m, struct buf *ret_head)
{
    struct job_message copy = *m;

    copy.was_attempted = true;
    job_message_pack(&copy, ret_head);
}

static void add_offload(struct store_args *a, const struct tenant *t, const struct verdict *v)
{
    store_args_add(a, STR("ofu"));
    store_args_add(a, str_of(v->poll_url));
    store_args_add(a, STR("ofm"));
    store_args_number(a, t->offload.max_ms);
    store_args_add(a, STR("ofg"));
    store_args_number(a, t->slot_linger_ms);
}

int calls_complete(const struct calls_job *j, const struct verdict *v, const struct mood *mood,
                   int status, struct str answer, size_t body_bytes, bool is_refused,
                   bool is_unsent, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};
    struct mood_policies policies;
    struct buf head = {0};
    bool is_shelved = v->kind == VERDICT_DEAD || v->kind == VERDICT_HOLD;

    store_args_number(&a, j->number);
    store_args_add(&a, str_of(j->token));
    store_args_add(&a, verdict_word(v->kind));
    store_args_add(&a, v->kind == VERDICT_SUCCEEDED ? STR("succeeded") : STR("failed"));
    if (status > 0) {
        store_args_number(&a, status);
    } else {
        store_args_add(&a, STR(""));
    }
    store_args_add(&a, str_of(v->error));
    store_args_add(&a, answer);
    store_args_number(&a, (int64_t)body_bytes);
    store_args_flag(&a, v->frees_slot);
    store_args_number(&a, v->delay_ms);
    add_keeping(&a, j);
    if (is_shelved) {
        pack_attempted(j->message, &head);
    }
    store_args_add(&a, buf_as_str(&head));
    store_args_add(&a, is_shelved ? j->message->body : STR(""));
    store_args_number(&a, (int64_t)j->shelf_max_bytes);
    store_args_flag(&a, is_refused);
    store_args_flag(&a, is_unsent);
    mood_add_policies(j->tenant, &policies, &a);
    mood_add(mood, j->tenant, &a);
    if (v->kind == VERDICT_OFFLOAD) {
        add_offload(&a, j->tenant, v);
    } else if (v->kind == VERDICT_ELSEWHERE) {
        store_args_add(&a, STR("attempts"));
        store_args_number(&a, v->max_attempts);
        store_args_add(&a, STR("uncounted"));
        store_args_number(&a, (int64_t)v->max_attempts * VERDICT_UNCOUNTED_FACTOR);
    }
    int rc = buf_failed(&head) ? ERR_NOMEM : call(j, STORE_COMPLETE, &a, cb, arg);
    buf_fini(&head);
    return rc;
}

int calls_asked(const struct calls_job *j, const struct calls_question *q, enum verdict_fate fate,
                const char *error, int status, struct str answer, size_t body_bytes, store_cb cb,
                void *arg)
{
    struct store_args a = {.n = 1};

    store_args_number(&a, q->number);
    store_args_add(&a, q->token);
    store_args_number(&a, q->question);
    store_args_add(&a, str_of(j->token));
    store_args_add(&a, verdict_fate_word(fate));
    store_args_number(&a, status);
    store_args_add(&a, str_of(error));
    store_args_add(&a, answer);
    store_args_number(&a, (int64_t)body_bytes);
    store_args_number(&a, j->tenant->timeouts.total_ms);
    add_keeping(&a, j);
    return call(j, STORE_ASKED, &a, cb, arg);
}

int calls_polled(const struct calls_job *j, const struct calls_question *q, const char *word,
                 int64_t wait_ms, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    store_args_number(&a, q->number);
    store_args_add(&a, q->token);
    store_args_number(&a, q->question);
    store_args_add(&a, str_of(j->token));
    store_args_add(&a, str_of(word));
    store_args_number(&a, wait_ms);
    return call(j, STORE_POLLED, &a, cb, arg);
}

int calls_shelve(const struct calls_job *j, int64_t seen_number, struct str seen_token,
                 const char *reason, bool is_dead, store_cb cb, void *arg)
{
    struct shelving how = {.seen_number = seen_number,
                           .seen_token = seen_token,
                           .reason = reason,
                           .is_dead = is_dead,
                           .max_bytes = j->shelf_max_bytes,
                           .window_ms = j->tenant->idempotency.window_ms};

    return shelving_call(j->store, j->message, &how, cb, arg);
}

int calls_wait_turn(const struct calls_job *j, bool was_attempted, store_cb cb, void *arg)
{
    struct job_message copy = *j->message;
    struct store_args a = {.n = 1};
    struct buf head = {0};

    copy.was_attempted = was_attempted;
    job_message_pack(&copy, &head);
    store_args_add(&a, buf_as_str(&head));
    store_args_add(&a, j->message->body);
    store_args_number(&a, (int64_t)j->shelf_max_bytes);
    int rc = buf_failed(&head) ? ERR_NOMEM : call(j, STORE_WAIT_TURN, &a, cb, arg);
    buf_fini(&head);
    return rc;
}
