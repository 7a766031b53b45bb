/* SPDX-License-Identifier: Apache-2.0 */
#include "cron/cron.h"

#include "base/buf.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct wall wall(const char *text)
{
    struct wall w = {0};

    if (wall_parse(text, strlen(text), &w) != 0) {
        fail_msg("\"%s\" is no time", text);
    }
    return w;
}

static struct zone *load(const char *name)
{
    struct zone *z = NULL;

    if (zone_load(name, &z) != 0) {
        fail_msg("cannot load %s", name);
    }
    return z;
}

static struct cron *parse(const char *expression)
{
    struct cron *c = NULL;
    char why[200] = "";

    if (cron_parse(expression, &c, why, sizeof why) != 0) {
        fail_msg("\"%s\": %s", expression, why);
    }
    assert_string_equal(why, "");
    return c;
}

/* From low to high, both in; a fixed seed draws the same numbers everywhere. */
static int draw(uint64_t *seed, int low, int high)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return low + (int)((*seed >> 33) % (uint64_t)(high - low + 1));
}

/* --- times by hand ---------------------------------------------------------------------------- */

static const struct cron_rules run_after_once = {.is_gap_skipped = false};
static const struct cron_rules skip_once = {.is_gap_skipped = true};
static const struct cron_rules run_after_twice = {.is_overlap_twice = true};

/* @every from two o'clock and a bit: up to the whole second, that is 2026-03-28T02:00:01Z. */
static const struct cron_rules anchored = {.anchor = {1774663200001}};

