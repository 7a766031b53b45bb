/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ID "erp.aaaaaaaaaaaaaaaaaaaaaaaaaa"

static void check(int rc, struct buf *out, const char *expected)
{
    assert_int_equal(rc, ERR_OK);
    assert_string_equal(out->p, expected);
    buf_fini(out);
}

static void test_a_job_that_ended(void **state)
{
    static const char json[] =
        "{\"id\":\"" ID "\",\"tenant\":\"erp\",\"state\":\"succeeded\","
        "\"created_at\":\"2026-03-29T01:00:00.000Z\",\"ended_at\":\"2026-03-29T01:00:02.500Z\","
        "\"method\":\"POST\",\"path\":\"/orders?x=1\",\"synchronous\":false,"
        "\"labels\":{\"run\":\"42\",\"by\":\"me\"},\"attempts\":["
        "{\"number\":1,\"instance\":\"erp-1\",\"started_at\":\"2026-03-29T01:00:00.100Z\","
        "\"ended_at\":\"2026-03-29T01:00:00.200Z\",\"status\":null,\"error\":\"connect_refused\"},"
        "{\"number\":2,\"instance\":\"erp-22\",\"started_at\":\"2026-03-29T01:00:01.000Z\","
        "\"ended_at\":\"2026-03-29T01:00:02.500Z\",\"status\":200,\"error\":null}],"
        "\"outcome\":{\"status\":200,\"body_bytes\":512,\"error\":null}}";
    struct buf out = {0};

    (void)state;
    check(show_job(STR(json), &out), &out,
          "job      " ID "\n"
          "tenant   erp\n"
          "state    succeeded\n"
          "request  POST /orders?x=1\n"
          "created  2026-03-29T01:00:00.000Z\n"
          "ended    2026-03-29T01:00:02.500Z\n"
          "labels   run=42, by=me\n"
          "outcome  status 200, 512 bytes\n"
          "\n"
          "ATTEMPT  INSTANCE  STARTED                      TOOK  STATUS  ERROR\n"
          "      1  erp-1     2026-03-29T01:00:00.100Z  0.100 s       -  connect_refused\n"
          "      2  erp-22    2026-03-29T01:00:01.000Z  1.500 s     200  -\n");
}

static void test_a_job_that_runs(void **state)
{
    static const char json[] =
        "{\"id\":\"" ID "\",\"tenant\":\"erp\",\"state\":\"running\",\"labels\":{},"
        "\"attempts\":[{\"number\":1,\"instance\":\"erp-1\",\"started_at\":"
        "\"2026-03-29T01:00:00.100Z\",\"ended_at\":null,\"status\":null,\"error\":null}],"
        "\"outcome\":null}";
    struct buf out = {0};

    (void)state;
    check(show_job(STR(json), &out), &out,
          "job     " ID "\n"
          "tenant  erp\n"
          "state   running\n"
          "\n"
          "ATTEMPT  INSTANCE  STARTED                   TOOK  STATUS  ERROR\n"
          "      1  erp-1     2026-03-29T01:00:00.100Z     -       -  -\n");
}

static void test_a_job_just_accepted(void **state)
{
    static const char json[] = "{\"id\":\"" ID "\",\"tenant\":\"erp\",\"state\":\"queued\"}";
    struct buf out = {0};

    (void)state;
    check(show_job(STR(json), &out), &out, "job     " ID "\ntenant  erp\nstate   queued\n");
}

