/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/schedule.h"

#include <stdio.h>

static int refuse_99_and_nowhere(const char *expression, const char *timezone, char *why,
                                 size_t why_size)
{
    if (strcmp(timezone, "Nowhere/Else") == 0) {
        (void)snprintf(why, why_size, "no such zone");
        return ERR_MISSING;
    }
    if (strncmp(expression, "99 ", 3) != 0) {
        return ERR_OK;
    }
    (void)snprintf(why, why_size, "99 is no minute");
    return ERR_SYNTAX;
}

struct reading {
    struct map tenants;
    struct schedule_list list;
    struct buf mistakes;
};

static void read_text(struct reading *r, const char *file, const char *text)
{
    static char known[] = "known";
    struct schedule_context x = {.tenants = &r->tenants, .cron_check = refuse_99_and_nowhere};
    struct mistakes m = {.file = file, .out = &r->mistakes};

    assert_int_equal(map_put(&r->tenants, STR("erp"), known), ERR_OK);
    crontab_read(&x, &m, str_of(text), &r->list);
    assert_false(m.is_out_of_memory);
}

static void done(struct reading *r)
{
    map_fini(&r->tenants);
    schedule_list_fini(&r->list);
    buf_fini(&r->mistakes);
}

struct entry_case {
    const char *name;
    const char *line;
    const char *cron;
    const char *job;
};

static const struct entry_case entry_cases[] = {
    {"no body", "15 2 * * * erp POST /report", "15 2 * * *",
     "{\"tenant\":\"erp\",\"request\":{\"method\":\"POST\",\"path\":\"/report\"}}"},
    {"JSON body", "  */5\t*  * * 1-5  erp PUT /r?a=b  {\"k\": [1, 2.50]} \r", "*/5\t*  * * 1-5",
     "{\"tenant\":\"erp\",\"request\":{\"method\":\"PUT\",\"path\":\"/r?a=b\",\"body\":{\"k\": [1, "
     "2.50]}}}"},
    {"text body", "@daily erp POST /r say \"hello\" = x", "@daily",
     "{\"tenant\":\"erp\",\"request\":{\"method\":\"POST\",\"path\":\"/r\",\"body_text\":\"say "
     "\\\"hello\\\" = x\"}}"},
    {"almost JSON", "@hourly erp POST /r {k: 1}", "@hourly",
     "{\"tenant\":\"erp\",\"request\":{\"method\":\"POST\",\"path\":\"/r\",\"body_text\":\"{k: "
     "1}\"}}"},
    {"a span", "@every  1h30m erp POST /r", "@every  1h30m",
     "{\"tenant\":\"erp\",\"request\":{\"method\":\"POST\",\"path\":\"/r\"}}"},
    {"JSON that says a thing twice", "@hourly erp POST /r {\"k\":1,\"k\":2}", "@hourly",
     "{\"tenant\":\"erp\",\"request\":{\"method\":\"POST\",\"path\":\"/r\",\"body_text\":"
     "\"{\\\"k\\\":1,\\\"k\\\":2}\"}}"},
};

static void test_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof entry_cases / sizeof *entry_cases; i++) {
        const struct entry_case *c = &entry_cases[i];
        struct reading r = {0};
        print_message("case: %s\n", c->name);
        read_text(&r, "crontab", c->line);
        assert_null(r.mistakes.p);
        assert_int_equal(r.list.n, 1);
        assert_string_equal(r.list.items[0].crons[0], c->cron);
        assert_string_equal(r.list.items[0].job_json, c->job);
        assert_string_equal(r.list.items[0].tenant, "erp");
        assert_string_equal(r.list.items[0].timezone, "UTC");
        assert_int_equal(r.list.items[0].catch_up_ms, 3600000);
        done(&r);
    }
}

static void test_time_zones(void **state)
{
    struct reading r = {0};

    (void)state;
    read_text(
        &r, "crontab",
        "# comment\n0 1 * * * erp GET /a\n\nCRON_TZ=Europe/Berlin\n0 1 * * * erp GET /b\n"
        "CRON_TZ = \"America/New_York\"\n0 1 * * * erp GET /c\nCRON_TZ=\n0 1 * * * erp GET /d");
    assert_null(r.mistakes.p);
    assert_int_equal(r.list.n, 4);
    assert_string_equal(r.list.items[0].timezone, "UTC");
    assert_string_equal(r.list.items[1].timezone, "Europe/Berlin");
    assert_string_equal(r.list.items[2].timezone, "America/New_York");
    assert_string_equal(r.list.items[3].timezone, "UTC");
    done(&r);
}

