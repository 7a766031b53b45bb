/* SPDX-License-Identifier: Apache-2.0 */
/* cron — the times of a schedule: an expression, a time zone, and what happens to times that the
 * wall clock skips or shows twice. Pure: no clock, no I/O (but for cron_check, which reads a zone).
 *
 * Fields, separated by spaces or tabs:
 *
 *     [second 0-59]  minute 0-59  hour 0-23  day 1-31  month 1-12|JAN-DEC  weekday 0-7|SUN-SAT
 *
 * Five fields mean second 0. Instead of all: @yearly @annually @monthly @weekly @daily @midnight
 * @hourly; or @every with a span as in Go: "@every 90m", "@every 1h30m" of days (d: 24 hours),
 * hours, minutes and seconds, from 1 s to 10,000 d. A field is a list "a,b,…" of
 *
 *     *        all                      n        one value
 *     a-b      from a to b, both in     b < a wraps round: FRI-MON, 22-2, NOV-FEB, and days 28-3
 *     …/n      every n-th of these, counted from the first; "a/n" is from a to the field's end;
 *              n is at most the number of values: no "every 90 minutes" that would be every hour
 *     ?        day and weekday only, alone: the same as *
 *     L        day: the last of the month; L-n: n days before that
 *     nW       day: the working day (Monday to Friday) nearest to day n within the month; a month
 *              without day n has none.   LW, L-nW: nearest to the last day, to L-n
 *     D#n      weekday: the n-th D of the month, n from 1 to 5; not every month has a fifth
 *     DL       weekday: the last D of the month; L alone: Saturday (Quartz: the week's last day)
 *
 * Names and letters in any case; Sunday is 0, 7 and SUN (Quartz counts days from Sunday = 1: the
 * letters are as in Quartz, the numbers are not). Steps through a wrap go on counting: 22-4/2 is
 * 22, 0, 2, 4.
 *
 * Day and weekday: when neither field begins with '*' (or is '?'), a day that matches either one
 * matches; else both must: steps of two after a star, with MON, are the Mondays on odd days.
 *
 * Interval entries, whose minute or hour field begins with '*', fire whenever the wall clock
 * matches: in both passes of an overlap, and with nothing to make up after a gap. All others are
 * fixed-time entries, and follow struct cron_rules.
 *
 * Gap and overlap are every change of a zone's offset, be it of 20 minutes or of a day.
 *
 * @every counts real time from an instant, cron_rules.anchor, to both sides of it: a zone and its
 * changes do not come into it.
 *
 * Thread: an expression is immutable once parsed.   Memory: the caller owns it. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "cron/zone.h"

#include <stdbool.h>
#include <stddef.h>

struct cron;

/* All zero is the default of a schedule: run_after, once; @every counts from 1970. */
struct cron_rules {
    /* For fixed-time entries. */
    bool is_gap_skipped;   /* dst_gap: skip. Else a gap that swallows one or more times of the
                            * entry fires it once, at the first instant after the gap */
    bool is_overlap_twice; /* dst_overlap: twice. Else in the first pass only */
    /* For @every: fires here, and every so often before and after; up to the next whole second. */
    struct wall anchor;
};

/* No two days that an expression matches are further apart (29 February on one weekday, over a year
 * like 2100: 40 years); cron_next looks no further. */
enum { CRON_HORIZON_YEARS = 41 };

/* Parses `expression`. An expression that no calendar day matches ("0 0 30 2 *") is refused, too.
 * why: on failure a sentence that names the field, printable ASCII; may be NULL with why_size 0.
 * Returns 0, ERR_SYNTAX, ERR_INVALID (in form, but can never fire), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int cron_parse(const char *expression, struct cron **ret, char *why, size_t why_size);

/* NULL is allowed. */
void cron_free(struct cron *c);

/* The first instant strictly after `after` at which the entry fires; always a whole second.
 * Returns 0, or ERR_MISSING when there is none within CRON_HORIZON_YEARS or before the year 10000
 * (a time that the rules always skip; an `after` near the end). Times before the year 0 do not
 * fire. Jumps from field to field: its cost does not depend on the distance, but for one step a
 * change of the clock that it meets. */
MUST_CHECK int cron_next(const struct cron *c, const struct zone *z, struct cron_rules rules,
                         struct wall after, struct wall *ret);

/* Whether the wall clock of `z` matches at `instant`: what an expression under `exclude` asks.
 * An expression of five fields matches the whole minute, one of six and @every the whole second.
 * Of the rules only the anchor comes into it: a fire moved out of a gap is excluded by the time at
 * which it happens. */
bool cron_matches(const struct cron *c, const struct zone *z, struct cron_rules rules,
                  struct wall instant);

/* Whether cron_next obeys cron_rules for it (see above); for display. */
bool cron_is_interval(const struct cron *c);

/* Whether it matches at every instant. */
bool cron_is_always(const struct cron *c);

/* Whether each time of the wall clock that `narrow` names is one that `wide` matches. False, too,
 * where that is not seen from their fields: when the days of both are restricted, and not by the
 * same words; of @every. */
bool cron_covers(const struct cron *wide, const struct cron *narrow);

/* Whether the zone can be used. Returns 0, or what zone_load says, with a sentence in `why`. */
MUST_CHECK int cron_zone_check(const char *name, char *why, size_t why_size);

/* A config_cron_check: whether the expression and the zone are sound. timezone: NULL is UTC.
 * Returns 0, or what cron_parse or zone_load says, with a sentence in `why`. */
MUST_CHECK int cron_check(const char *expression, const char *timezone, char *why, size_t why_size);
