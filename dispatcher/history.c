/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <stdlib.h>

enum { FIRST_ROOM = 16 };

const struct history_poll *history_at(const struct history *h, size_t i)
{
    return &h->ring[(h->first + i) % h->room];
}

/* Without memory, or budget, the ring stays as large as it is. */
static void grow(struct history *h, size_t limit, size_t *budget)
{
    size_t room = h->room == 0 ? FIRST_ROOM : h->room * 2;

    room = room < limit ? room : limit;
    if (room <= h->room || room - h->room > *budget) {
        return;
    }
    struct history_poll *ring = calloc(room, sizeof *ring);
    if (ring == NULL) {
        return;
    }
    for (size_t i = 0; i < h->n; i++) {
        ring[i] = *history_at(h, i);
    }
    free(h->ring);
    *budget -= room - h->room;
    h->ring = ring;
    h->room = room;
    h->first = 0;
}

static void drop_oldest(struct history *h)
{
    h->first = (h->first + 1) % h->room;
    h->n--;
}

void history_add(struct history *h, const struct history_poll *p, size_t limit, size_t *budget)
{
    h->polls++;
    if (p->outcome == 0) {
        h->good_ms += p->took_ms;
    } else {
        h->failures++;
    }
    if (h->n == h->room) {
        grow(h, limit, budget);
    }
    if (h->room == 0) {
        return;
    }
    while (h->n > 0 && (h->n >= limit || h->n == h->room)) {
        drop_oldest(h);
    }
    h->ring[(h->first + h->n) % h->room] = *p;
    h->n++;
}

void history_fini(struct history *h, size_t *budget)
{
    *budget += h->room;
    free(h->ring);
    *h = (struct history){0};
}

double history_mean_s(const struct history *h)
{
    uint64_t good = h->polls - h->failures;

    return good == 0 ? -1 : (double)h->good_ms / 1000.0 / (double)good;
}
