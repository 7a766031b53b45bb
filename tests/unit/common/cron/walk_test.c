/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cron/walk.h"

#include <stdio.h>

enum { MAX = 3 };

static struct wall at(const char *text)
{
    struct wall w = {0};

    if (text != NULL && wall_parse(text, strlen(text), &w) != ERR_OK) {
        fail_msg("not a time: %s", text);
    }
    return w;
}

static size_t count(const char *const texts[MAX])
{
    size_t n = 0;

    while (n < MAX && texts[n] != NULL) {
        n++;
    }
    return n;
}

static struct cron **parse(const char *const texts[MAX], size_t *ret_n)
{
    struct cron **list = NULL;
    char room[MAX][64];
    char *copies[MAX];
    size_t n = count(texts);

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(room[i], sizeof room[i], "%s", texts[i]);
        copies[i] = room[i];
    }
    assert_int_equal(cron_list_parse(copies, n, &list, ret_n), ERR_OK);
    return list;
}

static void lists_end_at_what_is_wrong(void **state)
{
    static char good[] = "0 3 * * *";
    static char bad[] = "61 * * * *";
    char *const texts[] = {good, bad, good};
    struct cron **list = NULL;
    size_t n = 0;

    (void)state;
    assert_int_not_equal(cron_list_parse(texts, 3, &list, &n), ERR_OK);
    assert_int_equal(n, 1);
    cron_list_free(list, n);
    cron_list_free(NULL, 0);
}

static const struct sense_case {
    const char *crons[MAX];
    const char *excludes[MAX];
    const char *zone; /* NULL: UTC */
    const char *start, *end;
    bool is_gap_skipped;
    enum cron_sense sense;
} cases[] = {
    {.crons = {"0 3 * * *"}, .sense = CRON_FIRES},
    {.crons = {"0 3 * * *"}, .end = "1990-01-01T00:00:00Z", .sense = CRON_FIRES},
    {.crons = {"0 3 * * *"}, .end = "1970-01-01T02:59:59Z", .sense = CRON_OUTSIDE},
    {.crons = {"0 3 * * *"}, .end = "1970-01-01T03:00:00Z", .sense = CRON_FIRES},
    {.crons = {"0 0 29 2 *"},
     .start = "2025-01-01T00:00:00Z",
     .end = "2028-02-28T23:59:59Z",
     .sense = CRON_OUTSIDE},
    {.crons = {"0 0 29 2 *", "0 0 1 6 *"},
     .start = "2025-01-01T00:00:00Z",
     .end = "2028-02-28T23:59:59Z",
     .sense = CRON_FIRES},
    /* The clock skips its only time. */
    {.crons = {"30 2 29 3 *"},
     .zone = "Europe/Berlin",
     .start = "2026-01-01T00:00:00Z",
     .end = "2026-12-31T00:00:00Z",
     .is_gap_skipped = true,
     .sense = CRON_OUTSIDE},
    {.crons = {"30 2 29 3 *"},
     .zone = "Europe/Berlin",
     .start = "2026-01-01T00:00:00Z",
     .end = "2026-12-31T00:00:00Z",
     .sense = CRON_FIRES},
    /* By their fields, without an end. */
    {.crons = {"*/7 * * * * *"}, .excludes = {"* * * * *"}, .sense = CRON_EXCLUDED},
    {.crons = {"@every 90m"}, .excludes = {"* * * * *"}, .sense = CRON_EXCLUDED},
    {.crons = {"@every 90m"}, .excludes = {"@every 1s"}, .sense = CRON_EXCLUDED},
    {.crons = {"0 3 * * *"}, .excludes = {"* * * * MON-FRI"}, .sense = CRON_FIRES},
    {.crons = {"0 3 * * MON", "0 4 * * *"}, .excludes = {"* 3 * * *"}, .sense = CRON_FIRES},
    {.crons = {"0 3 * * MON", "0 4 * * *"},
     .excludes = {"* 3 * * *", "0-10 4 * * *"},
     .sense = CRON_EXCLUDED},
    {.crons = {"0 3 L * *"}, .excludes = {"0 3 L-1 * *"}, .sense = CRON_FIRES},
    {.crons = {"0 3 * * FRI#2"}, .excludes = {"0 3 * * FRI#2"}, .sense = CRON_EXCLUDED},
    {.crons = {"0 3 * * FRI#2"}, .excludes = {"0 3 * * FRI#3"}, .sense = CRON_FIRES},
    {.crons = {"0 3 1 * MON"}, .excludes = {"0 3 */1 * MON"}, .sense = CRON_FIRES},
    {.crons = {"30 0 3 * * *"}, .excludes = {"0 0 3 * * *"}, .sense = CRON_FIRES},
    {.crons = {"30 0 3 * * *"}, .excludes = {"0 3 * * *"}, .sense = CRON_EXCLUDED},
    /* What a gap moves is no 02:30, and is excluded only as the time at which it happens. */
    {.crons = {"30 2 * * *"},
     .excludes = {"30 2 * * *"},
     .zone = "Europe/Berlin",
     .sense = CRON_FIRES},
    {.crons = {"30 2 * * *"},
     .excludes = {"30 2 * * *"},
     .zone = "Europe/Berlin",
     .is_gap_skipped = true,
     .sense = CRON_EXCLUDED},
    {.crons = {"30 2 * * *"},
     .excludes = {"* * * * *"},
     .zone = "Europe/Berlin",
     .sense = CRON_EXCLUDED},
    {.crons = {"*/5 2 * * *"},
     .excludes = {"* 2 * * *"},
     .zone = "Europe/Berlin",
     .sense = CRON_EXCLUDED},
    /* By a walk to the end, and one that is too long. */
    {.crons = {"0 * * * *"},
     .excludes = {"0 0-11 * * *", "0 12-23 * * *"},
     .start = "2026-01-01T00:00:00Z",
     .end = "2027-01-01T00:00:00Z",
     .sense = CRON_EXCLUDED},
    {.crons = {"0 * * * *"}, .excludes = {"0 0-11 * * *", "0 12-23 * * *"}, .sense = CRON_FIRES},
};

static void what_never_fires_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sense_case *c = &cases[i];
        size_t n_crons = 0;
        size_t n_excludes = 0;
        struct cron **crons = parse(c->crons, &n_crons);
        struct cron **excludes = parse(c->excludes, &n_excludes);
        struct zone *zone = NULL;

        assert_int_equal(zone_load(c->zone == NULL ? "UTC" : c->zone, &zone), ERR_OK);
        struct cron_walk w = {.crons = crons,
                              .n_crons = n_crons,
                              .excludes = excludes,
                              .n_excludes = n_excludes,
                              .zone = zone,
                              .rules = {.is_gap_skipped = c->is_gap_skipped},
                              .start_ms = at(c->start).ms,
                              .end_ms = at(c->end).ms};
        print_message("case %zu: %s, not %s\n", i, c->crons[0],
                      c->excludes[0] == NULL ? "" : c->excludes[0]);
        assert_int_equal(cron_walk_sense(&w), c->sense);
        cron_list_free(crons, n_crons);
        cron_list_free(excludes, n_excludes);
        zone_free(zone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_end_at_what_is_wrong),
        cmocka_unit_test(what_never_fires_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
