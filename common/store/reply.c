/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static const struct redis_refusal REFUSALS[] = {
    {"ERR Function not found", ERR_DENIED, .is_resent = true},
    {"LOADING", ERR_DENIED, false, false},
    {"BUSY", ERR_DENIED, false, false}, /* a script runs over its time */
    {"MISCONF", ERR_DENIED, false, false},
    {"NOREPLICAS", ERR_DENIED, false, false},
    {"READONLY", ERR_DENIED, .is_our_end = true}, /* a demoted master */
    {"MASTERDOWN", ERR_DENIED, .is_our_end = true},
    {"OOM", ERR_LIMIT, false, false},
};
static const struct redis_refusal BUG = {"", ERR_BUG, false, false};

const struct redis_refusal *redis_refusal_of(struct str error)
{
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        struct str words = str_of(REFUSALS[i].words);
        if (str_starts(error, words) && (error.n == words.n || error.p[words.n] == ' ')) {
            return &REFUSALS[i];
        }
    }
    return &BUG;
}

void redis_values_fini(struct redis_values *v)
{
    free(v->items);
    *v = (struct redis_values){NULL, 0};
}

/* All items below `r`, at every depth (hiredis bounds the depth). */
static size_t count(const redisReply *r)
{
    size_t n = 0;

    if (r->type == REDIS_REPLY_ARRAY) {
        n = r->elements;
        for (size_t i = 0; i < r->elements; i++) {
            n += count(r->element[i]);
        }
    }
    return n;
}

static int make_room(struct redis_values *v, size_t n)
{
    if (n <= v->room) {
        return ERR_OK;
    }
    struct store_value *items = calloc(n, sizeof *items);
    if (items == NULL) {
        return ERR_NOMEM;
    }
    free(v->items);
    v->items = items;
    v->room = n;
    return ERR_OK;
}

/* *next: the first free item; advanced past those that `r` takes. */
static struct store_value convert(const redisReply *r, struct store_value **next)
{
    struct store_value v = {.type = STORE_NIL};

    switch (r->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        v.type = STORE_TEXT;
        v.text = (struct str){r->str, r->len};
        break;
    case REDIS_REPLY_ERROR:
        v.type = STORE_ERROR;
        v.text = (struct str){r->str, r->len};
        break;
    case REDIS_REPLY_INTEGER:
        v.type = STORE_INTEGER;
        v.integer = r->integer;
        break;
    case REDIS_REPLY_ARRAY: {
        struct store_value *items = *next;
        *next += r->elements;
        for (size_t i = 0; i < r->elements; i++) {
            items[i] = convert(r->element[i], next);
        }
        v.type = STORE_ARRAY;
        v.items = items;
        v.n_items = r->elements;
        break;
    }
    default: /* NIL; the types of RESP3 are never asked for */
        break;
    }
    return v;
}

int redis_value_of(const struct redisReply *reply, struct redis_values *room,
                   struct store_value *ret)
{
    int rc = make_room(room, count(reply));

    if (rc == ERR_OK) {
        struct store_value *next = room->items;
        *ret = convert(reply, &next);
    }
    return rc;
}

static void measure(const struct store_value *v, size_t *n_items, size_t *n_bytes)
{
    *n_bytes += v->text.n;
    for (size_t i = 0; v->type == STORE_ARRAY && i < v->n_items; i++) {
        ++*n_items;
        measure(&v->items[i], n_items, n_bytes);
    }
}

/* next, text: the first free item and byte; advanced past those that `v` takes. */
static struct store_value copy(const struct store_value *v, struct store_value **next, char **text)
{
    struct store_value made = {.type = v->type, .integer = v->integer};

    if (v->type == STORE_TEXT || v->type == STORE_ERROR) {
        made.text = (struct str){*text, v->text.n};
        if (v->text.n > 0) {
            memcpy(*text, v->text.p, v->text.n);
        }
        *text += v->text.n;
    } else if (v->type == STORE_ARRAY) {
        struct store_value *items = *next;
        *next += v->n_items;
        for (size_t i = 0; i < v->n_items; i++) {
            items[i] = copy(&v->items[i], next, text);
        }
        made.items = items;
        made.n_items = v->n_items;
    }
    return made;
}

int redis_value_keep(const struct store_value *v, struct store_value **ret)
{
    size_t n_items = 1;
    size_t n_bytes = 0;

    measure(v, &n_items, &n_bytes);
    struct store_value *made = malloc(n_items * sizeof *made + n_bytes);
    if (made == NULL) {
        return ERR_NOMEM;
    }
    struct store_value *next = made + 1;
    char *text = (char *)(made + n_items);
    *made = copy(v, &next, &text);
    *ret = made;
    return ERR_OK;
}
