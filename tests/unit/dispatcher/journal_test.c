/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "sluice journal 1\n"

enum { HEAD_SIZE = sizeof HEAD - 1, FRAME = 19 };

struct fixture {
    char dir[64];
    char file[96];
    struct journal *journal;
    struct journal_found found;
    struct buf read; /* what was read: "kind number name text\n" */
    struct journal_place last;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/journal_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->file, sizeof f->file, "%s/j", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"j", "j.new", "j.unreadable"};
    struct fixture *f = *state;

    journal_close(f->journal);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[96];
        (void)snprintf(name, sizeof name, "%s/%s", f->dir, files[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(f->dir), 0);
    buf_fini(&f->read);
    free(f);
    return 0;
}

static int on_record(const struct journal_record *r, const struct journal_place *p, void *arg)
{
    struct fixture *f = arg;

    buf_printf(&f->read, "%c %lld %.*s %.*s\n", r->kind, (long long)r->number, STR_ARG(r->name),
               STR_ARG(r->text));
    f->last = *p;
    return ERR_OK;
}

static int try_open(struct fixture *f)
{
    struct buf why = {0};

    journal_close(f->journal);
    f->journal = NULL;
    buf_clear(&f->read);
    f->found = (struct journal_found){0};
    int rc = journal_open(f->dir, "j", on_record, f, &f->journal, &f->found, &why);
    buf_fini(&why);
    return rc;
}

static const char *reopen(struct fixture *f)
{
    assert_int_equal(try_open(f), ERR_OK);
    return f->read.p == NULL ? "" : f->read.p;
}

static struct journal_place append(struct fixture *f, char kind, int64_t number, const char *name,
                                   const char *text)
{
    struct journal_record r = {kind, number, str_of(name), str_of(text)};
    struct journal_place p = {0};

    assert_int_equal(journal_append(f->journal, &r, &p), ERR_OK);
    return p;
}

static void flush(struct fixture *f)
{
    assert_int_equal(journal_flush(f->journal), ERR_OK);
}

static void write_file(const struct fixture *f, const void *bytes, size_t n)
{
    int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    (void)close(fd);
}

static size_t read_file(const struct fixture *f, const char *suffix, char *to, size_t size)
{
    char name[128];

    (void)snprintf(name, sizeof name, "%s%s", f->file, suffix);
    int fd = open(name, O_RDONLY);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, to, size);
    (void)close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

