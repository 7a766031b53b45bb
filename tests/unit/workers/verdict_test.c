/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* 2026-03-29T01:00:00Z, a Sunday. */
static const struct wall NOW = {1774746000000};

/* The tenant of all cases: 3 attempts; 100 ms doubling to 1,000; statuses and doubt by method. */
static const struct tenant ERP = {
    .name = (char[]){"erp"},
    .retry = {.max_attempts = 3, .initial_ms = 100, .factor = 2, .max_ms = 1000}};

/* What a case says of itself; the rest is: POST, asynchronous, the first attempt, no deadline, a
 * draw of one half, policy by method. */
struct verdict_case {
    const char *name;
    const char *class;
    const char *method;
    enum tenant_doubt policy;
    bool is_sync_full;
    const int *statuses;
    size_t n_statuses;
    enum httpc_kind kind;
    int status;
    const char *head;
    bool is_too_large;
    const char *error;
    const char *retry;
    uint32_t number;
    uint32_t counted;
    int64_t rest_ms; /* 0: none; AT_ONCE: 0 */
    int64_t cool_ms;

    enum verdict_kind want;
    const char *want_error;
    int64_t want_delay_ms;
};

#define AT_ONCE INT64_MIN
#define SLOT_MS 3000

static const int ONLY_418[] = {418};
static const int ONLY_200[] = {200};

#define ANSWER(code) .kind = HTTPC_ANSWERED, .status = (code)
#define UNSENT(word) .kind = HTTPC_UNSENT, .error = (word)
#define DOUBT(word) .kind = HTTPC_DOUBT, .error = (word)
#define SYNC .class = "sync"

