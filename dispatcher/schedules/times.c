/* SPDX-License-Identifier: Apache-2.0 */
#include "cron/walk.h"
#include "job/document.h"
#include "schedules.h"

#include <stdlib.h>
#include <string.h>

enum { EXCLUDED_MAX = 10000, PASS_MAX = 1000, LATE_MS = 1500 };

/* --- life ------------------------------------------------------------------------------------- */

static uint64_t seed_of(const char *name)
{
    unsigned char digest[32];
    uint64_t seed;

    job_sha256(str_of(name), digest);
    memcpy(&seed, digest, sizeof seed);
    return seed;
}

int schedule_times_init(struct schedule_times *s, const struct config_schedule *c,
                        struct zone *zone, int64_t always_ms)
{
    s->rules = (struct cron_rules){c->is_gap_skipped, c->is_overlap_twice, {c->start_ms}};
    s->catch_up = c->catch_up;
    s->catch_up_ms = c->catch_up_ms;
    s->always_ms = always_ms;
    s->start_ms = c->start_ms;
    s->end_ms = c->end_ms;
    s->jitter_ms = c->jitter_ms;
    s->jitter_seed = seed_of(c->name);
    s->zone = zone;
    int rc = cron_list_parse(c->crons, c->n_crons, &s->crons, &s->n_crons);
    if (rc == ERR_OK) {
        rc = cron_list_parse(c->excludes, c->n_excludes, &s->excludes, &s->n_excludes);
    }
    return rc;
}

void schedule_times_fini(struct schedule_times *s)
{
    cron_list_free(s->crons, s->n_crons);
    cron_list_free(s->excludes, s->n_excludes);
}

/* --- the next --------------------------------------------------------------------------------- */

static struct cron_walk walk_of(const struct schedule_times *s)
{
    return (struct cron_walk){.crons = s->crons,
                              .n_crons = s->n_crons,
                              .excludes = s->excludes,
                              .n_excludes = s->n_excludes,
                              .zone = s->zone,
                              .rules = s->rules,
                              .start_ms = s->start_ms,
                              .end_ms = s->end_ms};
}

static int advance_by(const struct schedule_times *s, struct wall until, int *left, struct wall *at)
{
    const struct cron_walk w = walk_of(s);

    return cron_walk_next(&w, until, left, at);
}

static int looks_of(const struct schedule_times *s)
{
    const struct cron_walk w = walk_of(s);

    return cron_walk_looks(&w);
}

/* No further than EXCLUDED_MAX instants, or what so many expressions leave of it. */
static int advance(const struct schedule_times *s, struct wall until, struct wall *at)
{
    int most = looks_of(s) < EXCLUDED_MAX ? looks_of(s) : EXCLUDED_MAX;

    return advance_by(s, until, &most, at);
}

int schedule_list(const struct schedule_times *s, struct wall after, struct wall until, size_t most,
                  struct wall *times, size_t *ret_n, struct wall *ret_looked)
{
    const struct wall last = {until.ms - 1};
    int left = looks_of(s);
    struct wall at = after;
    size_t n = 0;
    int rc = ERR_OK;

    while (n < most && rc == ERR_OK) {
        rc = advance_by(s, last, &left, &at);
        if (rc == ERR_OK) {
            times[n++] = at;
            left--;
        }
    }
    *ret_n = n;
    if (rc == ERR_LIMIT) {
        *ret_looked = at;
    }
    return rc == ERR_LIMIT ? ERR_LIMIT : ERR_OK;
}

int schedule_next(const struct schedule_times *s, struct wall after, struct wall *ret)
{
    struct wall at = after;

    if (advance(s, (struct wall){INT64_MAX}, &at) != ERR_OK) {
        return ERR_MISSING;
    }
    *ret = at;
    return ERR_OK;
}

/* --- what to do ------------------------------------------------------------------------------- */

