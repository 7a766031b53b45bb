/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N_KEYS = 400, N_OPERATIONS = 100000, KEY_TEXT = sizeof "key-" + 20 };

static void test_empty(void **state)
{
    struct map m = {0};
    size_t cursor = 0;
    struct str key;
    void *value;

    (void)state;
    assert_null(map_get(&m, STR("x")));
    assert_null(map_remove(&m, STR("x")));
    assert_false(map_next(&m, &cursor, &key, &value));
    map_fini(&m);
}

static void test_keys_are_bytes_and_copied(void **state)
{
    struct map m = {0};
    int one;
    int two;
    int three;
    char key[] = "name";

    (void)state;
    assert_int_equal(map_put(&m, str_of(key), &one), ERR_OK);
    key[0] = 'N';
    assert_int_equal(map_put(&m, str_of(key), &two), ERR_OK);
    assert_int_equal(map_put(&m, STR("na\0me"), &three), ERR_OK);
    assert_ptr_equal(map_get(&m, STR("name")), &one);
    assert_ptr_equal(map_get(&m, STR("Name")), &two);
    assert_ptr_equal(map_get(&m, STR("na\0me")), &three);
    assert_null(map_get(&m, STR("na")));
    assert_int_equal(map_put(&m, STR(""), &one), ERR_OK);
    assert_ptr_equal(map_get(&m, str_of(NULL)), &one);
    assert_int_equal(m.n, 4);
    map_fini(&m);
    assert_int_equal(m.n, 0);
    assert_null(m.slots);
}

static void test_replaces(void **state)
{
    struct map m = {0};
    int one;
    int two;

    (void)state;
    assert_int_equal(map_put(&m, STR("k"), &one), ERR_OK);
    assert_int_equal(map_put(&m, STR("k"), &two), ERR_OK);
    assert_int_equal(m.n, 1);
    assert_ptr_equal(map_get(&m, STR("k")), &two);
    assert_ptr_equal(map_remove(&m, STR("k")), &two);
    assert_null(map_remove(&m, STR("k")));
    assert_int_equal(m.n, 0);
    map_fini(&m);
}

/* A fixed generator, so that a failure can be repeated (Marsaglia's xorshift64). */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

struct referee {
    void *values[N_KEYS]; /* NULL: not there */
    size_t n;
};

static struct str key_of(size_t i, char text[KEY_TEXT])
{
    (void)snprintf(text, KEY_TEXT, "key-%zu", i);
    return str_of(text);
}

/* The walk names every entry once, with its value, and nothing else. */
static void assert_same(const struct map *m, const struct referee *r)
{
    bool is_seen[N_KEYS] = {false};
    size_t cursor = 0;
    size_t n = 0;
    struct str key;
    void *value;

    assert_int_equal(m->n, r->n);
    while (map_next(m, &cursor, &key, &value)) {
        uint64_t i;
        struct str number = {key.p + 4, key.n - 4};
        assert_int_equal(str_to_u64(number, N_KEYS - 1, &i), ERR_OK);
        assert_false(is_seen[i]);
        is_seen[i] = true;
        assert_ptr_equal(value, r->values[i]);
        n++;
    }
    assert_int_equal(n, r->n);
}

static void step(struct map *m, struct referee *r, uint64_t *seed, size_t n_keys)
{
    static char things[64];
    char text[KEY_TEXT];
    size_t i = (size_t)(draw(seed) % n_keys);
    struct str key = key_of(i, text);
    void *value = &things[draw(seed) % sizeof things];

    switch (draw(seed) % 5) {
    case 0:
    case 1:
        assert_int_equal(map_put(m, key, value), ERR_OK);
        r->n += r->values[i] == NULL ? 1 : 0;
        r->values[i] = value;
        break;
    case 2:
    case 3:
        assert_ptr_equal(map_remove(m, key), r->values[i]);
        r->n -= r->values[i] != NULL ? 1 : 0;
        r->values[i] = NULL;
        break;
    default:
        assert_ptr_equal(map_get(m, key), r->values[i]);
        break;
    }
}

/* Few keys make many graves and no growth; many keys make growth: both in one life. */
static void test_against_a_referee(void **state)
{
    static const size_t spans[] = {N_KEYS, 5, 40, N_KEYS};
    struct map m = {0};
    struct referee r = {0};
    uint64_t seed = 88172645463325252u;

    (void)state;
    for (size_t i = 0; i < N_OPERATIONS; i++) {
        step(&m, &r, &seed, spans[i * 4 / N_OPERATIONS]);
        if (i % 997 == 0) {
            assert_same(&m, &r);
        }
    }
    assert_same(&m, &r);
    /* Graves alone must not make it grow: 400 keys never need more than 1,024 places. */
    assert_true(m.room <= 1024);
    map_fini(&m);
}

/* Always one entry, always another: the graves are swept, and the table stays small. */
static void test_graves_are_swept(void **state)
{
    struct map m = {0};
    char text[KEY_TEXT];
    int value;

    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(map_put(&m, key_of(i, text), &value), ERR_OK);
        assert_ptr_equal(map_get(&m, key_of(i, text)), &value);
        assert_ptr_equal(map_remove(&m, key_of(i, text)), &value);
    }
    assert_int_equal(m.n, 0);
    assert_int_equal(m.room, 16);
    map_fini(&m);
}

static void test_removing_while_walking(void **state)
{
    struct map m = {0};
    struct referee r = {0};
    static char things[N_KEYS];
    char text[KEY_TEXT];
    size_t cursor = 0;
    struct str key;
    void *value;

    (void)state;
    for (size_t i = 0; i < N_KEYS; i++) {
        assert_int_equal(map_put(&m, key_of(i, text), &things[i]), ERR_OK);
        r.values[i] = &things[i];
        r.n++;
    }
    while (map_next(&m, &cursor, &key, &value)) {
        size_t i = (size_t)((char *)value - things);
        if (i % 2 == 0) {
            assert_ptr_equal(map_remove(&m, key), value);
            r.values[i] = NULL;
            r.n--;
        }
    }
    assert_int_equal(r.n, N_KEYS / 2);
    assert_same(&m, &r);
    map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_keys_are_bytes_and_copied),
        cmocka_unit_test(test_replaces),
        cmocka_unit_test(test_against_a_referee),
        cmocka_unit_test(test_graves_are_swept),
        cmocka_unit_test(test_removing_while_walking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
