/* SPDX-License-Identifier: Apache-2.0 */
/* args — a script's arguments as they are put together, and its answer as it is read. */
#pragma once

#include "store/store.h"

enum { STORE_ARGS_MAX = 64 };

/* Numbers are kept as text beside the arguments: do not copy the struct. A zeroed one is empty. */
struct store_args {
    struct str at[STORE_ARGS_MAX];
    size_t n;
    char numbers[STORE_ARGS_MAX][STR_I64_SIZE];
};

/* value: borrowed until the call was made. One more than STORE_ARGS_MAX is our bug: panics. */
void store_args_add(struct store_args *a, struct str value);
void store_args_number(struct store_args *a, int64_t value);
/* "1" or "0". */
void store_args_flag(struct store_args *a, bool value);

/* Calls a script about a tenant: KEYS[1] is "{tenant}:t", the first argument what is known of the
 * store (epoch, generation, memory), then `args` (at most STORE_ARGS_MAX). Returns as store_call
 * does; ERR_DOWN before the first opening. */
MUST_CHECK int store_call_tenant(struct store *s, enum store_script script, struct str tenant,
                                 const struct str *args, size_t n_args, store_cb cb, void *arg);

/* Item i of an array: its text ("" when it is none), its number (0 likewise; texts are read as
 * one). */
struct str store_word(const struct store_value *v, size_t i);
int64_t store_number(const struct store_value *v, size_t i);
