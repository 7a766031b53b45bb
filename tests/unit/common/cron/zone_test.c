/* SPDX-License-Identifier: Apache-2.0 */
#include "cron/zone.h"

#include "base/buf.h"
#include "cron/civil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t seconds(const char *text)
{
    struct wall w = {0};

    assert_int_equal(wall_parse(text, strlen(text), &w), 0);
    return w.ms / 1000;
}

static struct zone *load(const char *name)
{
    struct zone *z = NULL;

    if (zone_load(name, &z) != 0) {
        fail_msg("cannot load %s", name);
    }
    return z;
}

/* --- the calendar ----------------------------------------------------------------------------- */

static void calendar_agrees_with_libc(void **state)
{
    (void)state;
    for (int64_t day = -800000; day < 3000000; day += 1) {
        time_t t = (time_t)(day * CIVIL_DAY_S);
        struct tm tm;
        struct civil c = civil_of_days(day);

        assert_non_null(gmtime_r(&t, &tm));
        if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
            civil_weekday(day) != tm.tm_wday || civil_to_days(c.year, c.month, c.day) != day) {
            fail_msg("day %lld is wrong", (long long)day);
        }
    }
}

static void months_have_their_days(void **state)
{
    static const int usual[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    (void)state;
    for (int m = 1; m <= 12; m++) {
        assert_int_equal(civil_month_days(2025, m), usual[m - 1]);
    }
    assert_int_equal(civil_month_days(2024, 2), 29);
    assert_int_equal(civil_month_days(2100, 2), 28);
    assert_int_equal(civil_month_days(2000, 2), 29);
}

/* --- offsets by hand -------------------------------------------------------------------------- */

static const struct offset_case {
    const char *zone;
    const char *at;
    int32_t offset_s;
} offset_cases[] = {
    {"UTC", "2026-07-01T00:00:00Z", 0},
    {"Etc/UTC", "1800-07-01T00:00:00Z", 0},
    {"Europe/Berlin", "2026-03-29T00:59:59Z", 3600},
    {"Europe/Berlin", "2026-03-29T01:00:00Z", 7200},
    {"Europe/Berlin", "2026-10-25T00:59:59Z", 7200},
    {"Europe/Berlin", "2026-10-25T01:00:00Z", 3600},
    {"Europe/Berlin", "2050-03-27T00:59:59Z", 3600},
    {"Europe/Berlin", "2050-03-27T01:00:00Z", 7200},
    {"Europe/Berlin", "2050-10-30T00:59:59Z", 7200},
    {"Europe/Berlin", "2050-10-30T01:00:00Z", 3600},
    {"Europe/Berlin", "9999-07-01T00:00:00Z", 7200},
    {"Europe/Berlin", "1850-01-01T00:00:00Z", 3208}, /* local mean time */
    {"America/New_York", "2026-03-08T06:59:59Z", -5 * 3600},
    {"America/New_York", "2026-03-08T07:00:00Z", -4 * 3600},
    {"America/New_York", "2026-11-01T05:59:59Z", -4 * 3600},
    {"America/New_York", "2026-11-01T06:00:00Z", -5 * 3600},
    {"Australia/Lord_Howe", "2026-04-04T14:59:59Z", 11 * 3600},
    {"Australia/Lord_Howe", "2026-04-04T15:00:00Z", 10 * 3600 + 1800},
    {"Australia/Lord_Howe", "2040-10-06T15:29:59Z", 10 * 3600 + 1800},
    {"Australia/Lord_Howe", "2040-10-06T15:30:00Z", 11 * 3600},
    {"Pacific/Apia", "2011-12-30T09:59:59Z", -10 * 3600},
    {"Pacific/Apia", "2011-12-30T10:00:00Z", 14 * 3600},
    {"Africa/Casablanca", "2025-02-23T01:59:59Z", 3600},
    {"Africa/Casablanca", "2025-02-23T02:00:00Z", 0},
    {"Africa/Casablanca", "2025-04-06T01:59:59Z", 0},
    {"Africa/Casablanca", "2025-04-06T02:00:00Z", 3600},
    {"Asia/Kathmandu", "1985-12-31T18:29:59Z", 5 * 3600 + 1800},
    {"Asia/Kathmandu", "1985-12-31T18:30:00Z", 5 * 3600 + 2700},
    {"America/Sao_Paulo", "2018-11-04T02:59:59Z", -3 * 3600},
    {"America/Sao_Paulo", "2018-11-04T03:00:00Z", -2 * 3600},
    {"America/Sao_Paulo", "2060-11-04T03:00:00Z", -3 * 3600},
    /* Footer "IST-1GMT0,M10.5.0,M3.5.0/1": summer time is the standard one, winter the other. */
    {"Europe/Dublin", "2045-01-15T00:00:00Z", 0},
    {"Europe/Dublin", "2045-07-15T00:00:00Z", 3600},
    /* Footer "EET-2EEST,M3.4.4/50,…": Saturday 02:00 two days after the fourth Thursday. */
    {"Asia/Gaza", "2090-03-24T23:59:59Z", 2 * 3600},
    {"Asia/Gaza", "2090-03-25T00:00:00Z", 3 * 3600},
    /* Footer "<-02>2<-01>,M3.5.0/-1,…": 23:00 of the day before the last Sunday in March. */
    {"America/Nuuk", "2045-03-26T00:59:59Z", -2 * 3600},
    {"America/Nuuk", "2045-03-26T01:00:00Z", -1 * 3600},
    {"Asia/Kolkata", "2100-01-01T00:00:00Z", 5 * 3600 + 1800},
};

static void offsets_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offset_cases / sizeof *offset_cases; i++) {
        const struct offset_case *c = &offset_cases[i];
        struct zone *z = load(c->zone);
        int64_t at_s = seconds(c->at);
        int32_t got = zone_offset_s(z, (struct wall){at_s * 1000 + 999});

        if (got != c->offset_s) {
            fail_msg("%s at %s: %d, not %d", c->zone, c->at, got, c->offset_s);
        }
        zone_free(z);
    }
}

