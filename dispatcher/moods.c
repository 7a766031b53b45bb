/* SPDX-License-Identifier: Apache-2.0 */
#include "moods.h"

#include "base/buf.h"
#include "rota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_SIZE = 512, ROW = 4 };

struct moods {
    struct dispatcher *dispatcher;
    struct map instances; /* "tenant/instance" → struct known */
    struct rota rota;
    uint64_t round;
    unsigned int alive;
    bool is_freed;
};

struct known {
    struct mood mood;
    uint64_t round; /* when it was last heard of */
};

struct question {
    struct moods *moods;
    char tenant[80];
};

static void let_go(struct moods *m)
{
    if (--m->alive == 0) {
        free(m);
    }
}

static void key_of(char out[KEY_SIZE], const char *tenant, struct str instance)
{
    (void)snprintf(out, KEY_SIZE, "%s/%.*s", tenant, STR_ARG(instance));
}

static enum mood_breaker breaker_of(struct str word)
{
    return str_is(word, STR("open"))        ? MOOD_OPEN
           : str_is(word, STR("half_open")) ? MOOD_HALF_OPEN
                                            : MOOD_CLOSED;
}

const char *mood_breaker_word(enum mood_breaker b)
{
    return b == MOOD_OPEN ? "open" : b == MOOD_HALF_OPEN ? "half_open" : "closed";
}

static struct known *known_of(struct moods *m, const char *tenant, struct str instance)
{
    char key[KEY_SIZE];

    key_of(key, tenant, instance);
    struct known *k = map_get(&m->instances, str_of(key));
    if (k == NULL) {
        k = calloc(1, sizeof *k);
        if (k != NULL && map_put(&m->instances, str_of(key), k) != ERR_OK) {
            free(k);
            k = NULL;
        }
    }
    return k;
}

static void on_told(int rc, const struct store_value *v, void *arg)
{
    struct question *q = arg;
    struct moods *m = q->moods;

    for (size_t i = 0;
         !m->is_freed && rc == ERR_OK && v->type == STORE_ARRAY && i + ROW <= v->n_items;
         i += ROW) {
        struct known *k = known_of(m, q->tenant, store_word(v, i));
        if (k != NULL) {
            k->round = m->round;
            k->mood.breaker = breaker_of(store_word(v, i + 1));
            k->mood.cooling_until.ms = store_number(v, i + 2);
            k->mood.limit = store_number(v, i + 3);
        }
    }
    free(q);
    let_go(m);
}

static void ask(struct moods *m, const struct tenant *t)
{
    struct question *q = calloc(1, sizeof *q);
    struct store_args a = {.n = 0};
    char adaptive[48];

    if (q == NULL) {
        return;
    }
    q->moods = m;
    (void)snprintf(q->tenant, sizeof q->tenant, "%s", t->name);
    if (t->adaptive.is_enabled) {
        (void)snprintf(adaptive, sizeof adaptive, "%u %u", (unsigned int)t->adaptive.minimum,
                       (unsigned int)t->adaptive.maximum);
        store_args_add(&a, STR("adaptive"));
        store_args_add(&a, str_of(adaptive));
    }
    if (store_call_tenant(m->dispatcher->store, STORE_MOODS, str_of(t->name), a.at, a.n, on_told,
                          q) == ERR_OK) {
        m->alive++;
    } else {
        free(q);
    }
}

/* What was not heard of for some rounds has left the registry. */
static void drop_old(struct moods *m)
{
    enum { ROUNDS = 10 * ROTA_ROUNDS };
    size_t cursor = 0;
    struct str key;
    void *value;

    while (map_next(&m->instances, &cursor, &key, &value)) {
        struct known *k = value;
        if (m->round - k->round > ROUNDS) {
            (void)map_remove(&m->instances, key);
            free(k);
        }
    }
}

void moods_turn(struct moods *m)
{
    const struct registry *tenants = m->dispatcher->registry;
    struct registry_entry *e;

    m->round++;
    drop_old(m);
    rota_begin(&m->rota, tenants, rota_share(registry_size(tenants)));
    while (rota_next(&m->rota, tenants, &e)) {
        ask(m, e->tenant);
    }
}

struct mood moods_of(const struct moods *m, const struct tenant *t, const char *instance)
{
    char key[KEY_SIZE];
    struct mood calm = {MOOD_CLOSED, {0}, 0};

    key_of(key, t->name, str_of(instance));
    const struct known *k = map_get(&m->instances, str_of(key));
    if (k == NULL) {
        return calm;
    }
    struct mood mood = k->mood;
    mood.breaker = t->breaker.is_set ? mood.breaker : MOOD_CLOSED;
    return mood;
}

void mood_print(const struct mood *mood, struct buf *out)
{
    char text[WALL_TEXT_SIZE];

    buf_printf(out, ",\"breaker\":\"%s\",\"cooling_until\":", mood_breaker_word(mood->breaker));
    if (mood->cooling_until.ms > 0) {
        wall_format(mood->cooling_until, text);
        buf_printf(out, "\"%s\"", text);
    } else {
        buf_text(out, "null");
    }
    buf_text(out, ",\"limit\":");
    if (mood->limit > 0) {
        buf_printf(out, "%" PRId64, mood->limit);
    } else {
        buf_text(out, "null");
    }
}

int moods_new(struct dispatcher *d, struct moods **ret)
{
    struct moods *m = calloc(1, sizeof *m);

    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->dispatcher = d;
    m->alive = 1;
    *ret = m;
    return ERR_OK;
}

void moods_free(struct moods *m)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    if (m == NULL) {
        return;
    }
    while (map_next(&m->instances, &cursor, &key, &value)) {
        free(value);
    }
    map_fini(&m->instances);
    m->is_freed = true;
    let_go(m);
}
