/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules/keep.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    char file[96];
    struct loop *loop;
    struct schedules_keep *keep;
    struct loop_timer *end;
    int n_written;
    int n_turns; /* to come, at least */
    struct buf lost;
};

static void on_written(void *arg)
{
    struct fixture *f = arg;

    f->n_written++;
}

static void again(struct fixture *f)
{
    struct buf why = {0};

    schedules_keep_free(f->keep);
    f->keep = NULL;
    assert_int_equal(schedules_keep_open(f->loop, f->dir, on_written, f, &f->keep, &why), ERR_OK);
    buf_fini(&why);
}

static void on_end(struct loop_timer *t, void *arg)
{
    struct fixture *f = arg;

    if (schedules_keep_is_awaited(f->keep) || --f->n_turns > 0) {
        loop_timer_set(t, 0);
    } else {
        loop_stop(f->loop);
    }
}

/* So many turns of the loop, and until what waits is written. */
static void turns(struct fixture *f, int n)
{
    f->n_turns = n;
    loop_timer_set(f->end, 0);
    loop_run(f->loop);
}

/* Two: the last one of a run fires no timer that was set before it. */
static void turn(struct fixture *f)
{
    turns(f, 2);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/keep_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->file, sizeof f->file, "%s/schedules.journal", f->dir);
    assert_int_equal(loop_new(&f->loop), ERR_OK);
    assert_int_equal(loop_timer_new(f->loop, on_end, f, &f->end), ERR_OK);
    again(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    schedules_keep_free(f->keep);
    loop_timer_free(f->end);
    loop_free(f->loop);
    buf_fini(&f->lost);
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *name, int64_t revision, const char *document)
{
    schedules_keep_put(f->keep, str_of(name), revision, str_of(document));
}

/* What the store has, by names of one letter; and up to where it has forgotten deletions. */
static void only_since(struct fixture *f, const char *names, int64_t revision, int64_t floor)
{
    struct map all = {0};

    for (; *names != '\0'; names++) {
        assert_int_equal(map_put(&all, (struct str){names, 1}, f), ERR_OK);
    }
    schedules_keep_only(f->keep, &all, revision, floor);
    map_fini(&all);
}

/* It has forgotten them all. */
static void only(struct fixture *f, const char *names, int64_t revision)
{
    only_since(f, names, revision, 1000);
}

/* The lost of a kind in the order of names of one letter: "a=document " … */
static const char *lost(struct fixture *f, char kind)
{
    struct buf bytes = {0};
    struct str text;
    size_t n = 0;

    buf_clear(&f->lost);
    buf_text(&f->lost, "");
    for (char name[] = "a"; name[0] <= 'z'; name[0]++) {
        if (schedules_keep_get_lost(f->keep, kind, str_of(name), &bytes, &text) == ERR_OK) {
            buf_printf(&f->lost, "%s=%.*s ", name, STR_ARG(text));
            n++;
        }
    }
    assert_int_equal(schedules_keep_n_lost(f->keep, kind), n);
    buf_fini(&bytes);
    return f->lost.p == NULL ? "" : f->lost.p;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void another_epoch_loses_all_that_lived(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    put(f, "b", 2, "B");
    put(f, "a", 3, "A2");
    put(f, "c", 4, "C");
    schedules_keep_deleted(f->keep, STR("c"), 1000);
    again(f);
    schedules_keep_life(f->keep, "one");
    assert_string_equal(lost(f, 's'), "");
    schedules_keep_life(f->keep, "two");
    assert_string_equal(lost(f, 's'), "a=A2 b=B ");
    only(f, "", 0); /* the emptied store */
    again(f);
    schedules_keep_life(f->keep, "two");
    assert_string_equal(lost(f, 's'), "a=A2 b=B ");
}

static void what_was_put_and_not_deleted_is_lost(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 3, "A");
    put(f, "b", 5, "B");
    put(f, "c", 9, "C");
    put(f, "d", 10, "D");
    /* The store forgot 9 and 10, and went on to 10 by another's word. */
    schedules_keep_deleted(f->keep, STR("b"), 6);
    schedules_keep_deleted(f->keep, STR("c"), 4); /* an earlier one of that name */
    only_since(f, "y", 10, 3);
    assert_string_equal(lost(f, 's'), "c=C d=D ");
    again(f);
    assert_string_equal(lost(f, 's'), "c=C d=D ");
}