static const struct times_case {
    const char *name;
    const char *expression;
    const char *zone;
    const struct cron_rules *rules;
    const char *after;
    const char *times; /* separated by blanks; "-" at the end: no more */
} times_cases[] = {
    {"every, from 1970", "@every 90m", "UTC", &run_after_once, "2026-03-28T00:00:00Z",
     "2026-03-28T01:30:00Z 2026-03-28T03:00:00Z 2026-03-28T04:30:00Z"},
    {"every, of all units", "@EVERY\t1d1h1m1s", "UTC", &run_after_once, "1970-01-01T00:00:00Z",
     "1970-01-02T01:01:01Z 1970-01-03T02:02:02Z"},
    {"every, before 1970", "@every 7s", "UTC", &run_after_once, "1969-12-31T23:59:50Z",
     "1969-12-31T23:59:53Z 1970-01-01T00:00:00Z 1970-01-01T00:00:07Z"},
    {"every, over a gap, by real time", "@every 45m", "Europe/Berlin", &anchored,
     "2026-03-29T00:00:00Z",
     "2026-03-29T00:30:01Z 2026-03-29T01:15:01Z 2026-03-29T02:00:01Z 2026-03-29T02:45:01Z"},
    {"every, over an overlap, by real time", "@every 45m", "Europe/Berlin", &run_after_once,
     "2026-10-24T23:59:59Z",
     "2026-10-25T00:00:00Z 2026-10-25T00:45:00Z 2026-10-25T01:30:00Z 2026-10-25T02:15:00Z"},
    {"every, at its anchor and before it", "@every 10000d", "UTC", &anchored,
     "1990-01-01T00:00:00Z", "1998-11-10T02:00:01Z 2026-03-28T02:00:01Z 2053-08-13T02:00:01Z"},
    {"every, an end", "@every 9999d24h", "UTC", &run_after_once, "9990-01-01T00:00:00Z",
     "9992-01-26T00:00:00Z -"},
    /* Berlin 2026: gap 02:00-03:00 on 29 March, overlap 02:00-03:00 on 25 October, both 01:00Z. */
    {"gap, run after", "15 2 * * *", "Europe/Berlin", &run_after_once, "2026-03-28T00:00:00Z",
     "2026-03-28T01:15:00Z 2026-03-29T01:00:00Z 2026-03-30T00:15:00Z"},
    {"gap, skip", "15 2 * * *", "Europe/Berlin", &skip_once, "2026-03-28T00:00:00Z",
     "2026-03-28T01:15:00Z 2026-03-30T00:15:00Z"},
    {"gap, several swallowed fire once", "0,15,30 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z 2026-03-30T00:15:00Z"},
    {"gap, one swallowed and one not", "30 2,3 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z 2026-03-29T01:30:00Z 2026-03-30T00:30:00Z"},
    {"gap, swallowed time and a time of its own coincide", "0 2,3 * * *", "Europe/Berlin",
     &run_after_once, "2026-03-29T00:00:00Z",
     "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z 2026-03-30T01:00:00Z"},
    {"gap, its first instant is swallowed", "0 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z"},
    {"gap, its last second is swallowed", "59 59 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T00:59:59.999Z", "2026-03-29T01:00:00Z 2026-03-30T00:59:59Z"},
    {"gap, time before and after it", "59 1,3 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T00:00:00Z", "2026-03-29T00:59:00Z 2026-03-29T01:59:00Z 2026-03-29T23:59:00Z"},
    {"gap, not twice when asked from its end", "15 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z"},
    {"gap, interval in the minute and hour", "*/30 * * * *", "Europe/Berlin", &run_after_once,
     "2026-03-29T00:00:00Z",
     "2026-03-29T00:30:00Z 2026-03-29T01:00:00Z 2026-03-29T01:30:00Z 2026-03-29T02:00:00Z"},
    {"gap, interval in the minute makes nothing up", "*/30 2 * * *", "Europe/Berlin",
     &run_after_once, "2026-03-28T01:15:00Z", "2026-03-28T01:30:00Z 2026-03-30T00:00:00Z"},
    {"gap, interval in the hour makes nothing up", "15 */2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-28T23:15:00Z", "2026-03-29T02:15:00Z 2026-03-29T04:15:00Z"},
    {"gap, star in the seconds alone is fixed", "*/30 15 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-28T01:15:30Z", "2026-03-29T01:00:00Z 2026-03-30T00:15:00Z 2026-03-30T00:15:30Z"},
    {"gap, a written-out range is fixed", "0-59 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-03-28T01:59:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z 2026-03-30T00:01:00Z"},
    {"overlap, once", "30 2 * * *", "Europe/Berlin", &run_after_once, "2026-10-24T12:00:00Z",
     "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
    {"overlap, twice", "30 2 * * *", "Europe/Berlin", &run_after_twice, "2026-10-24T12:00:00Z",
     "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z 2026-10-26T01:30:00Z"},
    {"overlap, once, asked in the second pass", "30 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"},
    {"overlap, first instant", "0 2 * * *", "Europe/Berlin", &run_after_twice,
     "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-26T01:00:00Z"},
    {"overlap, its end is shown once", "0 3 * * *", "Europe/Berlin", &run_after_twice,
     "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z 2026-10-26T02:00:00Z"},
    {"overlap, once, and a time behind it", "30 2,3 * * *", "Europe/Berlin", &run_after_once,
     "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z 2026-10-25T02:30:00Z 2026-10-26T01:30:00Z"},
    {"overlap, interval fires in both passes", "*/30 2 * * *", "Europe/Berlin", &run_after_once,
     "2026-10-24T12:00:00Z",
     "2026-10-25T00:00:00Z 2026-10-25T00:30:00Z 2026-10-25T01:00:00Z 2026-10-25T01:30:00Z "
     "2026-10-26T01:00:00Z"},
    {"overlap, hourly", "@hourly", "Europe/Berlin", &run_after_once, "2026-10-24T23:30:00Z",
     "2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z"},
    {"after the table, gap", "30 2 * * *", "Europe/Berlin", &run_after_once, "2050-03-26T12:00:00Z",
     "2050-03-27T01:00:00Z 2050-03-28T00:30:00Z"},
    {"after the table, overlap", "30 2 * * *", "Europe/Berlin", &run_after_once,
     "2050-10-29T12:00:00Z", "2050-10-30T00:30:00Z 2050-10-31T01:30:00Z"},
    {"always in the gap, run after", "30 2 * 3 7L", "Europe/Berlin", &run_after_once,
     "2026-01-01T00:00:00Z", "2026-03-29T01:00:00Z 2027-03-28T01:00:00Z 2028-03-26T01:00:00Z"},
    {"always in the gap, skip", "30 2 * 3 7L", "Europe/Berlin", &skip_once, "2026-01-01T00:00:00Z",
     "-"},
    /* New York 2026: gap 02:00-03:00 on 8 March (07:00Z), overlap 01:00-02:00 on 1 November. */
    {"New York, gap", "30 2 * * SUN", "America/New_York", &run_after_once, "2026-03-02T00:00:00Z",
     "2026-03-08T07:00:00Z 2026-03-15T06:30:00Z"},
    {"New York, overlap", "30 1 * * *", "America/New_York", &run_after_twice,
     "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z 2026-11-01T06:30:00Z 2026-11-02T06:30:00Z"},
    /* Lord Howe: half an hour. Gap 02:00-02:30 on 4 October 2026, overlap 01:30-02:00 on 5 April.
     */
    {"half an hour's gap", "15 2 * * *", "Australia/Lord_Howe", &run_after_once,
     "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z"},
    {"beside half an hour's gap", "45 2 * * *", "Australia/Lord_Howe", &run_after_once,
     "2026-10-03T12:00:00Z", "2026-10-03T15:45:00Z 2026-10-04T15:45:00Z"},
    {"half an hour's overlap, once", "45 1 * * *", "Australia/Lord_Howe", &run_after_once,
     "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z"},
    {"half an hour's overlap, twice", "45 1 * * *", "Australia/Lord_Howe", &run_after_twice,
     "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z 2026-04-04T15:15:00Z 2026-04-05T15:15:00Z"},
    /* Apia had no 30 December 2011; the 31st began at 10:00Z. */
    {"a day's gap, run after", "0 12 * * *", "Pacific/Apia", &run_after_once,
     "2011-12-29T00:00:00Z", "2011-12-29T22:00:00Z 2011-12-30T10:00:00Z 2011-12-30T22:00:00Z"},
    {"a day's gap, skip", "0 12 * * *", "Pacific/Apia", &skip_once, "2011-12-29T00:00:00Z",
     "2011-12-29T22:00:00Z 2011-12-30T22:00:00Z 2011-12-31T22:00:00Z"},
    {"a day's gap swallows a date", "0 12 30 * *", "Pacific/Apia", &run_after_once,
     "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z 2012-01-29T22:00:00Z"},
    {"a day's gap, interval", "0 */12 * * *", "Pacific/Apia", &run_after_once,
     "2011-12-29T10:00:00Z", "2011-12-29T22:00:00Z 2011-12-30T10:00:00Z 2011-12-30T22:00:00Z"},
    /* Kwajalein lived 23 hours of 30 September 1969 twice: at 13:00Z midnight became 01:00. */
    {"almost a day's overlap, once", "0 12 * * *", "Pacific/Kwajalein", &run_after_once,
     "1969-09-29T12:00:00Z", "1969-09-30T01:00:00Z 1969-10-02T00:00:00Z"},
    {"almost a day's overlap, twice", "0 12 * * *", "Pacific/Kwajalein", &run_after_twice,
     "1969-09-29T12:00:00Z", "1969-09-30T01:00:00Z 1969-10-01T00:00:00Z 1969-10-02T00:00:00Z"},
    /* São Paulo: midnight became 01:00 on 4 November 2018, and 23:00 on 18 February 2018. */
    {"midnight's gap", "@daily", "America/Sao_Paulo", &run_after_once, "2018-11-03T12:00:00Z",
     "2018-11-04T03:00:00Z 2018-11-05T02:00:00Z"},
    {"midnight's gap, skip", "@midnight", "America/Sao_Paulo", &skip_once, "2018-11-03T12:00:00Z",
     "2018-11-05T02:00:00Z"},
    {"overlap back over midnight", "30 23 * * *", "America/Sao_Paulo", &run_after_once,
     "2018-02-17T12:00:00Z", "2018-02-18T01:30:00Z 2018-02-19T02:30:00Z"},
    {"midnight after the overlap", "0 0 * * *", "America/Sao_Paulo", &run_after_twice,
     "2018-02-17T12:00:00Z", "2018-02-18T03:00:00Z 2018-02-19T03:00:00Z"},
    /* A quarter of an hour from midnight on 1 January 1986, at 18:30Z. */
    {"Kathmandu", "5 0 * * *", "Asia/Kathmandu", &run_after_once, "1985-12-30T20:00:00Z",
     "1985-12-31T18:30:00Z 1986-01-01T18:20:00Z"},
    {"Kathmandu, skip", "5 0 * * *", "Asia/Kathmandu", &skip_once, "1985-12-30T20:00:00Z",
     "1986-01-01T18:20:00Z"},
    /* Ramadan 2025: back at 03:00 on 23 February, forward at 02:00 on 6 April, both 02:00Z. */
    {"Casablanca, overlap", "30 2 * * *", "Africa/Casablanca", &run_after_once,
     "2025-02-22T12:00:00Z", "2025-02-23T01:30:00Z 2025-02-24T02:30:00Z"},
    {"Casablanca, gap", "30 2 * * *", "Africa/Casablanca", &run_after_once, "2025-04-05T12:00:00Z",
     "2025-04-06T02:00:00Z 2025-04-07T01:30:00Z"},
    /* The calendar, in UTC. */
    {"strictly after", "0 0 * * *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-01-02T00:00:00Z"},
    {"after a fraction", "* * * * * *", "UTC", &run_after_once, "2026-01-01T00:00:00.001Z",
     "2026-01-01T00:00:01Z 2026-01-01T00:00:02Z"},
    {"before a fraction", "* * * * *", "UTC", &run_after_once, "2026-01-01T00:00:59.999Z",
     "2026-01-01T00:01:00Z"},
    {"before 1970", "* * * * *", "UTC", &run_after_once, "1969-12-31T23:58:59.500Z",
     "1969-12-31T23:59:00Z 1970-01-01T00:00:00Z"},
    {"leap day", "0 0 29 2 *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"},
    {"leap day over 2100", "0 0 29 2 *", "UTC", &run_after_once, "2096-03-01T00:00:00Z",
     "2104-02-29T00:00:00Z"},
    {"leap day on a Sunday", "0 0 29 2 */7", "Europe/Berlin", &run_after_once,
     "2026-01-01T00:00:00Z", "2032-02-28T23:00:00Z 2060-02-28T23:00:00Z 2088-02-28T23:00:00Z"},
    {"forty years", "0 0 29 2 */7", "Europe/Berlin", &run_after_once, "2088-03-01T00:00:00Z",
     "2128-02-28T23:00:00Z"},
    {"day or weekday", "0 0 29 2 MON", "UTC", &run_after_once, "2028-02-20T00:00:00Z",
     "2028-02-21T00:00:00Z 2028-02-28T00:00:00Z 2028-02-29T00:00:00Z 2029-02-05T00:00:00Z"},
    {"Friday or the 13th", "0 0 13 * FRI", "UTC", &run_after_once, "2026-03-10T00:00:00Z",
     "2026-03-13T00:00:00Z 2026-03-20T00:00:00Z 2026-03-27T00:00:00Z 2026-04-03T00:00:00Z "
     "2026-04-10T00:00:00Z 2026-04-13T00:00:00Z"},
    {"stepped day and weekday", "0 0 */2 * MON", "UTC", &run_after_once, "2026-03-01T00:00:00Z",
     "2026-03-09T00:00:00Z 2026-03-23T00:00:00Z 2026-04-13T00:00:00Z"},
    {"question mark", "0 0 13 * ?", "UTC", &run_after_once, "2026-03-10T00:00:00Z",
     "2026-03-13T00:00:00Z 2026-04-13T00:00:00Z"},
    {"question mark in the day", "0 0 0 ? * FRI", "UTC", &run_after_once, "2026-03-10T00:00:00Z",
     "2026-03-13T00:00:00Z 2026-03-20T00:00:00Z"},
    {"last day", "0 12 L * *", "UTC", &run_after_once, "2026-01-31T12:00:00Z",
     "2026-02-28T12:00:00Z 2026-03-31T12:00:00Z 2026-04-30T12:00:00Z"},
    {"days before the last", "0 0 L-2 * *", "UTC", &run_after_once, "2024-02-01T00:00:00Z",
     "2024-02-27T00:00:00Z 2024-03-29T00:00:00Z"},
    {"L-30 is the first of long months", "0 0 l-30 * *", "UTC", &run_after_once,
     "2026-01-15T00:00:00Z", "2026-03-01T00:00:00Z 2026-05-01T00:00:00Z"},
    {"last working day", "0 0 LW 5 *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-05-29T00:00:00Z 2027-05-31T00:00:00Z"},
    /* L-1 of October 2026 is Friday 30; of January 2026 Friday 30; of May Saturday 30. */
    {"working day near L-1", "0 0 L-1W 5,10 *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-05-29T00:00:00Z 2026-10-30T00:00:00Z"},
    {"working day near the 15th", "0 0 15W * *", "UTC", &run_after_once, "2026-08-01T00:00:00Z",
     "2026-08-14T00:00:00Z 2026-09-15T00:00:00Z 2026-10-15T00:00:00Z 2026-11-16T00:00:00Z"},
    {"working day near the 1st stays in its month", "0 0 1w * *", "UTC", &run_after_once,
     "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z 2026-09-01T00:00:00Z"},
    {"working day near the 31st", "0 0 31W * *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-01-30T00:00:00Z 2026-03-31T00:00:00Z 2026-05-29T00:00:00Z 2026-07-31T00:00:00Z"},
    {"letters in a list", "0 0 1,15W,L 8 *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-08-01T00:00:00Z 2026-08-14T00:00:00Z 2026-08-31T00:00:00Z 2027-08-01T00:00:00Z"},
    {"first Monday", "0 0 * * mon#1", "UTC", &run_after_once, "2026-10-01T00:00:00Z",
     "2026-10-05T00:00:00Z 2026-11-02T00:00:00Z 2026-12-07T00:00:00Z"},
    {"fifth Friday", "0 0 * * 5#5", "UTC", &run_after_once, "2026-05-01T00:00:00Z",
     "2026-05-29T00:00:00Z 2026-07-31T00:00:00Z 2026-10-30T00:00:00Z"},
    {"last Friday", "0 0 ? * FRIL", "UTC", &run_after_once, "2026-03-01T00:00:00Z",
     "2026-03-27T00:00:00Z 2026-04-24T00:00:00Z 2026-05-29T00:00:00Z"},
    {"first and last Sunday", "0 0 * * 7#1,0L", "UTC", &run_after_once, "2026-03-02T00:00:00Z",
     "2026-03-29T00:00:00Z 2026-04-05T00:00:00Z 2026-04-26T00:00:00Z"},
    {"L in the weekday", "0 0 ? * L", "UTC", &run_after_once, "2026-03-25T00:00:00Z",
     "2026-03-28T00:00:00Z 2026-04-04T00:00:00Z"},
    {"letters of both day fields", "0 0 L * MON#1", "UTC", &run_after_once, "2026-03-03T00:00:00Z",
     "2026-03-31T00:00:00Z 2026-04-06T00:00:00Z 2026-04-30T00:00:00Z"},
    {"weekdays over the weekend", "0 0 * * FRI-MON", "UTC", &run_after_once, "2026-03-26T00:00:00Z",
     "2026-03-27T00:00:00Z 2026-03-28T00:00:00Z 2026-03-29T00:00:00Z 2026-03-30T00:00:00Z "
     "2026-04-03T00:00:00Z"},
    {"Sunday is 7", "0 0 * * 7", "UTC", &run_after_once, "2026-03-26T00:00:00Z",
     "2026-03-29T00:00:00Z 2026-04-05T00:00:00Z"},
    {"Sunday is 0", "0 0 * * 0", "UTC", &run_after_once, "2026-03-26T00:00:00Z",
     "2026-03-29T00:00:00Z 2026-04-05T00:00:00Z"},
    {"to Sunday as 7", "0 0 * * 6-7", "UTC", &run_after_once, "2026-03-26T00:00:00Z",
     "2026-03-28T00:00:00Z 2026-03-29T00:00:00Z 2026-04-04T00:00:00Z"},
    {"to Sunday as a name", "0 0 * * SAT-SUN", "UTC", &run_after_once, "2026-03-26T00:00:00Z",
     "2026-03-28T00:00:00Z 2026-03-29T00:00:00Z 2026-04-04T00:00:00Z"},
    {"from Sunday as 7", "0 0 * * 7-1", "UTC", &run_after_once, "2026-03-26T00:00:00Z",
     "2026-03-29T00:00:00Z 2026-03-30T00:00:00Z 2026-04-05T00:00:00Z"},
    {"from Sunday to Sunday is one day", "0 0 * * 7-7", "UTC", &run_after_once,
     "2026-03-26T00:00:00Z", "2026-03-29T00:00:00Z 2026-04-05T00:00:00Z"},
    {"0-7 is the whole week", "0 0 * * 0-7", "UTC", &run_after_once, "2026-03-28T00:00:00Z",
     "2026-03-29T00:00:00Z 2026-03-30T00:00:00Z"},
    {"steps of weekdays to Sunday", "0 0 * * 1-7/2", "UTC", &run_after_once, "2026-03-29T00:00:00Z",
     "2026-03-30T00:00:00Z 2026-04-01T00:00:00Z 2026-04-03T00:00:00Z 2026-04-05T00:00:00Z "
     "2026-04-06T00:00:00Z"},
    {"hours round midnight", "0 22-2/2 * * *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-01-01T02:00:00Z 2026-01-01T22:00:00Z 2026-01-02T00:00:00Z"},
    {"steps go on counting through the wrap", "0 21-3/4 * * *", "UTC", &run_after_once,
     "2026-01-01T12:00:00Z", "2026-01-01T21:00:00Z 2026-01-02T01:00:00Z 2026-01-02T21:00:00Z"},
    {"days round the end of the month", "0 0 28-3 * *", "UTC", &run_after_once,
     "2026-02-27T00:00:00Z",
     "2026-02-28T00:00:00Z 2026-03-01T00:00:00Z 2026-03-02T00:00:00Z 2026-03-03T00:00:00Z "
     "2026-03-28T00:00:00Z"},
    {"months round the year", "0 0 1 NOV-feb *", "UTC", &run_after_once, "2026-01-15T00:00:00Z",
     "2026-02-01T00:00:00Z 2026-11-01T00:00:00Z 2026-12-01T00:00:00Z 2027-01-01T00:00:00Z"},
    {"open steps", "5/20 0 * * *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-01-01T00:05:00Z 2026-01-01T00:25:00Z 2026-01-01T00:45:00Z 2026-01-02T00:05:00Z"},
    {"largest step", "*/60 */24 * * *", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-01-02T00:00:00Z"},
    {"seconds over the year", "*/20 59 23 31 12 *", "UTC", &run_after_once, "2026-12-31T23:59:00Z",
     "2026-12-31T23:59:20Z 2026-12-31T23:59:40Z 2027-12-31T23:59:00Z"},
    {"blanks and lists", "  0,30\t1,2   * * *  ", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2026-01-01T01:00:00Z 2026-01-01T01:30:00Z 2026-01-01T02:00:00Z 2026-01-01T02:30:00Z"},
    {"short months are left out", "0 0 31 * *", "UTC", &run_after_once, "2026-01-31T00:00:00Z",
     "2026-03-31T00:00:00Z 2026-05-31T00:00:00Z"},
    {"yearly", "@yearly", "UTC", &run_after_once, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
    {"annually", "@Annually", "UTC", &run_after_once, "2026-01-01T00:00:00Z",
     "2027-01-01T00:00:00Z"},
    {"monthly", "@monthly", "UTC", &run_after_once, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
    {"weekly", " @weekly ", "UTC", &run_after_once, "2026-03-26T00:00:00Z", "2026-03-29T00:00:00Z"},
    {"the last year", "0 0 1 1 *", "UTC", &run_after_once, "9998-06-01T00:00:00Z",
     "9999-01-01T00:00:00Z -"},
    {"the last second, in a zone", "59 59 23 31 12 *", "America/New_York", &run_after_once,
     "9998-12-01T00:00:00Z", "9999-01-01T04:59:59Z -"},
    {"the first year", "0 0 1 1 *", "UTC", &run_after_once, "0000-01-01T00:00:00Z",
     "0001-01-01T00:00:00Z"},
};

static void check_times(const struct times_case *t, const struct cron *c, const struct zone *z)
{
    struct str rest = str_of(t->times);
    struct wall at = wall(t->after);
    struct str expected;
    char text[WALL_TEXT_SIZE] = "";

    while (str_cut(&rest, ' ', &expected)) {
        struct wall next = {-1};
        int err = cron_next(c, z, *t->rules, at, &next);
        if (str_is(expected, STR("-"))) {
            if (err != ERR_MISSING || next.ms != -1) {
                fail_msg("%s: not at an end", t->name);
            }
            return;
        }
        wall_format_seconds(next, text);
        if (err != 0 || !str_is(str_of(text), expected)) {
            fail_msg("%s: %s (%s), not %.*s", t->name, text, err_word(err), STR_ARG(expected));
        }
        at = next;
    }
}

static void times_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times_cases / sizeof *times_cases; i++) {
        struct cron *c = parse(times_cases[i].expression);
        struct zone *z = load(times_cases[i].zone);

        check_times(&times_cases[i], c, z);
        cron_free(c);
        zone_free(z);
    }
}

static void outlandish_instants_have_answers(void **state)
{
    struct cron *c = parse("* * * * *");
    struct zone *z = load("Europe/Berlin");
    struct wall next = {-1};

    (void)state;
    assert_int_equal(cron_next(c, z, run_after_once, (struct wall){INT64_MAX}, &next), ERR_MISSING);
    assert_int_equal(next.ms, -1);
    assert_int_equal(cron_next(c, z, run_after_once, (struct wall){INT64_MIN}, &next), 0);
    assert_true(next.ms >= wall("0000-01-01T00:00:00Z").ms);
    assert_true(next.ms < wall("0000-01-01T00:02:00Z").ms);
    assert_true(cron_matches(c, z, run_after_once, (struct wall){INT64_MAX}));
    assert_true(cron_matches(c, z, run_after_once, (struct wall){INT64_MIN}));
    cron_free(c);
    zone_free(z);
    cron_free(NULL);
}

/* --- what is refused -------------------------------------------------------------------------- */

static const struct refusal_case {
    const char *expression;
    int err;
    const char *why;
} refusal_cases[] = {
    {"", ERR_SYNTAX, "five fields, or six with seconds first, not 0"},
    {"* * * *", ERR_SYNTAX, "not 4"},
    {"* * * * * * *", ERR_SYNTAX, "not 7"},
    {"60 * * * *", ERR_SYNTAX, "the minute must be from 0 to 59, not \"60\""},
    {"* 24 * * *", ERR_SYNTAX, "the hour must be from 0 to 23, not \"24\""},
    {"60 * * * * *", ERR_SYNTAX, "the second must be from 0 to 59"},
    {"0 0 0 * *", ERR_SYNTAX, "the day of the month must be from 1 to 31, not \"0\""},
    {"0 0 32 * *", ERR_SYNTAX, "the day of the month"},
    {"0 0 1 0 *", ERR_SYNTAX, "the month must be from 1 to 12 or from JAN to DEC, not \"0\""},
    {"0 0 1 13 *", ERR_SYNTAX, "the month"},
    {"0 0 1 JANUARY *", ERR_SYNTAX, "not \"JANUARY\""},
    {"0 0 * * 8", ERR_SYNTAX, "the day of the week must be from 0 to 7 or from SUN to SAT"},
    {"0 0 * * MON#6", ERR_SYNTAX, "not \"MON#6\""},
    {"0 0 * * MON#0", ERR_SYNTAX, "the day of the week"},
    {"0 0 * * MON#", ERR_SYNTAX, "the day of the week"},
    {"0 0 * * #1", ERR_SYNTAX, "the day of the week"},
    {"0 0 * * XL", ERR_SYNTAX, "the day of the week"},
    {"0 0 MON * *", ERR_SYNTAX, "the day of the month"},
    {"0 0 W * *", ERR_SYNTAX, "the day of the month"},
    {"0 0 32W * *", ERR_SYNTAX, "the day of the month"},
    {"0 0 1-5W * *", ERR_SYNTAX, "the day of the month"},
    {"0 0 L-31 * *", ERR_SYNTAX, "the day of the month"},
    {"0 0 L- * *", ERR_SYNTAX, "the day of the month"},
    {"0 L * * *", ERR_SYNTAX, "the hour"},
    {"? * * * *", ERR_SYNTAX, "the minute"},
    {"0 0 ?/2 * *", ERR_SYNTAX, "the day of the month"},
    {"1,,2 * * * *", ERR_SYNTAX, "the list in the field for the minute has an empty place"},
    {"1, * * * *", ERR_SYNTAX, "empty place"},
    {", * * * *", ERR_SYNTAX, "empty place"},
    {"*/0 * * * *", ERR_SYNTAX, "the step of the minute must be from 1 to 60, not \"0\""},
    {"*/90 * * * *", ERR_SYNTAX, "the step of the minute must be from 1 to 60, not \"90\""},
    {"* */25 * * *", ERR_SYNTAX, "the step of the hour"},
    {"*/ * * * *", ERR_SYNTAX, "the step of the minute"},
    {"*/2/2 * * * *", ERR_SYNTAX, "the step of the minute"},
    {"/2 * * * *", ERR_SYNTAX, "the minute"},
    {"*-5 * * * *", ERR_SYNTAX, "the minute"},
    {"1- * * * *", ERR_SYNTAX, "the minute"},
    {"-1 * * * *", ERR_SYNTAX, "the minute"},
    {"1-2-3 * * * *", ERR_SYNTAX, "the minute"},
    {"+1 * * * *", ERR_SYNTAX, "the minute"},
    {"1.5 * * * *", ERR_SYNTAX, "the minute"},
    {"** * * * *", ERR_SYNTAX, "the minute"},
    {"99999999999999999999999 * * * *", ERR_SYNTAX, "the minute"},
    {"@reboot", ERR_SYNTAX, "\"@reboot\" is not one of @yearly"},
    {"@every", ERR_SYNTAX, "is not one of"},
    {"@everyone 5m", ERR_SYNTAX, "is not one of"},
    {"@every ", ERR_SYNTAX, "is not one of"},
    {"@every 0s", ERR_SYNTAX, "a span from 1s to 10000d, as 90m or 1h30m (d, h, m, s), not \"0s\""},
    {"@every 0h0m", ERR_SYNTAX, "not \"0h0m\""},
    {"@every 5", ERR_SYNTAX, "not \"5\""},
    {"@every m", ERR_SYNTAX, "not \"m\""},
    {"@every 5m 3", ERR_SYNTAX, "not \"5m 3\""},
    {"@every 500ms", ERR_SYNTAX, "not \"500ms\""},
    {"@every 1.5h", ERR_SYNTAX, "not \"1.5h\""},
    {"@every -5m", ERR_SYNTAX, "not \"-5m\""},
    {"@every 5M", ERR_SYNTAX, "not \"5M\""},
    {"@every 1w", ERR_SYNTAX, "not \"1w\""},
    {"@every 10001d", ERR_SYNTAX, "a span from"},
    {"@every 9999d25h", ERR_SYNTAX, "a span from"},
    {"@every 99999999999999999999s", ERR_SYNTAX, "a span from"},
    {"TZ=UTC 0 0 * * *", ERR_SYNTAX, "time zone"},
    {"CRON_TZ=UTC 0 0 * * *", ERR_SYNTAX, "time zone"},
    {"0 0 \xc3\xa4 * *", ERR_SYNTAX, "character 5 stands in no cron expression"},
    {"0 0 * * *\n", ERR_SYNTAX, "character 10"},
    {"0 0 30 2 *", ERR_INVALID, "no month of any year has such a day of the month"},
    {"0 0 31 2,4,6,9,11 *", ERR_INVALID, "no month"},
    {"0 0 L-29 2 *", ERR_INVALID, "no month"},
    {"0 0 30W 2 *", ERR_INVALID, "no month"},
};

static void wrong_expressions_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusal_cases / sizeof *refusal_cases; i++) {
        const struct refusal_case *r = &refusal_cases[i];
        struct cron *c = NULL;
        char why[200] = "";
        int err = cron_parse(r->expression, &c, why, sizeof why);

        if (err != r->err || strstr(why, r->why) == NULL || c != NULL) {
            fail_msg("\"%s\": %s \"%s\"", r->expression, err_word(err), why);
        }
    }
}

static void sentences_fit_their_room(void **state)
{
    struct cron *c = NULL;
    char why[16];
    char text[3000];

    (void)state;
    assert_int_equal(cron_parse("x", &c, NULL, 0), ERR_SYNTAX);
    assert_int_equal(cron_parse(NULL, &c, NULL, 0), ERR_SYNTAX);
    assert_int_equal(cron_parse("60 * * * *", &c, why, sizeof why), ERR_SYNTAX);
    assert_string_equal(why, "the minute must");
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(cron_parse(text, &c, why, sizeof why), ERR_TOO_LARGE);
    assert_null(c);
}

/* Whatever text comes, here by changing two characters of a good one: an answer, and the sentence
 * goes with the error. */
static void random_text_is_survived(void **state)
{
    static const char letters[] = "0123456789*/,-?LW#@ \tMONJAN57\x80";
    uint64_t seed = 11;
    int n_good = 0;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        char text[] = "0 */5 1-5/2,LW JAN,3 MON#1,5L";
        char why[200] = "";
        struct cron *c = NULL;
        for (int k = 0; k < 2; k++) {
            text[draw(&seed, 0, sizeof text - 2)] = letters[draw(&seed, 0, sizeof letters - 2)];
        }
        int err = cron_parse(text, &c, why, sizeof why);
        if ((err == 0) != (c != NULL) || (err == 0) != (why[0] == '\0')) {
            fail_msg("\"%s\": %s \"%s\"", text, err_word(err), why);
        }
        n_good += err == 0 ? 1 : 0;
        cron_free(c);
    }
    assert_in_range(n_good, 1000, 49000);
}

