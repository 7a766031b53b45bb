/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_compact — the journal of keep.h written anew with what counts of it, in steps of a few
 * megabytes, while it goes on being written and read.
 *
 * Thread: the loop's; a step blocks for as long as the disk takes its bytes.   Memory: 24 bytes a
 * record that counts, until it is freed; the texts are copied. */
#pragma once

#include "base/map.h"
#include "journal.h"

struct schedules_compact;

/* What counts at the beginning. */
struct schedules_compact_from {
    const char *epoch; /* "" for none */
    int64_t revision;
    int64_t restored;
    const struct map *living; /* field → struct journal_place */
    const struct map *lost;   /* likewise */
};

/* Returns 0, ERR_IO, ERR_NOMEM. */
MUST_CHECK int schedules_compact_begin(struct journal *j, const struct schedules_compact_from *from,
                                       struct schedules_compact **ret);
/* Some more of it. *ret_is_done: the new file stands in place of the old, and all places have moved
 * (below). Returns 0, ERR_IO, ERR_NOMEM: it is to be freed, and the old file stands. */
MUST_CHECK int schedules_compact_step(struct schedules_compact *c, bool *ret_is_done);
/* Once it is done: where the record is now that stood there; -1 when it could not be read. */
int64_t schedules_compact_moved(const struct schedules_compact *c, int64_t at);
/* What is not done is given up. NULL is accepted. */
void schedules_compact_free(struct schedules_compact *c);
