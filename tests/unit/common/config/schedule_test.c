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
    {"several values of a header",
     "{tenant: erp, request: {path: /, headers: {X-A: [b, 'c d'], X-B: ''}}, labels: {run: ''}}",
     "{\"tenant\":\"erp\",\"request\":{\"path\":\"/\",\"headers\":{\"X-A\":[\"b\",\"c d\"],\"X-B\":"
     "\"\"}},\"labels\":{\"run\":\"\"}}",
     NULL},
    {"a callback", "{tenant: erp, request: {path: /}, callback: 'https://erp.example/done'}",
     "{\"tenant\":\"erp\",\"request\":{\"path\":\"/\"},\"callback\":\"https://erp.example/done\"}",
     NULL},
    {"no path", "{tenant: erp, request: {method: GET}}", NULL, "job: request.path is required.\n"},
    {"the first of several",
     "{tenant: erp, request: {path: a, body: 1, body_text: b}, delay_s: -1, ttls: 5, priority: x}",
     NULL,
     "job: request.path must begin with '/' and hold visible ASCII characters only, no '#', and no "
     "'.' or '..' segment.\n"},
    {"an unknown key", "{tenant: erp, request: {path: /}, ttls: 5}", NULL,
     "job: The member ttls is not known.\n"},
    {"two bodies", "{tenant: erp, request: {path: /, body: 1, body_text: b}}", NULL,
     "job: request must have one of body, body_text and body_base64 only.\n"},
    {"two delays",
     "{tenant: erp, request: {path: /}, delay_s: 1, not_before: 2026-01-01T00:00:00Z}", NULL,
     "job: Give not_before or delay_s, not both.\n"},
    {"a header that is not forwarded", "{tenant: erp, request: {path: /, headers: {Host: a}}}",
     NULL,
     "job: request.headers must not have Host: it is not forwarded, Sluice or its HTTP client sets "
     "it.\n"},
    {"a null", "{tenant: erp, request: {path: /, method: ~}}", NULL,
     "job: request.method must be a string.\n"},
    {"no map", "[1]", NULL, "job: The document must be an object.\n"},
    {"null", "~", NULL, "job: expected a value, found null\n"},
    {"a number that JSON has and no double holds", "{tenant: erp, request: {path: /, body: 1e999}}",
     NULL, "job: The document is not acceptable JSON: a number that is too large, at byte 50.\n"},
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

static void judge(struct wall now, const struct map *tenants, const char *yaml,
                  struct buf *mistakes)
{
    struct schedule_context x = {.tenants = tenants, .now = now};
    struct mistakes m = {.file = "c", .out = mistakes};
    struct config_schedule s = {0};
    struct node *tree = NULL;
    struct buf why = {0};
    int line;

    assert_int_equal(node_parse(str_of(yaml), &tree, &line, &why), ERR_OK);
    schedule_decode(&x, &m, NULL, "a", tree, &s);
    assert_false(m.is_out_of_memory);
    schedule_fini(&s);
    node_free(tree);
}

/* The time is the context's: 366 days before and a millisecond more. */
static void test_far_times(void **state)
{
    static const char yaml[] = "cron: '@daily'\njob:\n  tenant: erp\n  request: {path: /}\n"
                               "  not_before: 2027-01-02T00:00:00Z\n";
    struct wall now = {1767225600000}; /* 2026-01-01T00:00:00Z */
    struct buf mistakes = {0};

    (void)state;
    judge(now, NULL, yaml, &mistakes);
    assert_string_equal(mistakes.p, "c:5: job.not_before: a schedule's job is due at its instant: "
                                    "set the schedule's start\n");
    buf_clear(&mistakes);
    now.ms--;
    judge(now, NULL, yaml, &mistakes);
    assert_string_equal(mistakes.p, "c:5: job: not_before must be at most 366 days ahead.\n");
    buf_fini(&mistakes);
}

struct line_case {
    const char *name;
    const char *yaml; /* of the job, from line 2 on */
    const char *where;
};