/* --- cron_check, cron_matches, cron_is_interval ----------------------------------------------- */

static void check_says_what_is_wrong(void **state)
{
    config_cron_check check = cron_check;
    char why[200] = "";

    (void)state;
    assert_int_equal(check("0 0 * * *", "Europe/Berlin", why, sizeof why), 0);
    assert_int_equal(check("0 0 * * *", NULL, why, sizeof why), 0);
    assert_string_equal(why, "");
    assert_int_equal(check("0 0 * *", "Europe/Berlin", why, sizeof why), ERR_SYNTAX);
    assert_non_null(strstr(why, "not 4"));
    assert_int_equal(check("0 0 * * *", "Europe/Bonn", why, sizeof why), ERR_MISSING);
    assert_non_null(strstr(why, "time zone"));
    assert_int_equal(check("0 0 * * *", "../UTC", why, sizeof why), ERR_INVALID);
    assert_int_equal(check("0 0 * * *", "", NULL, 0), ERR_INVALID);
}

static const struct match_case {
    const char *expression;
    const char *zone;
    const char *at;
    bool is_match;
} match_cases[] = {
    {"* * 24-26 12 *", "Europe/Berlin", "2026-12-23T22:59:59Z", false},
    {"* * 24-26 12 *", "Europe/Berlin", "2026-12-23T23:00:00Z", true},
    {"* * 24-26 12 *", "Europe/Berlin", "2026-12-26T22:59:59.999Z", true},
    {"* * 24-26 12 *", "Europe/Berlin", "2026-12-26T23:00:00Z", false},
    {"15 2 * * *", "UTC", "2026-01-01T02:15:00Z", true},
    {"15 2 * * *", "UTC", "2026-01-01T02:15:59.999Z", true},
    {"15 2 * * *", "UTC", "2026-01-01T02:16:00Z", false},
    {"15 2 * * *", "UTC", "2026-01-01T02:14:59.999Z", false},
    {"30 15 2 * * *", "UTC", "2026-01-01T02:15:30.999Z", true},
    {"30 15 2 * * *", "UTC", "2026-01-01T02:15:31Z", false},
    {"30 15 2 * * *", "UTC", "2026-01-01T02:15:29.999Z", false},
    {"* 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", true},
    {"* 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", true},
    {"* 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", false},
    {"* 3 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", true},
    {"59 23 * * *", "UTC", "1969-12-31T23:59:00.001Z", true},
    {"@every 90m", "Europe/Berlin", "2026-03-28T01:30:00.999Z", true},
    {"@every 90m", "Europe/Berlin", "2026-03-28T01:30:01Z", false},
    {"@every 90m", "Europe/Berlin", "2026-03-28T01:29:59.999Z", false},
    {"* * * * SAT,SUN", "Europe/Berlin", "2026-03-27T23:00:00Z", true},
    {"* * * * SAT,SUN", "Europe/Berlin", "2026-03-27T22:59:00Z", false},
};

