/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_exit_of_a_problem(void **state)
{
    static const struct {
        int status;
        const char *word;
        int exit;
    } cases[] = {
        {400, "invalid", CLI_REFUSED},
        {401, "unauthenticated", CLI_REFUSED},
        {404, "unknown_job", CLI_REFUSED},
        {409, "not_cancelable", CLI_REFUSED},
        {409, "expired", CLI_FAILED},
        {409, "canceled", CLI_FAILED},
        {409, "no_answer", CLI_FAILED},
        {409, "in_doubt", CLI_IN_DOUBT},
        {410, "gone", CLI_REFUSED},
        {429, "too_many_requests", CLI_REFUSED},
        {500, "internal", CLI_UNAVAILABLE},
        {502, "tenant_unreachable", CLI_FAILED},
        {502, "call_in_doubt", CLI_IN_DOUBT},
        {502, "result_too_large", CLI_FAILED},
        {503, "unavailable", CLI_UNAVAILABLE},
        {503, "queue_full", CLI_UNAVAILABLE},
        {503, "outcome_unknown", CLI_IN_DOUBT},
        {503, "draining", CLI_TIMEOUT},
        {504, "sync_timeout", CLI_TIMEOUT},
        {502, "", CLI_UNAVAILABLE},
        {404, "", CLI_REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("%d %s\n", cases[i].status, cases[i].word);
        assert_int_equal(reply_exit(cases[i].status, str_of(cases[i].word)), cases[i].exit);
    }
}

static void test_exit_of_a_state(void **state)
{
    static const struct {
        const char *word;
        int exit;
    } cases[] = {{"accepted", CLI_TIMEOUT},  {"scheduled", CLI_TIMEOUT}, {"queued", CLI_TIMEOUT},
                 {"running", CLI_TIMEOUT},   {"waiting", CLI_TIMEOUT},   {"succeeded", CLI_OK},
                 {"failed", CLI_FAILED},     {"expired", CLI_FAILED},    {"canceled", CLI_FAILED},
                 {"in_doubt", CLI_IN_DOUBT}, {"unheard", CLI_TIMEOUT}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("%s\n", cases[i].word);
        assert_int_equal(reply_exit_of_state(str_of(cases[i].word)), cases[i].exit);
    }
}

static struct client_answer answer_of(int status, const char *head, const char *body)
{
    struct client_answer a = {.status = status};

    buf_text(&a.head, head);
    buf_text(&a.body, body);
    return a;
}

#define PROBLEM_HEAD "Content-Type: application/problem+json; charset=utf-8\r\n"
#define FULL                                                                                       \
    "{\"type\":\"urn:sluice:problem:queue_full\",\"title\":\"The tenant's queue is full\","        \
    "\"status\":503,\"detail\":\"The tenant has max_queue unended jobs.\",\"job\":\"a.b\"}"

static void test_whose_problem_it_is(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *head;
        const char *body;
        bool is_ours;
    } cases[] = {
        {"ours", 503, PROBLEM_HEAD, FULL, true},
        {"a tenant's that looks like ours", 503, PROBLEM_HEAD "Sluice-Attempts: 1\r\n", FULL,
         false},
        {"a tenant's", 503, PROBLEM_HEAD, "{\"type\":\"about:blank\"}", false},
        {"not as a problem", 503, "Content-Type: application/json\r\n", FULL, false},
        {"not JSON", 503, PROBLEM_HEAD, "no", false},
        {"no refusal", 200, PROBLEM_HEAD, FULL, false},
        {"nothing", 404, "", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_answer a = answer_of(cases[i].status, cases[i].head, cases[i].body);
        print_message("%s\n", cases[i].name);
        assert_int_equal(reply_is_problem(&a), cases[i].is_ours);
        client_answer_fini(&a);
    }
}

static void check_print(int status, const char *head, const char *body, const char *expected)
{
    struct client_answer a = answer_of(status, head, body);
    struct reply_problem p;
    struct buf out = {0};

    reply_problem_read(&a, &p);
    reply_problem_print(&p, &out);
    assert_string_equal(out.p, expected);
    buf_fini(&out);
    reply_problem_fini(&p);
    client_answer_fini(&a);
}

static void test_what_people_read(void **state)
{
    (void)state;
    check_print(503, PROBLEM_HEAD "Retry-After: 5\r\n", FULL,
                "The tenant's queue is full (503 queue_full)\n"
                "  The tenant has max_queue unended jobs.\n"
                "  job: a.b\n"
                "  repeat after 5 s\n");
    check_print(404, PROBLEM_HEAD,
                "{\"type\":\"urn:sluice:problem:x\",\"title\":\"Same\",\"detail\":\"Same\"}",
                "Same (404 x)\n");
    check_print(400, PROBLEM_HEAD, "{\"type\":\"about:blank\",\"title\":\"a\\u001b[2J\"}",
                "a?[2J (400 about:blank)\n");
    check_print(502, "Content-Type: text/html\r\n", "<p>\nBad gateway",
                "the server answered 502\n  <p>?Bad gateway\n");
    check_print(500, "", "", "the server answered 500\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_of_a_problem),
        cmocka_unit_test(test_exit_of_a_state),
        cmocka_unit_test(test_whose_problem_it_is),
        cmocka_unit_test(test_what_people_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
