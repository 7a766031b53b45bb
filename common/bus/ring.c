/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/ring.h"

#include "base/panic.h"

#include <stdlib.h>

/* Confirms come out of order, so one slow queue may hold the first serial while the rest move on.
 */
enum { SPAN_FACTOR = 16, ROOM_MIN = 64 };

void bus_ring_init(struct ring *r, size_t max_waiting)
{
    *r = (struct ring){.max_waiting = max_waiting,
                       .span_max = max_waiting > SIZE_MAX / SPAN_FACTOR ? SIZE_MAX
                                                                        : max_waiting * SPAN_FACTOR,
                       .first = 1,
                       .next = 1};
}

void bus_ring_fini(struct ring *r)
{
    free(r->at);
    r->at = NULL;
    r->room = 0;
}

static struct ring_entry *entry(const struct ring *r, uint64_t serial)
{
    return &r->at[serial & (r->room - 1)];
}

static int grow(struct ring *r)
{
    struct ring bigger = *r;

    bigger.room = r->room == 0 ? ROOM_MIN : r->room * 2;
    bigger.at = calloc(bigger.room, sizeof *bigger.at);
    if (bigger.at == NULL) {
        return ERR_NOMEM;
    }
    for (uint64_t serial = r->first; serial < r->next; serial++) {
        *entry(&bigger, serial) = *entry(r, serial);
    }
    free(r->at);
    *r = bigger;
    return ERR_OK;
}

int bus_ring_reserve(struct ring *r)
{
    uint64_t span = r->next - r->first;

    if (r->n_waiting >= r->max_waiting || span >= r->span_max) {
        return ERR_LIMIT;
    }
    return span < r->room ? ERR_OK : grow(r);
}

uint64_t bus_ring_push(struct ring *r, bus_outcome_cb cb, void *arg, struct mono due)
{
    uint64_t serial = r->next;

    CHECK(serial - r->first < r->room);
    *entry(r, serial) = (struct ring_entry){.cb = cb, .arg = arg, .due = due, .is_waiting = true};
    r->next++;
    r->n_waiting++;
    return serial;
}

bool bus_ring_is_empty(const struct ring *r)
{
    return r->n_waiting == 0;
}

void bus_ring_mark_returned(struct ring *r, uint64_t serial)
{
    if (serial >= r->first && serial < r->next) {
        entry(r, serial)->is_returned = true;
    }
}

bool bus_ring_settle(struct ring *r, uint64_t serial, struct ring_entry *ret)
{
    if (serial < r->first || serial >= r->next || !entry(r, serial)->is_waiting) {
        return false;
    }
    *ret = *entry(r, serial);
    entry(r, serial)->is_waiting = false;
    r->n_waiting--;
    while (r->first < r->next && !entry(r, r->first)->is_waiting) {
        r->first++;
    }
    return true;
}

struct mono bus_ring_due(const struct ring *r)
{
    CHECK(!bus_ring_is_empty(r));
    return entry(r, r->first)->due;
}
