/* SPDX-License-Identifier: Apache-2.0 */
/* ring — the publishes that wait for their confirm, by serial number.
 *
 * Serials count from 1 for the link's life; a channel's delivery tags are serials less an offset.
 * An entry leaves exactly once, by bus_ring_settle(); what the broker says of one that left already
 * (a confirm after its time) is ignored. One that stays out holds up nobody: the ring spans more
 * serials than may wait, and each leaves at its deadline. Pure. */
#pragma once

#include "base/clock.h"
#include "bus/bus.h"

struct ring_entry {
    bus_outcome_cb cb;
    void *arg;
    struct mono due;
    bool is_waiting;
    bool is_returned;
};

struct ring {
    struct ring_entry *at; /* serial s is at[s & (room - 1)] */
    size_t room;           /* a power of two */
    size_t span_max;
    size_t max_waiting;
    size_t n_waiting;
    uint64_t first; /* the first not settled; == next when there is none */
    uint64_t next;  /* the serial of the next publish */
};

void bus_ring_init(struct ring *r, size_t max_waiting);
void bus_ring_fini(struct ring *r);
/* Makes sure that the next bus_ring_push fits. Returns 0, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK int bus_ring_reserve(struct ring *r);
/* Due times must not fall from one push to the next. Returns the serial. */
uint64_t bus_ring_push(struct ring *r, bus_outcome_cb cb, void *arg, struct mono due);
bool bus_ring_is_empty(const struct ring *r);
/* The broker returned this one; its ack follows. */
void bus_ring_mark_returned(struct ring *r, uint64_t serial);
/* Takes the entry out; false when it is out already or never was in. */
bool bus_ring_settle(struct ring *r, uint64_t serial, struct ring_entry *ret);
/* When the oldest falls due; only when not empty. */
struct mono bus_ring_due(const struct ring *r);