static const struct line_case line_cases[] = {
    {"no tenant", "  request: {path: /}\n", "c:2: "},
    {"no path", "  tenant: erp\n  request:\n    method: GET\n", "c:3: "},
    {"a member", "  tenant: erp\n  request:\n    method: GET\n    path: a\n", "c:5: "},
    {"an unknown member", "  tenant: erp\n  request: {path: /}\n  ten: 1\n", "c:4: "},
    {"an unknown member with a point", "  tenant: erp\n  request: {path: /}\n  request.path: 1\n",
     "c:4: "},
    {"of two",
     "  tenant: erp\n  request: {path: /}\n  ttl_s: 1\n"
     "  expires_at: 2026-01-01T00:00:00Z\n",
     "c:5: "},
    {"a name that begins as another",
     "  tenant: erp\n  request:\n    path: /\n    headers:\n"
     "      X: a\n      X A: b\n",
     "c:7: "},
    {"a refused name",
     "  tenant: erp\n  request:\n    path: /\n    headers:\n"
     "      X: a\n      Host: b\n",
     "c:7: "},
    {"a label", "  tenant: erp\n  request: {path: /}\n  labels:\n    a: b\n    a.b: 1\n", "c:6: "},
    {"a name that is shown short",
     "  tenant: erp\n  request: {path: /}\n  labels:\n"
     "    a: b\n    \"\\t\": c\n",
     "c:4: "},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof line_cases / sizeof *line_cases; i++) {
        const struct line_case *c = &line_cases[i];
        struct buf mistakes = {0};
        struct buf yaml = {0};
        print_message("case: %s\n", c->name);
        buf_printf(&yaml, "job:\n%scron: '@daily'\n", c->yaml);
        judge((struct wall){0}, NULL, yaml.p, &mistakes);
        assert_non_null(mistakes.p);
        assert_true(str_starts(buf_as_str(&mistakes), str_of(c->where)));
        buf_fini(&mistakes);
        buf_fini(&yaml);
    }
}

