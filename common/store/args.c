/* SPDX-License-Identifier: Apache-2.0 */
#include "store/args.h"

#include "base/panic.h"

#include <inttypes.h>
#include <stdio.h>

enum { KEY_SIZE = 160, KNOWN_SIZE = 128 };

void store_args_add(struct store_args *a, struct str value)
{
    CHECK(a->n < STORE_ARGS_MAX);
    a->at[a->n++] = value;
}

void store_args_number(struct store_args *a, int64_t value)
{
    CHECK(a->n < STORE_ARGS_MAX);
    int n = snprintf(a->numbers[a->n], STORE_NUMBER_SIZE, "%" PRId64, value);

    store_args_add(a, (struct str){a->numbers[a->n], (size_t)n});
}

void store_args_flag(struct store_args *a, bool value)
{
    store_args_add(a, value ? STR("1") : STR("0"));
}

int store_call_tenant(struct store *s, enum store_script script, struct str tenant,
                      const struct str *args, size_t n_args, store_cb cb, void *arg)
{
    char key[KEY_SIZE];
    char known[KNOWN_SIZE];
    struct str all[STORE_ARGS_MAX + 1];

    if (store_epoch(s) == NULL) {
        return ERR_DOWN;
    }
    (void)snprintf(key, sizeof key, "{%.*s}:t", STR_ARG(tenant));
    /* As _common.lua reads it. */
    (void)snprintf(known, sizeof known, "%s:%" PRId64 ":%c:%" PRId64, store_epoch(s),
                   store_generation(s), (char)store_memory(s), store_forgot(s));
    all[0] = str_of(known);
    CHECK(n_args <= STORE_ARGS_MAX);
    for (size_t i = 0; i < n_args; i++) {
        all[i + 1] = args[i];
    }
    struct str keys[] = {str_of(key)};
    return store_call(s, script, keys, 1, all, n_args + 1, cb, arg);
}

struct str store_word(const struct store_value *v, size_t i)
{
    if (v == NULL || v->type != STORE_ARRAY || i >= v->n_items || v->items[i].type != STORE_TEXT) {
        return (struct str){"", 0};
    }
    return v->items[i].text;
}

int64_t store_number(const struct store_value *v, size_t i)
{
    int64_t value = 0;

    if (v != NULL && v->type == STORE_ARRAY && i < v->n_items &&
        v->items[i].type == STORE_INTEGER) {
        return v->items[i].integer;
    }
    return str_to_i64(store_word(v, i), &value) == ERR_OK ? value : 0;
}
