/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_restore — what the store has lost of schedules is put back, or shown, or given up.
 *
 * Thread: the loop's. */
#pragma once

#include "schedules.h"

/* How much was lost, and whether the disk says what it should. */
struct schedules_losses {
    size_t n_put;    /* documents */
    size_t n_paused; /* pauses */
    bool is_stale;   /* the disk took nothing when it was tried last */
};

/* All zero when nothing is kept on disk. */
struct schedules_losses schedules_losses(const struct schedules *s);
/* Appends members of an object, each with a comma behind it: the names. */
void schedules_print_lost(const struct schedules *s, struct buf *out);

/* rc: as a store_cb; ERR_CLOSED: the program ends. */
typedef void (*schedules_restored_cb)(int rc, void *arg);

/* Reads all that others changed: what was lost is known, and what is lost no longer. Returns 0, or
 * an error of store_call; then cb does not come. */
MUST_CHECK int schedules_catch_up(struct schedules *s, schedules_restored_cb cb, void *arg);
/* Puts it back, unless is_discard, but for names that were put or deleted since; pauses first, so
 * that nothing fires that was paused. Then nothing is lost any more, for all dispatchers. After
 * schedules_catch_up; returns likewise. Begun again after a failure it goes on. */
MUST_CHECK int schedules_restore(struct schedules *s, bool is_discard, schedules_restored_cb cb,
                                 void *arg);
