/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/schedule.h"

#include <stdio.h>
#include <stdlib.h>

/* Refuses what begins with "bad". */
static int check_cron(const char *expression, const char *timezone, char *why, size_t why_size)
{
    if (strncmp(expression, "bad", 3) != 0) {
        return ERR_OK;
    }
    (void)snprintf(why, why_size, "no expression (%s)", timezone);
    return ERR_SYNTAX;
}

static struct config_schedule *decode(const char *json)
{
    struct config_schedule *s = NULL;
    struct buf mistakes = {0};
    int rc = config_schedule_decode(STR("nightly"), str_of(json), check_cron, &s, &mistakes);

    if (rc != ERR_OK) {
        print_message("%s", mistakes.p == NULL ? "" : mistakes.p);
    }
    assert_int_equal(rc, ERR_OK);
    buf_fini(&mistakes);
    return s;
}

#define JOB "\"job\":{\"tenant\":\"erp\",\"request\":{\"path\":\"/r\"}}"

static void test_defaults(void **state)
{
    struct config_schedule *s = decode("{\"cron\":\"15 2 * * *\"," JOB "}");

    (void)state;
    assert_string_equal(s->name, "nightly");
    assert_int_equal(s->n_crons, 1);
    assert_string_equal(s->crons[0], "15 2 * * *");
    assert_string_equal(s->timezone, "UTC");
    assert_string_equal(s->tenant, "erp");
    assert_string_equal(s->job_json, "{\"tenant\":\"erp\",\"request\":{\"path\":\"/r\"}}");
    assert_int_equal(s->overlap, CONFIG_OVERLAP_SKIP);
    assert_int_equal(s->catch_up, CONFIG_CATCH_UP_LAST);
    assert_false(s->is_gap_skipped);
    assert_false(s->is_overlap_twice);
    assert_int_equal(s->n_excludes, 0);
    assert_int_equal(s->start_ms, 0);
    assert_int_equal(s->end_ms, 0);
    assert_int_equal(s->max_runs, 0);
    assert_false(s->pauses_on_failure);
    assert_int_equal(s->catch_up_ms, 3600000);
    assert_int_equal(s->jitter_ms, 0);
    config_schedule_free(s);
}

static void test_everything(void **state)
{
    static const char document[] =
        "{\"catch_up\":\"all\",\"catch_up_s\":60,\"cron\":[\"@daily\",\"0 1 * * *\"],"
        "\"dst_gap\":\"skip\",\"dst_overlap\":\"twice\",\"end\":\"2027-01-01T00:00:00.000Z\","
        "\"exclude\":[\"* * 25 12 *\"],\"jitter_s\":1.5," JOB ",\"max_runs\":3,"
        "\"overlap\":\"queue_one\",\"pause_on_failure\":true,"
        "\"start\":\"2026-01-01T00:00:00.000Z\",\"timezone\":\"Europe/Berlin\"}";
    struct config_schedule *s = decode(document);

    (void)state;
    assert_int_equal(s->n_crons, 2);
    assert_int_equal(s->overlap, CONFIG_OVERLAP_QUEUE_ONE);
    assert_int_equal(s->catch_up, CONFIG_CATCH_UP_ALL);
    assert_true(s->is_gap_skipped);
    assert_true(s->is_overlap_twice);
    assert_int_equal(s->start_ms, 1767225600000);
    assert_int_equal(s->end_ms, 1798761600000);
    assert_int_equal(s->max_runs, 3);
    assert_true(s->pauses_on_failure);
    assert_int_equal(s->jitter_ms, 1500);
    char *json = config_schedule_to_json(s);
    assert_string_equal(json, document);
    free(json);
    config_schedule_free(s);
}

struct job_case {
    const char *name;
    const char *yaml; /* of the job */
    const char *json; /* of the job, or NULL */
    const char *mistakes;
};

