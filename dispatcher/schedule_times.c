/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules.h"

enum { EXCLUDED_MAX = 10000, PASS_MAX = 1000, LATE_MS = 1500 };

static bool is_excluded(const struct schedule_times *s, struct wall instant)
{
    for (size_t i = 0; i < s->n_excludes; i++) {
        if (cron_matches(s->excludes[i], s->zone, instant)) {
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

int schedule_next(const struct schedule_times *s, struct wall after, struct wall *ret)
{
    struct wall t = after;

    if (s->start_ms > 0 && t.ms < s->start_ms - 1) {
        t.ms = s->start_ms - 1;
    }
    for (int i = 0; i < EXCLUDED_MAX; i++) {
        struct wall next = {0};
        if (earliest(s, t, &next) != ERR_OK || (s->end_ms > 0 && next.ms > s->end_ms)) {
            return ERR_MISSING;
        }
        if (!is_excluded(s, next)) {
            *ret = next;
            return ERR_OK;
        }
        t = next;
    }
    return ERR_MISSING;
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
    struct wall next = {0};

    for (int i = 0; i < PASS_MAX && schedule_next(s, at, &next) == ERR_OK; i++) {
        struct wall after_next = {0};
        d.instant = next;
        if (next.ms > now.ms) {
            break;
        }
        bool is_recent = now.ms - next.ms <= s->always_ms;
        bool has_later = schedule_next(s, next, &after_next) == ERR_OK && after_next.ms <= now.ms;
        if (is_recent || is_made_up(s, next, !has_later, now)) {
            d.action = SCHEDULE_FIRE;
            d.is_late = now.ms - next.ms > LATE_MS;
            return d;
        }
        at = next;
    }
    if (at.ms != cursor.ms) {
        d.action = SCHEDULE_PASS;
        d.instant = at;
    }
    return d;
}
