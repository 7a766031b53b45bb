/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include "base/buf.h"
#include "job/id.h"

#include <inttypes.h>
#include <stdio.h>

enum { DAY_MS = 86400000, NUMBER_SIZE = 24, ARGS_MAX = 24 };

/* A script's arguments; numbers are kept as text beside them. */
struct args {
    struct str at[ARGS_MAX];
    size_t n;
    char numbers[ARGS_MAX][NUMBER_SIZE];
};

static void add(struct args *a, struct str value)
{
    a->at[a->n++] = value;
}

static void add_number(struct args *a, int64_t value)
{
    int n = snprintf(a->numbers[a->n], NUMBER_SIZE, "%" PRId64, value);

    add(a, (struct str){a->numbers[a->n], (size_t)n});
}

bool calls_key(struct str id, char out[96], struct str *ret_name)
{
    struct job_id parsed;

    if (!job_id_parse(id, &parsed)) {
        return false;
    }
    (void)snprintf(out, 96, "{%.*s}:t", STR_ARG(parsed.tenant));
    *ret_name = parsed.name;
    return true;
}

struct str calls_word(const struct store_value *v, size_t i)
{
    if (v == NULL || v->type != STORE_ARRAY || i >= v->n_items || v->items[i].type != STORE_TEXT) {
        return (struct str){"", 0};
    }
    return v->items[i].text;
}

int64_t calls_number(const struct store_value *v, size_t i)
{
    int64_t value = 0;

    if (v != NULL && v->type == STORE_ARRAY && i < v->n_items &&
        v->items[i].type == STORE_INTEGER) {
        return v->items[i].integer;
    }
    return str_to_i64(calls_word(v, i), &value) == ERR_OK ? value : 0;
}

/* An ended record outlives its result, and every message published for it, by a day; that of an
 * unkeyed synchronous call need not. */
static void add_keeping(struct args *a, const struct calls_job *j)
{
    const struct tenant *t = j->tenant;

    add_number(a, t->result_ttl_ms + DAY_MS);
    add_number(a, t->idempotency.window_ms);
    add_number(a, t->result_ttl_ms);
    add_number(a, t->sync_result_ttl_ms);
}

static int call(const struct calls_job *j, enum store_script script, struct args *a, store_cb cb,
                void *arg)
{
    char key[96];
    struct str name;

    if (!calls_key(j->message->id, key, &name)) {
        return ERR_INVALID;
    }
    a->at[0] = str_of(store_epoch(j->store));
    a->at[1] = name;
    struct str keys[] = {str_of(key)};
    return store_call(j->store, script, keys, 1, a->at, a->n, cb, arg);
}

/* The policy as the scripts know it: what is not retried is held (ask comes with the whole
 * protocol). */
static struct str policy_word(const struct calls_job *j)
{
    enum tenant_doubt policy = tenant_doubt_policy(j->tenant, j->message->method);

    return policy == TENANT_DOUBT_RETRY ? STR("retry") : STR("hold");
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
    struct args a = {.n = 2};

    add(&a, str_of(j->token));
    add(&a, str_of(worker));
    add(&a, str_of(channel));
    add_number(&a, calls_limit_ms(j) + j->tenant->slot_linger_ms);
    add(&a, policy_word(j));
    add_number(&a, retry.max_attempts);
    add_number(&a, lease_ms);
    add_keeping(&a, j);
    return call(j, STORE_CLAIM, &a, cb, arg);
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
    case VERDICT_UNSENT:
        return STR("unsent");
    case VERDICT_DOUBT:
        return STR("doubt");
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

int calls_complete(const struct calls_job *j, const struct verdict *v, int status,
                   struct str answer, size_t body_bytes, bool is_refused, bool is_unsent,
                   store_cb cb, void *arg)
{
    struct args a = {.n = 2};
    struct buf head = {0};
    bool is_shelved = v->kind == VERDICT_DEAD || v->kind == VERDICT_HOLD;

    add_number(&a, j->number);
    add(&a, str_of(j->token));
    add(&a, verdict_word(v->kind));
    add(&a, v->kind == VERDICT_SUCCEEDED ? STR("succeeded") : STR("failed"));
    if (status > 0) {
        add_number(&a, status);
    } else {
        add(&a, STR(""));
    }
    add(&a, str_of(v->error));
    add(&a, answer);
    add_number(&a, (int64_t)body_bytes);
    add(&a, v->frees_slot ? STR("1") : STR("0"));
    add_number(&a, v->delay_ms);
    add_keeping(&a, j);
    if (is_shelved) {
        pack_attempted(j->message, &head);
    }
    add(&a, buf_as_str(&head));
    add(&a, is_shelved ? j->message->body : STR(""));
    add_number(&a, (int64_t)j->shelf_max_bytes);
    add(&a, is_refused ? STR("1") : STR("0"));
    add(&a, is_unsent ? STR("1") : STR("0"));
    int rc = buf_failed(&head) ? ERR_NOMEM : call(j, STORE_COMPLETE, &a, cb, arg);
    buf_fini(&head);
    return rc;
}

int calls_shelve(const struct calls_job *j, int64_t seen_number, struct str seen_token,
                 const char *reason, bool is_dead, store_cb cb, void *arg)
{
    struct args a = {.n = 2};
    struct buf head = {0};

    add_number(&a, seen_number);
    add(&a, seen_token);
    add(&a, str_of(reason));
    pack_attempted(j->message, &head);
    add(&a, buf_as_str(&head));
    add(&a, j->message->body);
    add_number(&a, (int64_t)j->shelf_max_bytes);
    add(&a, is_dead ? STR("failed") : STR("in_doubt"));
    add_number(&a, j->tenant->idempotency.window_ms);
    add(&a, STR("cl"));
    add(&a, j->message->class);
    add(&a, STR("m"));
    add(&a, j->message->method);
    add(&a, STR("p"));
    add(&a, j->message->path);
    int rc = buf_failed(&head) ? ERR_NOMEM : call(j, STORE_SHELVE, &a, cb, arg);
    buf_fini(&head);
    return rc;
}
