/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_keep — what was put over HTTP, and what was paused, on this dispatcher's disk
 * (schedules.journal), so that an operator can put it back when the store has lost it.
 *
 * The journal names the epoch of the store that it speaks of. When the store has another, or has
 * forgotten, what only the journal holds is *lost*: it is kept apart until somebody puts it back,
 * or says that it is not wanted.
 *
 * What is said of one turn is written together, in the next turn of the loop. A disk that takes
 * nothing is logged, and tried again every five seconds.
 *
 * Without a journal (NULL) what is said does nothing.
 *
 * Thread: the loop's; blocks for as long as the disk takes.   Memory: texts are copied; documents
 * are on disk only. */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "loop/loop.h"

struct schedules_keep;

enum { SCHEDULES_KEEP_PUT = 's', SCHEDULES_KEEP_PAUSED = 'p' };

/* All that had been said was written, or could not be. */
typedef void (*schedules_written_cb)(void *arg);

/* Reads the journal in `dir`, or makes it. Returns 0; ERR_IO, ERR_BUSY (another process has it),
 * with a sentence in `why`; ERR_NOMEM. */
MUST_CHECK int schedules_keep_open(struct loop *l, const char *dir, schedules_written_cb cb,
                                   void *arg, struct schedules_keep **ret, struct buf *why);
/* Writes what waits. NULL is accepted. */
void schedules_keep_free(struct schedules_keep *k);

/* The life of the store that all that follows is of; to be said before each answer of it. */
void schedules_keep_life(struct schedules_keep *k, const char *epoch);
/* Of that name the store says this now; `revision` counts what the store says. What was lost of
 * that name is lost no longer. Nothing is done when it is known already. */
void schedules_keep_put(struct schedules_keep *k, struct str name, int64_t revision,
                        struct str document);
/* revision: of the deletion. A later document stands. */
void schedules_keep_deleted(struct schedules_keep *k, struct str name, int64_t revision);
/* `names` is all that the store has, at `revision`, and every deletion after `floor` was said. What
 * else was put is lost, when it is of a later revision; else it was deleted. */
void schedules_keep_only(struct schedules_keep *k, const struct map *names, int64_t revision,
                         int64_t floor);
/* The store's ':restored'. */
void schedules_keep_restored(struct schedules_keep *k, int64_t restored);
/* text: as the store has it. */
void schedules_keep_paused(struct schedules_keep *k, struct str name, struct str tenant,
                           struct str text);
/* By a person: also what was lost. */
void schedules_keep_resumed(struct schedules_keep *k, struct str name);
/* The store has no pause of it: what was lost waits on. may_be_forgotten: it is lost, too. */
void schedules_keep_went_on(struct schedules_keep *k, struct str name, bool may_be_forgotten);
/* Whether it has a pause that is not lost. */
bool schedules_keep_is_paused(const struct schedules_keep *k, struct str name);

/* Something was said that will be written in the next turn: then cb comes. */
bool schedules_keep_is_awaited(const struct schedules_keep *k);
/* The disk does not say the same. */
bool schedules_keep_is_stale(const struct schedules_keep *k);
/* Something could not even be kept in memory; what was put is to be said again, all of it. True
 * once, and only when there is room. */
bool schedules_keep_wants_all(struct schedules_keep *k);

/* What was lost, of a kind: walks as map_next does, names alone. */
bool schedules_keep_next_lost(const struct schedules_keep *k, char kind, size_t *cursor,
                              struct str *ret_name);
size_t schedules_keep_n_lost(const struct schedules_keep *k, char kind);
/* The document, or tenant, TAB and the text of the pause; in `bytes`, which is cleared before.
 * Returns 0, ERR_MISSING, ERR_IO, ERR_SYNTAX, ERR_NOMEM. */
MUST_CHECK int schedules_keep_get_lost(struct schedules_keep *k, char kind, struct str name,
                                       struct buf *bytes, struct str *ret);
