/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules/schedules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MAX = 3, HOUR_MS = 3600000, ALWAYS_MS = 90000, SEED = 4711 };

/* A schedule as one writes it down; the window in which all fire is 90 s, catch-up one hour. */
struct plan {
    const char *crons[MAX];
    const char *excludes[MAX];
    const char *zone; /* NULL: UTC */
    enum config_catch_up catch_up;
    const char *start, *end;
    bool is_overlap_twice;
    int64_t jitter_ms;
};

struct open_plan {
    struct schedule_times times;
    struct cron *crons[MAX];
    struct cron *excludes[MAX];
};

static struct wall at(const char *text)
{
    struct wall w = {0};

    if (text != NULL && wall_parse(text, strlen(text), &w) != ERR_OK) {
        fail_msg("not a time: %s", text);
    }
    return w;
}

static void plan_open(const struct plan *p, struct open_plan *o)
{
    char why[200];

    *o = (struct open_plan){
        .times = {.rules = {.is_overlap_twice = p->is_overlap_twice, .anchor = at(p->start)},
                  .catch_up = p->catch_up,
                  .catch_up_ms = HOUR_MS,
                  .always_ms = ALWAYS_MS,
                  .start_ms = at(p->start).ms,
                  .end_ms = at(p->end).ms,
                  .jitter_ms = p->jitter_ms,
                  .jitter_seed = SEED}};
    o->times.crons = o->crons;
    o->times.excludes = o->excludes;
    for (size_t i = 0; i < MAX && p->crons[i] != NULL; i++) {
        assert_int_equal(cron_parse(p->crons[i], &o->crons[i], why, sizeof why), ERR_OK);
        o->times.n_crons++;
    }
    for (size_t i = 0; i < MAX && p->excludes[i] != NULL; i++) {
        assert_int_equal(cron_parse(p->excludes[i], &o->excludes[i], why, sizeof why), ERR_OK);
        o->times.n_excludes++;
    }
    assert_int_equal(zone_load(p->zone == NULL ? "UTC" : p->zone, &o->times.zone), ERR_OK);
}

static void plan_close(struct open_plan *o)
{
    for (size_t i = 0; i < MAX; i++) {
        cron_free(o->crons[i]);
        cron_free(o->excludes[i]);
    }
    zone_free(o->times.zone);
}

static const char *word_of(enum schedule_action action)
{
    return action == SCHEDULE_WAIT ? "wait" : action == SCHEDULE_FIRE ? "fire" : "pass";
}

