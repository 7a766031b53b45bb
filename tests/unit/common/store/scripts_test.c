/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *flags;
} ROWS[] = {
#define SCRIPT(NAME, file, flags, kept, jobs, text) {#NAME, flags},
#include "store/scripts.def"
#undef SCRIPT
};

static bool has(struct str text, struct str part)
{
    return memmem(text.p, text.n, part.p, part.n) != NULL;
}

static void test_libraries(void **state)
{
    (void)state;
    for (int i = 0; i < STORE_SCRIPTS; i++) {
        char name[STORE_FUNCTION_SIZE];
        char line[STORE_FUNCTION_SIZE + 32];
        struct buf library = {0};
        assert_string_equal(store_script_name((enum store_script)i), ROWS[i].name);
        assert_int_equal(store_script_function((enum store_script)i, name), ERR_OK);
        store_script_write((enum store_script)i, name, &library);
        struct str text = buf_as_str(&library);
        (void)snprintf(line, sizeof line, "#!lua name=%s\n", name);
        assert_true(str_starts(text, str_of(line)));
        (void)snprintf(line, sizeof line, "function_name='%s'", name);
        assert_true(has(text, str_of(line)));
        assert_true(has(text, STR("flags={'allow-oom'}")) == (ROWS[i].flags[0] != '\0'));
        /* What it stands on is there, and stands outside the function. */
        assert_true(has(text, STR("What every script stands on")));
        assert_true(has(text, store_script_text((enum store_script)i)));
        buf_fini(&library);
    }
}

static void test_names_differ(void **state)
{
    char a[STORE_FUNCTION_SIZE];
    char b[STORE_FUNCTION_SIZE];

    (void)state;
    assert_int_equal(store_script_function(STORE_ARRIVE, a), ERR_OK);
    assert_int_equal(store_script_function(STORE_ACCEPT, b), ERR_OK);
    assert_true(str_starts(str_of(a), STR("sluice_arrive_")));
    assert_int_equal(strlen(a), strlen("sluice_arrive_") + 16);
    assert_string_not_equal(strrchr(a, '_'), strrchr(b, '_'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libraries),
        cmocka_unit_test(test_names_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