static void what_is_put_anew_is_lost_no_longer(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    put(f, "b", 2, "B");
    schedules_keep_life(f->keep, "two");
    put(f, "a", 1, "A");
    schedules_keep_deleted(f->keep, STR("b"), 1000); /* what the new life never had */
    assert_string_equal(lost(f, 's'), "b=B ");
    schedules_keep_deleted(f->keep, STR("a"), 1000);
    again(f);
    assert_string_equal(lost(f, 's'), "b=B ");
}

static void a_second_loss_adds_to_the_first(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    put(f, "b", 2, "B");
    schedules_keep_life(f->keep, "two");
    put(f, "a", 1, "A2");
    put(f, "c", 2, "C");
    schedules_keep_life(f->keep, "three");
    assert_string_equal(lost(f, 's'), "a=A2 b=B c=C ");
    again(f);
    assert_string_equal(lost(f, 's'), "a=A2 b=B c=C ");
}

static void a_word_settles_what_was_lost_before_it(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    schedules_keep_restored(f->keep, 0);
    put(f, "a", 1, "A");
    schedules_keep_restored(f->keep, 9); /* an old one, of this life */
    schedules_keep_life(f->keep, "two");
    schedules_keep_restored(f->keep, 0);
    assert_string_equal(lost(f, 's'), "a=A ");
    schedules_keep_restored(f->keep, 1);
    assert_string_equal(lost(f, 's'), "");
    again(f);
    assert_string_equal(lost(f, 's'), "");
}

static void an_earlier_revision_loses_what_the_store_has_not(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    schedules_keep_restored(f->keep, 2);
    put(f, "b", 5, "B");
    only(f, "a", 3);
    assert_string_equal(lost(f, 's'), "b=B ");
    schedules_keep_restored(f->keep, 2); /* that word was before */
    again(f);
    schedules_keep_life(f->keep, "one");
    only(f, "a", 3);
    assert_string_equal(lost(f, 's'), "b=B ");
    schedules_keep_restored(f->keep, 4);
    assert_string_equal(lost(f, 's'), "");
    /* With a later one it is deleted. */
    put(f, "c", 5, "C");
    only(f, "a", 7);
    assert_string_equal(lost(f, 's'), "");
    schedules_keep_life(f->keep, "two");
    assert_string_equal(lost(f, 's'), "a=A ");
}

static void the_word_that_was_forgotten_settles_nothing(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 8, "A");
    schedules_keep_restored(f->keep, 9);
    only(f, "", 5);
    schedules_keep_restored(f->keep, 0);
    assert_string_equal(lost(f, 's'), "a=A ");
    schedules_keep_restored(f->keep, 6);
    assert_string_equal(lost(f, 's'), "");
}

static void a_pause_belongs_to_its_schedule(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    put(f, "b", 2, "B");
    put(f, "d", 3, "D");
    schedules_keep_paused(f->keep, STR("a"), STR("t"), STR("1\toperator\tn"));
    schedules_keep_paused(f->keep, STR("b"), STR("t"), STR("2\toperator\tn"));
    schedules_keep_paused(f->keep, STR("c"), STR("t"), STR("3\toperator\tn"));
    schedules_keep_paused(f->keep, STR("d"), STR("t"), STR("4\toperator\tn"));
    schedules_keep_paused(f->keep, STR("e"), STR("t"), STR("5\toperator\tn"));
    schedules_keep_resumed(f->keep, STR("c"));
    schedules_keep_paused(f->keep, STR("f"), STR("t"), STR("6\toperator\tn"));
    assert_true(schedules_keep_is_paused(f->keep, STR("f")));
    schedules_keep_went_on(f->keep, STR("f"), false);
    assert_false(schedules_keep_is_paused(f->keep, STR("f")));
    schedules_keep_deleted(f->keep, STR("d"), 1000);
    schedules_keep_life(f->keep, "two");
    again(f);
    assert_string_equal(lost(f, 'p'),
                        "a=t\t1\toperator\tn b=t\t2\toperator\tn e=t\t5\toperator\tn ");
    schedules_keep_went_on(f->keep, STR("b"),
                           false);             /* the new life's has none: that one is lost */
    put(f, "a", 1, "another");                 /* is not paused */
    schedules_keep_resumed(f->keep, STR("e")); /* by a person, since */
    again(f);
    assert_string_equal(lost(f, 'p'), "b=t\t2\toperator\tn ");
}