static void matching_is_by_the_wall_clock(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof match_cases / sizeof *match_cases; i++) {
        const struct match_case *m = &match_cases[i];
        struct cron *c = parse(m->expression);
        struct zone *z = load(m->zone);

        if (cron_matches(c, z, run_after_once, wall(m->at)) != m->is_match) {
            fail_msg("\"%s\" in %s at %s", m->expression, m->zone, m->at);
        }
        cron_free(c);
        zone_free(z);
    }
}

static const struct interval_case {
    const char *expression;
    bool is_interval;
} interval_cases[] = {
    {"* * * * *", true},     {"*/5 2 * * *", true},  {"5 */2 * * *", true},
    {"5 *,3 * * *", true},   {"@hourly", true},      {"0 * 5 * * *", true},
    {"5 2 * * *", false},    {"0/5 2 * * *", false}, {"0-59 0-23 * * *", false},
    {"* 15 2 * * *", false}, {"@daily", false},      {"5 2 */2 */2 */2", false},
    {"5 3,* * * *", false},  {"@every 2h", true},
};

static void intervals_are_told_from_fixed_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof interval_cases / sizeof *interval_cases; i++) {
        struct cron *c = parse(interval_cases[i].expression);
        if (cron_is_interval(c) != interval_cases[i].is_interval) {
            fail_msg("\"%s\"", interval_cases[i].expression);
        }
        cron_free(c);
    }
}

