/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chars.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char LOWER[] = "abcdefghijklmnopqrstuvwxyz";
static const char UPPER[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char DIGITS[] = "0123456789";

static bool is_of(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_expected(int c, enum chars kind)
{
    switch (kind) {
    case CHARS_TOKEN:
        return is_of(c, LOWER) || is_of(c, UPPER) || is_of(c, DIGITS) ||
               is_of(c, "!#$%&'*+-.^_`|~");
    case CHARS_FIELD:
        return c == '\t' || (c >= ' ' && c != 0x7F);
    case CHARS_TENANT:
        return is_of(c, LOWER) || is_of(c, DIGITS) || is_of(c, "_-");
    case CHARS_NAME:
        return is_of(c, LOWER) || is_of(c, "234567");
    }
    return false;
}

/* Alone, at the front and at the end of what is good. */
static void test_each_byte(void **state)
{
    static const enum chars all[] = {CHARS_TOKEN, CHARS_FIELD, CHARS_TENANT, CHARS_NAME};

    (void)state;
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        for (int c = 0; c < 256; c++) {
            const char text[] = {(char)c, 'a', 'b', (char)c};
            bool is_good = is_expected(c, all[k]);
            if (chars_all((struct str){text, 1}, all[k]) != is_good ||
                chars_all((struct str){text, 3}, all[k]) != is_good ||
                chars_all((struct str){text + 1, 3}, all[k]) != is_good) {
                fail_msg("kind %d, byte %d", (int)all[k], c);
            }
        }
        assert_true(chars_all((struct str){NULL, 0}, all[k]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_byte)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