static void test_what_is_no_document(void **state)
{
    static const struct {
        const char *name;
        struct str json;
    } cases[] = {{"nothing", {NULL, 0}},        {"a list", {"[]", 2}},
                 {"not whole", {"{\"a\":", 5}}, {"more after it", {"{} x", 4}},
                 {"a NUL", {"{}\0", 3}},        {"not UTF-8", {"{\"a\":\"\377\"}", 9}}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        print_message("%s\n", cases[i].name);
        assert_int_equal(show_job(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_tenants(cases[i].json, (struct str){NULL, 0}, &out), ERR_PROTOCOL);
        assert_int_equal(show_schedules(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_schedule("x", cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_history(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_times(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_backfill(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_document(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_dead_list(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(show_dead(cases[i].json, &out), ERR_PROTOCOL);
        assert_int_equal(out.n, 0);
    }
}

static const char tenants[] =
    "{\"tenants\":{\"erp\":{\"instances\":{\"erp-1\":{\"url\":\"http://a\",\"healthy\":true},"
    "\"erp-2\":{\"url\":\"http://b\",\"healthy\":false}},\"in_doubt\":1,\"delayed\":2,"
    "\"queued\":12,\"running\":3,\"capacity\":null,\"runnable\":12,\"oldest_s\":1.250,"
    "\"desired_workers\":1}}}";

static void test_the_moods_of_instances(void **state)
{
    static const char moody[] =
        "{\"tenants\":{\"erp\":{\"instances\":{"
        "\"a\":{\"healthy\":true,\"breaker\":\"open\",\"cooling_until\":\"2026-01-01T00:00:00."
        "000Z\"},"
        "\"b\":{\"healthy\":true,\"breaker\":\"half_open\",\"cooling_until\":null},"
        "\"c\":{\"healthy\":false,\"breaker\":\"closed\",\"cooling_until\":null,"
        "\"state\":\"draining\"}},\"source\":\"leaving\"}}}";
    struct buf out = {0};

    (void)state;
    assert_int_equal(show_tenants(STR(moody), (struct str){NULL, 0}, &out), ERR_OK);
    buf_char(&out, '\0');
    assert_non_null(strstr(out.p, "2 of 3 up, 1 cooling, 2 open, 1 draining, leaving"));
    buf_fini(&out);
}

static void test_what_keeps_instances_from_calls(void **state)
{
    static const char json[] =
        "{\"source\":\"file\",\"queued\":1,\"delayed\":0,\"running\":0,\"in_doubt\":0,"
        "\"capacity\":null,\"settings\":{},\"instances\":{"
        "\"a\":{\"url\":\"http://a\",\"concurrency\":0,\"healthy\":true,\"breaker\":\"half_open\","
        "\"cooling_until\":null,\"limit\":null,\"state\":\"active\"},"
        "\"b\":{\"url\":\"http://b\",\"concurrency\":9,\"healthy\":true,\"breaker\":\"closed\","
        "\"cooling_until\":\"2026-01-01T00:00:00.000Z\",\"limit\":7,\"state\":\"draining\"},"
        "\"c\":{\"url\":\"http://c\",\"concurrency\":4,\"healthy\":false,\"breaker\":\"closed\","
        "\"cooling_until\":null,\"limit\":12,\"state\":\"active\"},"
        "\"d\":{\"url\":\"http://d\",\"concurrency\":4,\"healthy\":true,\"breaker\":\"closed\","
        "\"cooling_until\":null,\"limit\":null,\"state\":\"active\"}}}";
    struct buf out = {0};

    (void)state;
    assert_int_equal(show_tenant("erp", STR(json), &out), ERR_OK);
    buf_char(&out, '\0');
    assert_non_null(strstr(out.p, "active, breaker half_open "));
    assert_non_null(strstr(out.p, "draining, cooling until 2026-01-01T00:00:00.000Z "));
    assert_non_null(strstr(out.p, "7 adaptive"));
    assert_non_null(strstr(out.p, " out "));
    assert_null(strstr(out.p, "12 adaptive")); /* its own limit is the lower */
    assert_null(strstr(out.p, " 0  -"));       /* no limit is no number */
    buf_fini(&out);
}

static void test_a_tenant_without_instances_says_so(void **state)
{
    struct buf out = {0};

    (void)state;
    check(show_tenant("erp", STR("{\"source\":\"file\",\"instances\":{}}"), &out), &out,
          "tenant    erp\n"
          "source    file\n"
          "queued    -\n"
          "delayed   -\n"
          "running   -\n"
          "in_doubt  -\n"
          "capacity  -\n"
          "\n"
          "no instances: its jobs wait; sluice tenants add gives it one\n");
}

static void test_tenants_with_the_scale_figure(void **state)
{
    static const char scale[] =
        "{\"queued\":12,\"running\":3,\"capacity\":7,\"runnable\":12,\"oldest_s\":1.250,"
        "\"desired_workers\":2,\"tenants\":{}}";
    struct buf out = {0};

    (void)state;
    check(show_tenants(STR(tenants), STR(scale), &out), &out,
          "TENANT  INSTANCES  QUEUED  DELAYED  RUNNING  IN_DOUBT  CAPACITY  RUNNABLE  OLDEST_S  "
          "WORKERS\n"
          "erp     1 of 2 up      12        2        3         1         -        12      1.25  "
          "      1\n"
          "(all)   -              12        -        3         -         7        12      1.25  "
          "      2\n");
}

static void test_tenants_stand_by_name(void **state)
{
    struct buf out = {0};

    (void)state;
    assert_int_equal(show_tenants(STR("{\"tenants\":{\"b\":{},\"c\":{},\"a\":{}}}"),
                                  (struct str){NULL, 0}, &out),
                     ERR_OK);
    buf_char(&out, '\0');
    assert_true(strstr(out.p, "\na ") < strstr(out.p, "\nb "));
    assert_true(strstr(out.p, "\nb ") < strstr(out.p, "\nc "));
    buf_fini(&out);
}

static void test_tenants_alone(void **state)
{
    struct buf out = {0};

    (void)state;
    check(show_tenants(STR("{\"tenants\":{\"b\":{\"instances\":[{},{}]}}}"), (struct str){NULL, 0},
                       &out),
          &out,
          "TENANT  INSTANCES  QUEUED  DELAYED  RUNNING  IN_DOUBT  CAPACITY  RUNNABLE  OLDEST_S  "
          "WORKERS\n"
          "b       2               -        -        -         -         -         -         -  "
          "      -\n");
}

static void test_schedules(void **state)
{
    static const char json[] =
        "{\"schedules\":{\"two\":{\"cron\":[\"1 * * * *\",\"2 * * * "
        "*\"],\"job\":{\"tenant\":\"b\"}},"
        "\"nightly\":{\"cron\":\"15 2 * * *\",\"timezone\":\"Europe/Berlin\",\"tenant\":\"erp\","
        "\"last\":null,\"next\":\"2026-03-29T01:00:00Z\",\"paused\":null},"
        "\"old\":{\"cron\":\"@daily\",\"tenant\":\"erp\",\"last\":\"2026-03-28T00:00:00Z\","
        "\"next\":null},"
        "\"held\":{\"cron\":\"@daily\",\"tenant\":\"erp\",\"next\":null,\"paused\":"
        "{\"by\":\"operator\"}},"
        "\"used\":{\"cron\":\"@daily\",\"tenant\":\"erp\",\"next\":\"2026-03-29T00:00:00Z\","
        "\"runs_left\":0},"
        "\"ill\":{\"cron\":\"@daily\",\"tenant\":\"erp\",\"next\":\"2026-03-29T00:00:00Z\","
        "\"paused\":{\"by\":\"failure\"}}}}";
    struct buf out = {0};

    (void)state;
    check(
        show_schedules(STR(json), &out), &out,
        "SCHEDULE  TENANT  STATE              LAST                  NEXT                  CRON     "
        "             TIMEZONE\n"
        "held      erp     paused             -                     -                     @daily   "
        "             -\n"
        "ill       erp     paused by failure  -                     2026-03-29T00:00:00Z  @daily   "
        "             -\n"
        "nightly   erp     active             -                     2026-03-29T01:00:00Z  15 2 * * "
        "*            Europe/Berlin\n"
        "old       erp     over               2026-03-28T00:00:00Z  -                     @daily   "
        "             -\n"
        "two       b       active             -                     -                     1 * * * "
        "*; 2 * * * *  -\n"
        "used      erp     over               -                     2026-03-29T00:00:00Z  @daily   "
        "             -\n");
}

static void test_a_schedule(void **state)
{
    static const char json[] =
        "{\"cron\":\"15 2 * * *\",\"timezone\":\"UTC\",\"tenant\":\"erp\",\"method\":\"POST\","
        "\"path\":\"/r\",\"last\":null,\"next\":\"2026-03-29T02:15:00Z\",\"source\":\"http\","
        "\"document\":{\"cron\":\"15 2 * * *\",\"overlap\":\"queue_one\",\"job\":{\"tenant\":"
        "\"erp\",\"request\":{\"path\":\"/r\"}}},\"paused\":{\"since\":\"2026-03-28T09:00:00Z\","
        "\"note\":\"new\\u001btape\",\"by\":\"operator\"},\"fired\":3,\"skipped\":1,\"runs_left\":"
        "7}";
    struct buf out = {0};

    (void)state;
    check(show_schedule("nightly", STR(json), &out), &out,
          "schedule          nightly\n"
          "state             paused\n"
          "since             2026-03-28T09:00:00Z\n"
          "note              new?tape\n"
          "tenant            erp\n"
          "request           POST /r\n"
          "cron              15 2 * * *\n"
          "timezone          UTC\n"
          "source            http\n"
          "last              -\n"
          "next              2026-03-29T02:15:00Z\n"
          "fired             3\n"
          "skipped           1\n"
          "runs left         7\n"
          "overlap           queue_one\n"
          "job.tenant        erp\n"
          "job.request.path  /r\n");
    check(show_schedule("x", STR("{\"tenant\":\"erp\",\"next\":null,\"runs_left\":null}"), &out),
          &out,
          "schedule  x\n"
          "state     over\n"
          "tenant    erp\n"
          "cron      -\n"
          "timezone  -\n"
          "source    -\n"
          "last      -\n"
          "next      -\n"
          "fired     -\n"
          "skipped   -\n");
}

static void test_what_a_schedule_did_and_will_do(void **state)
{
    struct buf out = {0};

    (void)state;
    check(show_history(STR("{\"fires\":[{\"time\":\"2026-03-29T02:15:00Z\",\"fired_at\":"
                           "\"2026-03-29T02:15:00.010Z\",\"job\":\"" ID "\",\"kind\":\"time\","
                           "\"state\":\"succeeded\"},{\"time\":\"2026-03-28T02:15:00Z\","
                           "\"kind\":\"backfill\",\"state\":null}]}"),
                       &out),
          &out,
          "TIME                  FIRED                     KIND      STATE      JOB\n"
          "2026-03-29T02:15:00Z  2026-03-29T02:15:00.010Z  time      succeeded  " ID "\n"
          "2026-03-28T02:15:00Z  -                         backfill  -          -\n");
    check(show_times(STR("{\"times\":[\"2026-03-29T02:15:00Z\",\"2026-03-30T02:15:00Z\"]}"), &out),
          &out, "2026-03-29T02:15:00Z\n2026-03-30T02:15:00Z\n");
    check(show_times(STR("{\"times\":[\"2026-03-29T02:15:00Z\",\"2026-03-30T02:15:00Z\"],"
                         "\"local\":[\"2026-03-29T04:15:00+02:00\","
                         "\"2026-03-30T04:15:00+02:00\"]}"),
                     &out),
          &out,
          "2026-03-29T02:15:00Z  2026-03-29T04:15:00+02:00\n"
          "2026-03-30T02:15:00Z  2026-03-30T04:15:00+02:00\n");
    check(show_backfill(STR("{\"times\":[\"2026-03-29T02:15:00Z\",\"2026-03-30T02:15:00Z\"],"
                            "\"jobs\":[\"" ID "\",null]}"),
                        &out),
          &out,
          "TIME                  JOB\n"
          "2026-03-29T02:15:00Z  " ID "\n"
          "2026-03-30T02:15:00Z  -\n");
}

static void test_dead_letters(void **state)
{
    static const char json[] =
        "{\"tenant\":\"erp\",\"total\":2,\"dead\":[{\"id\":\"" ID "\",\"state\":\"failed\","
        "\"error\":\"attempts_used_up\",\"shelved_at\":\"2026-03-29T01:00:04.500Z\",\"attempts\":"
        "12,"
        "\"status\":503,\"method\":\"POST\",\"path\":\"/x\"},{\"id\":\"" ID "\",\"state\":"
        "\"in_doubt\",\"attempts\":0,\"status\":null}],\"cursor\":null}";
    struct buf out = {0};

    (void)state;
    check(show_dead_list(STR(json), &out), &out,
          "JOB                             STATE     SHELVED                   ATTEMPTS  STATUS  "
          "ERROR             REQUEST\n" ID
          "  failed    2026-03-29T01:00:04.500Z        12     503  attempts_used_up  POST /x\n" ID
          "  in_doubt  -                                0       -  -                 -\n");
}

static void test_a_dead_letter(void **state)
{
    static const char json[] =
        "{\"job\":{\"id\":\"" ID "\",\"tenant\":\"erp\",\"state\":\"in_doubt\",\"attempts\":["
        "{\"number\":1,\"instance\":\"erp-1\",\"started_at\":\"2026-03-29T01:00:00.100Z\","
        "\"ended_at\":\"2026-03-29T01:00:00.200Z\",\"status\":null,\"error\":\"worker_lost\"}]},"
        "\"shelved_at\":\"2026-03-29T01:00:04.500Z\",\"request\":{\"headers\":[{\"name\":"
        "\"X\\u001b\","
        "\"value\":\"y\"}],\"body_bytes\":3},\"actions\":[\"redrive\",\"resolve\",\"dance\"]}";
    struct buf out = {0};

    (void)state;
    check(show_dead(STR(json), &out), &out,
          "job      " ID "\n"
          "tenant   erp\n"
          "state    in_doubt\n"
          "shelved  2026-03-29T01:00:04.500Z\n"
          "body     3 bytes\n"
          "\n"
          "ATTEMPT  INSTANCE  STARTED                      TOOK  STATUS  ERROR\n"
          "      1  erp-1     2026-03-29T01:00:00.100Z  0.100 s       -  worker_lost\n"
          "\n"
          "HEADER  VALUE\n"
          "X?      y\n"
          "\n"
          "run it again:  sluice dead redrive " ID "\n"
          "it is known:   sluice resolve " ID " succeeded|failed\n");
}

static void test_any_document(void **state)
{
    static const char json[] = "{\"status\":\"ok\",\"leader\":true,\"a\":{\"b\":[1,{\"c\":0.5}]},"
                               "\"big\":1e300,\"none\":null}";
    struct buf out = {0};

    (void)state;
    assert_int_equal(show_document(STR(json), &out), ERR_OK);
    assert_true(str_starts(buf_as_str(&out), STR("status   ok\n"
                                                 "leader   yes\n"
                                                 "a.b.0    1\n"
                                                 "a.b.1.c  0.5\n"
                                                 "big      1e+300\n")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_that_ended),
        cmocka_unit_test(test_a_job_that_runs),
        cmocka_unit_test(test_a_job_just_accepted),
        cmocka_unit_test(test_what_is_no_document),
        cmocka_unit_test(test_what_keeps_instances_from_calls),
        cmocka_unit_test(test_a_tenant_without_instances_says_so),
        cmocka_unit_test(test_tenants_with_the_scale_figure),
        cmocka_unit_test(test_the_moods_of_instances),
        cmocka_unit_test(test_tenants_alone),
        cmocka_unit_test(test_tenants_stand_by_name),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_a_schedule),
        cmocka_unit_test(test_what_a_schedule_did_and_will_do),
        cmocka_unit_test(test_dead_letters),
        cmocka_unit_test(test_a_dead_letter),
        cmocka_unit_test(test_any_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
