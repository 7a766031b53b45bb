/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include "base/fault.h"
#include "job/answer.h"
#include "job/id.h"

#include <inttypes.h>
#include <stdio.h>

enum { KEY_SIZE = 160, POLICY_SIZE = 96, FOLLOWS_SIZE = 128 };

/* A call about the job `id`, whose name is every script's first argument: its place is kept by `.n
 * = 1`. */
static int call(struct ingress *g, enum store_script script, struct str id, struct store_args *a,
                store_cb cb, void *arg)
{
    struct job_id parts;

    if (!job_id_parse(id, &parts)) {
        return ERR_INVALID;
    }
    a->at[0] = parts.name;
    return store_call_tenant(g->store, script, parts.tenant, a->at, a->n, cb, arg);
}

static void add_field(struct store_args *a, const char *name, struct str value)
{
    if (value.n > 0) {
        store_args_add(a, str_of(name));
        store_args_add(a, value);
    }
}

/* As accept.lua takes it. */
static void lay_out_follows(const struct calls_accept *in, char out[FOLLOWS_SIZE])
{
    (void)snprintf(out, FOLLOWS_SIZE, "%s %s %s %" PRId64, in->is_promised ? "promised" : "follows",
                   in->follows->epoch, in->follows->generation, in->follows->ms);
}

int calls_accept(struct ingress *g, const struct calls_accept *in, store_cb cb, void *arg)
{
    char follows[FOLLOWS_SIZE];
    const struct job_message *m = in->message;
    struct store_args a = {.n = 1};

    store_args_add(&a, m->key);
    store_args_add(&a, m->fingerprint);
    store_args_add(&a, job_message_kind(m));
    store_args_add(&a, in->is_async ? STR("async") : STR("wait"));
    store_args_number(&a, in->deadline_in_ms);
    store_args_number(&a, in->ttl_ms);
    store_args_number(&a, in->due_in_ms);
    store_args_add(&a, str_of(in->waiter));
    if (in->follows != NULL) {
        lay_out_follows(in, follows);
        store_args_add(&a, str_of(follows));
    } else {
        store_args_number(&a, TUNED(accept_lease_ms, CALLS_ACCEPT_LEASE_MS));
    }
    store_args_number(&a, (int64_t)in->tenant->max_queue);
    store_args_add(&a, STR("m"));
    store_args_add(&a, m->method);
    store_args_add(&a, STR("p"));
    store_args_add(&a, m->path);
    add_field(&a, "cr", m->caller);
    add_field(&a, "lb", m->labels);
    add_field(&a, "wn", in->takes_202 ? STR("1") : STR(""));
    add_field(&a, "ok", m->ordering_key);
    add_field(&a, "pr", job_message_priority(m));
    return call(g, STORE_ACCEPT, m->id, &a, cb, arg);
}

int calls_why(struct ingress *g, struct str id, const struct tenant *t, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};
    char breaker[POLICY_SIZE];
    char adaptive[POLICY_SIZE];

    /* As the workers' claims name them (workers/mood.c). */
    if (t != NULL && t->breaker.is_set) {
        (void)snprintf(breaker, sizeof breaker, "%.6f %u %" PRId64 " %" PRId64 " %u",
                       t->breaker.failure_ratio, (unsigned int)t->breaker.minimum_calls,
                       t->breaker.window_ms, t->breaker.open_ms, (unsigned int)t->breaker.probes);
        add_field(&a, "breaker", str_of(breaker));
    }
    if (t != NULL && t->adaptive.is_enabled) {
        (void)snprintf(adaptive, sizeof adaptive, "%u %u", (unsigned int)t->adaptive.minimum,
                       (unsigned int)t->adaptive.maximum);
        add_field(&a, "adaptive", str_of(adaptive));
    }
    return call(g, STORE_WHY, id, &a, cb, arg);
}

static void add_life(struct store_args *a, const struct calls_life *went_in)
{
    if (went_in != NULL) {
        store_args_add(a, str_of(went_in->epoch));
        store_args_add(a, str_of(went_in->generation));
        store_args_number(a, went_in->ms);
    }
}

int calls_undo(struct ingress *g, struct str id, const struct calls_life *went_in, store_cb cb,
               void *arg)
{
    struct store_args a = {.n = 1};

    store_args_number(&a, CALLS_DAY_MS);
    add_life(&a, went_in);
    return call(g, STORE_UNDO, id, &a, cb, arg);
}

int calls_expire(struct ingress *g, struct str id, const char *waiter, bool is_hangup,
                 const struct calls_life *went_in, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    store_args_add(&a, str_of(waiter));
    store_args_add(&a, is_hangup ? STR("hangup") : STR("deadline"));
    store_args_number(&a, CALLS_DAY_MS);
    add_life(&a, went_in);
    return call(g, STORE_EXPIRE, id, &a, cb, arg);
}

int calls_give_202(struct ingress *g, struct str id, const char *waiter, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    store_args_add(&a, str_of(waiter));
    return call(g, STORE_GIVE_202, id, &a, cb, arg);
}

int calls_cancel(struct ingress *g, struct str id, const struct tenant *t, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    store_args_number(&a, t->result_ttl_ms + CALLS_DAY_MS);
    store_args_number(&a, t->idempotency.window_ms);
    return call(g, STORE_CANCEL, id, &a, cb, arg);
}

