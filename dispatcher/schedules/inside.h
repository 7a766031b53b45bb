/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of schedules share, each from the files above it in this list:
 *   schedules.c   their life, and their turns
 *   control.c     what an operator says; op.c: one such request; run.c, backfill.c, rewind.c,
 *                 history.c
 *   put.c         PUT and DELETE; restore.c: what the store has lost
 *   cursors.c     reads how far each was handled
 *   fire.c        moves the cursor, with a job or without
 *   pauses.c      those that the disk has to hold
 *   facts.c       what the store counts of them; say.c: what is said of them; clock.c: of the clock
 *   set.c         which there are; due.c: when each is looked at; store.c: what was put;
 *   keep.c: the same on disk; zones.c, times.c, wallwatch.c
 */
#pragma once

#include "base/list.h"
#include "base/random.h"
#include "due.h"
#include "job/document.h"
#include "schedules.h"
#include "store.h"
#include "wallwatch.h"

enum { SCHEDULE_DIGEST_SIZE = 32, SCHEDULE_FACTS = 4, SCHEDULE_FIELD_SIZE = 96 };

/* What only the store knows, as it was last read. */
struct schedule_facts {
    int64_t paused_ms; /* since when; 0: it is not paused */
    bool is_paused_by_failure;
    char *note; /* of the pause, owned; NULL: none */
    int64_t fired;
    int64_t skipped;
    struct wall last; /* the instant of the last fire; 0: none yet */
};

/* Its definition may be replaced at any time by another of the same name and tenant; the rest
 * stays. */
struct schedule {
    struct schedules *owner;
    char *name;
    char *cron_text;
    char *zone_name;
    struct schedule_times times; /* the zone is the owner's */
    struct job_document job;
    enum config_overlap overlap;
    uint64_t max_runs; /* 0: without a bound */
    bool pauses_on_failure;
    bool is_put;                                /* over HTTP; else of the file */
    unsigned char digest[SCHEDULE_DIGEST_SIZE]; /* of its document */
    bool is_cursor_known;
    struct wall cursor;   /* the last instant that was handled */
    char cursor_text[24]; /* as the store has it; "" for one never seen */
    struct schedule_facts facts;
    bool is_asking;
    bool is_gone;
    struct schedule_due due;
};

/* Where the look for pauses stands. */
struct pause_look {
    char
        upto[SCHEDULE_FIELD_SIZE]; /* name of the last one that was looked at; "": from the first */
    unsigned int rest;             /* rounds until it begins anew */
    unsigned int patience;         /* rounds without an order of the names */
    uint64_t began;                /* of the store's readings, this look's */
    uint64_t settled;              /* likewise: what it had forgotten is known; 0: none yet */
    bool is_whole;                 /* nothing of this one has failed */
    bool is_asking;
};

struct schedules {
    struct dispatcher *dispatcher;
    struct schedules_store *store;
    struct schedules_keep *keep; /* NULL: nothing is kept on disk */
    struct map by_name;
    struct list ops;    /* what was asked for, and has no answer yet */
    struct map of_file; /* name → const struct config_schedule, of the configuration in force */
    struct map zones;   /* name → struct zone, owned */
    struct schedules_due due;
    struct schedule **order; /* by name; NULL: to be made */
    struct list puts;        /* requests that are under way */
    struct map counted;      /* the names under which fires are counted → the set */
    size_t n_asking;
    unsigned int alive;
    bool is_freed;
    struct wallwatch wallwatch;
    bool may_be_ahead; /* a cursor was found ahead of the clock, or the clock was set, since it was
                          last seen that none is */
    bool is_ahead;     /* it has been said that some wait for the clock */
    struct pause_look looking;
    size_t
        next_again; /* of those that wait: where, in their order, reading their cursors goes on */
};

/* --- set.c ---------------------------------------------------------------------------------- */

/* Lets the set go, when nothing of it is asked any more. */
void schedules_let_go(struct schedules *s);
void schedule_free(struct schedule *s);
/* Ends all schedules, and what the set has of its own. */
void schedules_empty(struct schedules *s);
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
/* At all of them, at once: moments mean another thing than they did. */
void schedules_look_again(struct schedules *s);

/* --- fire.c --------------------------------------------------------------------------------- */

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
/* Fires what is due at `now`, one instant a turn. Its cursor is known, and nothing is asked. */
void schedule_turn(struct schedule *s, struct wall now);
/* The store is being asked about it. */
void schedule_asked(struct schedule *s, int rc);
/* It has been answered; true: the answer still counts. */
bool schedule_answered(struct schedule *s);
/* Its cursor as the store has it; {NULL, 0}: it has none. */
void schedule_take_cursor(struct schedule *s, struct str text);

/* --- pauses.c ------------------------------------------------------------------------------- */

/* The store has this pause of it ("" for none): the disk is to say the same. */
void schedule_keep_pause(struct schedule *one, struct str text);
/* Some more of them, a round. */
void schedules_look_for_pauses(struct schedules *s);

/* --- facts.c, say.c ------------------------------------------------------------------------- */

/* The fields of {tenant}:c that hold them. */
void schedule_fact_fields(const char *name, char ret[SCHEDULE_FACTS][SCHEDULE_FIELD_SIZE]);
/* Reads the facts of these. cb: once, never from within the call, also when the set is freed
 * meanwhile; rc of the first reading that failed.
 * Returns 0; ERR_MISSING: of none; or what the store refused with: then cb does not run. */
typedef void (*schedules_facts_cb)(int rc, void *arg);
MUST_CHECK int schedules_read_facts(struct schedules *s, struct schedule *const *list, size_t n,
                                    schedules_facts_cb cb, void *arg);
/* Those of them that follow `after`, at most `limit`; likewise. */
struct schedule **schedules_page(struct schedules *s, struct str after, size_t limit,
                                 size_t *ret_n);

/* --- clock.c --------------------------------------------------------------------------------- */

/* Whether what has that cursor waits for the clock. Pure. */
bool schedule_is_ahead(struct wall cursor, struct wall now);

/* --- cursors.c ------------------------------------------------------------------------------ */

/* Hands out the schedules of `list`, which it sorts, in pieces: at most `most` of one tenant. */
typedef void (*schedules_some_fn)(struct schedules *s, struct schedule **list, size_t n, void *arg);
void schedules_by_tenant(struct schedules *s, struct schedule **list, size_t n, size_t most,
                         schedules_some_fn fn, void *arg);
/* Reads the cursors of `n` schedules, which it sorts; each is asked about then, or looked at again.
 */
void schedules_read_cursors(struct schedules *s, struct schedule **list, size_t n);

/* --- put.c ---------------------------------------------------------------------------------- */

/* What is left of ends that the store did not answer. */
void schedules_go_on_ending(struct schedules *s);
/* What was put is on disk, or cannot be: answers those who waited for it. */
void schedules_puts_written(struct schedules *s);
/* Ends the requests that are under way. */
void schedules_end_puts(struct schedules *s);

/* --- op.c ----------------------------------------------------------------------------------- */

/* Answers what is still kept. */
void schedules_end_ops(struct schedules *s);