static const struct job_case job_cases[] = {
    {"types",
     "{tenant: erp, request: {path: /a, body: {n: 1.50, t: '1', b: true, z: null, s: yes}}}",
     "{\"tenant\":\"erp\",\"request\":{\"path\":\"/a\",\"body\":{\"n\":1.50,\"t\":\"1\",\"b\":true,"
     "\"z\":null,\"s\":\"yes\"}}}",
     NULL},
    {"null body", "{tenant: erp, request: {path: /a, body: }}",
     "{\"tenant\":\"erp\",\"request\":{\"path\":\"/a\",\"body\":null}}", NULL},
    {"no path", "{tenant: erp, request: {method: GET}}", NULL,
     "job.request: the key path is missing\n"},
    {"several",
     "{tenant: erp, request: {path: a, body: 1, body_text: b}, delay_s: -1, ttls: 5, priority: x}",
     NULL,
     "job.request.path: expected a path that begins with '/'\n"
     "job.request: body and body_text contradict each other\n"
     "job.delay_s: expected seconds from 0 to 31536000, found -1\n"
     "job.ttls: unknown key; did you mean ttl_s?\n"
     "job.priority: expected one of high, normal, low, found the text \"x\"\n"},
    {"two delays",
     "{tenant: erp, request: {path: /}, delay_s: 1, not_before: 2026-01-01T00:00:00Z}", NULL,
     "job: not_before and delay_s contradict each other\n"},
    {"two ends", "{tenant: erp, request: {path: /}, ttl_s: 1, expires_at: 2026-01-01T00:00:00Z}",
     NULL, "job: expires_at and ttl_s contradict each other\n"},
    {"headers", "{tenant: erp, request: {path: /, headers: {X A: b, X-B: 1, X-C: \"a\\nb\"}}}",
     NULL,
     "job.request.headers.X A: expected a header's or method's name (letters, digits and "
     "!#$%&'*+-.^_`|~)\n"
     "job.request.headers.X-B: expected text (put it into quotes), found 1\n"
     "job.request.headers.X-C: control characters are not allowed in a header's value\n"},
    {"nulls", "{tenant: null, request: {path: /, method: ~}, labels: ~}", NULL,
     "job.tenant: expected a value, found null\n"
     "job.request.method: expected a value, found null\n"
     "job.labels: expected a value, found null\n"},
};

static void test_jobs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof job_cases / sizeof *job_cases; i++) {
        const struct job_case *c = &job_cases[i];
        struct config_schedule *s = NULL;
        struct buf mistakes = {0};
        struct buf document = {0};
        print_message("case: %s\n", c->name);
        buf_printf(&document, "{cron: '@daily', job: %s}", c->yaml);
        int rc = config_schedule_decode(STR("a"), buf_as_str(&document), NULL, &s, &mistakes);
        if (c->json != NULL) {
            assert_int_equal(rc, ERR_OK);
            assert_string_equal(s->job_json, c->json);
        } else {
            assert_int_equal(rc, ERR_INVALID);
            assert_string_equal(mistakes.p, c->mistakes);
        }
        config_schedule_free(s);
        buf_fini(&mistakes);
        buf_fini(&document);
    }
}

static void test_cron_check(void **state)
{
    struct config_schedule *s = NULL;
    struct buf mistakes = {0};

    (void)state;
    assert_int_equal(config_schedule_decode(STR("a"),
                                            STR("{\"cron\":[\"ok\",\"bad\"],\"exclude\":[\"bad2\"],"
                                                "\"timezone\":\"Asia/Tokyo\"," JOB "}"),
                                            check_cron, &s, &mistakes),
                     ERR_INVALID);
    assert_string_equal(mistakes.p, "cron[1]: no expression (Asia/Tokyo)\n"
                                    "exclude[0]: no expression (Asia/Tokyo)\n");
    buf_clear(&mistakes);
    assert_int_equal(config_schedule_decode(STR("a"), STR("{\"cron\":\"bad\"," JOB "}"), check_cron,
                                            &s, &mistakes),
                     ERR_INVALID);
    assert_string_equal(mistakes.p, "cron: no expression (UTC)\n");
    buf_clear(&mistakes);
    assert_int_equal(
        config_schedule_decode(STR("A"), STR("{\"cron\":1}"), check_cron, &s, &mistakes),
        ERR_INVALID);
    assert_string_equal(mistakes.p, "a name is 1 to 64 characters of a-z, 0-9, '_' and '-'\n"
                                    "cron: expected text or a list, found 1\n"
                                    "the key job is missing\n");
    buf_fini(&mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_cron_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
