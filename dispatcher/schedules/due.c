/* SPDX-License-Identifier: Apache-2.0 */
#include "due.h"

#include "base/panic.h"
#include "inside.h"

#include <stdlib.h>

enum { ROOM_MIN = 64 };

int schedules_due_reserve(struct schedules_due *q, size_t n)
{
    size_t room = q->room == 0 ? ROOM_MIN : q->room;

    while (room < n) {
        room *= 2;
    }
    if (room == q->room) {
        return ERR_OK;
    }
    struct schedule **grown = realloc(q->heap, room * sizeof *grown);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    q->heap = grown;
    q->room = room;
    return ERR_OK;
}

void schedules_due_fini(struct schedules_due *q)
{
    free(q->heap);
    *q = (struct schedules_due){0};
}

/* Places count from 1: the parent of i is i / 2. */
static void place(struct schedules_due *q, struct schedule *s, size_t at)
{
    q->heap[at - 1] = s;
    s->due.place = at;
}

static void rise(struct schedules_due *q, struct schedule *s, size_t at)
{
    while (at > 1 && q->heap[at / 2 - 1]->due.when.ms > s->due.when.ms) {
        place(q, q->heap[at / 2 - 1], at);
        at /= 2;
    }
    place(q, s, at);
}

static void sink(struct schedules_due *q, struct schedule *s, size_t at)
{
    for (size_t child = 2 * at; child <= q->n; child = 2 * at) {
        if (child < q->n && q->heap[child]->due.when.ms < q->heap[child - 1]->due.when.ms) {
            child++;
        }
        if (q->heap[child - 1]->due.when.ms >= s->due.when.ms) {
            break;
        }
        place(q, q->heap[child - 1], at);
        at = child;
    }
    place(q, s, at);
}

static void settle(struct schedules_due *q, struct schedule *s, size_t at)
{
    bool is_first = at == 1 || q->heap[at / 2 - 1]->due.when.ms <= s->due.when.ms;

    if (is_first) {
        sink(q, s, at);
    } else {
        rise(q, s, at);
    }
}

void schedules_due_set(struct schedules_due *q, struct schedule *s, struct wall when)
{
    s->due.when = when;
    if (s->due.place == 0) {
        CHECK(q->n < q->room);
        q->n++;
        rise(q, s, q->n);
    } else {
        settle(q, s, s->due.place);
    }
}

void schedules_due_remove(struct schedules_due *q, struct schedule *s)
{
    size_t at = s->due.place;

    if (at == 0) {
        return;
    }
    s->due.place = 0;
    struct schedule *last = q->heap[--q->n];
    if (last != s) {
        settle(q, last, at);
    }
}

struct schedule *schedules_due_take(struct schedules_due *q, struct wall now)
{
    if (q->n == 0 || q->heap[0]->due.when.ms > now.ms) {
        return NULL;
    }
    struct schedule *first = q->heap[0];
    schedules_due_remove(q, first);
    return first;
}