/* Two records in a file that is closed; gives its bytes. */
static size_t two(struct fixture *f, char *to, size_t size)
{
    (void)reopen(f);
    (void)append(f, 'S', 7, "one", "first");
    (void)append(f, 'D', -1, "", "");
    flush(f);
    journal_close(f->journal);
    f->journal = NULL;
    return read_file(f, "", to, size);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void what_was_flushed_is_read_back(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(reopen(f), "");
    (void)append(f, 'S', 7, "one", "first");
    (void)append(f, 'D', INT64_MIN, "two", "");
    flush(f);
    (void)append(f, 'S', 8, "gone", "never flushed");
    assert_string_equal(reopen(f), "S 7 one first\nD -9223372036854775808 two \n");
    assert_int_equal(f->found.cut, 0);
    (void)append(f, 'S', 9, "three", "x");
    flush(f);
    assert_string_equal(reopen(f), "S 7 one first\nD -9223372036854775808 two \nS 9 three x\n");
}

static void a_record_is_found_by_its_place(void **state)
{
    struct fixture *f = *state;
    struct buf bytes = {0};
    struct journal_record r = {0};

    (void)reopen(f);
    struct journal_place one = append(f, 'S', 1, "one", "first");
    struct journal_place two = append(f, 'S', 2, "two", "second");
    for (int i = 0; i < 2; i++) { /* as it waits, and in the file */
        assert_int_equal(journal_get(f->journal, &two, &bytes, &r), ERR_OK);
        assert_true(str_is(r.text, STR("second")) && r.number == 2);
        assert_int_equal(journal_get(f->journal, &one, &bytes, &r), ERR_OK);
        assert_true(str_is(r.text, STR("first")) && str_is(r.name, STR("one")));
        flush(f);
    }
    one.checksum ^= 1;
    assert_int_equal(journal_get(f->journal, &one, &bytes, &r), ERR_SYNTAX);
    two.at = journal_size(f->journal) - 1;
    assert_int_equal(journal_get(f->journal, &two, &bytes, &r), ERR_SYNTAX);
    buf_fini(&bytes);
}

static void a_file_torn_at_any_byte_gives_its_whole_records(void **state)
{
    struct fixture *f = *state;
    char bytes[256];
    size_t n = two(f, bytes, sizeof bytes);
    size_t first = HEAD_SIZE + FRAME + strlen("onefirst");

    assert_int_equal(n, first + FRAME);
    for (size_t at = 0; at <= n; at++) {
        write_file(f, bytes, at);
        const char *wanted = at == n       ? "S 7 one first\nD -1  \n"
                             : at >= first ? "S 7 one first\n"
                                           : "";
        assert_string_equal(reopen(f), wanted);
        bool is_torn = at > 0 && at != HEAD_SIZE && at != first && at != n;
        assert_int_equal(f->found.cut > 0, is_torn);
        assert_int_equal(f->found.unreadable, 0);
        /* It is written on, and is whole. */
        (void)append(f, 'S', 1, "more", "m");
        flush(f);
        assert_non_null(strstr(reopen(f), "S 1 more m\n"));
        assert_int_equal(f->found.cut, 0);
    }
}

static void any_wrong_byte_costs_only_what_follows(void **state)
{
    struct fixture *f = *state;
    char bytes[256], aside[256];
    size_t n = two(f, bytes, sizeof bytes);
    size_t first = HEAD_SIZE + FRAME + strlen("onefirst");

    for (size_t at = 0; at < n; at++) {
        bytes[at] ^= 0x40;
        write_file(f, bytes, n);
        const char *found = reopen(f);
        assert_string_equal(found, at >= first ? "S 7 one first\n" : "");
        assert_true(f->found.cut + f->found.unreadable > 0);
        assert_int_equal(f->found.is_other, at < HEAD_SIZE);
        if (f->found.unreadable > 0) {
            size_t kept = read_file(f, ".unreadable", aside, sizeof aside);
            assert_int_equal(kept, f->found.unreadable);
            assert_memory_equal(aside, bytes + n - kept, kept);
        }
        bytes[at] ^= 0x40;
    }
}

static void another_version_is_moved_aside(void **state)
{
    static const char other[] = "sluice journal 2\nwhat a later one wrote";
    struct fixture *f = *state;
    char aside[64];

    write_file(f, other, sizeof other - 1);
    assert_string_equal(reopen(f), "");
    assert_true(f->found.is_other);
    assert_int_equal(read_file(f, ".unreadable", aside, sizeof aside), sizeof other - 1);
    assert_memory_equal(aside, other, sizeof other - 1);
    (void)append(f, 'S', 1, "a", "b");
    flush(f);
    assert_string_equal(reopen(f), "S 1 a b\n");
}

static void an_empty_file_is_a_new_one(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    write_file(f, "", 0);
    assert_string_equal(reopen(f), "");
    assert_int_equal(read_file(f, "", bytes, sizeof bytes), HEAD_SIZE);
}

static void a_huge_length_is_damage(void **state)
{
    struct fixture *f = *state;
    char bytes[256];
    size_t n = two(f, bytes, sizeof bytes);

    memset(bytes + HEAD_SIZE, 0xff, 4);
    write_file(f, bytes, n);
    assert_string_equal(reopen(f), "");
    assert_int_equal(f->found.unreadable, n - HEAD_SIZE);
}

static void zeros_behind_a_crash_are_cut(void **state)
{
    struct fixture *f = *state;
    char bytes[9000] = {0};

    (void)two(f, bytes, 256);
    write_file(f, bytes, sizeof bytes);
    assert_string_equal(reopen(f), "S 7 one first\nD -1  \n");
    assert_true(f->found.cut > 0);
    assert_int_equal(f->found.unreadable, 0);
}

static void many_and_long_ones_are_read_in_pieces(void **state)
{
    struct fixture *f = *state;
    size_t n = 3 * 1024 * 1024;
    char *text = malloc(n + 1);
    struct buf bytes = {0};
    struct journal_record r = {0};

    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    (void)reopen(f);
    for (int i = 0; i < 1000; i++) {
        (void)append(f, 'S', i, "small", "text");
    }
    struct journal_place big = append(f, 'S', 5, "big", text);
    (void)append(f, 'S', 6, "last", "one");
    flush(f);
    assert_non_null(strstr(reopen(f), "S 6 last one\n"));
    assert_int_equal(journal_get(f->journal, &big, &bytes, &r), ERR_OK);
    assert_true(r.text.n == n && memcmp(r.text.p, text, n) == 0);
    buf_fini(&bytes);
    free(text);
}

static void what_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t n = JOURNAL_RECORD_MAX;
    char *text = calloc(1, n);
    struct journal_place p;

    assert_non_null(text);
    (void)reopen(f);
    struct journal_record long_text = {'S', 1, STR("a"), {text, n}};
    struct journal_record long_name = {'S', 1, {text, 70000}, STR("a")};
    assert_int_equal(journal_append(f->journal, &long_text, &p), ERR_TOO_LARGE);
    assert_int_equal(journal_append(f->journal, &long_name, &p), ERR_TOO_LARGE);
    assert_int_equal(journal_size(f->journal), HEAD_SIZE);
    free(text);
}