static void test_unknown_tenant(void **state)
{
    struct map tenants = {0};
    struct buf mistakes = {0};
    static char known[] = "known";

    (void)state;
    assert_int_equal(map_put(&tenants, STR("erp"), known), ERR_OK);
    judge((struct wall){0}, &tenants, "cron: '@daily'\njob:\n  request: {path: /}\n  tenant: erp\n",
          &mistakes);
    assert_null(mistakes.p);
    judge((struct wall){0}, &tenants,
          "cron: '@daily'\njob:\n  request: {path: /}\n  tenant: shop\n", &mistakes);
    assert_string_equal(mistakes.p, "c:4: job.tenant: the tenant shop is not configured\n");
    map_fini(&tenants);
    buf_fini(&mistakes);
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
    assert_string_equal(mistakes.p, "cron[1]: no expression (UTC)\n"
                                    "exclude[0]: no expression (UTC)\n");
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

static void test_preview(void **state)
{
    const struct wall now = {1774663200000};
    struct config_preview *p = NULL;
    struct buf mistakes = {0};

    (void)state;
    assert_int_equal(
        config_preview_decode(STR("{\"cron\":\"ok\"}"), now, check_cron, &p, &mistakes), ERR_OK);
    assert_string_equal(p->schedule.crons[0], "ok");
    assert_string_equal(p->schedule.timezone, "UTC");
    assert_true(p->from_ms == now.ms && p->until_ms == INT64_MAX && p->count == 10);
    config_preview_free(p);
    /* 1970 is a time like any other. */
    assert_int_equal(
        config_preview_decode(STR("{\"cron\":[\"ok\"],\"from\":\"1969-12-31T00:00:00Z\","
                                  "\"until\":\"1970-01-01T00:00:00Z\",\"count\":3,"
                                  "\"dst_overlap\":\"twice\",\"exclude\":[\"ok\"]}"),
                              now, check_cron, &p, &mistakes),
        ERR_OK);
    assert_true(p->from_ms == -86400000 && p->until_ms == 0 && p->count == 3);
    assert_true(p->schedule.is_overlap_twice && p->schedule.n_excludes == 1);
    config_preview_free(p);
    assert_null(mistakes.p);
    assert_int_equal(config_preview_decode(STR("{\"cron\":\"bad\",\"overlap\":\"skip\","
                                               "\"until\":\"2000-01-01T00:00:00Z\"}"),
                                           now, check_cron, &p, &mistakes),
                     ERR_INVALID);
    assert_string_equal(mistakes.p, "overlap: unknown key\n"
                                    "until is not after from\n"
                                    "cron: no expression (UTC)\n");
    buf_fini(&mistakes);
    config_preview_free(NULL);
}

/* A zone is judged where it stands, and expressions of an unknown one all the same. */
static void test_zones(void **state)
{
    struct config_schedule *s = NULL;
    struct buf mistakes = {0};

    (void)state;
    assert_int_equal(config_schedule_decode(STR("a"),
                                            STR("{\"cron\":[\"ok\",\"bad\"],"
                                                "\"timezone\":\"Europe/Bonn\"," JOB "}"),
                                            check_cron, &s, &mistakes),
                     ERR_INVALID);
    assert_string_equal(mistakes.p, "timezone: the time zone cannot be used: not there\n"
                                    "cron[1]: no expression (UTC)\n");
    buf_fini(&mistakes);
}

#define DAILY "\"cron\":\"0 3 * * *\"," JOB

static const struct sense_case {
    const char *json;
    const char *mistake; /* NULL: none */
} sense_cases[] = {
    {"{" DAILY ",\"end\":\"2001-01-01T00:00:00Z\"}", NULL},
    {"{" DAILY ",\"start\":\"2026-01-01T03:00:00Z\",\"end\":\"2026-01-01T03:00:00Z\"}", NULL},
    {"{" DAILY ",\"start\":\"2026-01-01T04:00:00Z\",\"end\":\"2026-01-02T02:00:00Z\"}",
     "end: it would never fire: cron has no instant from start to end\n"},
    {"{" DAILY ",\"start\":\"2026-01-02T00:00:00Z\",\"end\":\"2026-01-01T00:00:00Z\"}",
     "end: it ends before it starts\n"},
    {"{" DAILY ",\"start\":\"9999-12-31T12:00:00Z\"}",
     "start: it would never fire: cron has no instant from start to end\n"},
    {"{" DAILY ",\"exclude\":[\"0 3 * * MON\"]}", NULL},
    {"{" DAILY ",\"exclude\":[\"0 3 * * *\"]}",
     "exclude: it would never fire: each of its instants is excluded\n"},
    {"{" DAILY ",\"exclude\":[\"0 3 * * *\"],\"timezone\":\"Europe/Berlin\"}", NULL},
    /* Of an expression that is wrong nothing more is said. */
    {"{\"cron\":\"bad\"," JOB ",\"exclude\":[\"* * * * *\"]}", "cron: no expression (UTC)\n"},
    {"{\"cron\":\"0 3 * * *\",\"job\":{\"tenant\":\"erp\",\"request\":{\"path\":\"/r\"},"
     "\"delay_s\":5,\"idempotency_key\":\"k\"}}",
     "job.idempotency_key: a schedule's job has one of its own: its id, the same for an instant; "
     "leave this out\n"
     "job.delay_s: a schedule's job is due at its instant: move the times of cron, or set the "
     "schedule's jitter_s\n"},
};

static void test_sense(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sense_cases / sizeof *sense_cases; i++) {
        const struct sense_case *c = &sense_cases[i];
        struct config_schedule *s = NULL;
        struct buf mistakes = {0};
        int rc = config_schedule_decode(STR("a"), str_of(c->json), check_cron, &s, &mistakes);

        print_message("case: %s\n", c->json);
        assert_int_equal(rc, c->mistake == NULL ? ERR_OK : ERR_INVALID);
        assert_string_equal(mistakes.p == NULL ? "" : mistakes.p,
                            c->mistake == NULL ? "" : c->mistake);
        config_schedule_free(s);
        buf_fini(&mistakes);
    }
    /* What was put before one of these was a mistake is taken still. */
    struct config_schedule *s = decode("{" DAILY "}");
    config_schedule_free(s);
    assert_int_equal(
        config_schedule_decode(STR("a"),
                               STR("{\"cron\":\"0 3 * * *\",\"exclude\":[\"* * * * *\"],"
                                   "\"job\":{\"tenant\":\"erp\",\"request\":{\"path\":"
                                   "\"/r\"},\"delay_s\":5}}"),
                               NULL, &s, NULL),
        ERR_OK);
    config_schedule_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_everything),
        cmocka_unit_test(test_jobs),       cmocka_unit_test(test_far_times),
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_unknown_tenant),
        cmocka_unit_test(test_cron_check), cmocka_unit_test(test_preview),
        cmocka_unit_test(test_zones),      cmocka_unit_test(test_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
