/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
static void test_the_line(void **state)
{
    static const struct {
        int64_t ms;
        const char *expected;
    } cases[] = {{0, "running, attempts 2, 0 s"},
                 {59999, "running, attempts 2, 59 s"},
                 {60000, "running, attempts 2, 1:00 min"},
                 {3725000, "running, attempts 2, 62:05 min"}};
    struct progress p = {0};
    char line[96];

    (void)state;
    progress_begin(&p, (struct mono){5000});
    progress_set(&p, STR("running"), 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        progress_line(&p, mono_plus_ms((struct mono){5000}, cases[i].ms), line, sizeof line);
        assert_string_equal(line, cases[i].expected);
    }
}

static void test_it_is_drawn_once_and_taken_away(void **state)
{
    const struct mono start = {7000};
    char *text = NULL;
    size_t n = 0;
    struct progress p = {.to = open_memstream(&text, &n)};

    (void)state;
    assert_non_null(p.to);
    progress_draw(&p, start); /* not begun: nothing */
    progress_begin(&p, start);
    progress_set(&p, STR("queued"), 0);
    progress_draw(&p, mono_plus_ms(start, 1000));
    progress_draw(&p, mono_plus_ms(start, 1999)); /* would look the same */
    progress_draw(&p, mono_plus_ms(start, 2000));
    progress_end(&p);
    progress_end(&p);
    progress_draw(&p, mono_plus_ms(start, 3000));
    (void)fclose(p.to);
    assert_string_equal(text, "\r\033[Kqueued, attempts 0, 1 s"
                              "\r\033[Kqueued, attempts 0, 2 s"
                              "\r\033[K");
    free(text);
}

static void test_without_a_terminal_nothing_is_drawn(void **state)
{
    struct progress p = {0};

    (void)state;
    progress_begin(&p, (struct mono){1});
    progress_draw(&p, (struct mono){2});
    assert_false(p.is_shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line),
        cmocka_unit_test(test_it_is_drawn_once_and_taken_away),
        cmocka_unit_test(test_without_a_terminal_nothing_is_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
