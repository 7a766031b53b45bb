/* SPDX-License-Identifier: Apache-2.0 */
/* map — names to pointers. Copies its keys, borrows its values. Iteration order is not promised.
 * A zeroed struct is an empty map. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct map_slot;
struct map {
    struct map_slot *slots;
    size_t room;
    size_t n;
    size_t used; /* live entries and graves */
};

void map_fini(struct map *m);
/* NULL when the key is not there. O(1). */
void *map_get(const struct map *m, struct str key);
/* Sets or replaces; `value` must not be NULL. Returns 0 or ERR_NOMEM. */
MUST_CHECK int map_put(struct map *m, struct str key, void *value);
/* Removes and returns the value, or NULL. */
void *map_remove(struct map *m, struct str key);
/* Walks: start with *cursor = 0; false at the end. Removing the entry just returned is allowed;
 * other changes are not. */
bool map_next(const struct map *m, size_t *cursor, struct str *ret_key, void **ret_value);