/* Every span must hold its instant, and lead on to the next without a hole. */
static void spans_join(void **state)
{
    static const char *const names[] = {"Europe/Berlin", "Pacific/Apia",     "Africa/Casablanca",
                                        "Asia/Gaza",     "Antarctica/Troll", "UTC",
                                        "Europe/Dublin"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct zone *z = load(names[i]);
        struct zone_span s = zone_span_at(z, seconds("0001-01-01T00:00:00Z"));
        int n = 0;

        assert_true(s.start_s == ZONE_ALWAYS);
        while (s.end_s < seconds("2200-01-01T00:00:00Z")) {
            int64_t end_s = s.end_s;
            struct zone_span last = zone_span_at(z, end_s - 1);
            assert_true(last.start_s == s.start_s && last.end_s == end_s &&
                        last.offset_s == s.offset_s);
            s = zone_span_at(z, end_s);
            assert_true(s.start_s == end_s && s.end_s > end_s);
            n++;
        }
        /* That there are many; how many changes with each release of the data. */
        assert_true(n > 20 || strcmp(names[i], "UTC") == 0 ||
                    strcmp(names[i], "Pacific/Apia") == 0);
        zone_free(z);
    }
}

/* --- against libc ----------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 17;
}

static bool agrees(const struct zone *z, const char *name, int64_t at_s)
{
    time_t t = (time_t)at_s;
    struct tm tm;

    if (localtime_r(&t, &tm) == NULL) {
        return false;
    }
    int32_t got = zone_offset_s(z, (struct wall){at_s * 1000});
    if (got != tm.tm_gmtoff) {
        (void)fprintf(stderr, "%s at %lld: %d, libc %ld\n", name, (long long)at_s, got,
                      tm.tm_gmtoff);
        return false;
    }
    return true;
}

/* Random instants of 1902 to 2400, and both sides of every change in that time. */
static bool zone_agrees(const char *name, uint64_t *seed)
{
    int64_t from_s = seconds("1902-01-01T00:00:00Z");
    int64_t to_s = seconds("2400-01-01T00:00:00Z");
    struct zone *z = NULL;
    bool is_good = true;

    if (setenv("TZ", name, 1) != 0 || zone_load(name, &z) != 0) {
        (void)fprintf(stderr, "cannot load %s\n", name);
        return false;
    }
    tzset();
    for (int i = 0; i < 500 && is_good; i++) {
        is_good =
            agrees(z, name, from_s + (int64_t)(next_random(seed) % (uint64_t)(to_s - from_s)));
    }
    for (int64_t at_s = from_s; at_s < to_s && is_good;) {
        at_s = zone_span_at(z, at_s).end_s;
        is_good = at_s >= to_s || (agrees(z, name, at_s - 1) && agrees(z, name, at_s));
    }
    zone_free(z);
    return is_good;
}

