/* SPDX-License-Identifier: Apache-2.0 */
/* schedules — the leader fires cron entries, each instant once: one script moves the cursor and
 * puts the job into the outbox (protocol.md, invariant 6).
 *
 * They come from the configuration, and over HTTP: then they are in the store, and every dispatcher
 * has a copy. One that was put stands in place of the file's of the same name.
 *
 * What to do next is pure (schedule_decide): cursor and time go in. */
#pragma once

#include "cron/cron.h"
#include "dispatcher.h"

/* The times of one schedule. */
struct schedule_times {
    struct cron **crons;
    size_t n_crons;
    struct cron **excludes;
    size_t n_excludes;
    struct zone *zone; /* borrowed */
    struct cron_rules rules;
    enum config_catch_up catch_up;
    int64_t catch_up_ms;
    int64_t always_ms;        /* instants at most this old always fire */
    int64_t start_ms, end_ms; /* 0: none */
    int64_t jitter_ms;
    uint64_t jitter_seed; /* of the schedule's name */
};

enum schedule_action { SCHEDULE_WAIT, SCHEDULE_FIRE, SCHEDULE_PASS };
struct schedule_decision {
    enum schedule_action action;
    struct wall instant; /* FIRE: which; PASS: up to which the cursor moves; WAIT: when the next one
                          * fires, which with jitter is behind it, or 0 */
    bool is_late; /* FIRE: so old that an overlap is not judged: it was due while nobody led */
};

/* Takes the times out of a schedule's configuration into zeroed memory. zone: of its name; borrowed
 * as long as the times live. always_ms: see above. Returns 0; what cron_parse returns, for what
 * cron_check has not seen; ERR_NOMEM. To be ended by schedule_times_fini, whatever it returned. */
MUST_CHECK int schedule_times_init(struct schedule_times *s, const struct config_schedule *c,
                                   struct zone *zone, int64_t always_ms);
void schedule_times_fini(struct schedule_times *s);

/* The first instant after `after` that is not excluded. Returns 0 or ERR_MISSING: none, or none
 * before 10,000 excluded ones. Pure. */
MUST_CHECK int schedule_next(const struct schedule_times *s, struct wall after, struct wall *ret);
/* The instants after `after` and before `until`, at most `most`, in order, into `times`. Its work
 * is bounded, for a turn of the loop: when it ends early, since many are excluded or the
 * expressions are many, it returns ERR_LIMIT, and no other lies at or before *ret_looked. Else 0.
 * Pure. */
MUST_CHECK int schedule_list(const struct schedule_times *s, struct wall after, struct wall until,
                             size_t most, struct wall *times, size_t *ret_n,
                             struct wall *ret_looked);
/* How long after `instant` it fires: at most jitter_ms, and always before the next instant. The
 * same whoever asks. The instant stays what the fire is known by. Pure. */
int64_t schedule_delay_ms(const struct schedule_times *s, struct wall instant);
/* The moment up to which instants lie that had their moment to fire by `now`: with jitter the last
 * one before `now` may still wait for its own, and then it is just before that. Pure. */
struct wall schedule_past(const struct schedule_times *s, struct wall now);
/* What to do at `now` with a schedule whose last handled instant is `cursor`. Pure. */
struct schedule_decision schedule_decide(const struct schedule_times *s, struct wall cursor,
                                         struct wall now);

/* state_dir: where what was put is kept for the day that the store loses it; or NULL. Returns 0, or
 * an error of which it has logged what the disk says. */
MUST_CHECK int schedules_new(struct dispatcher *d, const char *state_dir, struct schedules **ret);
void schedules_free(struct schedules *s);
/* The configuration changed; `c` is borrowed until the next one. Every name that was put over HTTP
 * stands in place of the file's. */
void schedules_load(struct schedules *s, const struct config *c);
/* The lease was taken, or the store forgot: cursors are read again. */
void schedules_begin(struct schedules *s);
/* How many schedules have handled instants that are still to come by the clock, which was set back:
 * they wait. ret_until: for the last of them; 0 when there is none. */
size_t schedules_ahead(const struct schedules *s, struct wall now, struct wall *ret_until);
/* Every turn, whoever leads: notes when the wall clock was set. */
void schedules_see_clock(struct schedules *s);
/* The leader's, now and then: says when schedules begin to wait for the clock, and when they no
 * longer do; asks the store whether somebody rewound those that do. O(n). */
void schedules_say_ahead(struct schedules *s);
/* Whether it was read which were put over HTTP, once since the start: before that nothing fires,
 * and nothing is said of any. */
bool schedules_are_known(const struct schedules *s);
/* The leader's turn. */
void schedules_turn(struct schedules *s);
/* Every dispatcher's turn, in its slow round: reads what others put. */
void schedules_round(struct schedules *s);
/* A schedule of that name; false when there is none. Without a name the first SCHEDULES_PAGE of
 * all, by name, as an object. */
enum { SCHEDULES_PAGE = 1000 };
bool schedules_print(struct schedules *s, struct str name, struct buf *out);
/* {"schedules": {…}, "cursor": …}: at most `limit` of those whose names come after `after`. */
void schedules_print_page(struct schedules *s, struct str after, size_t limit, struct buf *out);

/* For a 404's detail: there is no schedule of that name. */
#define SCHEDULES_UNKNOWN                                                                          \
    "There is no schedule of this name: GET /v1/schedules lists them. One that was put through "   \
    "another dispatcher is known here within a second."
/* Answers 404 to a request below /v1/schedules/. */
void schedules_refuse_unknown(struct httpd_req *r);
/* The list of schedules, PUT and DELETE of one. False: not a request of this kind; nothing was
 * answered. */
bool schedules_store_request(struct schedules *s, struct httpd_req *r);
