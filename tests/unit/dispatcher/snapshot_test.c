/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    char state[96];
    struct snapshot *snapshot;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/snapshot_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->state, sizeof f->state, "%s/state", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"registry.json", "registry.json.new",
                                        "registry.json.unreadable"};
    struct fixture *f = *state;

    snapshot_free(f->snapshot);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[160];
        (void)snprintf(name, sizeof name, "%s/%s", f->state, files[i]);
        (void)unlink(name);
    }
    (void)rmdir(f->state);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static void again(struct fixture *f)
{
    struct buf why = {0};

    snapshot_free(f->snapshot);
    f->snapshot = NULL;
    assert_int_equal(snapshot_open(f->state, &f->snapshot, &why), ERR_OK);
    buf_fini(&why);
}

/* pairs: field, text, …, NULL. */
static void keep(struct fixture *f, const char *epoch, int64_t revision, const char *const *pairs)
{
    struct map fields = {0};

    for (; *pairs != NULL; pairs += 2) {
        char *text = strdup(pairs[1]);
        assert_non_null(text);
        assert_int_equal(map_put(&fields, str_of(pairs[0]), text), ERR_OK);
    }
    assert_int_equal(snapshot_keep(f->snapshot, epoch, revision, &fields), ERR_OK);
    size_t cursor = 0;
    struct str field;
    void *text;
    while (map_next(&fields, &cursor, &field, &text)) {
        free(text);
    }
    map_fini(&fields);
}

static const char *lost(const struct fixture *f, const char *wanted)
{
    size_t cursor = 0;
    struct str field, value;

    while (snapshot_next_lost(f->snapshot, &cursor, &field, &value)) {
        if (str_is(field, str_of(wanted))) {
            return value.p;
        }
    }
    return NULL;
}

static const char *const some[] = {
    "t erp", "{\"concurrency\":3}", "i erp a", "{}", "e erp a", "1", ":rev", "4", NULL};
static const char *const none[] = {NULL};

static void test_nothing_is_lost_while_the_epoch_stands(void **state)
{
    struct fixture *f = *state;

    again(f);
    keep(f, "e1", 4, some);
    again(f);
    keep(f, "e1", 5, none); /* deleted over HTTP */
    assert_int_equal(snapshot_n_lost(f->snapshot, 't'), 0);
}

static void test_another_epoch_is_a_loss_until_somebody_says(void **state)
{
    static const char *const restored[] = {":restored", "1", NULL};
    static const char *const anew[] = {"t erp", "{}", NULL};
    struct fixture *f = *state;

    again(f);
    keep(f, "e1", 4, some);
    again(f);
    keep(f, "e2", 0, none);
    assert_int_equal(snapshot_n_lost(f->snapshot, 't'), 1);
    assert_int_equal(snapshot_n_lost(f->snapshot, 'i'), 1);
    assert_int_equal(snapshot_n_lost(f->snapshot, 'e'), 0);
    again(f); /* also after a restart */
    keep(f, "e2", 1, anew);
    assert_string_equal(lost(f, "t erp"), "{\"concurrency\":3}");
    keep(f, "e3", 0, none); /* again before anybody said a word */
    assert_string_equal(lost(f, "t erp"), "{}");
    assert_non_null(lost(f, "i erp a"));
    keep(f, "e3", 1, restored);
    assert_int_equal(snapshot_n_lost(f->snapshot, 't'), 0);
    again(f);
    assert_int_equal(snapshot_n_lost(f->snapshot, 'i'), 0);
}

static void test_an_earlier_revision_is_a_loss_of_what_it_has_not(void **state)
{
    static const char *const older[] = {"t erp", "{\"concurrency\":3}", NULL};
    struct fixture *f = *state;

    again(f);
    keep(f, "e1", 4, some);
    keep(f, "e1", 3, older);
    assert_null(lost(f, "t erp"));
    assert_non_null(lost(f, "i erp a"));
}

static void test_a_file_that_cannot_be_read_is_moved_aside(void **state)
{
    struct fixture *f = *state;
    char name[160];

    again(f);
    keep(f, "e1", 4, some);
    (void)snprintf(name, sizeof name, "%s/registry.json", f->state);
    assert_int_equal(truncate(name, 40), 0);
    again(f);
    assert_int_equal(access(name, F_OK), -1);
    (void)snprintf(name, sizeof name, "%s/registry.json.unreadable", f->state);
    assert_int_equal(access(name, F_OK), 0);
    keep(f, "e2", 0, none);
    assert_int_equal(snapshot_n_lost(f->snapshot, 't'), 0);
}

static void test_a_directory_that_cannot_be_made(void **state)
{
    struct snapshot *s = NULL;
    struct buf why = {0};

    (void)state;
    assert_int_equal(snapshot_open("/proc/nowhere/state", &s, &why), ERR_IO);
    assert_non_null(strstr(why.p, "dispatcher.state_dir"));
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_lost_while_the_epoch_stands, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_another_epoch_is_a_loss_until_somebody_says, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_earlier_revision_is_a_loss_of_what_it_has_not,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_read_is_moved_aside, setup,
                                        teardown),
        cmocka_unit_test(test_a_directory_that_cannot_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
