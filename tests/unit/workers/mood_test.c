/* SPDX-License-Identifier: Apache-2.0 */
#include "mood.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { DAY_MS = 86400000 };

/* 2026-03-29T01:00:00Z, a Sunday. */
static const struct wall NOW = {1774746000000};

static void test_cooling(void **state)
{
    static const struct {
        int status;
        const char *head;
        int64_t ms;
    } rows[] = {
        {503, "", 0},
        {503, "Retry-After: 7\r\n", 7000},
        {429, "Retry-After: 7\r\n", 7000},
        {503, "Retry-After: 0\r\n", 0},
        {503, "Retry-After: Sun, 29 Mar 2026 01:00:30 GMT\r\n", 30000},
        {503, "Retry-After: 99999999\r\n", DAY_MS},
        /* When to ask again, or to come back, is no plea. */
        {202, "Retry-After: 7\r\n", 0},
        {301, "Retry-After: 7\r\n", 0},
        {500, "Retry-After: 7\r\n", 0},
        /* RateLimit, as the draft has it. */
        {200, "RateLimit: \"default\";r=0;t=30\r\n", 30000},
        {429, "RateLimit: \"default\";r=0;t=30\r\n", 30000},
        {200, "ratelimit: default;t=30;r=0\r\n", 30000},
        {200, "RateLimit: \"default\"; r=0; t=30\r\n", 30000},
        {200, "RateLimit: \"default\";r=1;t=30\r\n", 0},
        {200, "RateLimit: \"default\";r=0\r\n", 0},
        {200, "RateLimit: \"default\";t=30\r\n", 0},
        {200, "RateLimit: \"default\";r=0;t=0\r\n", 0},
        {200, "RateLimit: \"default\";r=05;t=30\r\n", 0},
        {200, "RateLimit: \"default\";r=10;t=30\r\n", 0},
        {200, "RateLimit: \"minute\";r=5;t=20, \"hour\";r=0;t=1800\r\n", 1800000},
        {200, "RateLimit: \"minute\";r=0;t=20, \"hour\";r=5;t=1800\r\n", 20000},
        {200, "RateLimit: \"a\";r=0;t=20, \"b\";r=0;t=40\r\n", 40000},
        {200, "RateLimit: \"a\";r=0;t=20\r\nRateLimit: \"b\";r=0;t=40\r\n", 40000},
        {200, "RateLimit: \"a\";r=5;t=99, \"b\";r=0\r\n", 0},
        {200, "RateLimit: \"odd, r=0;t=9\";r=3;t=30\r\n", 0},
        {200, "RateLimit: \"odd \\\";r=0;t=9\";r=3;t=30\r\n", 0},
        {200, "RateLimit: \"default\";r=0;t=30;pk=:AAAA:\r\n", 30000},
        {200, "RateLimit: \"default\";r=0;t=999999999999999999999\r\n", DAY_MS},
        {200, "RateLimit: \"default\";r=0;t=1.5\r\n", 2000},
        {200, "RateLimit: \"default\";r=-1;t=30\r\n", 0},
        {200, "RateLimit: \"default\";r=0;t=soon\r\n", 0},
        {200, "RateLimit: ,;;,=\r\n", 0},
        {200, "RateLimit: \"\r\n", 0},
        {200, "RateLimit:\r\n", 0},
        /* As older drafts have it. */
        {200, "RateLimit: limit=10, remaining=0, reset=50\r\n", 50000},
        {200, "RateLimit: limit=10, remaining=2, reset=50\r\n", 0},
        {200, "RateLimit-Limit: 10\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 50\r\n", 50000},
        {200, "ratelimit-reset: 50\r\nratelimit-remaining: 0\r\n", 50000},
        {200, "RateLimit-Remaining: 1\r\nRateLimit-Reset: 50\r\n", 0},
        {200, "RateLimit-Remaining: 0\r\n", 0},
        {200, "RateLimit-Policy: \"default\";q=0;w=60\r\n", 0},
        /* Often an instant, not seconds. */
        {200, "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1774746060\r\n", 0},
        /* The longest. */
        {503, "Retry-After: 7\r\nRateLimit: \"default\";r=0;t=30\r\n", 30000},
        {503, "Retry-After: 70\r\nRateLimit: \"default\";r=0;t=30\r\n", 70000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = mood_cooling_ms(rows[i].status, str_of(rows[i].head), NOW);
        if (ms != rows[i].ms) {
            fail_msg("%d %s%" PRId64 ", not %" PRId64, rows[i].status, rows[i].head, ms,
                     rows[i].ms);
        }
    }
}

static void test_what_an_outcome_says(void **state)
{
    static const struct {
        enum httpc_kind kind;
        int status;
        const char *error;
        const char *head;
        const char *breaker;
        const char *load;
    } rows[] = {
        {HTTPC_ANSWERED, 200, "", "", "good", "good"},
        {HTTPC_ANSWERED, 404, "", "", "good", "good"},
        {HTTPC_ANSWERED, 499, "", "", "good", "good"},
        {HTTPC_ANSWERED, 500, "", "", "bad", "none"},
        {HTTPC_ANSWERED, 502, "", "", "bad", "none"},
        {HTTPC_ANSWERED, 503, "", "", "bad", "busy"},
        {HTTPC_ANSWERED, 429, "", "", "good", "busy"},
        {HTTPC_ANSWERED, 503, "", "Retry-After: 1\r\n", "none", "busy"},
        {HTTPC_ANSWERED, 429, "", "Retry-After: 1\r\n", "none", "busy"},
        {HTTPC_ANSWERED, 200, "", "RateLimit: a;r=0;t=1\r\n", "good", "good"},
        {HTTPC_DOUBT, 0, "timeout_total", "", "bad", "busy"},
        {HTTPC_DOUBT, 0, "timeout_first_byte", "", "bad", "busy"},
        {HTTPC_DOUBT, 0, "connection_broken", "", "bad", "none"},
        {HTTPC_DOUBT, 0, "answer_malformed", "", "bad", "none"},
        {HTTPC_UNSENT, 0, "connect_refused", "", "bad", "none"},
        {HTTPC_UNSENT, 0, "connect_timeout", "", "bad", "busy"},
        {HTTPC_UNSENT, 0, "resolve_failed", "", "bad", "none"},
        /* Our own doing. */
        {HTTPC_UNSENT, 0, "not_sent", "", "none", "none"},
        {HTTPC_DOUBT, 0, "aborted", "", "none", "none"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct httpc_result r = {.kind = rows[i].kind,
                                 .status = rows[i].status,
                                 .error = rows[i].error,
                                 .head = str_of(rows[i].head),
                                 .took_ms = 12};
        struct mood m = mood_of(&r, NOW);
        if (!str_is(m.breaker, str_of(rows[i].breaker)) || !str_is(m.load, str_of(rows[i].load)) ||
            m.took_ms != 12) {
            fail_msg("%d %s: %.*s, %.*s", rows[i].status, rows[i].error, STR_ARG(m.breaker),
                     STR_ARG(m.load));
        }
    }
}

static bool has_pair(const struct store_args *a, const char *name, const char *value)
{
    for (size_t i = 0; i + 1 < a->n; i += 2) {
        if (str_is(a->at[i], str_of(name))) {
            return str_is(a->at[i + 1], str_of(value));
        }
    }
    return false;
}

static void test_options(void **state)
{
    struct tenant t = {.cools_tenant = true,
                       .breaker = {.is_set = true,
                                   .failure_ratio = 0.5,
                                   .minimum_calls = 20,
                                   .window_ms = 30000,
                                   .open_ms = 10000,
                                   .probes = 3},
                       .adaptive = {.is_enabled = true, .minimum = 1, .maximum = 256}};
    struct tenant plain = {.name = NULL};
    struct mood m = {.cool_ms = 500, .breaker = STR("good"), .load = STR("busy"), .took_ms = 7};
    struct mood_policies policies;
    struct store_args a = {.n = 0};
    struct store_args none = {.n = 0};

    (void)state;
    mood_add_policies(&t, &policies, &a);
    mood_add(&m, &t, &a);
    assert_true(has_pair(&a, "breaker", "0.500000 20 30000 10000 3"));
    assert_true(has_pair(&a, "adaptive", "1 256"));
    assert_true(has_pair(&a, "cool", "500"));
    assert_true(has_pair(&a, "cools", "tenant"));
    assert_true(has_pair(&a, "call", "good"));
    assert_true(has_pair(&a, "load", "busy"));
    assert_true(has_pair(&a, "took", "7"));
    mood_add_policies(&plain, &policies, &none);
    assert_int_equal(none.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cooling),
        cmocka_unit_test(test_what_an_outcome_says),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
