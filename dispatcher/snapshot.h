/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot — the overlay on this dispatcher's disk, fsynced at each change, so that an operator can
 * put it back when the store has lost it.
 *
 * The file (registry.json) names the epoch of the store that it was read from. When the store has
 * another epoch, or an earlier revision, what only the file holds is *lost*: it is kept apart until
 * somebody puts it back, or says that it is not wanted (`:restored` in the overlay). Blocks for as
 * long as the disk takes. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"

struct snapshot;

/* Reads the file in `dir`, if there is one; makes the directory. A file that cannot be read is
 * moved aside (registry.json.unreadable). Returns 0, ERR_IO (with a sentence in `why`), ERR_NOMEM.
 */
MUST_CHECK int snapshot_open(const char *dir, struct snapshot **ret, struct buf *why);
void snapshot_free(struct snapshot *s);

/* The overlay as it was just read (field → text, borrowed): kept, unless it is the same.
 * Returns 0, ERR_IO, ERR_NOMEM. */
MUST_CHECK int snapshot_keep(struct snapshot *s, const char *epoch, int64_t revision,
                             const struct map *fields);

/* The last writing failed: the file is older than what was kept. Another snapshot_keep tries again.
 */
bool snapshot_is_stale(const struct snapshot *s);

/* What the store lost: walks as map_next does, values are const char *. */
bool snapshot_next_lost(const struct snapshot *s, size_t *cursor, struct str *ret_field,
                        struct str *ret_value);
size_t snapshot_n_lost(const struct snapshot *s, char kind);