int calls_resolve(struct ingress *g, struct str id, const struct tenant *t, const char *to,
                  struct str note, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    store_args_add(&a, str_of(to));
    store_args_add(&a, note);
    store_args_number(&a, t->result_ttl_ms + CALLS_DAY_MS);
    store_args_number(&a, t->idempotency.window_ms);
    store_args_number(&a, t->result_ttl_ms);
    return call(g, STORE_RESOLVE, id, &a, cb, arg);
}

/* As a worker would, who has a complete answer (complete.lua). */
int calls_complete(struct ingress *g, struct str id, const struct tenant *t, uint32_t number,
                   struct str fence, const struct job_completion *c, store_cb cb, void *arg)
{
    struct job_answer answer = {c->status, buf_as_str(&c->head), buf_as_str(&c->body)};
    bool is_too_large = c->body.n > t->max_result_bytes;
    struct store_args a = {.n = 1};
    struct buf packed = {0};
    char digest[65];

    if (!is_too_large) {
        job_answer_pack(&answer, &packed);
    }
    job_completion_digest(c, digest);
    store_args_number(&a, number);
    store_args_add(&a, fence);
    store_args_add(&a, STR("end"));
    store_args_add(&a, c->status < 400 ? STR("succeeded") : STR("failed"));
    store_args_number(&a, c->status);
    store_args_add(&a, is_too_large ? STR("result_too_large") : STR(""));
    store_args_add(&a, buf_as_str(&packed));
    store_args_number(&a, (int64_t)c->body.n);
    store_args_flag(&a, true); /* its slot is free */
    store_args_number(&a, 0);
    store_args_number(&a, t->result_ttl_ms + CALLS_DAY_MS);
    store_args_number(&a, t->idempotency.window_ms);
    store_args_number(&a, t->result_ttl_ms);
    store_args_number(&a, t->sync_result_ttl_ms);
    store_args_add(&a, STR("")); /* nothing goes to the shelf */
    store_args_add(&a, STR(""));
    store_args_number(&a, 0);
    store_args_flag(&a, false); /* no refused connection */
    store_args_flag(&a, false); /* it was sent */
    store_args_add(&a, STR("cd"));
    store_args_add(&a, str_of(digest));
    int rc = buf_failed(&packed) ? ERR_NOMEM : call(g, STORE_COMPLETE, id, &a, cb, arg);
    buf_fini(&packed);
    return rc;
}

int calls_dead_show(struct ingress *g, struct str id, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    return call(g, STORE_DEAD_SHOW, id, &a, cb, arg);
}

int calls_drop(struct ingress *g, struct str id, const struct tenant *t, store_cb cb, void *arg)
{
    struct store_args a = {.n = 1};

    store_args_number(&a, t->result_ttl_ms + CALLS_DAY_MS);
    store_args_number(&a, t->idempotency.window_ms);
    store_args_number(&a, t->result_ttl_ms);
    return call(g, STORE_DROP, id, &a, cb, arg);
}

/* Nothing for -1. */
static void add_time(struct store_args *a, int64_t ms)
{
    if (ms < 0) {
        store_args_add(a, STR(""));
    } else {
        store_args_number(a, ms);
    }
}

int calls_dead(struct ingress *g, const struct calls_dead *d, store_cb cb, void *arg)
{
    const struct dead_filter *f = d->filter;
    struct store_args a = {0};

    store_args_add(&a, str_of(d->mode));
    store_args_number(&a, d->most);
    store_args_number(&a, d->looks);
    add_time(&a, f->bound_ms);
    add_time(&a, f->last_ms);
    store_args_add(&a, str_of(f->last_name));
    store_args_add(&a, str_of(f->state));
    store_args_add(&a, str_of(f->error));
    add_time(&a, f->after_ms);
    store_args_add(&a, str_of(f->label_name));
    store_args_add(&a, str_of(f->label_value));
    store_args_add(&a, STR(""));
    return store_call_tenant(g->store, STORE_DEAD, str_of(f->tenant), a.at, a.n, cb, arg);
}

/* A plain command on one key of the job. */
static int command(struct ingress *g, const char *word, const char *kind, struct str id,
                   const struct str *rest, size_t n_rest, store_cb cb, void *arg)
{
    char key[KEY_SIZE];
    struct job_id parts;
    struct str words[16];

    if (!job_id_parse(id, &parts)) {
        return ERR_INVALID;
    }
    (void)snprintf(key, sizeof key, "{%.*s}:%s:%.*s", STR_ARG(parts.tenant), kind,
                   STR_ARG(parts.name));
    words[0] = str_of(word);
    words[1] = str_of(key);
    for (size_t i = 0; i < n_rest; i++) {
        words[i + 2] = rest[i];
    }
    return store_command(g->store, words, n_rest + 2, cb, arg);
}

int calls_record(struct ingress *g, struct str id, store_cb cb, void *arg)
{
    return command(g, "HGETALL", "j", id, NULL, 0, cb, arg);
}

int calls_state(struct ingress *g, struct str id, store_cb cb, void *arg)
{
    struct str fields[] = {STR("st"), STR("n"), STR("er"), STR("os"), STR("due")};

    return command(g, "HMGET", "j", id, fields, 5, cb, arg);
}

int calls_result(struct ingress *g, struct str id, store_cb cb, void *arg)
{
    return command(g, "GET", "r", id, NULL, 0, cb, arg);
}