static void a_pause_may_be_forgotten_too(void **state)
{
    struct fixture *f = *state;

    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    put(f, "b", 5, "B");
    schedules_keep_paused(f->keep, STR("a"), STR("t"), STR("1\toperator\tn"));
    schedules_keep_paused(f->keep, STR("b"), STR("t"), STR("2\toperator\tn"));
    only_since(f, "a", 3, 0); /* b is forgotten, and its pause */
    assert_string_equal(lost(f, 's'), "b=B ");
    assert_string_equal(lost(f, 'p'), "b=t\t2\toperator\tn ");
    schedules_keep_went_on(f->keep, STR("a"), true);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(lost(f, 'p'), "a=t\t1\toperator\tn b=t\t2\toperator\tn ");
        again(f);
    }
}

static void a_new_file_says_the_same(void **state)
{
    struct fixture *f = *state;
    size_t n = 500000;
    char *text = malloc(n + 1);
    struct stat st;

    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    schedules_keep_life(f->keep, "one");
    put(f, "a", 1, "A");
    schedules_keep_paused(f->keep, STR("e"), STR("t"), STR("5\toperator\tn"));
    schedules_keep_life(f->keep, "two");
    schedules_keep_restored(f->keep, 0);
    put(f, "b", 1, "B");
    for (int i = 0; i < 20; i++) {
        text[0] = (char)('a' + i);
        put(f, "c", 2 + i, text);
        turn(f);
    }
    put(f, "c", 30, "C");
    turns(f, 20);
    assert_true(f->n_written > 10);
    assert_int_equal(stat(f->file, &st), 0);
    assert_true(st.st_size < 5000000);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(lost(f, 's'), "a=A ");
        assert_string_equal(lost(f, 'p'), "e=t\t5\toperator\tn ");
        again(f);
        schedules_keep_life(f->keep, "two");
        only(f, "bc", 30); /* no revision before what the file knew */
        schedules_keep_restored(f->keep, 0);
    }
    schedules_keep_life(f->keep, "three");
    assert_string_equal(lost(f, 's'), "a=A b=B c=C ");
    free(text);
}

/* One thing drawn, said to both. */
static void say_to_both(struct fixture *a, struct fixture *b, unsigned *seed, int revision,
                        char *text, size_t n)
{
    char name[] = {(char)('a' + rand_r(seed) % 12), '\0'};
    const char epoch[] = {(char)('A' + revision / 150), '\0'};
    int what = rand_r(seed) % 20;
    int at = revision - rand_r(seed) % 2 * 15; /* a store that forgot its last */
    struct fixture *both[] = {a, b};

    text[0] = text[n - 3] = (char)('a' + rand_r(seed) % 26);
    for (int i = 0; i < 2; i++) {
        struct schedules_keep *k = both[i]->keep;
        schedules_keep_life(k, epoch);
        if (what < 13) {
            put(both[i], name, revision, text + (what < 10 ? 0 : n - 3));
        } else if (what < 15) {
            schedules_keep_deleted(k, str_of(name), 1000);
        } else if (what < 17) {
            schedules_keep_paused(k, str_of(name), STR("t"), (struct str){text, 3});
        } else if (what < 18) {
            schedules_keep_resumed(k, str_of(name));
        } else if (what < 19) {
            only_since(both[i], "abcdefgh", at, at - 20);
        } else {
            schedules_keep_restored(k, revision);
        }
    }
}