/* splitmix64's end: each bit of the result hangs on all bits that go in. */
static uint64_t scatter(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

int64_t schedule_delay_ms(const struct schedule_times *s, struct wall instant)
{
    struct wall next = instant;
    int64_t room_ms = s->jitter_ms + 1;

    if (s->jitter_ms <= 0) {
        return 0;
    }
    /* After too many excluded ones it is the last of these: nearer than the next, and as good. */
    if (advance(s, (struct wall){INT64_MAX}, &next) != ERR_MISSING &&
        next.ms - instant.ms < room_ms) {
        room_ms = next.ms - instant.ms;
    }
    return (int64_t)(scatter(s->jitter_seed ^ (uint64_t)instant.ms) % (uint64_t)room_ms);
}

/* How long ago the moment to fire was; negative: it is to come. */
static int64_t age_ms(const struct schedule_times *s, struct wall instant, struct wall now)
{
    return now.ms - instant.ms - schedule_delay_ms(s, instant);
}

/* The last instant after `after`, at `until` at the latest. False: none. */
static bool find_last(const struct schedule_times *s, struct wall after, struct wall until,
                      int *left, struct wall *ret)
{
    struct wall at = after;
    bool is_found = false;

    while (advance_by(s, until, left, &at) == ERR_OK) {
        *ret = at;
        is_found = true;
        --*left;
    }
    return is_found;
}

struct wall schedule_past(const struct schedule_times *s, struct wall now)
{
    struct wall last = now;
    int left = looks_of(s);
    bool is_found = false;

    /* Delays keep the order: no other than the last may wait. Further and further back, since a
     * whole jitter may hold very many. */
    for (int64_t back_ms = 1000; !is_found && back_ms < 2 * s->jitter_ms; back_ms *= 2) {
        int64_t most_ms = back_ms < s->jitter_ms ? back_ms : s->jitter_ms;
        is_found = find_last(s, (struct wall){now.ms - most_ms}, now, &left, &last);
    }
    if (is_found && age_ms(s, last, now) < 0) {
        last.ms--;
        return last;
    }
    return now;
}

/* Whether a moment to fire lies between that of `instant` and now. Delays keep the order. */
static bool has_later(const struct schedule_times *s, struct wall instant, struct wall now,
                      int *left)
{
    struct wall later = instant;

    return advance_by(s, now, left, &later) == ERR_OK && age_ms(s, later, now) >= 0;
}

/* Whether a missed instant, older than the window in which all fire, is made up. */
static bool is_made_up(const struct schedule_times *s, struct wall instant, int64_t age,
                       struct wall now, int *left)
{
    if (age > s->catch_up_ms) {
        return false;
    }
    switch (s->catch_up) {
    case CONFIG_CATCH_UP_NONE:
        return false;
    case CONFIG_CATCH_UP_LAST:
        return !has_later(s, instant, now, left);
    case CONFIG_CATCH_UP_ALL:
        break;
    }
    return true;
}

struct schedule_decision schedule_decide(const struct schedule_times *s, struct wall cursor,
                                         struct wall now)
{
    struct schedule_decision d = {.action = SCHEDULE_WAIT};
    struct wall at = cursor;
    int left = looks_of(s); /* the next turn goes on where this one stops */
    int rc = ERR_OK;

    for (int i = 0; i < PASS_MAX && rc == ERR_OK; i++) {
        struct wall next = at;
        rc = advance_by(s, now, &left, &next);
        if (rc == ERR_OK) {
            int64_t age = age_ms(s, next, now);
            if (age < 0) {
                break;
            }
            if (age <= s->always_ms || is_made_up(s, next, age, now, &left)) {
                return (struct schedule_decision){SCHEDULE_FIRE, next, age > LATE_MS};
            }
        }
        /* A long stretch of excluded instants is passed, too: it would never be got over. */
        at = rc == ERR_MISSING ? at : next;
    }
    if (at.ms != cursor.ms) {
        d.action = SCHEDULE_PASS;
        d.instant = at;
    } else if (schedule_next(s, at, &d.instant) != ERR_OK) {
        d.instant.ms = 0;
    } else {
        d.instant.ms += schedule_delay_ms(s, d.instant);
    }
    return d;
}