static const struct verdict_case CASES[] = {
    /* --- answered, asynchronous ----------------------------------------------------------------
     */
    {.name = "200", ANSWER(200), .want = VERDICT_SUCCEEDED},
    {.name = "304", ANSWER(304), .want = VERDICT_SUCCEEDED},
    {.name = "399", ANSWER(399), .want = VERDICT_SUCCEEDED},
    {.name = "200 too large",
     ANSWER(200),
     .is_too_large = true,
     .want = VERDICT_SUCCEEDED,
     .want_error = "result_too_large"},
    {.name = "400", ANSWER(400), .want = VERDICT_FAILED},
    {.name = "404 too large",
     ANSWER(404),
     .is_too_large = true,
     .want = VERDICT_FAILED,
     .want_error = "result_too_large"},
    {.name = "a listed status under 400 is a success all the same",
     ANSWER(200),
     .statuses = ONLY_200,
     .n_statuses = 1,
     .want = VERDICT_SUCCEEDED},

    /* POST: what says that it was not done. */
    {.name = "POST 408", ANSWER(408), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "POST 425", ANSWER(425), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "POST 429", ANSWER(429), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "POST 503", ANSWER(503), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "POST 500", ANSWER(500), .want = VERDICT_FAILED},
    {.name = "POST 501", ANSWER(501), .want = VERDICT_FAILED},
    {.name = "PATCH 500", .method = "PATCH", ANSWER(500), .want = VERDICT_FAILED},
    /* What said when it takes more. */
    {.name = "503 that cools",
     ANSWER(503),
     .cool_ms = 7000,
     .want = VERDICT_ELSEWHERE,
     .want_delay_ms = 50},
    {.name = "429 that cools, of a caller",
     SYNC,
     ANSWER(429),
     .cool_ms = 1,
     .want = VERDICT_ELSEWHERE},
    {.name = "503 that cools, its attempts used up: the store knows the bound",
     ANSWER(503),
     .cool_ms = 7000,
     .counted = 3,
     .number = 3,
     .want = VERDICT_ELSEWHERE},
    {.name = "503 that cools, no time left: the store knows another instance",
     ANSWER(503),
     .cool_ms = 7000,
     .rest_ms = 10,
     .want = VERDICT_ELSEWHERE},
    {.name = "a 503 that is not retried",
     ANSWER(503),
     .cool_ms = 7000,
     .statuses = ONLY_418,
     .n_statuses = 1,
     .want = VERDICT_FAILED},
    {.name = "a success that cools", ANSWER(200), .cool_ms = 7000, .want = VERDICT_SUCCEEDED},
    {.name = "a 404 that cools", ANSWER(404), .cool_ms = 7000, .want = VERDICT_FAILED},
    {.name = "GET 500 that cools",
     .method = "GET",
     ANSWER(500),
     .cool_ms = 7000,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    /* Gateways: nobody knows. */
    {.name = "POST 502", ANSWER(502), .want = VERDICT_HOLD, .want_error = "gateway_in_doubt"},
    {.name = "POST 504", ANSWER(504), .want = VERDICT_HOLD, .want_error = "gateway_in_doubt"},
    {.name = "PATCH 504",
     .method = "PATCH",
     ANSWER(504),
     .want = VERDICT_HOLD,
     .want_error = "gateway_in_doubt"},
    {.name = "POST 502 listed is held all the same",
     ANSWER(502),
     .statuses = (int[]){502},
     .n_statuses = 1,
     .want = VERDICT_HOLD,
     .want_error = "gateway_in_doubt"},
    {.name = "POST 502 used up is held all the same",
     ANSWER(502),
     .number = 3,
     .counted = 3,
     .want = VERDICT_HOLD,
     .want_error = "gateway_in_doubt"},
    /* Idempotent methods. */
    {.name = "GET 500", .method = "GET", ANSWER(500), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "GET 502", .method = "GET", ANSWER(502), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "PUT 504", .method = "PUT", ANSWER(504), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "DELETE 502",
     .method = "DELETE",
     ANSWER(502),
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "HEAD 503", .method = "HEAD", ANSWER(503), .want = VERDICT_RETRY, .want_delay_ms = 50},
    {.name = "OPTIONS 500",
     .method = "OPTIONS",
     ANSWER(500),
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "GET 501", .method = "GET", ANSWER(501), .want = VERDICT_FAILED},
    {.name = "methods have a case", .method = "get", ANSWER(500), .want = VERDICT_FAILED},
    /* The tenant's policy. */
    {.name = "policy retry: POST 500",
     .policy = TENANT_DOUBT_RETRY,
     ANSWER(500),
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "policy retry: POST 502",
     .policy = TENANT_DOUBT_RETRY,
     ANSWER(502),
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "policy hold: GET 502",
     .method = "GET",
     .policy = TENANT_DOUBT_HOLD,
     ANSWER(502),
     .want = VERDICT_HOLD,
     .want_error = "gateway_in_doubt"},
    {.name = "policy hold: GET 500 was answered",
     .method = "GET",
     .policy = TENANT_DOUBT_HOLD,
     ANSWER(500),
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "policy ask: POST 504 is asked about when its slot ends",
     .policy = TENANT_DOUBT_ASK,
     ANSWER(504),
     .want = VERDICT_ASK,
     .want_delay_ms = SLOT_MS,
     .want_error = "gateway_in_doubt"},
    /* Own statuses replace the defaults. */
    {.name = "listed 418",
     ANSWER(418),
     .statuses = ONLY_418,
     .n_statuses = 1,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "503 not listed",
     ANSWER(503),
     .statuses = ONLY_418,
     .n_statuses = 1,
     .want = VERDICT_FAILED},
    {.name = "an empty list retries nothing",
     ANSWER(503),
     .statuses = ONLY_418,
     .n_statuses = 0,
     .want = VERDICT_FAILED},
    {.name = "policy retry, 502 not listed: an answer",
     .policy = TENANT_DOUBT_RETRY,
     ANSWER(502),
     .statuses = ONLY_418,
     .n_statuses = 1,
     .want = VERDICT_FAILED},

    /* --- how often, how long -------------------------------------------------------------------
     */
    {.name = "the second failure waits twice as long",
     ANSWER(503),
     .number = 2,
     .counted = 2,
     .want = VERDICT_RETRY,
     .want_delay_ms = 100},
    {.name = "attempts used up",
     ANSWER(503),
     .number = 3,
     .counted = 3,
     .want = VERDICT_DEAD,
     .want_error = "attempts_used_up"},
    {.name = "unsent ones lengthen the wait, but use up nothing",
     ANSWER(503),
     .number = 5,
     .counted = 2,
     .want = VERDICT_RETRY,
     .want_delay_ms = 500},
    {.name = "a status not retried fails with attempts left or not",
     ANSWER(400),
     .number = 3,
     .counted = 3,
     .want = VERDICT_FAILED},
    {.name = "the job's own attempts: fewer",
     .retry = "1 - - -",
     ANSWER(503),
     .want = VERDICT_DEAD,
     .want_error = "attempts_used_up"},
    {.name = "the job's own attempts: more, and its own backoff",
     .retry = "9 1000 3 20000",
     ANSWER(503),
     .number = 3,
     .counted = 3,
     .want = VERDICT_RETRY,
     .want_delay_ms = 4500},
    {.name = "Retry-After is a floor",
     ANSWER(503),
     .head = "Retry-After: 7\r\n",
     .want = VERDICT_RETRY,
     .want_delay_ms = 7000},
    {.name = "Retry-After under the draw",
     ANSWER(503),
     .head = "Retry-After: 0\r\n",
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "Retry-After as a date",
     ANSWER(429),
     .head = "Retry-After: Sun, 29 Mar 2026 01:00:30 GMT\r\n",
     .want = VERDICT_RETRY,
     .want_delay_ms = 30000},
    {.name = "Retry-After does not make a 400 retried",
     ANSWER(400),
     .head = "Retry-After: 1\r\n",
     .want = VERDICT_FAILED},
    {.name = "the wait ends before the deadline",
     ANSWER(503),
     .rest_ms = 51,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "the wait ends at the deadline",
     ANSWER(503),
     .rest_ms = 50,
     .want = VERDICT_FAILED,
     .want_error = "deadline"},
    {.name = "the deadline is now",
     ANSWER(503),
     .rest_ms = AT_ONCE,
     .want = VERDICT_FAILED,
     .want_error = "deadline"},
    {.name = "Retry-After is beyond the deadline",
     ANSWER(503),
     .rest_ms = 6999,
     .head = "Retry-After: 7\r\n",
     .want = VERDICT_FAILED,
     .want_error = "deadline"},
    {.name = "used up comes before the deadline",
     ANSWER(503),
     .rest_ms = 1,
     .number = 3,
     .counted = 3,
     .want = VERDICT_DEAD,
     .want_error = "attempts_used_up"},

    /* --- answered, synchronous and safe --------------------------------------------------------
     */
    {.name = "sync 200", SYNC, ANSWER(200), .want = VERDICT_SUCCEEDED},
    {.name = "sync 429",
     SYNC,
     ANSWER(429),
     .rest_ms = 1000,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "sync 503",
     SYNC,
     ANSWER(503),
     .rest_ms = 1000,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "sync GET 500 goes back",
     SYNC,
     .method = "GET",
     ANSWER(500),
     .rest_ms = 1000,
     .want = VERDICT_FAILED},
    {.name = "sync GET 502 goes back",
     SYNC,
     .method = "GET",
     ANSWER(502),
     .rest_ms = 1000,
     .want = VERDICT_FAILED},
    {.name = "sync 408 goes back", SYNC, ANSWER(408), .rest_ms = 1000, .want = VERDICT_FAILED},
    {.name = "sync 425 goes back", SYNC, ANSWER(425), .rest_ms = 1000, .want = VERDICT_FAILED},
    {.name = "sync: a listed 418 goes back",
     SYNC,
     ANSWER(418),
     .statuses = ONLY_418,
     .n_statuses = 1,
     .want = VERDICT_FAILED},
    {.name = "sync: 503 is safe whether listed or not",
     SYNC,
     ANSWER(503),
     .statuses = ONLY_418,
     .n_statuses = 1,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "sync POST 502 is in doubt",
     SYNC,
     ANSWER(502),
     .rest_ms = 1000,
     .want = VERDICT_HOLD,
     .want_error = "gateway_in_doubt"},
    {.name = "sync 503, used up: the answer goes back",
     SYNC,
     ANSWER(503),
     .number = 3,
     .counted = 3,
     .want = VERDICT_FAILED,
     .want_error = "attempts_used_up"},
    {.name = "sync 503, no time left: the answer goes back",
     SYNC,
     ANSWER(503),
     .rest_ms = 50,
     .want = VERDICT_FAILED,
     .want_error = "deadline"},
    /* Full: as an asynchronous job. */
    {.name = "full GET 500",
     SYNC,
     .is_sync_full = true,
     .method = "GET",
     ANSWER(500),
     .rest_ms = 1000,
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "full POST 408",
     SYNC,
     .is_sync_full = true,
     ANSWER(408),
     .want = VERDICT_RETRY,
     .want_delay_ms = 50},
    {.name = "full POST 500", SYNC, .is_sync_full = true, ANSWER(500), .want = VERDICT_FAILED},
    {.name = "full 503, used up",
     SYNC,
     .is_sync_full = true,
     ANSWER(503),
     .number = 3,
     .counted = 3,
     .want = VERDICT_DEAD,
     .want_error = "attempts_used_up"},

    /* --- unsent --------------------------------------------------------------------------------
     */
    {.name = "refused",
     UNSENT("connect_refused"),
     .want = VERDICT_UNSENT,
     .want_error = "connect_refused",
     .want_delay_ms = 50},
    {.name = "refused, policy hold: not in doubt",
     .policy = TENANT_DOUBT_HOLD,
     UNSENT("connect_refused"),
     .want = VERDICT_UNSENT,
     .want_error = "connect_refused",
     .want_delay_ms = 50},
    {.name = "unsent ones are not used up",
     UNSENT("not_sent"),
     .number = 90,
     .counted = 90,
     .want = VERDICT_UNSENT,
     .want_error = "not_sent",
     .want_delay_ms = 500},
    {.name = "unsent beyond the deadline: it expires later",
     UNSENT("connect_timeout"),
     .rest_ms = 10,
     .want = VERDICT_UNSENT,
     .want_error = "connect_timeout",
     .want_delay_ms = 50},
    {.name = "sync unsent, time left",
     SYNC,
     UNSENT("connect_refused"),
     .rest_ms = 51,
     .want = VERDICT_UNSENT,
     .want_error = "connect_refused",
     .want_delay_ms = 50},
    {.name = "sync unsent, no time left",
     SYNC,
     UNSENT("connect_refused"),
     .rest_ms = 50,
     .want = VERDICT_FAILED,
     .want_error = "connect_refused",
     .want_delay_ms = 50},
    {.name = "full unsent, no time left",
     SYNC,
     .is_sync_full = true,
     UNSENT("tls_failed"),
     .rest_ms = 50,
     .want = VERDICT_FAILED,
     .want_error = "tls_failed",
     .want_delay_ms = 50},

    /* --- in doubt ------------------------------------------------------------------------------
     */
    {.name = "POST in doubt",
     DOUBT("connection_broken"),
     .want = VERDICT_HOLD,
     .want_error = "connection_broken"},
    {.name = "GET in doubt",
     .method = "GET",
     DOUBT("timeout_total"),
     .want = VERDICT_DOUBT,
     .want_error = "timeout_total",
     .want_delay_ms = 50},
    {.name = "PUT in doubt, second",
     .method = "PUT",
     DOUBT("timeout_first_byte"),
     .number = 2,
     .counted = 2,
     .want = VERDICT_DOUBT,
     .want_error = "timeout_first_byte",
     .want_delay_ms = 100},
    {.name = "policy retry: POST in doubt",
     .policy = TENANT_DOUBT_RETRY,
     DOUBT("aborted"),
     .want = VERDICT_DOUBT,
     .want_error = "aborted",
     .want_delay_ms = 50},
    {.name = "policy hold: GET in doubt",
     .method = "GET",
     .policy = TENANT_DOUBT_HOLD,
     DOUBT("aborted"),
     .want = VERDICT_HOLD,
     .want_error = "aborted"},
    {.name = "policy ask: GET in doubt",
     .method = "GET",
     .policy = TENANT_DOUBT_ASK,
     DOUBT("aborted"),
     .want = VERDICT_ASK,
     .want_delay_ms = SLOT_MS,
     .want_error = "aborted"},
    {.name = "policy ask: POST in doubt, attempts used up or not",
     .policy = TENANT_DOUBT_ASK,
     .number = 9,
     .counted = 9,
     DOUBT("connection_broken"),
     .want = VERDICT_ASK,
     .want_delay_ms = SLOT_MS,
     .want_error = "connection_broken"},
    {.name = "policy ask: a call in doubt, asked in time",
     SYNC,
     .policy = TENANT_DOUBT_ASK,
     .rest_ms = SLOT_MS + 1,
     DOUBT("connection_broken"),
     .want = VERDICT_ASK,
     .want_delay_ms = SLOT_MS,
     .want_error = "connection_broken"},
    {.name = "policy ask: the deadline comes before the question",
     SYNC,
     .policy = TENANT_DOUBT_ASK,
     .rest_ms = SLOT_MS,
     DOUBT("connection_broken"),
     .want = VERDICT_HOLD,
     .want_error = "connection_broken"},
    {.name = "policy ask: what never left is not asked about",
     .policy = TENANT_DOUBT_ASK,
     UNSENT("connect_refused"),
     .want = VERDICT_UNSENT,
     .want_delay_ms = 50,
     .want_error = "connect_refused"},
    {.name = "policy ask: an answer is none in doubt",
     .policy = TENANT_DOUBT_ASK,
     ANSWER(500),
     .want = VERDICT_FAILED},
    {.name = "in doubt, used up",
     .method = "GET",
     DOUBT("timeout_total"),
     .number = 3,
     .counted = 3,
     .want = VERDICT_DEAD,
     .want_error = "attempts_used_up"},
    {.name = "in doubt and held is not dead",
     DOUBT("timeout_total"),
     .number = 3,
     .counted = 3,
     .want = VERDICT_HOLD,
     .want_error = "timeout_total"},
    {.name = "in doubt, no time left: it stays so",
     .method = "GET",
     DOUBT("timeout_total"),
     .rest_ms = 50,
     .want = VERDICT_HOLD,
     .want_error = "timeout_total"},
    {.name = "in doubt, time left",
     .method = "GET",
     DOUBT("timeout_total"),
     .rest_ms = 51,
     .want = VERDICT_DOUBT,
     .want_error = "timeout_total",
     .want_delay_ms = 50},
    {.name = "sync GET in doubt: repeated by nobody",
     SYNC,
     .method = "GET",
     DOUBT("timeout_total"),
     .rest_ms = 1000,
     .want = VERDICT_FAILED,
     .want_error = "timeout_total"},
    {.name = "sync POST in doubt",
     SYNC,
     DOUBT("timeout_total"),
     .rest_ms = 1000,
     .want = VERDICT_HOLD,
     .want_error = "timeout_total"},
    {.name = "full GET in doubt",
     SYNC,
     .is_sync_full = true,
     .method = "GET",
     DOUBT("timeout_total"),
     .rest_ms = 1000,
     .want = VERDICT_DOUBT,
     .want_error = "timeout_total",
     .want_delay_ms = 50},
};

static struct verdict run(const struct verdict_case *c)
{
    struct tenant t = ERP;
    struct job_message m = {.class = str_of(c->class == NULL ? "normal" : c->class),
                            .method = str_of(c->method == NULL ? "POST" : c->method),
                            .retry = str_of(c->retry)};
    struct httpc_result r = {.kind = c->kind,
                             .error = c->error,
                             .status = c->status,
                             .head = str_of(c->head),
                             .is_too_large = c->is_too_large};
    struct verdict_input in = {.tenant = &t,
                               .message = &m,
                               .result = &r,
                               .number = c->number == 0 ? 1 : c->number,
                               .counted = c->counted == 0 ? 1 : c->counted,
                               .rest_ms = c->rest_ms == AT_ONCE ? 0
                                          : c->rest_ms == 0     ? -1
                                                                : c->rest_ms,
                               .slot_ms = SLOT_MS,
                               .now = NOW,
                               .unit = 0.5,
                               .cool_ms = c->cool_ms};
    int statuses[4] = {0};

    t.in_doubt.policy = c->policy;
    t.retry.is_sync_full = c->is_sync_full;
    if (c->statuses != NULL) {
        memcpy(statuses, c->statuses, c->n_statuses * sizeof *statuses);
        t.retry.statuses = statuses;
        t.retry.n_statuses = c->n_statuses;
    }
    return verdict_of(&in);
}

/* Whether the delay means something: else it is not looked at. */
static bool waits(enum verdict_kind kind)
{
    return kind == VERDICT_RETRY || kind == VERDICT_UNSENT || kind == VERDICT_DOUBT ||
           kind == VERDICT_ASK;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct verdict_case *c = &CASES[i];
        struct verdict v = run(c);
        const char *error = c->want_error == NULL ? "" : c->want_error;
        if (v.kind != c->want || !str_is(str_of(v.error), str_of(error))) {
            fail_msg("%s: kind %d \"%s\", not %d \"%s\"", c->name, (int)v.kind, v.error,
                     (int)c->want, error);
        }
        if (waits(v.kind) && v.delay_ms != c->want_delay_ms) {
            fail_msg("%s: %" PRId64 " ms, not %" PRId64, c->name, v.delay_ms, c->want_delay_ms);
        }
    }
}

