/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/buf.h"
#include "base/err.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_of_and_is(void **state)
{
    (void)state;
    assert_int_equal(str_of(NULL).n, 0);
    assert_int_equal(str_of("abc").n, 3);
    assert_int_equal(STR("a\0b").n, 3);
    assert_true(str_is(str_of(NULL), STR("")));
    assert_true(str_is(STR("a\0b"), STR("a\0b")));
    assert_false(str_is(STR("a\0b"), STR("a\0c")));
    assert_false(str_is(STR("ab"), STR("abc")));
    assert_false(str_is(STR("ab"), STR("aB")));
}

static void test_nocase(void **state)
{
    static const struct {
        struct str a, b;
        bool is_same;
    } rows[] = {
        {STR(""), STR(""), true},
        {STR("Content-Type"), STR("cONTENT-tYPE"), true},
        {STR("azAZ09"), STR("AZaz09"), true},
        {STR("a"), STR("ab"), false},
        {STR("a"), STR("b"), false},
        /* The neighbours of the letters differ by the same bit. */
        {STR("@"), STR("`"), false},
        {STR("["), STR("{"), false},
        {STR("\xc3\x89"), STR("\xc3\xa9"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (str_is_nocase(rows[i].a, rows[i].b) != rows[i].is_same) {
            fail_msg("row %zu: \"%.*s\" and \"%.*s\"", i, STR_ARG(rows[i].a), STR_ARG(rows[i].b));
        }
    }
}

static void test_starts(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("")));
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("abc")));
    assert_false(str_starts(STR("abc"), STR("abcd")));
    assert_false(str_starts(STR("abc"), STR("b")));
    assert_false(str_starts((struct str){"abcd", 3}, STR("abcd")));
    assert_true(str_starts(str_of(NULL), str_of(NULL)));
}

