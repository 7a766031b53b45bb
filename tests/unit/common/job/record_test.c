/* SPDX-License-Identifier: Apache-2.0 */
#include "job/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ID "erp.abcdefghijklmnopqrstuv2345"
#define LINKS ",\"links\":{\"self\":\"/v1/jobs/" ID "\",\"result\":\"/v1/jobs/" ID "/result\"}}"
#define F(name, value)                                                                             \
    {                                                                                              \
        STR_INIT(name), STR_INIT(value)                                                            \
    }
#define STR_INIT(text)                                                                             \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

enum { FIELDS_MAX = 16 };

struct print_case {
    const char *name;
    struct job_record_field fields[FIELDS_MAX];
    size_t n;
    const char *document; /* after the tenant */
};

static const struct print_case prints[] = {
    {"fresh",
     {F("st", "accepted"), F("ca", "1774746000000"), F("cl", "sync"), F("m", "GET"), F("p", "/a")},
     5,
     "\"state\":\"accepted\",\"created_at\":\"2026-03-29T01:00:00.000Z\",\"method\":\"GET\","
     "\"path\":\"/a\",\"synchronous\":true,\"labels\":{},\"attempts\":[],\"outcome\":null"},
    {"running",
     {F("st", "running"), F("ca", "0"), F("n", "2"), F("a1", "i-1\t1000\t2000\t503\t"),
      F("i", "i-2"), F("sa", "3000"), F("lb", "{\"run\":\"42\"}")},
     7,
     "\"state\":\"running\",\"created_at\":\"1970-01-01T00:00:00.000Z\",\"synchronous\":false,"
     "\"labels\":{\"run\":\"42\"},\"attempts\":["
     "{\"number\":1,\"instance\":\"i-1\",\"started_at\":\"1970-01-01T00:00:01.000Z\","
     "\"ended_at\":\"1970-01-01T00:00:02.000Z\",\"status\":503,\"error\":null},"
     "{\"number\":2,\"instance\":\"i-2\",\"started_at\":\"1970-01-01T00:00:03.000Z\","
     "\"ended_at\":null,\"status\":null,\"error\":null}],\"outcome\":null"},
    {"failed",
     {F("st", "failed"), F("ca", "0"), F("ea", "1"), F("n", "1"),
      F("a1", "i\t0\t1\t\tconnect_refused"), F("er", "attempts_used_up"), F("nt", "a \"note\"")},
     7,
     "\"state\":\"failed\",\"created_at\":\"1970-01-01T00:00:00.000Z\","
     "\"ended_at\":\"1970-01-01T00:00:00.001Z\",\"note\":\"a \\\"note\\\"\","
     "\"synchronous\":false,\"labels\":{},\"attempts\":[{\"number\":1,\"instance\":\"i\","
     "\"started_at\":\"1970-01-01T00:00:00.000Z\",\"ended_at\":\"1970-01-01T00:00:00.001Z\","
     "\"status\":null,\"error\":\"connect_refused\"}],"
     "\"outcome\":{\"status\":null,\"body_bytes\":null,\"error\":\"attempts_used_up\"}"},
    {"succeeded",
     {F("st", "succeeded"), F("ca", "0"), F("os", "200"), F("ob", "512")},
     4,
     "\"state\":\"succeeded\",\"created_at\":\"1970-01-01T00:00:00.000Z\",\"synchronous\":false,"
     "\"labels\":{},\"attempts\":[],"
     "\"outcome\":{\"status\":200,\"body_bytes\":512,\"error\":null}"},
};

static void test_print(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof prints / sizeof prints[0]; i++) {
        struct buf out = {0};
        struct buf expected = {0};
        buf_printf(&expected, "{\"id\":\"" ID "\",\"tenant\":\"erp\",%s" LINKS, prints[i].document);
        assert_int_equal(
            job_record_print(STR(ID), prints[i].fields, prints[i].n, (struct wall){10000}, &out),
            ERR_OK);
        assert_string_equal(out.p, expected.p);
        buf_fini(&out);
        buf_fini(&expected);
    }
}

static void test_unknown_state(void **state)
{
    static const struct job_record_field odd[] = {F("st", "odd")};
    struct buf out = {0};

    (void)state;
    assert_int_equal(job_record_print(STR(ID), odd, 1, (struct wall){0}, &out), ERR_PROTOCOL);
    assert_int_equal(job_record_print(STR(ID), NULL, 0, (struct wall){0}, &out), ERR_PROTOCOL);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

static void test_due_shows_queued(void **state)
{
    static const struct {
        const char *word;
        const char *asked;
        int64_t now_ms;
        enum job_state shown;
    } cases[] = {
        {"scheduled", "", 999, JOB_SCHEDULED}, {"scheduled", "", 1000, JOB_QUEUED},
        {"waiting", "", 999, JOB_WAITING},     {"waiting", "", 1001, JOB_QUEUED},
        {"waiting", "1", 1001, JOB_WAITING},   {"running", "", 1001, JOB_RUNNING},
        {"in_doubt", "", 1001, JOB_IN_DOUBT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_record_field fields[] = {{STR_INIT("st"), str_of(cases[i].word)},
                                            F("due", "1000"),
                                            {STR_INIT("q"), str_of(cases[i].asked)}};
        enum job_state shown;
        assert_int_equal(job_record_state(fields, 3, (struct wall){cases[i].now_ms}, &shown),
                         ERR_OK);
        assert_int_equal(shown, cases[i].shown);
    }
}

static void test_states(void **state)
{
    enum job_state back;
    int n_final = 0;

    (void)state;
    for (size_t i = 0; i < JOB_STATES; i++) {
        assert_int_equal(job_state_parse(str_of(job_state_word((enum job_state)i)), &back), ERR_OK);
        assert_int_equal(back, i);
        n_final += job_state_is_final((enum job_state)i) ? 1 : 0;
    }
    assert_int_equal(n_final, 4);
    assert_false(job_state_is_final(JOB_IN_DOUBT));
    assert_int_equal(job_state_parse(STR("Running"), &back), ERR_PROTOCOL);
}

/* A damaged counter of attempts must not be counted up to. */
static void test_absurd_attempts(void **state)
{
    static const struct job_record_field fields[] = {F("st", "running"), F("ca", "0"),
                                                     F("n", "9223372036854775807"), F("i", "i-1")};
    static const struct job_record_field negative[] = {F("st", "queued"), F("n", "-1")};
    struct buf out = {0};

    (void)state;
    assert_int_equal(job_record_print(STR(ID), fields, 4, (struct wall){0}, &out), ERR_OK);
    buf_clear(&out);
    assert_int_equal(job_record_print(STR(ID), negative, 2, (struct wall){0}, &out), ERR_OK);
    assert_non_null(strstr(out.p, "\"attempts\":[]"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_unknown_state),
        cmocka_unit_test(test_due_shows_queued),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_absurd_attempts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
