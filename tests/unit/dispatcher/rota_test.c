/* SPDX-License-Identifier: Apache-2.0 */
/* rota.c alone, over a registry of numbers. */
#include "rota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 5000 };

static size_t size;
static struct registry_entry entries[MOST];
static unsigned int turns[MOST];

size_t registry_size(const struct registry *r)
{
    (void)r;
    return size;
}

bool registry_next(const struct registry *r, size_t *cursor, struct registry_entry **ret)
{
    (void)r;
    if (*cursor >= size) {
        return false;
    }
    *ret = &entries[(*cursor)++];
    return true;
}

static size_t round_of(struct rota *r)
{
    struct registry_entry *e;
    size_t n = 0;

    rota_begin(r, NULL, rota_share(size));
    while (rota_next(r, NULL, &e)) {
        turns[e - entries]++;
        n++;
    }
    return n;
}

/* Each has its turn within ROTA_ROUNDS rounds; few have it in each. */
static void assert_turns(size_t n, size_t a_round)
{
    struct rota r = {0};

    size = n;
    memset(turns, 0, sizeof turns);
    for (int i = 0; i < ROTA_ROUNDS; i++) {
        assert_int_equal(round_of(&r), a_round);
    }
    for (size_t i = 0; i < n; i++) {
        assert_in_range(turns[i], n <= ROTA_LEAST ? ROTA_ROUNDS : 1, ROTA_ROUNDS);
    }
}

static void test_turns(void **state)
{
    (void)state;
    assert_turns(0, 0);
    assert_turns(1, 1);
    assert_turns(ROTA_LEAST, ROTA_LEAST);
    assert_turns(ROTA_LEAST + 1, ROTA_LEAST);
    assert_turns(999, ROTA_LEAST);
    assert_turns(MOST, MOST / ROTA_ROUNDS);
}

static void test_fewer_than_before(void **state)
{
    struct rota r = {0};

    (void)state;
    size = MOST;
    assert_int_equal(round_of(&r), MOST / ROTA_ROUNDS);
    size = 3; /* the cursor is beyond the end */
    assert_int_equal(round_of(&r), 3);
    size = 0;
    assert_int_equal(round_of(&r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_fewer_than_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
