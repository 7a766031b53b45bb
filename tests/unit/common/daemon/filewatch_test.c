/* SPDX-License-Identifier: Apache-2.0 */
/* On real files; each change makes another size, so that no clock's grain matters. */
#include "daemon/filewatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[64];
    char a[80], b[80];
    struct filewatch *w;
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);

    assert_non_null(x);
    (void)snprintf(x->folder, sizeof x->folder, "/tmp/sluice_filewatch_XXXXXX");
    assert_non_null(mkdtemp(x->folder));
    (void)snprintf(x->a, sizeof x->a, "%s/a", x->folder);
    (void)snprintf(x->b, sizeof x->b, "%s/b", x->folder);
    assert_int_equal(filewatch_new(&x->w), ERR_OK);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    filewatch_free(x->w);
    (void)unlink(x->a);
    (void)unlink(x->b);
    (void)rmdir(x->folder);
    free(x);
    return 0;
}

static void set(struct fixture *x, size_t n)
{
    const char *paths[] = {x->a, x->b};

    assert_int_equal(filewatch_set(x->w, paths, n), ERR_OK);
}

static void a_change_counts_once_and_when_settled(void **state)
{
    struct fixture *x = *state;

    write_file(x->a, "1");
    set(x, 1);
    assert_false(filewatch_changed(x->w));
    write_file(x->a, "22");
    assert_false(filewatch_changed(x->w)); /* it may still be being written */
    write_file(x->a, "333");
    assert_false(filewatch_changed(x->w)); /* it was */
    assert_true(filewatch_changed(x->w));
    assert_false(filewatch_changed(x->w));
}

static void a_change_taken_back_is_none(void **state)
{
    struct fixture *x = *state;

    set(x, 1); /* not there */
    write_file(x->a, "1");
    assert_false(filewatch_changed(x->w));
    assert_int_equal(unlink(x->a), 0);
    assert_false(filewatch_changed(x->w));
    assert_false(filewatch_changed(x->w));
}

static void appearing_and_going_are_changes(void **state)
{
    struct fixture *x = *state;

    set(x, 2);
    write_file(x->b, "1");
    assert_false(filewatch_changed(x->w));
    assert_true(filewatch_changed(x->w));
    assert_int_equal(unlink(x->b), 0);
    assert_false(filewatch_changed(x->w));
    assert_true(filewatch_changed(x->w));
}

/* As editors write, and as ConfigMaps are replaced: the same name, another file. */
static void a_renamed_file_is_a_change(void **state)
{
    struct fixture *x = *state;

    write_file(x->a, "1");
    set(x, 1);
    write_file(x->b, "2");
    assert_int_equal(rename(x->b, x->a), 0);
    assert_false(filewatch_changed(x->w));
    assert_true(filewatch_changed(x->w));
}

static void looking_takes_all_for_seen(void **state)
{
    struct fixture *x = *state;

    write_file(x->a, "1");
    set(x, 1);
    write_file(x->a, "22");
    filewatch_look(x->w);
    assert_false(filewatch_changed(x->w));
    assert_false(filewatch_changed(x->w));
}

static void setting_again_keeps_what_was_seen(void **state)
{
    struct fixture *x = *state;

    write_file(x->a, "1");
    set(x, 1);
    write_file(x->a, "22"); /* after it was read, before the new list was set */
    write_file(x->b, "1");
    set(x, 2);
    assert_false(filewatch_changed(x->w));
    assert_true(filewatch_changed(x->w));
}

static void what_is_no_longer_watched_does_not_count(void **state)
{
    struct fixture *x = *state;

    set(x, 2);
    set(x, 1);
    write_file(x->b, "1");
    assert_false(filewatch_changed(x->w));
    assert_false(filewatch_changed(x->w));
    set(x, 0);
    write_file(x->a, "1");
    assert_false(filewatch_changed(x->w));
    assert_false(filewatch_changed(x->w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_counts_once_and_when_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_taken_back_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(appearing_and_going_are_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_renamed_file_is_a_change, setup, teardown),
        cmocka_unit_test_setup_teardown(looking_takes_all_for_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(setting_again_keeps_what_was_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_longer_watched_does_not_count, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