/* --- the referee ------------------------------------------------------------------------------ */
/* Random expressions are made as text and, beside it, as plain tables of values; the referee then
 * walks every minute (or second) through a change of the clock and says by the letter of the rules
 * what fires. It shares the zone's offsets with the module, and nothing else. */

enum { SEC, MIN, HOUR, DOM, MON, DOW, N_FIELDS };
static const int lowest_value[N_FIELDS] = {0, 0, 0, 1, 1, 0};
static const int highest_value[N_FIELDS] = {59, 59, 23, 31, 12, 6};
static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const day_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

struct naive {
    uint64_t *seed;
    struct buf text;
    bool values[N_FIELDS][64];
    bool is_star[N_FIELDS];
    bool has_seconds;
    char dom_letter; /* 0; L: dom_n before the last; W: near dom_n; X: near dom_n before the last */
    int dom_n;
    char dow_letter; /* 0; '#': the dow_n-th dow_day; L: the last dow_day */
    int dow_n, dow_day;
};

static void print_value(struct naive *n, int f, int value)
{
    if (f == MON && draw(n->seed, 0, 1) == 0) {
        buf_text(&n->text, month_names[value - 1]);
    } else if (f == DOW && draw(n->seed, 0, 1) == 0) {
        buf_text(&n->text, day_names[value]);
    } else {
        buf_printf(&n->text, "%d", value);
    }
}