/* The third column of zone1970.tab, all distinct zones since 1970; and some aliases. */
static int compare_zones(void)
{
    static const char *const more[] = {"Europe/Dublin", "EST5EDT", "Etc/GMT+12", "Asia/Calcutta",
                                       "Antarctica/Troll"};
    FILE *table = fopen("/usr/share/zoneinfo/zone1970.tab", "r");
    char line[1024];
    char name[128];
    uint64_t seed = 42;
    int n = 0;
    int n_bad = 0;

    if (table == NULL) {
        return 1;
    }
    while (fgets(line, sizeof line, table) != NULL) {
        if (line[0] != '#' && sscanf(line, "%*s %*s %127s", name) == 1) {
            n++;
            n_bad += zone_agrees(name, &seed) ? 0 : 1;
        }
    }
    (void)fclose(table);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        n_bad += zone_agrees(more[i], &seed) ? 0 : 1;
    }
    return n_bad == 0 && n > 300 ? 0 : 1;
}

static void offsets_agree_with_libc_in_all_zones(void **state)
{
    (void)state;
    pid_t pid = fork(); /* TZ is the child's alone */
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(compare_zones());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- names ------------------------------------------------------------------------------------ */

static const struct name_case {
    const char *name;
    int err;
} name_cases[] = {
    {"", ERR_INVALID},
    {"/etc/passwd", ERR_INVALID},
    {"../zoneinfo/UTC", ERR_INVALID},
    {"Europe/../UTC", ERR_INVALID},
    {"Europe//Berlin", ERR_INVALID},
    {"Europe/Berlin/", ERR_INVALID},
    {"./UTC", ERR_INVALID},
    {"zone.tab", ERR_INVALID},
    {"Europe/Ber lin", ERR_INVALID},
    {"Europe/Berlin\n", ERR_INVALID},
    {"localtime", ERR_INVALID},
    {"right/Europe/Berlin", ERR_INVALID}, /* leap seconds */
    {"Europe", ERR_MISSING},
    {"Europe/Bonn", ERR_MISSING},
    {"Europe/Berlin/Mitte", ERR_MISSING},
    {"leapseconds", ERR_SYNTAX},
    {"America/Argentina/Buenos_Aires", 0},
    {"Etc/GMT-14", 0},
    {"Etc/GMT+12", 0},
};

static void names_are_checked(void **state)
{
    char name[200];
    struct zone *z = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof name_cases / sizeof *name_cases; i++) {
        z = NULL;
        int err = zone_load(name_cases[i].name, &z);
        if (err != name_cases[i].err || (err == 0) != (z != NULL)) {
            fail_msg("\"%s\": %s", name_cases[i].name, err_word(err));
        }
        zone_free(z);
    }
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    z = NULL;
    assert_int_equal(zone_load(name, &z), ERR_INVALID);
    assert_int_equal(zone_load(NULL, &z), ERR_INVALID);
    assert_null(z);
    zone_free(NULL);
}

/* --- files made by hand ----------------------------------------------------------------------- */

static void add_u32(struct buf *b, uint32_t v)
{
    unsigned char p[] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                         (unsigned char)(v >> 8), (unsigned char)v};
    buf_add(b, p, sizeof p);
}

static void add_header(struct buf *b, char version, uint32_t n_times, uint32_t n_types)
{
    static const char reserved[15];

    buf_add(b, "TZif", 4);
    buf_char(b, version);
    buf_add(b, reserved, sizeof reserved);
    add_u32(b, 0);
    add_u32(b, 0);
    add_u32(b, 0); /* leap seconds */
    add_u32(b, n_times);
    add_u32(b, n_types);
    add_u32(b, 4); /* characters */
}

