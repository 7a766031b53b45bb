/* SPDX-License-Identifier: Apache-2.0 */
/* registry — the tenants as the store's registry has them, kept fresh in this process.
 *
 * Reads the index (hash {sluice}:tenants, name → version, written by the dispatcher) every second
 * and at each opening of the store, and fetches what changed. The last good state stays in force
 * while the store is away.
 *
 * Thread: the loop's.   Memory: entries are counted; hold one while you use its tenant across
 * turns. */
#pragma once

#include "base/map.h"
#include "config/tenant.h"
#include "loop/loop.h"
#include "store/store.h"

#define REGISTRY_INDEX "{sluice}:tenants"
/* The index's field that says that a dispatcher has written it, whole. Not a tenant's name. */
#define REGISTRY_WRITTEN ":written"

struct registry;
struct registry_entry {
    struct tenant *tenant;
    char *version;
    unsigned int refs;
};

/* `now`: the entry as it is now, NULL when the tenant left; `before` likewise. */
typedef void (*registry_change_cb)(struct str name, struct registry_entry *before,
                                   struct registry_entry *now, void *arg);

/* s: borrowed; must outlive the registry. */
MUST_CHECK int registry_new(struct loop *l, struct store *s, registry_change_cb cb, void *arg,
                            struct registry **ret);
void registry_free(struct registry *r);
/* Reads again now (the store opened; a change is known). */
void registry_refresh(struct registry *r);
/* Whether a dispatcher has written the registry and it was read. */
bool registry_is_read(const struct registry *r);
/* Borrowed; NULL for an unknown tenant. */
struct registry_entry *registry_find(const struct registry *r, struct str name);
/* The tenant whose declared `apis` prefix fits the path best (longest, on a segment's border), or
 * NULL. */
struct registry_entry *registry_find_api(const struct registry *r, struct str path);
/* How many there are. */
size_t registry_size(const struct registry *r);
/* Walks all, as map_next does. */
bool registry_next(const struct registry *r, size_t *cursor, struct registry_entry **ret);
struct registry_entry *registry_ref(struct registry_entry *e);
void registry_unref(struct registry_entry *e);