static void test_trim(void **state)
{
    static const struct {
        struct str from, to;
    } rows[] = {
        {STR(""), STR("")},         {STR(" \t "), STR("")},      {STR("a"), STR("a")},
        {STR(" a b "), STR("a b")}, {STR("\t\ta \t"), STR("a")}, {STR("\na\r"), STR("\na\r")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(str_is(str_trim(rows[i].from), rows[i].to));
    }
    assert_int_equal(str_trim(str_of(NULL)).n, 0);
}

/* Each piece in brackets. */
static void assert_cuts(struct str text, const char *want)
{
    struct buf got = {0};
    struct str piece;

    buf_text(&got, "");
    while (str_cut(&text, ',', &piece)) {
        buf_printf(&got, "[%.*s]", STR_ARG(piece));
    }
    assert_string_equal(got.p, want);
    buf_fini(&got);
}

static void test_cut(void **state)
{
    (void)state;
    assert_cuts(STR("a,,b"), "[a][][b]");
    assert_cuts(STR("one"), "[one]");
    assert_cuts(STR("a,"), "[a][]");
    assert_cuts(STR(",a"), "[][a]");
    assert_cuts(STR(""), "[]");
    assert_cuts(str_of(NULL), "");
}

static void test_dup(void **state)
{
    (void)state;
    char *copy = str_dup((struct str){"abcdef", 3});
    assert_string_equal(copy, "abc");
    free(copy);
    copy = str_dup(STR("a\0b"));
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = str_dup(str_of(NULL));
    assert_string_equal(copy, "");
    free(copy);
}

static void test_keep(void **state)
{
    char to[4] = "old";

    (void)state;
    assert_false(str_keep(str_of(""), to, sizeof to));
    assert_false(str_keep(STR("four"), to, sizeof to));
    assert_string_equal(to, "old");
    assert_true(str_keep((struct str){"newer", 3}, to, sizeof to));
    assert_string_equal(to, "new");
}

static void test_to_u64(void **state)
{
    static const struct {
        struct str text;
        uint64_t max;
        int rc;
        uint64_t value;
    } rows[] = {
        {STR("0"), UINT64_MAX, ERR_OK, 0},
        {STR("0"), 0, ERR_OK, 0},
        {STR("1"), 0, ERR_TOO_LARGE, 0},
        {STR("007"), 7, ERR_OK, 7},
        {STR("10"), 10, ERR_OK, 10},
        {STR("11"), 10, ERR_TOO_LARGE, 0},
        {STR("20"), 10, ERR_TOO_LARGE, 0},
        {STR("100"), 10, ERR_TOO_LARGE, 0},
        {STR("19"), 19, ERR_OK, 19},
        {STR("9"), 3, ERR_TOO_LARGE, 0},
        {STR("19"), 3, ERR_TOO_LARGE, 0},
        {STR("190"), 3, ERR_TOO_LARGE, 0},
        {STR("0000000000000000000000000000000000003"), 3, ERR_OK, 3},
        {STR("18446744073709551615"), UINT64_MAX, ERR_OK, UINT64_MAX},
        {STR("18446744073709551616"), UINT64_MAX, ERR_TOO_LARGE, 0},
        {STR("18446744073709551620"), UINT64_MAX, ERR_TOO_LARGE, 0},
        {STR("184467440737095516150"), UINT64_MAX, ERR_TOO_LARGE, 0},
        {STR("99999999999999999999999999999999999999"), 3, ERR_TOO_LARGE, 0},
        {STR("9223372036854775807"), INT64_MAX, ERR_OK, INT64_MAX},
        {STR("9223372036854775808"), INT64_MAX, ERR_TOO_LARGE, 0},
        {STR(""), 9, ERR_SYNTAX, 0},
        {STR("-1"), 9, ERR_SYNTAX, 0},
        {STR("+1"), 9, ERR_SYNTAX, 0},
        {STR(" 1"), 9, ERR_SYNTAX, 0},
        {STR("1 "), 99, ERR_SYNTAX, 0},
        {STR("1\0"), 99, ERR_SYNTAX, 0},
        {STR("0x1"), 99, ERR_SYNTAX, 0},
        {STR("1.0"), 99, ERR_SYNTAX, 0},
        {STR("1e3"), 9999, ERR_SYNTAX, 0},
        {STR("/"), 99, ERR_SYNTAX, 0},
        {STR(":"), 99, ERR_SYNTAX, 0},
        /* What is no number is not a large one. */
        {STR("999999x"), 10, ERR_SYNTAX, 0},
        {STR("99999999999999999999999999x"), UINT64_MAX, ERR_SYNTAX, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t value = 4711;
        int rc = str_to_u64(rows[i].text, rows[i].max, &value);
        uint64_t want = rows[i].rc == ERR_OK ? rows[i].value : 4711;
        if (rc != rows[i].rc || value != want) {
            fail_msg("\"%.*s\" up to %" PRIu64 ": %s %" PRIu64, STR_ARG(rows[i].text), rows[i].max,
                     err_word(rc), value);
        }
    }
}

static void test_to_i64(void **state)
{
    static const struct {
        struct str text;
        int rc;
        int64_t value;
    } rows[] = {
        {STR("0"), ERR_OK, 0},
        {STR("-0"), ERR_OK, 0},
        {STR("42"), ERR_OK, 42},
        {STR("-42"), ERR_OK, -42},
        {STR("9223372036854775807"), ERR_OK, INT64_MAX},
        {STR("9223372036854775808"), ERR_TOO_LARGE, 0},
        {STR("-9223372036854775807"), ERR_OK, -INT64_MAX},
        {STR("-9223372036854775808"), ERR_OK, INT64_MIN},
        {STR("-9223372036854775809"), ERR_TOO_LARGE, 0},
        {STR(""), ERR_SYNTAX, 0},
        {STR("-"), ERR_SYNTAX, 0},
        {STR("--1"), ERR_SYNTAX, 0},
        {STR("+1"), ERR_SYNTAX, 0},
        {STR("- 1"), ERR_SYNTAX, 0},
        {STR("1-"), ERR_SYNTAX, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = 4711;
        int rc = str_to_i64(rows[i].text, &value);
        int64_t want = rows[i].rc == ERR_OK ? rows[i].value : 4711;
        if (rc != rows[i].rc || value != want) {
            fail_msg("\"%.*s\": %s %" PRId64, STR_ARG(rows[i].text), err_word(rc), value);
        }
    }
}

static void test_from_i64(void **state)
{
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {7, "7"},
        {-7, "-7"},
        {10, "10"},
        {4294967296, "4294967296"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[STR_I64_SIZE];
        struct str got = str_from_i64(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
        assert_ptr_equal(got.p, text);
        assert_int_equal(got.n, strlen(rows[i].text));
    }
}

static void test_put(void **state)
{
    char text[8] = "1234567";

    (void)state;
    assert_int_equal(str_put(STR("ab"), text, sizeof text, 0), 2);
    assert_string_equal(text, "ab");
    assert_int_equal(str_put((struct str){NULL, 0}, text, sizeof text, 2), 2);
    assert_string_equal(text, "ab");
    /* Exactly what fits, then nothing more. */
    assert_int_equal(str_put(STR("cdefg"), text, sizeof text, 2), 7);
    assert_string_equal(text, "abcdefg");
    assert_int_equal(str_put(STR("h"), text, sizeof text, 7), 7);
    assert_string_equal(text, "abcdefg");
    /* What does not is cut off. */
    assert_int_equal(str_put(STR("0123456789"), text, sizeof text, 1), 7);
    assert_string_equal(text, "a012345");
}

static void test_utf8(void **state)
{
    static const struct {
        struct str text;
        bool is_good;
    } rows[] = {
        {STR(""), true},
        {STR("ascii\0\x7f"), true},
        {STR("\xc2\x80"), true},
        {STR("\xdf\xbf"), true},
        {STR("\xe0\xa0\x80"), true},
        {STR("\xed\x9f\xbf"), true},
        {STR("\xee\x80\x80"), true},
        {STR("\xef\xbf\xbf"), true},
        {STR("\xf0\x90\x80\x80"), true},
        {STR("\xf4\x8f\xbf\xbf"), true},
        {STR("a\xc3\xa9z\xe2\x82\xacz\xf0\x9f\x9a\xb0z"), true},
        /* Bytes that begin nothing. */
        {STR("\x80"), false},
        {STR("\xbf"), false},
        {STR("\xfe"), false},
        {STR("\xff"), false},
        {STR("\xf5\x80\x80\x80"), false},
        {STR("\xf8\x88\x80\x80\x80"), false},
        /* Overlong. */
        {STR("\xc0\x80"), false},
        {STR("\xc1\xbf"), false},
        {STR("\xe0\x9f\xbf"), false},
        {STR("\xf0\x8f\xbf\xbf"), false},
        /* Surrogates, and beyond U+10FFFF. */
        {STR("\xed\xa0\x80"), false},
        {STR("\xed\xbf\xbf"), false},
        {STR("\xf4\x90\x80\x80"), false},
        /* Cut off, at the end and before another. */
        {STR("\xc3"), false},
        {STR("\xe2\x82"), false},
        {STR("\xf0\x9f\x9a"), false},
        {STR("\xf0\x9f"), false},
        {STR("\xc3z"), false},
        {STR("\xe2\x82z"), false},
        {STR("\xe2\xc3\xa9"), false},
        {STR("\xf0\x9f\x9a\xc3"), false},
        {STR("good then \xff"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (str_is_utf8(rows[i].text) != rows[i].is_good) {
            fail_msg("row %zu is taken for %s", i, rows[i].is_good ? "bad" : "good");
        }
    }
    /* A cut sequence is refused by its length, not by the byte that happens to stand behind it. */
    assert_false(str_is_utf8((struct str){"\xe2\x82\xac", 2}));
}

/* Every code point there is, encoded by hand, is well-formed, and surrogates are not. */
static void test_utf8_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char b[4];
        size_t n = 0;
        if (c < 0x80) {
            b[n++] = (char)c;
        } else if (c < 0x800) {
            b[n++] = (char)(0xC0 | (c >> 6));
            b[n++] = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            b[n++] = (char)(0xE0 | (c >> 12));
            b[n++] = (char)(0x80 | ((c >> 6) & 0x3F));
            b[n++] = (char)(0x80 | (c & 0x3F));
        } else {
            b[n++] = (char)(0xF0 | (c >> 18));
            b[n++] = (char)(0x80 | ((c >> 12) & 0x3F));
            b[n++] = (char)(0x80 | ((c >> 6) & 0x3F));
            b[n++] = (char)(0x80 | (c & 0x3F));
        }
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        if (str_is_utf8((struct str){b, n}) == is_surrogate) {
            fail_msg("U+%04" PRIX32, c);
        }
    }
}

static void test_constant_time(void **state)
{
    (void)state;
    assert_true(str_is_constant_time(STR(""), str_of(NULL)));
    assert_true(str_is_constant_time(STR("secret"), STR("secret")));
    assert_false(str_is_constant_time(STR("secret"), STR("Secret")));
    assert_false(str_is_constant_time(STR("secret"), STR("secreT")));
    assert_false(str_is_constant_time(STR("secret"), STR("secrets")));
    /* Two differences that would cancel out if they were added up. */
    assert_false(str_is_constant_time(STR("\x01\x01"), STR("\x81\x81")));
    assert_false(str_is_constant_time(STR("ab"), STR("ba")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_and_is),     cmocka_unit_test(test_nocase),
        cmocka_unit_test(test_starts),        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_cut),           cmocka_unit_test(test_dup),
        cmocka_unit_test(test_to_u64),        cmocka_unit_test(test_to_i64),
        cmocka_unit_test(test_from_i64),      cmocka_unit_test(test_put),
        cmocka_unit_test(test_utf8),          cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_constant_time), cmocka_unit_test(test_keep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
