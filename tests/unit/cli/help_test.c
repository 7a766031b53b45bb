/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_finds_and_hints(void **state)
{
    (void)state;
    assert_string_equal(help_find(STR("wait"))->name, "wait");
    assert_null(help_find(STR("wai")));
    assert_string_equal(help_nearest(STR("wai")), "wait");
    assert_string_equal(help_nearest(STR("tennants")), "tenants");
    assert_null(help_nearest(STR("frobnicate")));
}

/* Every command and flag stands in the help; no two flags that a command takes share a name. */
static void test_the_help_tells_all(void **state)
{
    struct buf all = {0};

    (void)state;
    help_print(&all);
    for (size_t i = 0; i < help_n_commands; i++) {
        const struct command *k = &help_commands[i];
        struct buf own = {0};
        print_message("%s\n", k->name);
        assert_non_null(strstr(all.p, k->name));
        help_print_command(k, &own);
        assert_non_null(strstr(own.p, k->words));
        for (size_t f = 0; f < k->flags.n; f++) {
            assert_non_null(strstr(own.p, k->flags.at[f].name));
            assert_non_null(strstr(own.p, k->flags.at[f].help));
            for (size_t c = 0; c < help_common.n; c++) {
                assert_string_not_equal(k->flags.at[f].name, help_common.at[c].name);
            }
        }
        buf_fini(&own);
    }
    buf_fini(&all);
}

static void test_lines_fit_a_terminal(void **state)
{
    (void)state;
    for (size_t i = 0; i <= help_n_commands; i++) {
        struct buf text = {0};
        struct str rest;
        struct str line;
        if (i == help_n_commands) {
            help_print(&text);
        } else {
            help_print_command(&help_commands[i], &text);
        }
        rest = buf_as_str(&text);
        while (str_cut(&rest, '\n', &line)) {
            if (line.n > 100) {
                fail_msg("%.*s", STR_ARG(line));
            }
        }
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_and_hints),
        cmocka_unit_test(test_the_help_tells_all),
        cmocka_unit_test(test_lines_fit_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
