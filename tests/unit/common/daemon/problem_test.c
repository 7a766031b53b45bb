/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over the wire (Retry-After, Allow, the job's field) is tested in daemon_test.c. */
#include "daemon/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_document(enum problem p, const struct problem_more *more, const char *expected)
{
    struct buf out = {0};

    problem_print(p, more, &out);
    assert_string_equal(out.p, expected);
    buf_fini(&out);
}

static void documents(void **state)
{
    (void)state;
    assert_document(PROBLEM_UNKNOWN_TENANT, NULL,
                    "{\"type\":\"urn:sluice:problem:unknown_tenant\","
                    "\"title\":\"There is no such tenant\",\"status\":404,"
                    "\"detail\":\"There is no such tenant\"}");
    assert_document(PROBLEM_QUEUE_FULL,
                    &(struct problem_more){.detail = "Send it \"again\"\nlater.",
                                           .job = STR("erp.abc"),
                                           .retry_after_s = 7},
                    "{\"type\":\"urn:sluice:problem:queue_full\","
                    "\"title\":\"The tenant's queue is full\",\"status\":503,"
                    "\"detail\":\"Send it \\\"again\\\"\\nlater.\",\"job\":\"erp.abc\"}");
}

static void rows(void **state)
{
    (void)state;
    assert_int_equal(problem_status(PROBLEM_MALFORMED), 400);
    assert_string_equal(problem_type(PROBLEM_MALFORMED), "urn:sluice:problem:malformed");
    assert_int_equal(problem_status(PROBLEM_SYNC_TIMEOUT), 504);
    assert_string_equal(problem_type(PROBLEM_SYNC_TIMEOUT), "urn:sluice:problem:sync_timeout");
    assert_string_equal(problem_title(PROBLEM_SYNC_TIMEOUT), "No answer came in time");
}

/* Types are stable names: each once, each an error. */
static void types_are_unique_errors(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) {
        assert_in_range(problem_status((enum problem)i), 400, 599);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(problem_type((enum problem)i), problem_type((enum problem)j));
        }
    }
}

static void of_status(void **state)
{
    static const struct {
        int status;
        enum problem p;
    } cases[] = {
        {400, PROBLEM_MALFORMED},
        {408, PROBLEM_TIMEOUT},
        {413, PROBLEM_BODY_TOO_LARGE},
        {431, PROBLEM_HEADERS_TOO_LARGE},
        {503, PROBLEM_TOO_MANY_CONNECTIONS},
        {500, PROBLEM_INTERNAL},
        {501, PROBLEM_INTERNAL},
        {418, PROBLEM_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(problem_of_status(cases[i].status), cases[i].p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(rows),
        cmocka_unit_test(types_are_unique_errors),
        cmocka_unit_test(of_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
