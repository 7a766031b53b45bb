/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_store — the schedules that were put over HTTP: their documents in the store
 * (schedules.lua), and a copy of them here, which every dispatcher keeps up to date by what
 * changed.
 *
 * Every change has a revision, and each name the revision of its document.
 *
 * Thread: the loop's.   Memory: texts are borrowed until the loop's next turn. */
#pragma once

#include "schedules.h"

struct schedules_keep;
struct schedules_store;

/* What a call asks for beside reading; without a word it only reads. */
struct schedules_word {
    const char *word; /* "set", "del", or NULL */
    struct str name;
    int64_t seen; /* the revision of the document that is to be changed, 0: there was none */
    struct str document;
};

enum schedules_said {
    SCHEDULES_SAID,  /* it holds, in the store; or nothing was asked for */
    SCHEDULES_RACED, /* the document was changed meanwhile: nothing was done */
};

/* rc: as a store_cb; ERR_CLOSED: the program ends. revision: how far the store has come; the copy
 * has come as far when schedules_store_known says so. */
typedef void (*schedules_said_cb)(int rc, enum schedules_said said, int64_t revision, void *arg);
/* The document of that name is another now, or none. */
typedef void (*schedules_changed_cb)(struct str name, void *arg);

/* Borrows `d`, and `keep`, which hears of every change; it may be NULL. */
MUST_CHECK int schedules_store_new(struct dispatcher *d, struct schedules_keep *keep,
                                   schedules_changed_cb on_change, void *arg,
                                   struct schedules_store **ret);
/* Callbacks that are awaited come with ERR_CLOSED. NULL is accepted. */
void schedules_store_free(struct schedules_store *t);
/* Every dispatcher's turn: reads what others changed. */
void schedules_store_turn(struct schedules_store *t);

/* Says the word, if there is one, and reads some of what is new. Texts are copied. Returns 0, or an
 * error of store_call; then cb does not come. */
MUST_CHECK int schedules_store_call(struct schedules_store *t, const struct schedules_word *w,
                                    schedules_said_cb cb, void *arg);

/* Puts documents (texts: name, document, …) under names that nobody put or deleted in this life of
 * the store; with none: all that is to be put back was, and every dispatcher's `keep` hears of it.
 * As schedules_store_call. */
MUST_CHECK int schedules_store_restore(struct schedules_store *t, const struct str *texts,
                                       size_t n_texts, schedules_said_cb cb, void *arg);
/* Another number: all began to be read anew. */
uint64_t schedules_store_reading(const struct schedules_store *t);

/* Whether all was read from this life of the store's memory. */
bool schedules_store_is_read(const struct schedules_store *t);
/* It was, in this or an earlier life of the store: what was put then goes on meanwhile. */
bool schedules_store_was_read(const struct schedules_store *t);
/* The revision up to which the copy was read. */
int64_t schedules_store_known(const struct schedules_store *t);
/* The document of that name; {NULL, 0} when none was put. ret_revision: may be NULL; 0 for none. */
struct str schedules_store_document(const struct schedules_store *t, struct str name,
                                    int64_t *ret_revision);
