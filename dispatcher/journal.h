/* SPDX-License-Identifier: Apache-2.0 */
/* journal — records appended to one file, made safe on disk together, and read back at the start.
 * It knows nothing of what they say.
 *
 * A record that was not written whole (the process was killed, the disk was full) is cut off when
 * the file is opened. Bytes that are wrong before the end are kept beside it (….unreadable), and
 * what comes before them counts. One process at a time has the file: it is locked.
 *
 * Thread: the loop's; it blocks for as long as the disk takes.   Memory: records are borrowed. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* No record is longer: what says so is damage. */
enum { JOURNAL_RECORD_MAX = 8 * 1024 * 1024 };

struct journal;
struct journal_rewrite;

struct journal_record {
    char kind;
    int64_t number;
    struct str name; /* at most 65535 bytes */
    struct str text;
};

/* Where a record stands. Two with the same length and checksum say the same. */
struct journal_place {
    int64_t at;
    uint32_t n; /* bytes in the file */
    uint32_t checksum;
};

/* What was found by opening it. */
struct journal_found {
    int64_t cut;        /* bytes of a last record that was not written whole */
    int64_t unreadable; /* bytes that were moved aside */
    bool is_other;      /* all of it was: it is no journal that we know */
};

/* A record, in the order of the file. Returns 0; anything else ends the reading. */
typedef int (*journal_cb)(const struct journal_record *r, const struct journal_place *p, void *arg);

/* Reads `name` in `dir`, or makes it. Returns 0; ERR_IO, ERR_BUSY (another process has it), with a
 * sentence in `why`; ERR_NOMEM; what cb returned. */
MUST_CHECK int journal_open(const char *dir, const char *name, journal_cb cb, void *arg,
                            struct journal **ret, struct journal_found *ret_found, struct buf *why);
/* What was not flushed is gone. NULL is accepted. */
void journal_close(struct journal *j);

/* Where it would stand, but for the place: to compare it with what does. */
void journal_measure(const struct journal_record *r, struct journal_place *ret);
/* Copies it; it is on disk after the next flush. Returns 0, ERR_TOO_LARGE, ERR_NOMEM, ERR_LIMIT: as
 * much waits as may, since the disk takes nothing. */
MUST_CHECK int journal_append(struct journal *j, const struct journal_record *r,
                              struct journal_place *ret);
/* All that was appended is safe. Returns 0, or ERR_IO: it waits, and the next flush tries again. */
MUST_CHECK int journal_flush(struct journal *j);
/* The record at a place, also one that waits; it points into `bytes`, which is cleared before.
 * Returns 0, ERR_IO, ERR_SYNTAX (other bytes stand there), ERR_NOMEM. */
MUST_CHECK int journal_get(struct journal *j, const struct journal_place *p, struct buf *bytes,
                           struct journal_record *ret);
/* Bytes, with those that wait. */
int64_t journal_size(const struct journal *j);

/* A new file in place of the old, written in as many steps as one likes: records are put or copied
 * into it, in order; what is appended meanwhile comes behind them by itself. The old one counts,
 * and its places hold, until journal_rewrite_end has returned 0. */
MUST_CHECK int journal_rewrite_begin(struct journal *j, struct journal_rewrite **ret);
MUST_CHECK int journal_rewrite_put(struct journal_rewrite *w, const struct journal_record *r);
MUST_CHECK int journal_rewrite_copy(struct journal_rewrite *w, const struct journal_place *from,
                                    int64_t *ret_at);
/* What is in it so far is made safe, so that the end need not wait for all of it. */
MUST_CHECK int journal_rewrite_sync(struct journal_rewrite *w);
/* After all that is put or copied: takes over a megabyte of what was appended and flushed, and as
 * much as that has grown since the last step. false in *ret_more: so little is left that the end
 * may take it. */
MUST_CHECK int journal_rewrite_follow(struct journal_rewrite *w, bool *ret_more);
/* Puts it in place, with all that was appended. Frees `w`; returns 0, ERR_IO, ERR_NOMEM: the old
 * one stands. Places at what journal_size was at the beginning, or behind it, move by *ret_shift
 * bytes.
 */
MUST_CHECK int journal_rewrite_end(struct journal_rewrite *w, int64_t *ret_shift);
/* A file that was replaced takes its time to vanish, unless somebody has linked it: a piece of it.
 */
void journal_erase_some(struct journal *j);
bool journal_is_erasing(const struct journal *j);
/* The old one stands. Frees `w`; NULL is accepted. */
void journal_rewrite_give_up(struct journal_rewrite *w);