static void a_new_file_takes_the_place_of_the_old(void **state)
{
    struct fixture *f = *state;
    struct journal_rewrite *w;
    struct journal_record fresh = {'E', 3, STR("epoch"), STR("")};
    struct buf bytes = {0};
    struct journal_record r = {0};
    int64_t at, at_waiting, shift;

    (void)reopen(f);
    (void)append(f, 'S', 1, "dropped", "x");
    struct journal_place kept = append(f, 'S', 2, "kept", "y");
    flush(f);
    struct journal_place waiting = append(f, 'S', 3, "waiting", "z");
    assert_int_equal(journal_rewrite_begin(f->journal, &w), ERR_OK);
    assert_int_equal(journal_rewrite_put(w, &fresh), ERR_OK);
    assert_int_equal(journal_rewrite_copy(w, &kept, &at), ERR_OK);
    assert_int_equal(journal_rewrite_copy(w, &waiting, &at_waiting), ERR_OK);
    assert_int_equal(journal_rewrite_end(w, &shift), ERR_OK);
    waiting.at = at_waiting;
    assert_int_equal(journal_get(f->journal, &waiting, &bytes, &r), ERR_OK);
    assert_true(str_is(r.text, STR("z")));
    (void)append(f, 'S', 4, "after", "w");
    flush(f);
    assert_string_equal(reopen(f), "E 3 epoch \nS 2 kept y\nS 3 waiting z\nS 4 after w\n");
    buf_fini(&bytes);
}

/* What it says of one piece of the tail, written or only waiting. */
static void judge_moved(struct fixture *f, struct journal_place p, int64_t shift, char first)
{
    struct buf bytes = {0};
    struct journal_record r = {0};

    p.at += shift;
    assert_int_equal(journal_get(f->journal, &p, &bytes, &r), ERR_OK);
    assert_int_equal(r.text.p[0], first);
    buf_fini(&bytes);
}

