/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_holds(const struct buf *b, struct str want)
{
    if (!str_is(buf_as_str(b), want)) {
        fail_msg("\"%.*s\", not \"%.*s\"", STR_ARG(buf_as_str(b)), STR_ARG(want));
    }
}

static void test_appends(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_text(&b, "one ");
    buf_char(&b, '2');
    buf_str(&b, STR(" three"));
    buf_printf(&b, " %d %s", 4, "five");
    buf_add(&b, "\0six", 4);
    assert_holds(&b, STR("one 2 three 4 five\0six"));
    assert_int_equal(b.p[b.n], '\0');
    assert_false(buf_failed(&b));
    buf_fini(&b);
    assert_null(b.p);
    buf_fini(NULL);
}

static void test_empty_appends_make_text(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_add(&b, NULL, 0);
    buf_str(&b, (struct str){NULL, 0});
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    buf_fini(&b);
}

/* Around every size at which it grows: nothing is lost, and the end is terminated. */
static void test_grows(void **state)
{
    static char bytes[5000];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)('a' + i % 26);
    }
    for (size_t step = 1; step <= 4097; step = step * 2 + (step % 3 == 0 ? 1 : 0)) {
        struct buf b = {0};
        for (size_t at = 0; at < sizeof bytes; at += step) {
            size_t n = sizeof bytes - at < step ? sizeof bytes - at : step;
            buf_add(&b, bytes + at, n);
            assert_int_equal(b.p[b.n], '\0');
        }
        assert_int_equal(b.n, sizeof bytes);
        assert_memory_equal(b.p, bytes, sizeof bytes);
        buf_fini(&b);
    }
}

static void test_printf_longer_than_the_room(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_text(&b, "x");
    buf_printf(&b, "%0300d", 7);
    assert_int_equal(b.n, 301);
    assert_int_equal(b.p[0], 'x');
    assert_int_equal(b.p[1], '0');
    assert_int_equal(b.p[300], '7');
    assert_int_equal(b.p[301], '\0');
    /* Exactly up to the room's end, and one more. */
    for (int n = 120; n <= 136; n++) {
        buf_clear(&b);
        buf_printf(&b, "%0*d", n, 5);
        assert_int_equal(b.n, n);
        assert_int_equal(b.p[n - 1], '5');
        assert_int_equal(b.p[n], '\0');
    }
    buf_fini(&b);
}

static void test_i64(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_i64(&b, -12);
    buf_char(&b, ' ');
    buf_i64(&b, 0);
    assert_string_equal(b.p, "-12 0");
    buf_fini(&b);
}

static void test_clear_keeps_the_room(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_clear(&b);
    buf_text(&b, "something");
    size_t room = b.room;
    char *p = b.p;
    buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    assert_int_equal(b.room, room);
    buf_text(&b, "else");
    assert_ptr_equal(b.p, p);
    assert_holds(&b, STR("else"));
    buf_fini(&b);
}

static void test_drop(void **state)
{
    static const struct {
        size_t n;
        const char *left;
    } rows[] = {{0, "abcdef"}, {1, "bcdef"}, {5, "f"}, {6, ""}, {7, ""}, {SIZE_MAX, ""}};
    struct buf none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        buf_text(&b, "abcdef");
        buf_drop(&b, rows[i].n);
        assert_string_equal(b.p, rows[i].left);
        assert_int_equal(b.n, strlen(rows[i].left));
        buf_fini(&b);
    }
    buf_drop(&none, 3);
    assert_int_equal(none.n, 0);
}

static void test_reserve(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_text(&b, "head ");
    char *to = buf_reserve(&b, 1000);
    assert_non_null(to);
    assert_true(b.room - b.n > 1000);
    memset(to, 'z', 1000);
    b.n += 1000;
    buf_text(&b, " tail");
    assert_int_equal(b.n, 1010);
    assert_memory_equal(b.p, "head zzz", 8);
    assert_memory_equal(b.p + 1002, "zzz tail", 9);
    buf_fini(&b);
    /* There is always a place behind for the end's NUL. */
    for (size_t n = 0; n < 600; n++) {
        assert_non_null(buf_reserve(&b, n));
        assert_true(b.room - b.n > n);
        buf_fini(&b);
    }
}

static void test_take(void **state)
{
    struct buf b = {0};
    size_t n = 77;

    (void)state;
    assert_null(buf_take(&b, &n));
    assert_int_equal(n, 77);
    buf_text(&b, "mine");
    char *p = buf_take(&b, &n);
    assert_string_equal(p, "mine");
    assert_int_equal(n, 4);
    assert_null(b.p);
    assert_int_equal(b.n, 0);
    buf_text(&b, "again");
    assert_string_equal(p, "mine");
    free(p);
    p = buf_take(&b, NULL);
    assert_string_equal(p, "again");
    free(p);
}

/* More than any memory has: the failure is remembered, what was there stays, later appends do
 * nothing. */
static void test_failure_is_remembered(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_text(&b, "before");
    assert_null(buf_reserve(&b, SIZE_MAX - 100));
    assert_true(buf_failed(&b));
    buf_text(&b, " after");
    buf_printf(&b, "%d", 1);
    buf_char(&b, 'c');
    buf_json_str(&b, STR("json"));
    assert_holds(&b, STR("before"));
    assert_null(buf_reserve(&b, 1));
    assert_true(buf_failed(&b));
    assert_null(buf_take(&b, NULL));
    assert_null(b.p);
    assert_false(buf_failed(&b));
}

static void test_clear_forgets_the_failure(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_null(buf_reserve(&b, SIZE_MAX / 2 + 1));
    assert_true(buf_failed(&b));
    buf_clear(&b);
    assert_false(buf_failed(&b));
    buf_text(&b, "ok");
    assert_holds(&b, STR("ok"));
    buf_fini(&b);
}

static void test_json_strings(void **state)
{
    static const struct {
        struct str from;
        const char *to;
    } rows[] = {
        {STR(""), "\"\""},
        {STR("plain / text"), "\"plain / text\""},
        {STR("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {STR("\n\r\t"), "\"\\n\\r\\t\""},
        {STR("\b\f\x1f"), "\"\\u0008\\u000c\\u001f\""},
        {STR("a\0b"), "\"a\\u0000b\""},
        {STR("\x7f"), "\"\\u007f\""},
        /* Two, three and four bytes go through. */
        {STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xb0"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xb0\""},
        {STR("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\""},
        /* A byte that begins nothing is one U+FFFD, and what follows is read anew. */
        {STR("a\xff"
             "b"),
         "\"a\\ufffdb\""},
        {STR("\x80\x80"), "\"\\ufffd\\ufffd\""},
        {STR("\xe2\x82"), "\"\\ufffd\\ufffd\""},
        {STR("\xe2\x82\""), "\"\\ufffd\\ufffd\\\"\""},
        {STR("\xc0\xaf"), "\"\\ufffd\\ufffd\""},
        {STR("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""},
        {STR("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {STR("\xc3\xc3\xa9"), "\"\\ufffd\xc3\xa9\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        buf_json_str(&b, rows[i].from);
        if (!str_is(buf_as_str(&b), str_of(rows[i].to))) {
            fail_msg("row %zu: %s, not %s", i, b.p, rows[i].to);
        }
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_empty_appends_make_text),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_printf_longer_than_the_room),
        cmocka_unit_test(test_i64),
        cmocka_unit_test(test_clear_keeps_the_room),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_failure_is_remembered),
        cmocka_unit_test(test_clear_forgets_the_failure),
        cmocka_unit_test(test_json_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
