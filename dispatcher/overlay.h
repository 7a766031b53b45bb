/* SPDX-License-Identifier: Apache-2.0 */
/* overlay — what was said of tenants and instances over HTTP: one hash of the store (overlay.lua),
 * a copy of it here, and what it makes of the configuration's tenants.
 *
 * A tenant that was put over HTTP is whole, and stands in place of the file's of the same name. On
 * top of either, instances that were put over HTTP are added, or stand in place of those of the
 * same name. Every change has a revision; what is derived from it carries that into the tenant's
 * hash, where an older one is refused (register.lua, govern.lua).
 *
 * Memory: texts are borrowed until the copy is read again: until the loop's next turn. */
#pragma once

#include "dispatcher.h"

struct snapshot;

/* A word of overlay.lua with its field and value. */
struct overlay_op {
    const char *word;
    struct str field;
    struct str value;
};

/* rc: as a store_cb; ERR_CLOSED: the program ends. */
typedef void (*overlay_cb)(int rc, void *arg);

/* Another revision, or another life of the store's memory, was read. */
typedef void (*overlay_changed_cb)(struct dispatcher *d);

MUST_CHECK int overlay_new(struct dispatcher *d, const char *state_dir,
                           overlay_changed_cb on_change, struct overlay **ret);
void overlay_free(struct overlay *o);
/* Every dispatcher's turn, in its slow round: reads what others changed. The one that leads also
 * takes out the instances whose time to live is over. */
void overlay_turn(struct overlay *o);

/* Does the operations at once and reads the whole; n_ops 0 only reads. The copy is fresh, and the
 * snapshot on disk, when cb comes. Returns 0, or an error of store_call; then cb does not come. */
MUST_CHECK int overlay_apply(struct overlay *o, const struct overlay_op *ops, size_t n_ops,
                             overlay_cb cb, void *arg);

/* Whether it was read from this life of the store's memory. */
bool overlay_is_read(const struct overlay *o);
int64_t overlay_revision(const struct overlay *o);

/* What it says: kind is the field's letter, see overlay.lua; instance may be empty for the kinds
 * that have none. {NULL, 0} when it says nothing. */
struct str overlay_get(const struct overlay *o, char kind, struct str tenant, struct str instance);
/* Walks all fields, as map_next does. */
bool overlay_next(const struct overlay *o, size_t *cursor, struct str *ret_field,
                  struct str *ret_value);
/* The parts of a field; an empty instance for those without. False for a field of another kind. */
bool overlay_split(struct str field, char *ret_kind, struct str *ret_tenant,
                   struct str *ret_instance);
/* "i erp erp-1"; without instance "t erp". */
void overlay_field(char kind, struct str tenant, struct str instance, struct buf *out);

/* The tenant as it is to be registered. Returns 0 with a tenant that the caller frees, ERR_MISSING
 * (neither the file nor the overlay has it), ERR_NOMEM. */
MUST_CHECK int overlay_effective(const struct overlay *o, struct str name, struct tenant **ret);
/* The tenant's document, without the instances that came by themselves. Returns likewise. */
MUST_CHECK int overlay_document(const struct overlay *o, struct str name, struct tenant **ret);
/* The overlay says nothing of it, so that the file's tenant is the effective one. */
bool overlay_is_silent(const struct overlay *o, struct str tenant);
/* The names of the tenant's instances that drain, by line ends. */
void overlay_drains(const struct overlay *o, struct str tenant, struct buf *out);

/* The note of a pause, {NULL, 0} when it is not paused. ret_since: may be NULL. */
struct str overlay_pause(const struct overlay *o, struct str tenant, struct wall *ret_since);

/* The copy on disk. NULL: none is kept. */
struct snapshot *overlay_snapshot(const struct overlay *o);