/* Near the changes of the clock, so that something happens. */
static int draw_value(uint64_t *seed, int f)
{
    static const int hours[] = {0, 0, 1, 1, 2, 2, 2, 3, 12, 22, 23};

    if (f == HOUR && draw(seed, 0, 3) != 0) {
        return hours[draw(seed, 0, 10)];
    }
    if ((f == MIN || f == SEC) && draw(seed, 0, 1) == 0) {
        return 15 * draw(seed, 0, 3);
    }
    return draw(seed, lowest_value[f], highest_value[f]);
}

static void set_range(struct naive *n, int f, int from, int to, int step)
{
    for (int i = 0, v = from;; i++) {
        if (i % step == 0) {
            n->values[f][v] = true;
        }
        if (v == to) {
            break;
        }
        v = v == highest_value[f] ? lowest_value[f] : v + 1;
    }
}

static void draw_item(struct naive *n, int f)
{
    int from = draw_value(n->seed, f);
    int to = draw_value(n->seed, f);
    int step = draw(n->seed, 1, f == DOW ? 3 : 12);
    int kind = draw(n->seed, 0, 5);

    print_value(n, f, from);
    if (kind <= 2) {
        set_range(n, f, from, from, 1);
        return;
    }
    if (kind == 3) {
        buf_printf(&n->text, "/%d", step);
        set_range(n, f, from, highest_value[f], step);
        return;
    }
    buf_char(&n->text, '-');
    print_value(n, f, to);
    if (kind == 5) {
        buf_printf(&n->text, "/%d", step);
    }
    set_range(n, f, from, to, kind == 5 ? step : 1);
}

static void draw_dom_letter(struct naive *n)
{
    static const char letters[] = {'L', 'W', 'X'};

    n->dom_letter = letters[draw(n->seed, 0, 2)];
    n->dom_n = draw(n->seed, 0, 5);
    if (n->dom_letter == 'W') {
        n->dom_n = draw(n->seed, 1, 31);
        buf_printf(&n->text, "%dW", n->dom_n);
        return;
    }
    buf_char(&n->text, 'L');
    if (n->dom_n > 0) {
        buf_printf(&n->text, "-%d", n->dom_n);
    }
    if (n->dom_letter == 'X') {
        buf_char(&n->text, 'W');
    }
}

static void draw_dow_letter(struct naive *n)
{
    n->dow_day = draw(n->seed, 0, 6);
    n->dow_n = draw(n->seed, 1, 5);
    n->dow_letter = draw(n->seed, 0, 1) == 0 ? '#' : 'L';
    print_value(n, DOW, n->dow_day);
    if (n->dow_letter == '#') {
        buf_printf(&n->text, "#%d", n->dow_n);
    } else {
        buf_char(&n->text, 'L');
    }
}