static void add_type(struct buf *b, int32_t offset_s)
{
    add_u32(b, (uint32_t)offset_s);
    buf_add(b, "\0\0", 2);
}

/* A file of version 2 without a table: its footer alone rules. */
static int parse_footer(const char *footer, struct zone **ret)
{
    struct buf b = {0};

    add_header(&b, '2', 0, 1);
    add_type(&b, 0);
    buf_add(&b, "ABC", 4);
    add_header(&b, '2', 0, 1);
    add_type(&b, 0);
    buf_add(&b, "ABC", 4);
    buf_printf(&b, "\n%s\n", footer);
    int err = zone_parse(buf_as_str(&b), ret);
    buf_fini(&b);
    return err;
}

static const struct footer_case {
    const char *footer;
    const char *at;
    int32_t offset_s;
} footer_cases[] = {
    {"", "2026-01-01T00:00:00Z", 0},
    {"XXX-1:02:03", "2026-01-01T00:00:00Z", 3723},
    {"<+1a>+11:30", "2026-01-01T00:00:00Z", -41400},
    /* Day 60 is 1 March in every year when J counts, 29 February or 1 March when not. */
    {"AAA0BBB,J60/0,J300/0", "2024-02-29T23:59:59Z", 0},
    {"AAA0BBB,J60/0,J300/0", "2024-03-01T00:00:00Z", 3600},
    {"AAA0BBB,J60/0,J300/0", "2023-02-28T23:59:59Z", 0},
    {"AAA0BBB,J60/0,J300/0", "2023-03-01T00:00:00Z", 3600},
    {"AAA0BBB,59/0,300/0", "2024-02-28T23:59:59Z", 0},
    {"AAA0BBB,59/0,300/0", "2024-02-29T00:00:00Z", 3600},
    {"AAA0BBB,59/0,300/0", "2023-03-01T00:00:00Z", 3600},
    /* Summer time all the year, as RFC 8536 writes it. */
    {"EST5EDT,0/0,J365/25", "2026-01-01T04:59:59Z", -14400},
    {"EST5EDT,0/0,J365/25", "2026-01-01T05:00:00Z", -14400},
    {"EST5EDT,0/0,J365/25", "2026-07-01T05:00:00Z", -14400},
    /* Across the new year, in the south; the end has an offset of its own. */
    {"AAA0BBB-2,M10.1.0/0,M3.1.0/0", "2025-12-31T23:59:59Z", 7200},
    {"AAA0BBB-2,M10.1.0/0,M3.1.0/0", "2026-02-28T21:59:59Z", 7200},
    {"AAA0BBB-2,M10.1.0/0,M3.1.0/0", "2026-02-28T22:00:00Z", 0},
    /* Fifth week of a month that has only four such days. */
    {"AAA0BBB,M2.5.0/0,M12.1.0/0", "2026-02-22T00:00:00Z", 3600},
    {"AAA0BBB,M2.5.0/0,M12.1.0/0", "2026-02-21T23:59:59Z", 0},
};

static void footers_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof footer_cases / sizeof *footer_cases; i++) {
        const struct footer_case *c = &footer_cases[i];
        struct zone *z = NULL;

        assert_int_equal(parse_footer(c->footer, &z), 0);
        int32_t got = zone_span_at(z, seconds(c->at)).offset_s;
        if (got != c->offset_s) {
            fail_msg("%s at %s: %d, not %d", c->footer, c->at, got, c->offset_s);
        }
        zone_free(z);
    }
}

static void wrong_footers_are_refused(void **state)
{
    static const char *const wrong[] = {
        "CET",
        "-1",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-99",
        "CET-1x,",
        "<CET-1",
        "CET-1CEST,M13.1.0,M10.5.0",
        "CET-1:60",
        "CET-1CEST,",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J5",
        "CET-1CEST,J366,J5",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0 ",
        "CET--1",
        "CET-99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct zone *z = NULL;
        int err = parse_footer(wrong[i], &z);
        if (err != ERR_SYNTAX || z != NULL) {
            fail_msg("\"%s\": %s", wrong[i], err_word(err));
        }
    }
}

