/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of schedules share: the set (schedules.c), when each is looked at
 * (schedules_due.c), what was put over HTTP (schedules_store.c, schedules_put.c), cursors
 * (schedules_cursors.c) and fires (schedules_fire.c), what is said of them (schedules_say.c). */
#pragma once

#include "base/list.h"
#include "job/document.h"
#include "schedules.h"
#include "schedules_due.h"
#include "schedules_store.h"
#include "wallwatch.h"

enum { SCHEDULE_DIGEST_SIZE = 32 };

/* Its definition may be replaced at any time by another of the same name and tenant; the rest
 * stays. */
struct schedule {
    struct schedules *owner;
    char *name;
    char *cron_text;
    char *zone_name;
    struct schedule_times times; /* the zone is the owner's */
    struct job_document job;
    bool skips;                                 /* overlap: skip */
    bool is_put;                                /* over HTTP; else of the file */
    unsigned char digest[SCHEDULE_DIGEST_SIZE]; /* of its document */
    bool is_cursor_known;
    struct wall cursor;   /* the last instant that was handled */
    char cursor_text[24]; /* as the store has it; "" for one never seen */
    struct wall last_fired;
    uint64_t fired;
    bool is_asking;
    bool is_gone;
    struct schedule_due due;
};

struct schedules {
    struct dispatcher *dispatcher;
    struct schedules_store *store;
    struct map by_name;
    struct map of_file; /* name → const struct config_schedule, of the configuration in force */
    struct map zones;   /* name → struct zone, owned */
    struct schedules_due due;
    struct schedule **order; /* by name; NULL: to be made */
    struct list puts;        /* requests that are under way */
    size_t n_asking;
    unsigned int alive;
    bool is_freed;
    struct wallwatch wallwatch;
    bool is_ahead; /* it has been said that some wait for the clock */
};

/* Lets the set go, when nothing of it is asked any more. */
void schedules_let_go(struct schedules *s);
void schedule_free(struct schedule *s);
/* What stands under that name now, the document that was put or else the file's, is taken. */
void schedules_settle(struct schedules *s, struct str name);
/* All of them by name, as many as by_name has; owned by the set, until it changes. NULL without
 * memory. */
struct schedule **schedules_in_order(struct schedules *s);
/* Appends its document as PUT takes it; what may be secret in it is hidden. */
void schedules_print_document(const struct schedules *s, struct str name, struct buf *out);

/* Looks at it again at `when`: a schedule that its turn neither puts here nor asks about is looked
 * at again in a second. */
void schedule_look_again(struct schedule *s, struct wall when);
/* Fires what is due at `now`, one instant a turn. Its cursor is known, and nothing is asked. */
void schedule_turn(struct schedule *s, struct wall now);

/* The store is being asked about it. */
void schedule_asked(struct schedule *s, int rc);
/* It has been answered; true: the answer still counts. */
bool schedule_answered(struct schedule *s);
/* Its cursor as the store has it; {NULL, 0}: it has none. */
void schedule_take_cursor(struct schedule *s, struct str text);

/* Reads the cursors of `n` schedules, which it sorts; each is asked about then, or looked at again.
 */
void schedules_read_cursors(struct schedules *s, struct schedule **list, size_t n);

/* Ends the requests that are under way. */
void schedules_end_puts(struct schedules *s);
