/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const struct {
    const char *name;
    const char *flags;
} ROWS[] = {
#define SCRIPT(NAME, file, flags, kept, text) {#NAME, flags},
#include "store/scripts.def"
#undef SCRIPT
};

static bool has(struct str text, struct str part)
{
    return memmem(text.p, text.n, part.p, part.n) != NULL;
}

/* Redis reads the flags from the first line only, and "flags=" with nothing behind it is an error.
 */
static void test_first_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < STORE_SCRIPTS; i++) {
        struct str text = store_script_text((enum store_script)i);
        struct str line = {NULL, 0};
        assert_string_equal(store_script_name((enum store_script)i), ROWS[i].name);
        assert_true(str_cut(&text, '\n', &line));
        if (ROWS[i].flags[0] == '\0') {
            assert_true(str_is(line, STR("#!lua")));
        } else {
            assert_true(str_starts(line, STR("#!lua flags=")));
            assert_true(str_is((struct str){line.p + 12, line.n - 12}, str_of(ROWS[i].flags)));
        }
        /* The shebang stands there once. */
        assert_false(has(text, STR("#!lua")));
    }
}

static void test_bodies(void **state)
{
    struct str arrive = store_script_text(STORE_ARRIVE);

    (void)state;
    assert_true(has(arrive, STR("redis.call('SET', KEYS[1], ARGV[1], 'NX')")));
    assert_int_equal(arrive.p[arrive.n - 1], '\n');
    /* The prelude stands before it. */
    assert_true(has(arrive, STR("What every script stands on")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_lines),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
