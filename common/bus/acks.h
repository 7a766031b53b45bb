/* SPDX-License-Identifier: Apache-2.0 */
/* acks — the acknowledgements of a moment on one channel, gathered so that the gap-free prefix
 * leaves as one with `multiple`. Pure. A zeroed struct is empty. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acks {
    uint64_t *tags;
    size_t n;
    size_t room;
};

void bus_acks_fini(struct acks *a);
MUST_CHECK int bus_acks_add(struct acks *a, uint64_t tag);

/* The broker may send less than half of what it may have sent unacknowledged: it could come to wait
 * for us. in_hand: beside those gathered. */
bool bus_acks_are_urgent(const struct acks *a, size_t in_hand, uint16_t prefetch);

typedef void (*acks_cb)(uint64_t tag, bool is_multiple, void *arg);
/* Hands out what to send and empties `a`. first_open: the lowest tag delivered on the channel and
 * not settled, which no `multiple` may cover; 0 when there is none. */
void bus_acks_flush(struct acks *a, uint64_t first_open, acks_cb cb, void *arg);