static void draw_field(struct naive *n, int f)
{
    static const int percent_of_stars[N_FIELDS] = {20, 20, 20, 60, 70, 60};

    if (draw(n->seed, 0, 99) < percent_of_stars[f]) {
        int step = draw(n->seed, 0, 2) == 0 ? draw(n->seed, 2, 7) : 1;
        buf_char(&n->text, '*');
        if (step > 1) {
            buf_printf(&n->text, "/%d", step);
        }
        n->is_star[f] = true;
        set_range(n, f, lowest_value[f], highest_value[f], step);
        return;
    }
    for (int left = draw(n->seed, 1, 3); left > 0; left--) {
        if (f == DOM && n->dom_letter == 0 && draw(n->seed, 0, 2) == 0) {
            draw_dom_letter(n);
        } else if (f == DOW && n->dow_letter == 0 && draw(n->seed, 0, 2) == 0) {
            draw_dow_letter(n);
        } else {
            draw_item(n, f);
        }
        if (left > 1) {
            buf_char(&n->text, ',');
        }
    }
}

static void draw_naive(struct naive *n, uint64_t *seed, bool has_seconds)
{
    *n = (struct naive){.seed = seed, .has_seconds = has_seconds};
    n->values[SEC][0] = !has_seconds;
    for (int f = has_seconds ? SEC : MIN; f < N_FIELDS; f++) {
        draw_field(n, f);
        buf_char(&n->text, f == DOW ? '\0' : ' ');
    }
}

static int month_length(const struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[tm->tm_mon] + (tm->tm_mon == 1 && is_leap ? 1 : 0);
}

/* Of the working days of the month, the one with the least distance from `day`. */
static bool is_nearest_working_day(const struct tm *tm, int day)
{
    int best = 0;

    if (day < 1 || day > month_length(tm)) {
        return false;
    }
    for (int d = 1; d <= month_length(tm); d++) {
        int weekday = ((d - tm->tm_mday) % 7 + 7 + tm->tm_wday) % 7;
        if (weekday != 0 && weekday != 6 && (best == 0 || abs(d - day) < abs(best - day))) {
            best = d;
        }
    }
    return best == tm->tm_mday;
}

static bool naive_day(const struct naive *n, const struct tm *tm)
{
    int length = month_length(tm);
    bool by_dom = n->values[DOM][tm->tm_mday] ||
                  (n->dom_letter == 'L' && tm->tm_mday == length - n->dom_n) ||
                  (n->dom_letter == 'W' && is_nearest_working_day(tm, n->dom_n)) ||
                  (n->dom_letter == 'X' && is_nearest_working_day(tm, length - n->dom_n));
    bool by_dow =
        n->values[DOW][tm->tm_wday] ||
        (n->dow_letter == '#' && tm->tm_wday == n->dow_day && (tm->tm_mday + 6) / 7 == n->dow_n) ||
        (n->dow_letter == 'L' && tm->tm_wday == n->dow_day && tm->tm_mday + 7 > length);

    return n->is_star[DOM] || n->is_star[DOW] ? by_dom && by_dow : by_dom || by_dow;
}

static bool naive_matches(const struct naive *n, int64_t local_s)
{
    time_t t = (time_t)local_s;
    struct tm tm;

    return gmtime_r(&t, &tm) != NULL && n->values[SEC][tm.tm_sec] && n->values[MIN][tm.tm_min] &&
           n->values[HOUR][tm.tm_hour] && n->values[MON][tm.tm_mon + 1] && naive_day(n, &tm);
}

struct times {
    int64_t at_s[40000];
    size_t n;
};

static void times_add(struct times *t, int64_t at_s)
{
    assert_true(t->n < sizeof t->at_s / sizeof *t->at_s);
    t->at_s[t->n++] = at_s;
}

/* Every step of [from_s, to_s). Starts earlier, to know what the clock has shown already. */
static void referee(const struct naive *n, const struct zone *z, struct cron_rules rules,
                    int64_t from_s, int64_t to_s, int64_t early_s, struct times *out)
{
    int64_t step_s = n->has_seconds ? 1 : 60;
    bool is_fixed = !n->is_star[MIN] && !n->is_star[HOUR];
    int64_t before_s = INT64_MIN; /* local time one step ago */
    int64_t highest_s = INT64_MIN;

    out->n = 0;
    for (int64_t t = from_s - early_s; t < to_s; t += step_s) {
        int64_t local_s = t + zone_offset_s(z, (struct wall){t * 1000});
        bool is_repeated = local_s <= highest_s;
        bool is_due = t >= from_s && naive_matches(n, local_s) &&
                      !(is_fixed && is_repeated && !rules.is_overlap_twice);
        if (before_s != INT64_MIN && is_fixed && !rules.is_gap_skipped && t >= from_s) {
            for (int64_t s = before_s + step_s; s < local_s && !is_due; s += step_s) {
                is_due = naive_matches(n, s);
            }
        }
        if (is_due) {
            times_add(out, t);
        }
        before_s = local_s;
        highest_s = local_s > highest_s ? local_s : highest_s;
    }
}

static void by_cron_next(const struct cron *c, const struct zone *z, struct cron_rules rules,
                         int64_t from_s, int64_t to_s, struct times *out)
{
    struct wall at = {from_s * 1000 - 1};

    out->n = 0;
    while (cron_next(c, z, rules, at, &at) == 0 && at.ms < to_s * 1000) {
        assert_int_equal(at.ms % 1000, 0);
        times_add(out, at.ms / 1000);
    }
}

static void compare(const char *text, const char *zone, struct cron_rules rules,
                    const struct times *expected, const struct times *got)
{
    size_t i = 0;

    while (i < expected->n && i < got->n && expected->at_s[i] == got->at_s[i]) {
        i++;
    }
    if (i < expected->n || i < got->n) {
        fail_msg("\"%s\" in %s, skip %d, twice %d: time %zu is %lld, not %lld (of %zu, not %zu)",
                 text, zone, rules.is_gap_skipped, rules.is_overlap_twice, i,
                 (long long)(i < got->n ? got->at_s[i] : 0),
                 (long long)(i < expected->n ? expected->at_s[i] : 0), got->n, expected->n);
    }
}