static void test_names(void **state)
{
    struct reading r = {0};
    struct reading moved = {0};

    (void)state;
    read_text(&r, "/etc/sluice/Cron Tab.d",
              "0 1 * * * erp GET /a\n0 1 * * * erp GET /a\n0 1 * * * erp GET /b\n");
    assert_null(r.mistakes.p);
    assert_int_equal(strncmp(r.list.items[0].name, "crontab-cron-tab-d-", 19), 0);
    assert_int_equal(strlen(r.list.items[0].name), 19 + 8);
    assert_int_equal(strncmp(r.list.items[1].name, r.list.items[0].name, 27), 0);
    assert_string_equal(r.list.items[1].name + 27, "-2");
    assert_string_not_equal(r.list.items[2].name, r.list.items[0].name);
    /* Other lines above it and other blanks in it do not make it another schedule. */
    read_text(&moved, "/elsewhere/Cron Tab.d",
              "# new\n@daily erp GET /z\n\n0 1  * * *\terp GET   /b\n");
    assert_string_equal(moved.list.items[1].name, r.list.items[2].name);
    done(&r);
    done(&moved);
}

static void test_name_fits(void **state)
{
    struct reading r = {0};

    (void)state;
    read_text(&r, "a-very-long-name-of-a-crontab-file-that-would-not-fit-into-any-schedules-name",
              "0 1 * * * erp GET /a\n0 1 * * * erp GET /a\n");
    assert_null(r.mistakes.p);
    assert_true(value_is_name(str_of(r.list.items[1].name)));
    done(&r);
}

static void test_mistakes(void **state)
{
    struct reading r = {0};

    (void)state;
    read_text(&r, "ct",
              "0 1 * * * shop GET /a\n0 1 * * * erp GET\n99 1 * * * erp GET a\n@reboot erp GET /\n"
              "PATH=/bin\nCRON_TZ=/etc/passwd\n0 1 * * * Erp G,T /x\n"
              "0 1 * * * erp get /x\n");
    assert_string_equal(
        r.mistakes.p,
        "ct:1: tenant: the tenant shop is not configured\n"
        "ct:2: expected MIN HOUR DOM MON DOW tenant METHOD /path [body]\n"
        "ct:3: request.path must begin with '/' and hold visible ASCII characters only, no '#', "
        "and no '.' or '..' segment.\n"
        "ct:3: cron: 99 is no minute\n"
        "ct:4: expected @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly or "
        "@every SPAN\n"
        "ct:5: of settings only CRON_TZ=… is known, not PATH\n"
        "ct:6: CRON_TZ: expected a time zone's name, as Europe/Berlin or UTC\n"
        "ct:7: tenant must be made of a-z, 0-9, '_' and '-'.\n"
        "ct:8: request.method must be in upper case: HTTP methods are case-sensitive.\n");
    done(&r);
}

static void test_a_wrong_zone_is_said_once(void **state)
{
    struct reading r = {0};

    (void)state;
    read_text(&r, "ct", "@daily erp GET /a\nCRON_TZ=Nowhere/Else\n@daily erp GET /b\n");
    assert_string_equal(r.mistakes.p, "ct:2: CRON_TZ: no such zone\n");
    done(&r);
}

static void test_not_text(void **state)
{
    struct reading r = {0};

    (void)state;
    read_text(&r, "ct", "0 1 * * * erp GET /a\n0 1 * * * erp GET /a \xFF\n# caf\xE9\n");
    assert_string_equal(r.mistakes.p, "ct:2: not UTF-8 text\nct:3: not UTF-8 text\n");
    assert_int_equal(r.list.n, 1);
    done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),  cmocka_unit_test(test_time_zones),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_name_fits),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_a_wrong_zone_is_said_once),
        cmocka_unit_test(test_not_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
