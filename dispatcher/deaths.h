/* SPDX-License-Identifier: Apache-2.0 */
/* deaths — the leader watches the workers' heartbeat counters and marks as dead, for ever, whose
 * counter stood still for a lease (protocol.md, "Leases").
 *
 * The judging is pure: readings and the time go in, verdicts come out. A gap of its own reading
 * over two seconds starts every watch anew: a slow store or a stalled leader kills nobody. */
#pragma once

#include "dispatcher.h"

enum { DEATHS_GAP_MS = 2000 };

struct deaths_watch {
    char counter[48];    /* as last read */
    struct mono since;   /* when it was first read so */
    struct mono read_at; /* the last reading */
};

/* One reading of one worker's counter; true: it stood still for lease_ms. A zeroed watch is a new
 * one. */
bool deaths_judge(struct deaths_watch *w, struct str counter, struct mono now, int64_t lease_ms);

MUST_CHECK int deaths_new(struct dispatcher *d, struct deaths **ret);
void deaths_free(struct deaths *x);
/* The lease was taken: watches begin anew, known deaths are told to every tenant again. */
void deaths_begin(struct deaths *x);
/* The leader's turn: one reading. */
void deaths_turn(struct deaths *x);
/* How many workers have a heartbeat, as of the leader's last reading; −1: it has not read yet. One
 * that has just died counts until it is declared dead. */
int deaths_alive(const struct deaths *x);
