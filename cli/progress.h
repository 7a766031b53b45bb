/* SPDX-License-Identifier: Apache-2.0 */
/* progress — one line on a terminal that tells how the job fares while the command waits. Does
 * nothing when `to` is NULL (stderr is no terminal). */
#pragma once

#include "base/clock.h"
#include "base/str.h"

#include <stdio.h>

struct progress {
    FILE *to;
    bool is_on;
    bool is_shown;
    char state[24];
    unsigned int attempts;
    struct mono since;
    char line[96]; /* as it was last drawn */
};

void progress_begin(struct progress *p, struct mono now);
void progress_set(struct progress *p, struct str state, unsigned int attempts);
/* Draws when something would look different. */
void progress_draw(struct progress *p, struct mono now);
/* The same, now. A client_tick_cb; `arg` is the progress. */
void progress_tick(void *arg);
/* The text of the line. Pure. */
void progress_line(const struct progress *p, struct mono now, char *to, size_t size);
/* Takes the line away. */
void progress_clear(struct progress *p);
void progress_end(struct progress *p);
