/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { STEPS = 8, NEVER = -1, FREQUENCY_MS = 60000 };

struct step {
    char answer; /* 'g'ood, 'b'ad, 'r'efused; 0: the end */
    bool is_up;
    uint32_t failures;
    int64_t next_ms; /* from the answer; NEVER */
};

static const struct {
    const char *name;
    enum tenant_poll method;
    uint32_t retries;
    int64_t retry_delay_ms;
    bool was_up;
    struct step steps[STEPS];
} CASES[] = {
    {"good stays good",
     TENANT_POLL_HEALTH,
     3,
     500,
     true,
     {{'g', true, 0, FREQUENCY_MS}, {'g', true, 0, FREQUENCY_MS}}},
    {"out after the retries, not before",
     TENANT_POLL_HEALTH,
     3,
     500,
     true,
     {{'b', true, 1, 500},
      {'b', true, 2, 500},
      {'b', true, 3, 500},
      {'b', false, 4, 500},
      {'b', false, 5, 500}}},
    {"without retries the first failure is the last",
     TENANT_POLL_HEALTH,
     0,
     500,
     true,
     {{'b', false, 1, 500}}},
    {"a good one forgives all",
     TENANT_POLL_HEALTH,
     2,
     500,
     true,
     {{'b', true, 1, 500},
      {'b', true, 2, 500},
      {'g', true, 0, FREQUENCY_MS},
      {'b', true, 1, 500},
      {'b', true, 2, 500},
      {'b', false, 3, 500}}},
    {"refused: out at once",
     TENANT_POLL_HEALTH,
     3,
     500,
     true,
     {{'r', false, 1, 500}, {'r', false, 2, 500}}},
    {"refused after failures",
     TENANT_POLL_HEALTH,
     3,
     500,
     true,
     {{'b', true, 1, 500}, {'r', false, 2, 500}}},
    {"out, and one failure among its probes does not bring it back",
     TENANT_POLL_HEALTH,
     3,
     500,
     true,
     {{'r', false, 1, 500}, {'b', false, 2, 500}, {'b', false, 3, 500}}},
    {"back with the first good answer",
     TENANT_POLL_HEALTH,
     3,
     500,
     true,
     {{'r', false, 1, 500}, {'g', true, 0, FREQUENCY_MS}, {'b', true, 1, 500}}},
    {"out by a worker's word, then good",
     TENANT_POLL_PING,
     3,
     500,
     false,
     {{'g', true, 0, FREQUENCY_MS}}},
    {"out by a worker's word, then bad", TENANT_POLL_PING, 3, 500, false, {{'b', false, 1, 500}}},
    {"no retry delay: a second",
     TENANT_POLL_HEALTH,
     3,
     0,
     true,
     {{'b', true, 1, 1000}, {'r', false, 2, 1000}}},
    {"without polling a good one is asked no more",
     TENANT_POLL_NONE,
     3,
     0,
     false,
     {{'b', false, 1, 1000}, {'r', false, 2, 1000}, {'g', true, 0, NEVER}}},
};

static enum health_answer answer_of(char letter)
{
    return letter == 'g' ? HEALTH_GOOD : letter == 'b' ? HEALTH_BAD : HEALTH_REFUSED;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct tenant_polling p = {.method = CASES[i].method,
                                   .frequency_ms = FREQUENCY_MS,
                                   .retries = CASES[i].retries,
                                   .retry_delay_ms = CASES[i].retry_delay_ms};
        struct health_state s = {.is_up = CASES[i].was_up};
        struct mono now = {86400000000000};
        for (size_t k = 0; k < STEPS && CASES[i].steps[k].answer != '\0'; k++) {
            const struct step *want = &CASES[i].steps[k];
            now = mono_plus_ms(now, 7777);
            s = health_after(s, &p, answer_of(want->answer), now);
            int64_t next_ms = s.next.ns == INT64_MAX ? NEVER : mono_since_ms(now, s.next);
            if (s.is_up != want->is_up || s.failures != want->failures ||
                next_ms != want->next_ms) {
                fail_msg("%s, step %zu: up %d, failures %u, next %d", CASES[i].name, k, s.is_up,
                         s.failures, (int)next_ms);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
