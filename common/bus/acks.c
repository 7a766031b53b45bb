/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/acks.h"

#include <stdlib.h>

enum { ROOM_MIN = 16 };

void bus_acks_fini(struct acks *a)
{
    free(a->tags);
    *a = (struct acks){0};
}

int bus_acks_add(struct acks *a, uint64_t tag)
{
    if (a->n == a->room) {
        size_t room = a->room == 0 ? ROOM_MIN : a->room * 2;
        uint64_t *grown = realloc(a->tags, room * sizeof *grown);
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        a->tags = grown;
        a->room = room;
    }
    a->tags[a->n++] = tag;
    return ERR_OK;
}

bool bus_acks_are_urgent(const struct acks *a, size_t in_hand, uint16_t prefetch)
{
    return 2 * (in_hand + a->n) > prefetch;
}

void bus_acks_flush(struct acks *a, uint64_t first_open, acks_cb cb, void *arg)
{
    uint64_t last = 0; /* of the gap-free prefix */
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        if (first_open == 0 || a->tags[i] < first_open) {
            last = a->tags[i] > last ? a->tags[i] : last;
            n++;
        }
    }
    if (n > 0) {
        cb(last, n > 1, arg);
    }
    for (size_t i = 0; i < a->n; i++) {
        if (first_open != 0 && a->tags[i] > first_open) {
            cb(a->tags[i], /* is_multiple= */ false, arg);
        }
    }
    a->n = 0;
}