static void test_instead_of_elsewhere(void **state)
{
    struct verdict v = run(&(struct verdict_case){ANSWER(503), .cool_ms = 7000});
    struct verdict called = run(&(struct verdict_case){SYNC, ANSWER(503), .cool_ms = 7000});

    (void)state;
    assert_int_equal(v.max_attempts, 3);
    assert_int_equal(verdict_instead(&v, STR("deadline")).kind, VERDICT_FAILED);
    assert_string_equal(verdict_instead(&v, STR("deadline")).error, "deadline");
    assert_int_equal(verdict_instead(&v, STR("attempts_used_up")).kind, VERDICT_DEAD);
    assert_int_equal(verdict_instead(&called, STR("attempts_used_up")).kind, VERDICT_FAILED);
    assert_string_equal(verdict_instead(&called, STR("attempts_used_up")).error,
                        "attempts_used_up");
    assert_true(verdict_instead(&v, STR("deadline")).frees_slot);
}

/* The slot of an attempt in doubt stays taken until its end: the tenant may be working still. All
 * that was answered or never left frees it; so does a gateway's answer (protocol.md, "Slots"). */
static void test_frees_slot(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct verdict v = run(&CASES[i]);
        if (v.frees_slot != (CASES[i].kind != HTTPC_DOUBT)) {
            fail_msg("%s: frees_slot %d", CASES[i].name, v.frees_slot);
        }
    }
}

