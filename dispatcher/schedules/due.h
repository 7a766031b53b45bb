/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_due — schedules by the moment at which each is to be looked at again: a heap, so that
 * a turn costs nothing for those that are not due.
 *
 * Thread: the loop's.   Memory: schedules are borrowed. A zeroed heap is empty. */
#pragma once

#include "base/clock.h"
#include "base/err.h"

struct schedule;

struct schedules_due {
    struct schedule **heap;
    size_t n;
    size_t room;
};

/* A schedule's place; zeroed: in no heap. */
struct schedule_due {
    struct wall when;
    size_t place; /* from 1 on; 0: in no heap */
};

/* Makes room for `n` schedules in all, so that setting cannot fail. Returns 0 or ERR_NOMEM. */
MUST_CHECK int schedules_due_reserve(struct schedules_due *q, size_t n);
/* Frees the heap, not the schedules. */
void schedules_due_fini(struct schedules_due *q);
/* Puts it in, or moves it. Room for it must have been reserved. O(log n). */
void schedules_due_set(struct schedules_due *q, struct schedule *s, struct wall when);
/* Nothing happens to one that is not in. O(log n). */
void schedules_due_remove(struct schedules_due *q, struct schedule *s);
/* Takes out the first, if its moment has come; else NULL. */
struct schedule *schedules_due_take(struct schedules_due *q, struct wall now);
