/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of schedules share: the set (schedules.c), their cursors and fires
 * (schedules_fire.c), what is said of them (schedules_say.c). */
#pragma once

#include "job/document.h"
#include "schedules.h"
#include "wallwatch.h"

struct schedule {
    struct schedules *owner;
    char *name;
    char *cron_text;
    char *zone_name;
    struct schedule_times times;
    struct zone *zone; /* of the times */
    struct job_document job;
    bool skips; /* overlap: skip */
    bool is_cursor_known;
    struct wall cursor;   /* the last instant that was handled */
    char cursor_text[24]; /* as the store has it; "" for one never seen */
    struct wall last_fired;
    uint64_t fired;
    bool is_asking;
    bool is_gone;
};

struct schedules {
    struct dispatcher *dispatcher;
    struct map by_name;
    unsigned int alive;
    bool is_freed;
    struct wallwatch wallwatch;
    bool is_ahead; /* it has been said that some wait for the clock */
};

/* Lets the set go, when nothing of it is asked any more. */
void schedules_let_go(struct schedules *s);
void schedule_free(struct schedule *s);

/* Fires what is due at `now`, one instant a turn; reads the cursor first, if need be. */
void schedule_turn(struct schedule *s, struct wall now);