/* --- what the tenant says when it is asked -----------------------------------------------------
 */

static void test_fates(void **state)
{
    static const struct {
        enum httpc_kind kind;
        int status;
        enum verdict_fate fate;
        const char *word;
    } rows[] = {
        {HTTPC_ANSWERED, 200, FATE_KNOWN, "known"},
        {HTTPC_ANSWERED, 404, FATE_UNKNOWN, "unknown"},
        {HTTPC_ANSWERED, 202, FATE_PENDING, "pending"},
        {HTTPC_ANSWERED, 204, FATE_UNCLEAR, "unclear"},
        {HTTPC_ANSWERED, 302, FATE_UNCLEAR, "unclear"},
        {HTTPC_ANSWERED, 410, FATE_UNCLEAR, "unclear"},
        {HTTPC_ANSWERED, 503, FATE_UNCLEAR, "unclear"},
        {HTTPC_UNSENT, 0, FATE_SILENT, "silent"},
        {HTTPC_DOUBT, 0, FATE_SILENT, "silent"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct httpc_result r = {.kind = rows[i].kind, .error = "", .status = rows[i].status};
        assert_int_equal(verdict_fate_of(&r), rows[i].fate);
        assert_true(str_is(verdict_fate_word(rows[i].fate), str_of(rows[i].word)));
    }
}

/* --- Retry-After ------------------------------------------------------------------------------ */

static void test_retry_after(void **state)
{
    enum { DAY_MS = 86400000 };
    static const struct {
        const char *head;
        int64_t ms;
    } rows[] = {
        {"", 0},
        {"Content-Type: text/plain\r\n", 0},
        {"Retry-After: 0\r\n", 0},
        {"Retry-After: 120\r\n", 120000},
        {"retry-AFTER:120\r\n", 120000},
        {"A: b\r\nRetry-After: 3\r\nC: d\r\n", 3000},
        {"X-Retry-After: 3\r\n", 0},
        {"Retry-After: 1\r\nRetry-After: 2\r\n", 1000},
        {"Retry-After: 86400\r\n", DAY_MS},
        {"Retry-After: 86401\r\n", DAY_MS},
        {"Retry-After: 99999999999999999999999999\r\n", DAY_MS},
        {"Retry-After: 99999999999999999999999999 years\r\n", 0},
        {"Retry-After: -5\r\n", 0},
        {"Retry-After: 1.5\r\n", 0},
        {"Retry-After: soon\r\n", 0},
        {"Retry-After:\r\n", 0},
        {"Retry-After: Sun, 29 Mar 2026 01:00:01 GMT\r\n", 1000},
        {"Retry-After: Sun, 29 Mar 2026 01:02:00 GMT\r\n", 120000},
        {"Retry-After: Sun, 29 Mar 2026 01:00:00 GMT\r\n", 0},
        {"Retry-After: Sun, 29 Mar 2026 00:00:00 GMT\r\n", 0},
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0},
        {"Retry-After: Mon, 30 Mar 2026 01:00:00 GMT\r\n", DAY_MS},
        {"Retry-After: Mon, 30 Mar 2026 01:00:01 GMT\r\n", DAY_MS},
        {"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", DAY_MS},
        {"Retry-After: 29 Mar 2026 01:00:01 GMT\r\n", 0},
        {"Retry-After: Sun, 29 Foo 2026 01:00:01 GMT\r\n", 0},
        {"Retry-After: Sun, 29 Mar 2026 01:00:01 GMT and much more of it than fits\r\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = verdict_retry_after_ms(str_of(rows[i].head), NOW);
        if (ms != rows[i].ms) {
            fail_msg("%s%" PRId64 ", not %" PRId64, rows[i].head, ms, rows[i].ms);
        }
    }
}

/* --- the job's own settings ------------------------------------------------------------------- */

static void test_retry_settings(void **state)
{
    static const struct {
        const char *own;
        uint32_t max_attempts;
        int64_t initial_ms;
        double factor;
        int64_t max_ms;
    } rows[] = {
        {"", 3, 100, 2, 1000},
        {"8 200 1.5 9000", 8, 200, 1.5, 9000},
        {"8", 8, 100, 2, 1000},
        {"0 0 0 0", 3, 100, 2, 1000},
        {"1 1 1 1", 1, 1, 1, 1},
        {"- - 3 -", 3, 100, 3, 1000},
        {"-1 -1 0.5 -1", 3, 100, 2, 1000},
        {"x y z w", 3, 100, 2, 1000},
        {"nan nan nan nan", 3, 100, 2, 1000},
        {"8 200 1.5 9000 77 78", 8, 200, 1.5, 9000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tenant_retry r = verdict_retry_settings(&ERP, str_of(rows[i].own));
        if (r.max_attempts != rows[i].max_attempts || r.initial_ms != rows[i].initial_ms ||
            r.factor < rows[i].factor || r.factor > rows[i].factor || r.max_ms != rows[i].max_ms) {
            fail_msg("\"%s\": %u %" PRId64 " %g %" PRId64, rows[i].own, r.max_attempts,
                     r.initial_ms, r.factor, r.max_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),       cmocka_unit_test(test_instead_of_elsewhere),
        cmocka_unit_test(test_frees_slot),  cmocka_unit_test(test_fates),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_retry_settings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