/* --- one decision ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct plan plan;
    const char *cursor, *now;
    enum schedule_action action;
    const char *instant; /* NULL: none */
    bool is_late;
} CASES[] = {
    /* Due or not. */
    {"not due",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:05:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:10:00Z",
     false},
    {"a millisecond before",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:09:59.999Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:10:00Z",
     false},
    {"due",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:10:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     false},
    {"fired: the next",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:10:00Z",
     "2026-03-02T10:10:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:20:00Z",
     false},
    {"a turn later is not late",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:10:01.500Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     false},
    {"later is",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:10:01.501Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     true},
    {"the earliest of several expressions",
     {.crons = {"30 * * * *", "20 * * * *", "40 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:05:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:20:00Z",
     false},
    {"an instant of two expressions fires once",
     {.crons = {"20 * * * *", "*/20 * * * *"}},
     "2026-03-02T10:20:00Z",
     "2026-03-02T10:20:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:40:00Z",
     false},
    {"a clock that went back waits",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:10:00Z",
     "2026-03-02T09:00:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:20:00Z",
     false},
    {"never again",
     {.crons = {"0 0 1 1 *"}, .end = "2025-06-01T00:00:00Z"},
     "2026-01-01T00:00:00Z",
     "2026-03-02T10:00:00Z",
     SCHEDULE_WAIT,
     NULL,
     false},

    /* The window in which all fire, whatever catch_up says: oldest first. */
    {"none, within the window",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:11:30Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     true},
    {"none, beyond the window",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:11:30.001Z",
     SCHEDULE_PASS,
     "2026-03-02T10:10:00Z",
     false},
    {"last, two within the window: both, the older first",
     {.crons = {"* * * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:02:10Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:01:00Z",
     true},
    {"none, some beyond and some within: those within",
     {.crons = {"* * * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:05:10Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:04:00Z",
     true},

    /* Catch-up. */
    {"none: passes all that was missed",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_PASS,
     "2026-03-02T10:30:00Z",
     false},
    {"last: the last alone",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:30:00Z",
     true},
    {"last: made up at the end of the hour",
     {.crons = {"0 0 * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-01T00:00:00Z",
     "2026-03-02T01:00:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T00:00:00Z",
     true},
    {"last: after the hour no more",
     {.crons = {"0 0 * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-01T00:00:00Z",
     "2026-03-02T01:00:00.001Z",
     SCHEDULE_PASS,
     "2026-03-02T00:00:00Z",
     false},
    {"last: one in the window replaces the missed",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:30:05Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:30:00Z",
     true},
    {"all: the first",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_ALL},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     true},
    {"all: then the second",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_ALL},
     "2026-03-02T10:10:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:20:00Z",
     true},
    {"all: the first within the hour",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_ALL},
     "2026-03-02T08:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T09:40:00Z",
     true},

    /* Exclusions. */
    {"an excluded instant is none",
     {.crons = {"*/10 * * * *"}, .excludes = {"10 * * * *", "20 10 * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:10:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:30:00Z",
     false},
    {"last: the last that is not excluded",
     {.crons = {"*/10 * * * *"}, .excludes = {"20-30 * * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     true},
    {"excluded by the wall clock of the zone",
     {.crons = {"0 * * * *"}, .excludes = {"* 12 * * *"}, .zone = "Europe/Berlin"},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:30:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T12:00:00Z",
     false},
    {"all excluded",
     {.crons = {"0 0 * * *"}, .excludes = {"* * * * *"}},
     "2026-03-01T00:00:00Z",
     "2026-03-02T00:00:00Z",
     SCHEDULE_WAIT,
     NULL,
     false},

    /* Start and end are both within. */
    {"before the start",
     {.crons = {"*/10 * * * *"}, .start = "2026-03-02T12:00:00Z"},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T12:00:00Z",
     false},
    {"the start between two",
     {.crons = {"*/10 * * * *"}, .start = "2026-03-02T12:00:00.001Z"},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:35:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T12:10:00Z",
     false},
    {"at the start",
     {.crons = {"*/10 * * * *"}, .start = "2026-03-02T12:00:00Z"},
     "2026-03-02T10:00:00Z",
     "2026-03-02T12:00:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T12:00:00Z",
     false},
    {"behind the start it is nothing",
     {.crons = {"*/10 * * * *"}, .start = "2026-03-02T09:00:00Z"},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:05:00Z",
     SCHEDULE_WAIT,
     "2026-03-02T10:10:00Z",
     false},
    {"at the end",
     {.crons = {"*/10 * * * *"}, .end = "2026-03-02T10:10:00Z"},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:10:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:10:00Z",
     false},
    {"behind the end",
     {.crons = {"*/10 * * * *"}, .end = "2026-03-02T10:10:00Z"},
     "2026-03-02T10:10:00Z",
     "2026-03-02T10:20:00Z",
     SCHEDULE_WAIT,
     NULL,
     false},
    {"last: the last before the end",
     {.crons = {"*/10 * * * *"}, .end = "2026-03-02T10:25:00Z", .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:55:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T10:20:00Z",
     true},

    /* The clock's change: rules reach cron_next. */
    {"an overlap fires once",
     {.crons = {"30 2 * * *"}, .zone = "Europe/Berlin"},
     "2026-10-25T00:30:00Z",
     "2026-10-25T01:00:00Z",
     SCHEDULE_WAIT,
     "2026-10-26T01:30:00Z",
     false},
    {"or twice",
     {.crons = {"30 2 * * *"}, .zone = "Europe/Berlin", .is_overlap_twice = true},
     "2026-10-25T00:30:00Z",
     "2026-10-25T01:00:00Z",
     SCHEDULE_WAIT,
     "2026-10-25T01:30:00Z",
     false},

    /* A cursor a year old. */
    {"a year, none",
     {.crons = {"0 0 * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2025-03-02T00:00:00Z",
     "2026-03-02T10:00:00Z",
     SCHEDULE_PASS,
     "2026-03-02T00:00:00Z",
     false},
    {"a year, last, too old",
     {.crons = {"0 0 * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2025-03-02T00:00:00Z",
     "2026-03-02T10:00:00Z",
     SCHEDULE_PASS,
     "2026-03-02T00:00:00Z",
     false},
    {"a year, last",
     {.crons = {"0 0 * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2025-03-02T00:00:00Z",
     "2026-03-02T00:30:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T00:00:00Z",
     true},
    {"a year, all: only the hour",
     {.crons = {"0 0 * * *"}, .catch_up = CONFIG_CATCH_UP_ALL},
     "2025-03-02T00:00:00Z",
     "2026-03-02T00:30:00Z",
     SCHEDULE_FIRE,
     "2026-03-02T00:00:00Z",
     true},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct open_plan o;
        char text[WALL_TEXT_SIZE];
        plan_open(&CASES[i].plan, &o);
        struct schedule_decision d =
            schedule_decide(&o.times, at(CASES[i].cursor), at(CASES[i].now));
        wall_format(d.instant, text);
        if (d.action != CASES[i].action || d.instant.ms != at(CASES[i].instant).ms ||
            d.is_late != CASES[i].is_late) {
            fail_msg("%s: %s %s%s", CASES[i].name, word_of(d.action), text,
                     d.is_late ? " late" : "");
        }
        plan_close(&o);
    }
}

/* --- until nothing is left to do -------------------------------------------------------------- */

struct drive {
    struct wall cursor;
    size_t fires, decisions;
    struct wall first, last; /* fired */
};

/* What the leader does, turn by turn, while the clock stands still. */
static void drive(const struct schedule_times *s, struct wall now, size_t most, struct drive *v)
{
    for (;;) {
        struct schedule_decision d = schedule_decide(s, v->cursor, now);
        if (d.action == SCHEDULE_WAIT) {
            assert_true(d.instant.ms == 0 || d.instant.ms > now.ms);
            return;
        }
        /* The cursor only moves on, and never past now: nothing fires twice or too early. */
        assert_true(d.instant.ms > v->cursor.ms);
        assert_true(d.instant.ms <= now.ms);
        v->cursor = d.instant;
        if (d.action == SCHEDULE_FIRE) {
            v->first = v->fires == 0 ? d.instant : v->first;
            v->last = d.instant;
            v->fires++;
        }
        if (++v->decisions > most) {
            fail_msg("%zu decisions, and no end", most);
        }
    }
}

static const struct {
    const char *name;
    struct plan plan;
    const char *cursor, *now;
    size_t most_decisions;
    size_t fires;
    const char *first, *last;
} DRIVES[] = {
    {"a minute's entry, a year behind, all",
     {.crons = {"* * * * *"}, .catch_up = CONFIG_CATCH_UP_ALL},
     "2025-03-02T10:00:30Z",
     "2026-03-02T10:00:30Z",
     600,
     60,
     "2026-03-02T09:01:00Z",
     "2026-03-02T10:00:00Z"},
    {"a minute's entry, a year behind, last: those of the window",
     {.crons = {"* * * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2025-03-02T10:00:30Z",
     "2026-03-02T10:00:29Z",
     600,
     2,
     "2026-03-02T09:59:00Z",
     "2026-03-02T10:00:00Z"},
    {"a minute's entry, a year behind, none: the same",
     {.crons = {"* * * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2025-03-02T10:00:30Z",
     "2026-03-02T10:00:29Z",
     600,
     2,
     "2026-03-02T09:59:00Z",
     "2026-03-02T10:00:00Z"},
    {"ten minutes' entry, a year behind, last: one",
     {.crons = {"*/10 * * * *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2025-03-02T10:00:30Z",
     "2026-03-02T10:05:00Z",
     100,
     1,
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:00:00Z"},
    {"a day without a leader, all",
     {.crons = {"0 * * * *"}, .catch_up = CONFIG_CATCH_UP_ALL},
     "2026-03-01T10:00:00Z",
     "2026-03-02T10:00:00Z",
     30,
     2,
     "2026-03-02T09:00:00Z",
     "2026-03-02T10:00:00Z"},
    /* More excluded instants in a row than one decision looks at: it gets over them, and fires
     * when they are over. */
    {"every second but at night",
     {.crons = {"* * * * * *"}, .excludes = {"* 0-5 * * *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2026-03-01T23:59:59Z",
     "2026-03-02T06:00:00Z",
     100,
     1,
     "2026-03-02T06:00:00Z",
     "2026-03-02T06:00:00Z"},
    {"every minute but in December",
     {.crons = {"* * * * *"}, .excludes = {"* * * 12 *"}, .catch_up = CONFIG_CATCH_UP_NONE},
     "2025-11-30T23:59:00Z",
     "2026-01-01T00:00:00Z",
     100,
     1,
     "2026-01-01T00:00:00Z",
     "2026-01-01T00:00:00Z"},
    {"every second but on this whole day",
     {.crons = {"* * * * * *"}, .excludes = {"* * 2 3 *"}, .catch_up = CONFIG_CATCH_UP_LAST},
     "2026-03-01T23:59:59Z",
     "2026-03-02T23:59:59Z",
     200,
     0,
     NULL,
     NULL},
};

static void test_drives(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(DRIVES); i++) {
        struct open_plan o;
        struct drive v = {.cursor = at(DRIVES[i].cursor)};
        char first[WALL_TEXT_SIZE];
        char last[WALL_TEXT_SIZE];
        plan_open(&DRIVES[i].plan, &o);
        drive(&o.times, at(DRIVES[i].now), DRIVES[i].most_decisions, &v);
        wall_format(v.first, first);
        wall_format(v.last, last);
        if (v.fires != DRIVES[i].fires || v.first.ms != at(DRIVES[i].first).ms ||
            v.last.ms != at(DRIVES[i].last).ms) {
            fail_msg("%s: %zu fires, %s to %s", DRIVES[i].name, v.fires, first, last);
        }
        plan_close(&o);
    }
}

/* A leader that looks every half second fires each instant once, at its time, and nothing else. */
static void test_a_day_turn_by_turn(void **state)
{
    const struct plan p = {.crons = {"*/7 * * * *"}, .excludes = {"* 3 * * *"}};
    struct open_plan o;
    struct wall cursor = at("2026-03-02T00:00:00Z");
    struct wall expected = cursor;
    size_t fires = 0;

    (void)state;
    plan_open(&p, &o);
    for (struct wall now = cursor; now.ms < at("2026-03-03T00:00:00Z").ms; now.ms += 500) {
        struct schedule_decision d = schedule_decide(&o.times, expected, now);
        assert_int_not_equal(d.action, SCHEDULE_PASS);
        if (d.action == SCHEDULE_FIRE) {
            assert_true(d.instant.ms == now.ms);
            assert_false(d.is_late);
            expected = d.instant;
            fires++;
        }
    }
    /* 0, 7, 14 … 56: nine an hour, 23 hours, less the one that the cursor had. */
    assert_int_equal(fires, 9 * 23 - 1);
    plan_close(&o);
}

/* --- jitter ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct plan plan;
    int64_t bound_ms; /* no delay reaches it */
} JITTERS[] = {
    {"by itself", {.crons = {"0 * * * *"}, .jitter_ms = 30000}, 30001},
    {"by the next instant", {.crons = {"* * * * *"}, .jitter_ms = HOUR_MS}, 60000},
    {"by the next of several expressions",
     {.crons = {"0 * * * *", "10 0 * * * *"}, .jitter_ms = HOUR_MS},
     HOUR_MS - 10000},
    {"by the next that is not excluded",
     {.crons = {"* * * * *"}, .excludes = {"5-59 * * * *"}, .jitter_ms = HOUR_MS},
     56 * 60000},
    {"by the next second", {.crons = {"* * * * * *"}, .jitter_ms = HOUR_MS}, 1000},
    {"of none", {.crons = {"* * * * *"}}, 1},
};

static void test_delays(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(JITTERS); i++) {
        struct open_plan o;
        struct wall t = at("2026-03-02T00:00:00Z");
        int64_t largest = 0;
        plan_open(&JITTERS[i].plan, &o);
        for (int k = 0; k < 2000; k++) {
            struct wall next;
            assert_int_equal(schedule_next(&o.times, t, &t), ERR_OK);
            assert_int_equal(schedule_next(&o.times, t, &next), ERR_OK);
            int64_t delay = schedule_delay_ms(&o.times, t);
            assert_true(delay >= 0 && t.ms + delay < next.ms);
            assert_true(delay == schedule_delay_ms(&o.times, t));
            largest = delay > largest ? delay : largest;
        }
        /* They are spread over all the room there is. */
        if (largest >= JITTERS[i].bound_ms || largest < JITTERS[i].bound_ms * 9 / 10) {
            fail_msg("%s: %lld", JITTERS[i].name, (long long)largest);
        }
        plan_close(&o);
    }
}

/* What waits for its moment is not past, and all before it is. */
static void test_what_is_past(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(JITTERS); i++) {
        struct open_plan o;
        struct wall t = at("2026-03-02T00:00:00Z");
        plan_open(&JITTERS[i].plan, &o);
        for (int k = 0; k < 200; k++) {
            assert_int_equal(schedule_next(&o.times, t, &t), ERR_OK);
            struct wall moment = {t.ms + schedule_delay_ms(&o.times, t)};
            struct wall before = {moment.ms - 1};
            if (schedule_past(&o.times, moment).ms != moment.ms ||
                schedule_past(&o.times, before).ms != t.ms - 1) {
                fail_msg("%s: of %lld", JITTERS[i].name, (long long)t.ms);
            }
        }
        plan_close(&o);
    }
}

static void test_another_name_has_other_delays(void **state)
{
    const struct plan p = {.crons = {"0 * * * *"}, .jitter_ms = HOUR_MS};
    struct config_schedule c = {.timezone = (char[]){"UTC"}, .jitter_ms = HOUR_MS};
    struct open_plan o;
    struct schedule_times a = {0};
    struct schedule_times b = {0};
    struct wall t = at("2026-03-02T00:00:00Z");

    (void)state;
    plan_open(&p, &o);
    c.name = (char[]){"a"};
    assert_int_equal(schedule_times_init(&a, &c, o.times.zone, ALWAYS_MS), ERR_OK);
    c.name = (char[]){"b"};
    assert_int_equal(schedule_times_init(&b, &c, o.times.zone, ALWAYS_MS), ERR_OK);
    assert_true(schedule_delay_ms(&a, t) != schedule_delay_ms(&b, t));
    assert_true(schedule_delay_ms(&o.times, t) <= HOUR_MS);
    schedule_times_fini(&a);
    schedule_times_fini(&b);
    plan_close(&o);
}

/* Around the moment of an instant: it is that moment which is late, or missed. */
static const struct {
    const char *name;
    enum config_catch_up catch_up;
    int64_t after_ms; /* the moment */
    enum schedule_action action;
    bool is_late;
} MOMENTS[] = {
    {"a millisecond before", CONFIG_CATCH_UP_NONE, -1, SCHEDULE_WAIT, false},
    {"at it", CONFIG_CATCH_UP_NONE, 0, SCHEDULE_FIRE, false},
    {"a turn later", CONFIG_CATCH_UP_NONE, 1500, SCHEDULE_FIRE, false},
    {"later", CONFIG_CATCH_UP_NONE, 1501, SCHEDULE_FIRE, true},
    {"at the end of the window", CONFIG_CATCH_UP_NONE, ALWAYS_MS, SCHEDULE_FIRE, true},
    {"behind it", CONFIG_CATCH_UP_NONE, ALWAYS_MS + 1, SCHEDULE_PASS, false},
    {"behind it, made up", CONFIG_CATCH_UP_LAST, ALWAYS_MS + 1, SCHEDULE_FIRE, true},
    {"at the end of what is made up", CONFIG_CATCH_UP_LAST, HOUR_MS, SCHEDULE_FIRE, true},
    {"behind it", CONFIG_CATCH_UP_LAST, HOUR_MS + 1, SCHEDULE_PASS, false},
};

static void test_moments(void **state)
{
    const struct wall midnight = at("2026-03-02T00:00:00Z");

    (void)state;
    for (size_t i = 0; i < COUNT(MOMENTS); i++) {
        const struct plan p = {
            .crons = {"0 0 * * *"}, .catch_up = MOMENTS[i].catch_up, .jitter_ms = 20 * HOUR_MS};
        struct open_plan o;
        plan_open(&p, &o);
        int64_t delay = schedule_delay_ms(&o.times, midnight);
        assert_true(delay > 2 * (int64_t)HOUR_MS); /* or the table says nothing */
        struct wall now = {midnight.ms + delay + MOMENTS[i].after_ms};
        struct schedule_decision d = schedule_decide(&o.times, (struct wall){midnight.ms - 1}, now);
        if (d.action != MOMENTS[i].action || d.is_late != MOMENTS[i].is_late ||
            d.instant.ms != midnight.ms + (d.action == SCHEDULE_WAIT ? delay : 0)) {
            fail_msg("%s: %s", MOMENTS[i].name, word_of(d.action));
        }
        plan_close(&o);
    }
}

/* One that was missed is made up, though the next instant has come: its moment has not. */
static void test_the_last_missed_is_the_last_whose_moment_has_come(void **state)
{
    const struct plan p = {.crons = {"0 * * * *"}, .jitter_ms = HOUR_MS};
    struct open_plan o;
    struct wall first = at("2026-03-02T00:00:00Z");
    struct wall second;
    struct wall now;

    (void)state;
    plan_open(&p, &o);
    do {
        first.ms += HOUR_MS;
        second.ms = first.ms + HOUR_MS;
        now.ms = second.ms + schedule_delay_ms(&o.times, second) - 1;
    } while (schedule_delay_ms(&o.times, second) < ALWAYS_MS ||
             now.ms - first.ms - schedule_delay_ms(&o.times, first) > HOUR_MS);
    struct schedule_decision d = schedule_decide(&o.times, (struct wall){first.ms - 1}, now);
    assert_true(d.action == SCHEDULE_FIRE && d.instant.ms == first.ms && d.is_late);
    d = schedule_decide(&o.times, first, now);
    assert_int_equal(d.action, SCHEDULE_WAIT);
    now.ms++;
    d = schedule_decide(&o.times, first, now);
    assert_true(d.action == SCHEDULE_FIRE && d.instant.ms == second.ms && !d.is_late);
    plan_close(&o);
}

static void test_next(void **state)
{
    const struct plan p = {.crons = {"0 12 * * *"},
                           .excludes = {"* * * * 6-7"},
                           .start = "2026-03-04T00:00:00Z",
                           .end = "2026-03-09T12:00:00Z"};
    static const char *const days[] = {"2026-03-04T12:00:00Z", "2026-03-05T12:00:00Z",
                                       "2026-03-06T12:00:00Z", "2026-03-09T12:00:00Z"};
    struct open_plan o;
    struct wall t = at("2026-03-01T00:00:00Z");

    (void)state;
    plan_open(&p, &o);
    for (size_t i = 0; i < COUNT(days); i++) {
        assert_int_equal(schedule_next(&o.times, t, &t), ERR_OK);
        assert_true(t.ms == at(days[i]).ms);
    }
    assert_int_equal(schedule_next(&o.times, t, &t), ERR_MISSING);
    assert_true(t.ms == at(days[3]).ms);
    plan_close(&o);
}

static const struct {
    const char *name;
    struct plan plan;
    const char *after, *until;
    size_t most;
    int rc;
    const char *times[MAX]; /* the first ones */
    size_t n;
    const char *looked;
} LISTS[] = {
    {"both bounds are out",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:30:00Z",
     10,
     ERR_OK,
     {"2026-03-02T10:10:00Z", "2026-03-02T10:20:00Z"},
     2,
     NULL},
    {"so many",
     {.crons = {"*/10 * * * *"}},
     "2026-03-02T10:00:00Z",
     "2026-03-02T10:30:00Z",
     1,
     ERR_OK,
     {"2026-03-02T10:10:00Z"},
     1,
     NULL},
    {"a span from the start",
     {.crons = {"@every 7h"}, .start = "2026-03-02T10:00:30Z"},
     "2026-03-01T00:00:00Z",
     "2026-03-03T00:00:00Z",
     10,
     ERR_OK,
     {"2026-03-02T10:00:30Z", "2026-03-02T17:00:30Z"},
     2,
     NULL},
    {"given up: 50,000 looks are 25,000 instants of one expression and one exclusion",
     {.crons = {"* * * * * *"}, .excludes = {"10-59 * * * * *"}},
     "2026-03-01T23:59:59Z",
     "2026-04-01T00:00:00Z",
     1000000,
     ERR_LIMIT,
     {"2026-03-02T00:00:00Z", "2026-03-02T00:00:01Z", "2026-03-02T00:00:02Z"},
     4170,
     "2026-03-02T06:56:39Z"},
};

static void test_lists(void **state)
{
    static struct wall times[10000];

    (void)state;
    for (size_t i = 0; i < COUNT(LISTS); i++) {
        struct open_plan o;
        struct wall looked = {0};
        size_t n = 0;
        plan_open(&LISTS[i].plan, &o);
        int rc = schedule_list(&o.times, at(LISTS[i].after), at(LISTS[i].until), LISTS[i].most,
                               times, &n, &looked);
        if (rc != LISTS[i].rc || n != LISTS[i].n || looked.ms != at(LISTS[i].looked).ms) {
            fail_msg("%s: %s, %zu, %lld", LISTS[i].name, err_word(rc), n, (long long)looked.ms);
        }
        for (size_t k = 0; k < MAX && LISTS[i].times[k] != NULL; k++) {
            assert_true(times[k].ms == at(LISTS[i].times[k]).ms);
        }
        plan_close(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_drives),
        cmocka_unit_test(test_a_day_turn_by_turn),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_what_is_past),
        cmocka_unit_test(test_another_name_has_other_delays),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_the_last_missed_is_the_last_whose_moment_has_come),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
