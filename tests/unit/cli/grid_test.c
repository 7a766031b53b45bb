/* SPDX-License-Identifier: Apache-2.0 */
#include "grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(struct grid *t, const char *expected)
{
    struct buf out = {0};

    grid_print(t, &out);
    assert_false(buf_failed(&out));
    assert_string_equal(out.p == NULL ? "" : out.p, expected);
    buf_fini(&out);
    grid_fini(t);
}

static void test_columns_are_aligned(void **state)
{
    static const struct column columns[] = {{"NAME", false}, {"N", true}, {"LAST", false}};
    struct grid t;

    (void)state;
    grid_init(&t, columns, 3);
    grid_add(&t, STR("a"));
    grid_printf(&t, "%d", 1000);
    grid_add(&t, STR("x"));
    grid_add(&t, STR("longer"));
    grid_printf(&t, "%d", 7);
    grid_add(&t, (struct str){NULL, 0});
    check(&t, "NAME       N  LAST\n"
              "a       1000  x\n"
              "longer     7  -\n");
}

static void test_without_rows_the_names_stand_alone(void **state)
{
    static const struct column columns[] = {{"NAME", false}, {"NUMBER", true}};
    struct grid t;

    (void)state;
    grid_init(&t, columns, 2);
    check(&t, "NAME  NUMBER\n");
}

static void test_pairs_have_no_names(void **state)
{
    static const struct column columns[] = {{NULL, false}, {NULL, false}};
    struct grid t;

    (void)state;
    grid_init(&t, columns, 2);
    grid_add(&t, STR("state"));
    grid_add(&t, STR("queued"));
    grid_add(&t, STR("id"));
    grid_add(&t, STR("x.y"));
    check(&t, "state  queued\n"
              "id     x.y\n");
}

static void test_width_counts_characters(void **state)
{
    static const struct column columns[] = {{"A", false}, {"B", false}};
    struct grid t;

    (void)state;
    grid_init(&t, columns, 2);
    grid_add(&t, STR("Zürich"));
    grid_add(&t, STR("1"));
    grid_add(&t, STR("Berlin"));
    grid_add(&t, STR("2"));
    check(&t, "A       B\n"
              "Zürich  1\n"
              "Berlin  2\n");
}

static void test_a_terminal_is_told_nothing(void **state)
{
    static const struct {
        const char *name;
        struct str text;
        const char *expected;
    } cases[] = {
        {"escape", {"a\033[2Jb", 6}, "a?[2Jb"},
        {"line ends", {"a\r\nb", 4}, "a??b"},
        {"NUL", {"a\0b", 3}, "a?b"},
        {"DEL", {"\177", 1}, "?"},
        {"C1 control sequence introducer", {"\302\233", 2}, "?"},
        {"broken UTF-8", {"a\377\303", 3}, "a??"},
        {"U+00A0 is none", {"\302\240", 2}, "\302\240"},
        {"four bytes", {"\360\237\232\260", 4}, "\360\237\232\260"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        print_message("%s\n", cases[i].name);
        grid_clean(cases[i].text, &out);
        assert_string_equal(out.p, cases[i].expected);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_aligned),
        cmocka_unit_test(test_without_rows_the_names_stand_alone),
        cmocka_unit_test(test_pairs_have_no_names),
        cmocka_unit_test(test_width_counts_characters),
        cmocka_unit_test(test_a_terminal_is_told_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