/* Version 1: 32 bits, no footer. One change at 1 hour before 1970 to +1 h, one at 2000 s to +2 h.
 */
static void version_1_is_read(void **state)
{
    struct buf b = {0};
    struct zone *z = NULL;

    (void)state;
    add_header(&b, '\0', 2, 3);
    add_u32(&b, (uint32_t)-3600);
    add_u32(&b, 2000);
    buf_add(&b, "\1\2", 2);
    add_type(&b, -1800);
    add_type(&b, 3600);
    add_type(&b, 7200);
    buf_add(&b, "ABC", 4);
    assert_int_equal(zone_parse(buf_as_str(&b), &z), 0);
    assert_int_equal(zone_span_at(z, -3601).offset_s, -1800);
    assert_int_equal(zone_span_at(z, -3600).offset_s, 3600);
    assert_int_equal(zone_span_at(z, 1999).offset_s, 3600);
    assert_int_equal(zone_span_at(z, 2000).offset_s, 7200);
    assert_int_equal(zone_span_at(z, 2000).start_s, 2000);
    assert_true(zone_span_at(z, 2000).end_s == ZONE_NEVER);
    zone_free(z);
    buf_fini(&b);
}

/* Whatever bytes come: an answer, no read outside (the sanitizer watches), and sane spans. */
static void cut_and_broken_files_are_survived(void **state)
{
    char bytes[8192];
    uint64_t seed = 7;
    int n_refused = 0;
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");

    (void)state;
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    assert_true(n > 100 && n < sizeof bytes);
    (void)fclose(f);
    for (size_t cut = 0; cut < n; cut++) {
        struct zone *z = NULL;
        char *copy = malloc(cut + 1); /* its end is where the sanitizer sees it */
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        assert_int_equal(zone_parse((struct str){copy, cut}, &z), ERR_SYNTAX);
        assert_null(z);
        free(copy);
    }
    for (int i = 0; i < 3000; i++) {
        struct zone *z = NULL;
        char *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, bytes, n);
        for (uint64_t k = next_random(&seed) % 4; k < 4; k++) {
            copy[next_random(&seed) % n] = (char)next_random(&seed);
        }
        if (zone_parse((struct str){copy, n}, &z) != 0) {
            n_refused++;
        } else {
            int64_t at_s = (int64_t)(next_random(&seed) % 8000000000u) - 4000000000;
            struct zone_span s = zone_span_at(z, at_s);
            assert_true(s.start_s <= at_s && at_s < s.end_s);
        }
        zone_free(z);
        free(copy);
    }
    assert_true(n_refused > 100);
}

static const struct text_case {
    const char *zone;
    const char *at;
    const char *text;
} text_cases[] = {
    {"UTC", "2026-01-01T00:00:00.999Z", "2026-01-01T00:00:00+00:00"},
    {"Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:59:59+01:00"},
    {"Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"},
    {"America/St_Johns", "2026-01-01T00:00:00Z", "2025-12-31T20:30:00-03:30"},
    {"Pacific/Kiritimati", "2026-12-31T10:00:00Z", "2027-01-01T00:00:00+14:00"},
    {"Europe/London", "1800-01-01T00:00:00Z", "1799-12-31T23:59:00-00:01"},
};

static void instants_have_their_local_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof text_cases / sizeof *text_cases; i++) {
        const struct text_case *c = &text_cases[i];
        struct zone *z = NULL;
        struct wall at;
        char text[WALL_TEXT_SIZE];

        assert_int_equal(zone_load(c->zone, &z), 0);
        assert_int_equal(wall_parse(c->at, strlen(c->at), &at), 0);
        zone_format(z, at, text);
        assert_string_equal(text, c->text);
        zone_free(z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_agrees_with_libc),
        cmocka_unit_test(months_have_their_days),
        cmocka_unit_test(offsets_are_right),
        cmocka_unit_test(spans_join),
        cmocka_unit_test(offsets_agree_with_libc_in_all_zones),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(footers_rule),
        cmocka_unit_test(wrong_footers_are_refused),
        cmocka_unit_test(version_1_is_read),
        cmocka_unit_test(cut_and_broken_files_are_survived),
        cmocka_unit_test(instants_have_their_local_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
