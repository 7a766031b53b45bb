/* SPDX-License-Identifier: Apache-2.0 */
#include "store/args.h"

#include "base/panic.h"

enum { KEY_SIZE = 160, KNOWN_SIZE = 128 };

void store_args_add(struct store_args *a, struct str value)
{
    CHECK(a->n < STORE_ARGS_MAX);
    a->at[a->n++] = value;
}

void store_args_number(struct store_args *a, int64_t value)
{
    CHECK(a->n < STORE_ARGS_MAX);
    store_args_add(a, str_from_i64(value, a->numbers[a->n]));
}

void store_args_flag(struct store_args *a, bool value)
{
    store_args_add(a, value ? STR("1") : STR("0"));
}

static struct str print_key(struct str tenant, char to[KEY_SIZE])
{
    size_t n = str_put(STR("{"), to, KEY_SIZE, 0);

    n = str_put(tenant, to, KEY_SIZE, n);
    return (struct str){to, str_put(STR("}:t"), to, KEY_SIZE, n)};
}

static size_t put_number(int64_t value, char to[KNOWN_SIZE], size_t at)
{
    char text[STR_I64_SIZE];

    return str_put(str_from_i64(value, text), to, KNOWN_SIZE, at);
}

/* "<epoch>:<generation>:<memory>:<forgot>", as _common.lua reads it. */
static struct str print_known(const struct store *s, char to[KNOWN_SIZE])
{
    char memory[] = {':', (char)store_memory(s), ':'};
    size_t n = str_put(str_of(store_epoch(s)), to, KNOWN_SIZE, 0);

    n = str_put(STR(":"), to, KNOWN_SIZE, n);
    n = put_number(store_generation(s), to, n);
    n = str_put((struct str){memory, sizeof memory}, to, KNOWN_SIZE, n);
    return (struct str){to, put_number(store_forgot(s), to, n)};
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
    all[0] = print_known(s, known);
    CHECK(n_args <= STORE_ARGS_MAX);
    for (size_t i = 0; i < n_args; i++) {
        all[i + 1] = args[i];
    }
    struct str keys[] = {print_key(tenant, key)};
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