static void judge_the_same(struct fixture *a, struct fixture *b)
{
    assert_string_equal(lost(a, 's'), lost(b, 's'));
    assert_string_equal(lost(a, 'p'), lost(b, 'p'));
}

/* Against one that never writes anew: the same things are said to both. */
static void what_is_said_while_it_is_written_anew_counts(void **state)
{
    enum { N = 300000 };
    struct fixture *f = *state, *never;
    char blocked[128];
    char *text = malloc(N + 1);
    struct stat st, st_never;
    unsigned seed = 7;

    assert_non_null(text);
    memset(text, 'x', N);
    text[N] = '\0';
    assert_int_equal(setup((void **)&never), 0);
    (void)snprintf(blocked, sizeof blocked, "%s.new", never->file);
    assert_int_equal(mkdir(blocked, 0700), 0);
    for (int revision = 1; revision <= 600; revision++) {
        say_to_both(f, never, &seed, revision, text, N);
        if (rand_r(&seed) % 3 > 0) {
            turn(f);
            turn(never);
        }
        if (revision % 97 == 0) {
            again(f); /* also with a new file half written */
        }
    }
    turns(f, 100);
    turn(never);
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(stat(never->file, &st_never), 0);
    assert_true(st.st_size < st_never.st_size / 4);
    for (int i = 0; i < 2; i++) {
        judge_the_same(f, never);
        again(f);
        again(never);
    }
    schedules_keep_life(f->keep, "end");
    schedules_keep_life(never->keep, "end");
    judge_the_same(f, never);
    assert_int_equal(rmdir(blocked), 0);
    assert_int_equal(teardown((void **)&never), 0);
    free(text);
}

static void a_file_that_cannot_be_made_smaller_is_written_on(void **state)
{
    struct fixture *f = *state;
    char blocked[128];
    size_t n = 500000;
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    (void)snprintf(blocked, sizeof blocked, "%s.new", f->file);
    assert_int_equal(mkdir(blocked, 0700), 0); /* as good as a full disk, also for root */
    schedules_keep_life(f->keep, "one");
    for (int i = 0; i < 20; i++) {
        text[0] = (char)('a' + i);
        put(f, "a", 1 + i, text);
        turn(f);
        assert_false(schedules_keep_is_stale(f->keep));
    }
    put(f, "a", 30, "A");
    turn(f);
    again(f);
    schedules_keep_life(f->keep, "two");
    assert_string_equal(lost(f, 's'), "a=A ");
    assert_int_equal(rmdir(blocked), 0);
    free(text);
}

static void without_a_journal_nothing_is_done(void **state)
{
    (void)state;
    schedules_keep_life(NULL, "one");
    schedules_keep_put(NULL, STR("a"), 1, STR("A"));
    schedules_keep_deleted(NULL, STR("a"), 1000);
    schedules_keep_restored(NULL, 1);
    assert_false(schedules_keep_is_awaited(NULL));
    assert_false(schedules_keep_wants_all(NULL));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(another_epoch_loses_all_that_lived),
                                       T(what_was_put_and_not_deleted_is_lost),
                                       T(what_is_put_anew_is_lost_no_longer),
                                       T(a_second_loss_adds_to_the_first),
                                       T(a_word_settles_what_was_lost_before_it),
                                       T(an_earlier_revision_loses_what_the_store_has_not),
                                       T(the_word_that_was_forgotten_settles_nothing),
                                       T(a_pause_belongs_to_its_schedule),
                                       T(a_pause_may_be_forgotten_too),
                                       T(a_new_file_says_the_same),
                                       T(what_is_said_while_it_is_written_anew_counts),
                                       T(a_file_that_cannot_be_made_smaller_is_written_on),
                                       cmocka_unit_test(without_a_journal_nothing_is_done)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