static const struct change {
    const char *zone;
    const char *at;
} changes[] = {
    {"Europe/Berlin", "2026-03-29T01:00:00Z"},
    {"Europe/Berlin", "2026-10-25T01:00:00Z"},
    {"Europe/Berlin", "2050-03-27T01:00:00Z"},
    {"Europe/Dublin", "2045-10-29T01:00:00Z"},
    {"America/New_York", "2026-03-08T07:00:00Z"},
    {"America/New_York", "2026-11-01T06:00:00Z"},
    {"America/Havana", "2026-03-08T05:00:00Z"},   /* midnight to 01:00 */
    {"America/Havana", "2026-11-01T05:00:00Z"},   /* 01:00 to midnight */
    {"America/St_Johns", "2010-11-07T02:31:00Z"}, /* 00:01 to 23:01 */
    {"America/Sao_Paulo", "2018-11-04T03:00:00Z"},
    {"America/Sao_Paulo", "2018-02-18T02:00:00Z"},
    {"America/Nuuk", "2045-03-26T01:00:00Z"},
    {"Australia/Lord_Howe", "2026-04-04T15:00:00Z"},
    {"Australia/Lord_Howe", "2040-10-06T15:30:00Z"},
    {"Antarctica/Troll", "2026-03-29T01:00:00Z"}, /* two hours */
    {"Antarctica/Troll", "2026-10-25T01:00:00Z"},
    {"Africa/Casablanca", "2025-02-23T02:00:00Z"},
    {"Africa/Casablanca", "2025-04-06T02:00:00Z"},
    {"Asia/Kathmandu", "1985-12-31T18:30:00Z"}, /* a quarter of an hour */
    {"Asia/Gaza", "2090-03-25T00:00:00Z"},
    {"Pacific/Apia", "2011-12-30T10:00:00Z"},      /* loses a day */
    {"Pacific/Kwajalein", "1969-09-30T13:00:00Z"}, /* repeats 23 hours */
};
enum { N_CHANGES = sizeof changes / sizeof *changes };

static void try_over_changes(const struct naive *n, const struct cron *c, struct zone **zones,
                             struct times *expected, struct times *got, size_t *total)
{
    for (size_t i = 0; i < N_CHANGES; i++) {
        struct cron_rules rules = {.is_gap_skipped = draw(n->seed, 0, 1) == 0,
                                   .is_overlap_twice = draw(n->seed, 0, 1) == 0};
        int64_t at_s = wall(changes[i].at).ms / 1000;
        int64_t around_s = n->has_seconds ? 2 * 3600 : 36 * 3600;
        int64_t early_s = n->has_seconds ? 3 * 3600 : 36 * 3600;

        referee(n, zones[i], rules, at_s - around_s, at_s + around_s, early_s, expected);
        by_cron_next(c, zones[i], rules, at_s - around_s, at_s + around_s, got);
        compare(n->text.p, changes[i].zone, rules, expected, got);
        *total += got->n;
    }
}

/* Every tenth with seconds; one that never fires anywhere (30 February) is drawn again. */
static void draw_possible(struct naive *n, uint64_t *seed, int i, struct cron **ret)
{
    for (;;) {
        char why[200] = "";

        draw_naive(n, seed, i % 10 == 0);
        assert_false(buf_failed(&n->text));
        int err = cron_parse(n->text.p, ret, why, sizeof why);
        if (err == 0) {
            return;
        }
        if (err != ERR_INVALID) {
            fail_msg("\"%s\": %s", n->text.p, why);
        }
        buf_fini(&n->text);
    }
}

static void random_expressions_agree_with_the_referee(void **state)
{
    struct zone *zones[N_CHANGES];
    struct times *expected = malloc(sizeof *expected);
    struct times *got = malloc(sizeof *got);
    uint64_t seed = 20260329;
    size_t total = 0;

    (void)state;
    assert_true(expected != NULL && got != NULL);
    for (size_t i = 0; i < N_CHANGES; i++) {
        zones[i] = load(changes[i].zone);
    }
    for (int i = 0; i < 200; i++) {
        struct naive n;
        struct cron *c = NULL;

        draw_possible(&n, &seed, i, &c);
        try_over_changes(&n, c, zones, expected, got, &total);
        cron_free(c);
        buf_fini(&n.text);
    }
    assert_true(total > 10000);
    for (size_t i = 0; i < N_CHANGES; i++) {
        zone_free(zones[i]);
    }
    free(expected);
    free(got);
}

/* Ten years of days: the calendar without a zone. */
static void random_days_agree_with_the_referee(void **state)
{
    struct zone *z = load("UTC");
    int64_t from_s = wall("2023-01-01T00:00:00Z").ms / 1000;
    int64_t to_s = wall("2033-01-01T00:00:00Z").ms / 1000;
    uint64_t seed = 4;
    size_t total = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct naive n = {.seed = &seed};
        struct cron *c = NULL;
        struct wall at = {from_s * 1000 - 1};

        n.values[SEC][0] = n.values[MIN][0] = n.values[HOUR][0] = true;
        buf_text(&n.text, "0 0 ");
        for (int f = DOM; f < N_FIELDS; f++) {
            draw_field(&n, f);
            buf_char(&n.text, f == DOW ? '\0' : ' ');
        }
        int err = cron_parse(n.text.p, &c, NULL, 0);
        assert_true(err == 0 || err == ERR_INVALID);
        for (int64_t t = from_s; t < to_s; t += 86400) {
            if (!naive_matches(&n, t)) {
                continue;
            }
            total++;
            if (c == NULL || cron_next(c, z, run_after_once, at, &at) != 0 || at.ms != t * 1000) {
                fail_msg("\"%s\": %lld, not %lld", n.text.p, (long long)at.ms / 1000, (long long)t);
            }
        }
        assert_true(c == NULL || cron_next(c, z, run_after_once, at, &at) != 0 ||
                    at.ms >= to_s * 1000);
        cron_free(c);
        buf_fini(&n.text);
    }
    assert_true(total > 10000);
    zone_free(z);
}

/* --- cost ------------------------------------------------------------------------------------- */

static double cpu_us(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The bound is ten times what the design allows (20 µs), so that a slow machine with a sanitizer
 * passes and a walk over seconds or minutes does not. CPU time, so that a busy machine does not
 * matter. */
static void the_next_time_is_cheap(void **state)
{
    static const char *const expressions[] = {"15 2 * * *",   "* * * * *",      "* * * * * *",
                                              "@every 7s",    "0 0 1 1 *",      "0 0 29 2 *",
                                              "0 0 29 2 */7", "0 9 LW * MON#1", "30 2 * 3 7L"};
    struct zone *z = load("Europe/Berlin");

    (void)state;
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        struct cron *c = parse(expressions[i]);
        struct wall at = wall("2026-01-01T00:00:00Z");
        double begin_us = cpu_us();
        int n = 0;
        for (; n < 1000; n++) {
            if (cron_next(c, z, run_after_once, at, &at) != 0) {
                at = wall("2026-01-01T00:00:00Z");
            }
        }
        double each_us = (cpu_us() - begin_us) / n;
        print_message("%-16s %.2f us\n", expressions[i], each_us);
        assert_true(each_us < 200);
        cron_free(c);
    }
    zone_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_right),
        cmocka_unit_test(outlandish_instants_have_answers),
        cmocka_unit_test(wrong_expressions_are_refused),
        cmocka_unit_test(sentences_fit_their_room),
        cmocka_unit_test(random_text_is_survived),
        cmocka_unit_test(check_says_what_is_wrong),
        cmocka_unit_test(matching_is_by_the_wall_clock),
        cmocka_unit_test(intervals_are_told_from_fixed_times),
        cmocka_unit_test(random_expressions_agree_with_the_referee),
        cmocka_unit_test(random_days_agree_with_the_referee),
        cmocka_unit_test(the_next_time_is_cheap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
