/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include "job/id.h"

#include <inttypes.h>
#include <stdio.h>

enum { ARGS_MAX = 40, NUMBER_SIZE = 24, KEY_SIZE = 160 };

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

/* A call about the job `id`; args 0 and 1 are the epoch and the name. */
static int call(struct ingress *g, enum store_script script, struct str id, struct args *a,
                store_cb cb, void *arg)
{
    char key[KEY_SIZE];
    struct job_id parts;

    if (!job_id_parse(id, &parts)) {
        return ERR_INVALID;
    }
    if (store_epoch(g->store) == NULL) {
        return ERR_DOWN;
    }
    (void)snprintf(key, sizeof key, "{%.*s}:t", STR_ARG(parts.tenant));
    a->at[0] = str_of(store_epoch(g->store));
    a->at[1] = parts.name;
    struct str keys[] = {str_of(key)};
    return store_call(g->store, script, keys, 1, a->at, a->n, cb, arg);
}

static void add_field(struct args *a, const char *name, struct str value)
{
    if (value.n > 0) {
        add(a, str_of(name));
        add(a, value);
    }
}

int calls_accept(struct ingress *g, const struct calls_accept *in, store_cb cb, void *arg)
{
    const struct job_message *m = in->message;
    struct args a = {.n = 2};

    add(&a, m->key);
    add(&a, m->fingerprint);
    add(&a, m->class);
    add(&a, in->is_async ? STR("async") : STR("wait"));
    add_number(&a, in->deadline_in_ms);
    add_number(&a, in->ttl_ms);
    add_number(&a, in->due_in_ms);
    add(&a, str_of(in->waiter));
    add_number(&a, CALLS_ACCEPT_LEASE_MS);
    add_number(&a, (int64_t)in->tenant->max_queue);
    add(&a, STR("m"));
    add(&a, m->method);
    add(&a, STR("p"));
    add(&a, m->path);
    add_field(&a, "cr", m->caller);
    add_field(&a, "lb", m->labels);
    return call(g, STORE_ACCEPT, m->id, &a, cb, arg);
}

int calls_undo(struct ingress *g, struct str id, store_cb cb, void *arg)
{
    struct args a = {.n = 2};

    add_number(&a, CALLS_DAY_MS);
    return call(g, STORE_UNDO, id, &a, cb, arg);
}

int calls_expire(struct ingress *g, struct str id, const char *waiter, bool is_hangup, store_cb cb,
                 void *arg)
{
    struct args a = {.n = 2};

    add(&a, str_of(waiter));
    add(&a, is_hangup ? STR("hangup") : STR("deadline"));
    add_number(&a, CALLS_DAY_MS);
    return call(g, STORE_EXPIRE, id, &a, cb, arg);
}

int calls_give_202(struct ingress *g, struct str id, const char *waiter, store_cb cb, void *arg)
{
    struct args a = {.n = 2};

    add(&a, str_of(waiter));
    return call(g, STORE_GIVE_202, id, &a, cb, arg);
}

int calls_cancel(struct ingress *g, struct str id, const struct tenant *t, store_cb cb, void *arg)
{
    struct args a = {.n = 2};

    add_number(&a, t->result_ttl_ms + CALLS_DAY_MS);
    add_number(&a, t->idempotency.window_ms);
    return call(g, STORE_CANCEL, id, &a, cb, arg);
}

int calls_resolve(struct ingress *g, struct str id, const struct tenant *t, const char *to,
                  struct str note, store_cb cb, void *arg)
{
    struct args a = {.n = 2};

    add(&a, str_of(to));
    add(&a, note);
    add_number(&a, t->result_ttl_ms + CALLS_DAY_MS);
    add_number(&a, t->idempotency.window_ms);
    add_number(&a, t->result_ttl_ms);
    return call(g, STORE_RESOLVE, id, &a, cb, arg);
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
