/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules.h"

enum { EXCLUDED_MAX = 10000, PASS_MAX = 1000, LATE_MS = 1500 };

static bool is_excluded(const struct schedule_times *s, struct wall instant)
{
    for (size_t i = 0; i < s->n_excludes; i++) {
        if (cron_matches(s->excludes[i], s->zone, s->rules, instant)) {
            return true;
        }
    }
    return false;
}

/* The earliest of all its expressions. */
static int earliest(const struct schedule_times *s, struct wall after, struct wall *ret)
{
    int found = ERR_MISSING;
    struct wall t = {0};

    for (size_t i = 0; i < s->n_crons; i++) {
        if (cron_next(s->crons[i], s->zone, s->rules, after, &t) != ERR_OK) {
            continue;
        }
        if (found != ERR_OK || t.ms < ret->ms) {
            *ret = t;
        }
        found = ERR_OK;
    }
    return found;
}

/* Moves *at to the next instant that is not excluded. Returns 0; ERR_MISSING when there is none
 * until `until`; ERR_LIMIT when `most` in a row are excluded: *at is then the last of these. */
static int advance(const struct schedule_times *s, struct wall until, int most, struct wall *at)
{
    if (s->start_ms > 0 && at->ms < s->start_ms - 1) {
        at->ms = s->start_ms - 1;
    }
    for (int i = 0; i < most; i++) {
        struct wall next = {0};
        if (earliest(s, *at, &next) != ERR_OK || next.ms > until.ms ||
            (s->end_ms > 0 && next.ms > s->end_ms)) {
            return ERR_MISSING;
        }
        *at = next;
        if (!is_excluded(s, next)) {
            return ERR_OK;
        }
    }
    return ERR_LIMIT;
}

int schedule_next(const struct schedule_times *s, struct wall after, struct wall *ret)
{
    struct wall at = after;

    if (advance(s, (struct wall){INT64_MAX}, EXCLUDED_MAX, &at) != ERR_OK) {
        return ERR_MISSING;
    }
    *ret = at;
    return ERR_OK;
}

/* Whether a missed instant, older than the window in which all fire, is made up. */
static bool is_made_up(const struct schedule_times *s, struct wall instant, bool is_last_missed,
                       struct wall now)
{
    if (now.ms - instant.ms > s->catch_up_ms) {
        return false;
    }
    switch (s->catch_up) {
    case CONFIG_CATCH_UP_NONE:
        return false;
    case CONFIG_CATCH_UP_LAST:
        return is_last_missed;
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
    int rc = ERR_OK;

    for (int i = 0; i < PASS_MAX && rc == ERR_OK; i++) {
        struct wall next = at;
        rc = advance(s, now, PASS_MAX, &next);
        if (rc == ERR_OK) {
            struct wall later = next;
            bool is_recent = now.ms - next.ms <= s->always_ms;
            bool has_later = advance(s, now, EXCLUDED_MAX, &later) == ERR_OK;
            if (is_recent || is_made_up(s, next, !has_later, now)) {
                return (struct schedule_decision){SCHEDULE_FIRE, next, now.ms - next.ms > LATE_MS};
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
    }
    return d;
}
