/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";

/* RFC 4648, section 10 ("foobar" is MZXW6YTBOI), and the ends of the alphabet. */
static void test_name_of(void **state)
{
    static const struct {
        unsigned char digest[18];
        const char *name;
    } rows[] = {
        {"foobarfoobarfooba", "mzxw6ytbojtg633cmfzgm33pmj"},
        {{0}, "aaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
         "77777777777777777777777777"},
        /* 0, 1, 2 … 25 as five bits each. */
        {{0x00, 0x44, 0x32, 0x14, 0xC7, 0x42, 0x54, 0xB6, 0x35, 0xCF, 0x84, 0x65, 0x3A, 0x56, 0xD7,
          0xC6, 0x40},
         "abcdefghijklmnopqrstuvwxyz"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[RANDOM_NAME_SIZE];
        random_name_of(rows[i].digest, name);
        assert_string_equal(name, rows[i].name);
    }
}

/* Two digests that differ in any one of the 130 bits have other names; the 131st does not count. */
static void test_name_of_uses_130_bits(void **state)
{
    const unsigned char zero[17] = {0};
    char plain[RANDOM_NAME_SIZE];

    (void)state;
    random_name_of(zero, plain);
    for (int bit = 0; bit < 136; bit++) {
        unsigned char digest[17] = {0};
        char name[RANDOM_NAME_SIZE];
        digest[bit / 8] = (unsigned char)(0x80u >> (bit % 8));
        random_name_of(digest, name);
        if ((strcmp(name, plain) != 0) != (bit < 130)) {
            fail_msg("bit %d", bit);
        }
    }
}

static void test_tokens(void **state)
{
    struct map seen = {0};
    char token[RANDOM_TOKEN_SIZE];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        random_token(token);
        assert_int_equal(strlen(token), 16);
        assert_int_equal(strspn(token, "0123456789abcdef"), 16);
        assert_null(map_get(&seen, str_of(token)));
        assert_int_equal(map_put(&seen, str_of(token), token), ERR_OK);
    }
    map_fini(&seen);
}

static void test_names_are_fresh(void **state)
{
    struct map seen = {0};
    char name[RANDOM_NAME_SIZE];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        random_name(name);
        assert_int_equal(strlen(name), RANDOM_NAME_SIZE - 1);
        assert_int_equal(strspn(name, ALPHABET), RANDOM_NAME_SIZE - 1);
        assert_null(map_get(&seen, str_of(name)));
        assert_int_equal(map_put(&seen, str_of(name), &seen), ERR_OK);
    }
    map_fini(&seen);
}

static void test_unit_fills_its_range(void **state)
{
    int low = 0;
    int high = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        double u = random_unit();
        assert_true(u >= 0.0 && u < 1.0);
        low += u < 0.1 ? 1 : 0;
        high += u >= 0.9 ? 1 : 0;
    }
    /* A thousand each is expected, with a deviation of 30: 700 is ten of them away. */
    assert_true(low > 700 && low < 1300);
    assert_true(high > 700 && high < 1300);
}

/* Longer than the pool, as long, and across its end: every byte is written, and none behind. */
static void test_bytes(void **state)
{
    static const size_t sizes[] = {0, 1, 8, 500, 511, 512, 513, 2000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char seen[2001] = {0};
        size_t n = sizes[i];
        for (int round = 0; round < 20; round++) {
            unsigned char b[2001] = {0};
            random_bytes(b, n);
            for (size_t k = 0; k < n; k++) {
                seen[k] |= b[k];
            }
            assert_int_equal(b[n], 0);
        }
        for (size_t k = 0; k < n; k++) {
            assert_int_not_equal(seen[k], 0);
        }
    }
    assert_true(random_u64() != random_u64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_of),
        cmocka_unit_test(test_name_of_uses_130_bits),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_names_are_fresh),
        cmocka_unit_test(test_unit_fills_its_range),
        cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