static void what_is_said_meanwhile_stands_behind(void **state)
{
    enum { N = 700000 };
    struct fixture *f = *state;
    struct journal_rewrite *w;
    struct journal_place tail[5];
    char *text = calloc(1, N + 1);
    int64_t at, shift;
    bool is_more = false;
    int steps = 0;

    assert_non_null(text);
    (void)reopen(f);
    struct journal_place kept = append(f, 'S', 1, "kept", "y");
    (void)append(f, 'S', 2, "dropped", "z"); /* waits */
    assert_int_equal(journal_rewrite_begin(f->journal, &w), ERR_OK);
    for (int i = 0; i < 4; i++) {
        memset(text, 'a' + i, N);
        tail[i] = append(f, 'S', 10 + i, "tail", text);
        if (i == 1) {
            flush(f);
            assert_int_equal(journal_rewrite_copy(w, &kept, &at), ERR_OK);
            assert_int_equal(journal_rewrite_sync(w), ERR_OK);
        }
    }
    flush(f);
    do {
        assert_int_equal(journal_rewrite_follow(w, &is_more), ERR_OK);
        steps++;
    } while (is_more);
    assert_true(steps > 1);
    tail[4] = append(f, 'S', 14, "waits", "e");
    assert_int_equal(journal_rewrite_end(w, &shift), ERR_OK);
    for (int i = 0; i < 5; i++) {
        judge_moved(f, tail[i], shift, (char)('a' + i));
    }
    (void)append(f, 'S', 15, "after", "x");
    flush(f);
    const char *all = reopen(f);
    assert_int_equal(strncmp(all, "S 1 kept y\nS 10 tail a", 22), 0);
    assert_non_null(strstr(all, "\nS 13 tail d"));
    assert_non_null(strstr(all, "\nS 14 waits e\nS 15 after x\n"));
    assert_null(strstr(all, "dropped"));
    free(text);
}

static void a_new_file_that_is_given_up_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct journal_rewrite *w;

    (void)reopen(f);
    struct journal_place p = append(f, 'S', 1, "one", "x");
    flush(f);
    int64_t at;
    assert_int_equal(journal_rewrite_begin(f->journal, &w), ERR_OK);
    assert_int_equal(journal_rewrite_copy(w, &p, &at), ERR_OK);
    journal_rewrite_give_up(w);
    (void)append(f, 'S', 2, "two", "y");
    flush(f);
    assert_string_equal(reopen(f), "S 1 one x\nS 2 two y\n");
}

static void what_was_left_of_a_new_file_goes(void **state)
{
    struct fixture *f = *state;
    char name[96];

    (void)reopen(f);
    (void)append(f, 'S', 1, "one", "x");
    flush(f);
    (void)snprintf(name, sizeof name, "%s/j.new", f->dir);
    FILE *left = fopen(name, "w");
    assert_non_null(left);
    assert_int_equal(fclose(left), 0);
    assert_string_equal(reopen(f), "S 1 one x\n");
    assert_int_not_equal(access(name, F_OK), 0);
}

static void a_second_process_does_not_get_it(void **state)
{
    struct fixture *f = *state;
    struct journal *other = NULL;
    struct journal_found found;
    struct buf why = {0};

    (void)reopen(f);
    assert_int_equal(journal_open(f->dir, "j", on_record, f, &other, &found, &why), ERR_BUSY);
    assert_non_null(strstr(why.p, "another process"));
    buf_fini(&why);
}

static void a_folder_that_is_not_there_is_said(void **state)
{
    struct fixture *f = *state;
    struct journal *other = NULL;
    struct journal_found found;
    struct buf why = {0};

    assert_int_equal(journal_open("/proc/nowhere", "j", on_record, f, &other, &found, &why),
                     ERR_IO);
    assert_non_null(strstr(why.p, "/proc/nowhere/j"));
    buf_fini(&why);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(what_was_flushed_is_read_back),
                                       T(a_record_is_found_by_its_place),
                                       T(a_file_torn_at_any_byte_gives_its_whole_records),
                                       T(any_wrong_byte_costs_only_what_follows),
                                       T(another_version_is_moved_aside),
                                       T(an_empty_file_is_a_new_one),
                                       T(a_huge_length_is_damage),
                                       T(zeros_behind_a_crash_are_cut),
                                       T(many_and_long_ones_are_read_in_pieces),
                                       T(what_is_too_long_is_refused),
                                       T(a_new_file_takes_the_place_of_the_old),
                                       T(what_is_said_meanwhile_stands_behind),
                                       T(a_new_file_that_is_given_up_changes_nothing),
                                       T(what_was_left_of_a_new_file_goes),
                                       T(a_second_process_does_not_get_it),
                                       T(a_folder_that_is_not_there_is_said)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
