/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of schedules share: the set (schedules.c), their cursors and fires
 * (schedules_fire.c), what the store counts of them (schedules_facts.c), what is said of them
 * (schedules_say.c), what an operator says to them (schedules_control.c). */
#pragma once

#include "base/list.h"
#include "base/random.h"
#include "job/document.h"
#include "schedules.h"
#include "wallwatch.h"

enum { SCHEDULE_NOTE_MAX = 1000 };

/* What only the store knows, as it was last read. */
struct schedule_facts {
    int64_t paused_ms; /* since when; 0: it is not paused */
    bool is_paused_by_failure;
    char note[SCHEDULE_NOTE_MAX + 1]; /* of the pause */
    int64_t fired;
    int64_t skipped;
    struct wall last; /* the instant of the last fire; 0: none yet */
};

struct schedule {
    struct schedules *owner;
    char *name;
    char *cron_text;
    char *zone_name;
    struct schedule_times times;
    struct zone *zone; /* of the times */
    struct job_document job;
    enum config_overlap overlap;
    uint64_t max_runs; /* 0: without a bound */
    bool pauses_on_failure;
    bool is_cursor_known;
    struct wall cursor;   /* the last instant that was handled */
    char cursor_text[24]; /* as the store has it; "" for one never seen */
    struct schedule_facts facts;
    bool is_asking;
    bool is_gone;
};

struct schedules {
    struct dispatcher *dispatcher;
    struct map by_name;
    struct list ops; /* what was asked for, and has no answer yet */
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

/* The name of the schedule's job for `what`: the same whoever makes it. */
void schedule_name_job(const struct schedule *s, struct str what, char ret_name[RANDOM_NAME_SIZE]);
/* That of the fire at an instant. */
void schedule_name_fire(const struct schedule *s, struct wall instant,
                        char ret_name[RANDOM_NAME_SIZE]);
/* One job of a schedule, until its script was called. A zeroed one has nothing to free. */
struct schedule_job {
    char name[RANDOM_NAME_SIZE];
    struct wall instant; /* that it is for */
    bool is_run;         /* now, whatever the overlap: it does not join the line of the fires */
    struct buf head;
    struct buf own_line;
};
/* Adds the job as make_job in _fire.lua takes it; *j and the schedule must stand until the script
 * was called. Returns 0, ERR_DOWN: the tenant is not registered yet, or ERR_NOMEM. */
MUST_CHECK int schedule_add_job(const struct schedule *s, struct schedule_job *j,
                                struct store_args *a);
void schedule_job_fini(struct schedule_job *j);

/* Reads the facts of the schedule `name`, or of all when it is empty. cb: once, never from within
 * the call, also when the set is freed meanwhile; rc of the first reading that failed.
 * Returns 0, or what the store refused with: then cb does not run. */
typedef void (*schedules_facts_cb)(int rc, void *arg);
MUST_CHECK int schedules_read_facts(struct schedules *s, struct str name, schedules_facts_cb cb,
                                    void *arg);

/* Answers what is still kept. */
void schedules_control_stop(struct schedules *s);
