/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/err.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NONE INT64_MIN

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* NONE: refused */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2026-03-29T01:00:00Z", 1774746000000},
        {"2026-03-29T01:00:00.5Z", 1774746000500},
        {"2026-03-29T01:00:00.05Z", 1774746000050},
        {"2026-03-29T01:00:00.1239Z", 1774746000123},
        {"2026-03-29T01:00:00.999999999999999999999Z", 1774746000999},
        {"2026-03-29t01:00:00z", 1774746000000},
        {"2026-03-29T03:00:00+02:00", 1774746000000},
        {"2026-03-28T20:30:00-04:30", 1774746000000},
        {"2026-03-29T01:00:00-00:00", 1774746000000},
        {"2026-03-30T00:59:00+23:59", 1774746000000},
        {"2026-03-29T03:00:00.25+02:00", 1774746000250},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second is the next one */
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"0001-01-01T00:00:00Z", -62135596800000},
        {"", NONE},
        {"2026", NONE},
        {"2026-03-29", NONE},
        {"2026-03-29T01:00:00", NONE},
        {"2026-03-29 01:00:00Z", NONE},
        {"2026-03-29T01:00Z", NONE},
        {"2026-03-29T01:00:00.Z", NONE},
        {"2026-03-29T01:00:00,5Z", NONE},
        {"2026-03-29T01:00:00Zx", NONE},
        {"2026-03-29T01:00:00Z ", NONE},
        {" 2026-03-29T01:00:00Z", NONE},
        {"2026-03-29T01:00:00+0200", NONE},
        {"2026-03-29T01:00:00+02", NONE},
        {"2026-03-29T01:00:00+2:00", NONE},
        {"2026-03-29T01:00:00+24:00", NONE},
        {"2026-03-29T01:00:00+02:60", NONE},
        {"2026-03-29T01:00:00+", NONE},
        {"2026-03-29T24:00:00Z", NONE},
        {"2026-03-29T23:60:00Z", NONE},
        {"2026-03-29T23:59:61Z", NONE},
        {"2026-03-29T1:00:00Z", NONE},
        {"2026-00-29T01:00:00Z", NONE},
        {"2026-13-29T01:00:00Z", NONE},
        {"2026-03-00T01:00:00Z", NONE},
        {"2026-03-32T01:00:00Z", NONE},
        {"2026-04-31T01:00:00Z", NONE},
        {"2026-02-29T01:00:00Z", NONE},
        {"2100-02-29T01:00:00Z", NONE},
        {"2026-3-29T01:00:00Z", NONE},
        {"26-03-29T01:00:00Z", NONE},
        {"12026-03-29T01:00:00Z", NONE},
        {"-026-03-29T01:00:00Z", NONE},
        {"2026/03/29T01:00:00Z", NONE},
        {"2026-03-29T01-00-00Z", NONE},
        {"2026-03-29T-1:00:00Z", NONE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct wall got = {NONE};
        int rc = wall_parse(rows[i].text, strlen(rows[i].text), &got);
        int want = rows[i].ms == NONE ? ERR_SYNTAX : ERR_OK;
        if (rc != want || got.ms != rows[i].ms) {
            fail_msg("\"%s\": %s, %" PRId64, rows[i].text, err_word(rc), got.ms);
        }
    }
}

/* `n` ends the text, not a NUL: every shorter one is refused, and nothing behind it is read (what
 * AddressSanitizer sees: each lies in a block of its own length). */
static void test_parse_obeys_the_length(void **state)
{
    static const char text[] = "2026-03-29T03:00:00.250+02:00";

    (void)state;
    for (size_t n = 1; n <= sizeof text - 1; n++) {
        struct wall got = {NONE};
        char *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, text, n);
        int rc = wall_parse(copy, n, &got);
        free(copy);
        assert_int_equal(rc, n == sizeof text - 1 ? ERR_OK : ERR_SYNTAX);
        assert_true(rc == ERR_OK || got.ms == NONE);
    }
}

static void test_format(void **state)
{
    static const struct {
        int64_t ms;
        const char *text, *seconds;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00Z"},
        {999, "1970-01-01T00:00:00.999Z", "1970-01-01T00:00:00Z"},
        {1000, "1970-01-01T00:00:01.000Z", "1970-01-01T00:00:01Z"},
        {-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z"},
        {-1000, "1969-12-31T23:59:59.000Z", "1969-12-31T23:59:59Z"},
        {-1001, "1969-12-31T23:59:58.999Z", "1969-12-31T23:59:58Z"},
        {1774746000050, "2026-03-29T01:00:00.050Z", "2026-03-29T01:00:00Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z", "2024-02-29T00:00:00Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[WALL_TEXT_SIZE];
        struct wall back;
        wall_format((struct wall){rows[i].ms}, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(wall_parse(text, strlen(text), &back), ERR_OK);
        assert_true(back.ms == rows[i].ms);
        wall_format_seconds((struct wall){rows[i].ms}, text);
        assert_string_equal(text, rows[i].seconds);
    }
}

static void test_mono_arithmetic(void **state)
{
    struct mono a = {5000000000};

    (void)state;
    assert_true(mono_plus_ms(a, 250).ns == 5250000000);
    assert_true(mono_plus_ms(a, -250).ns == 4750000000);
    assert_true(mono_since_ms(a, mono_plus_ms(a, 250)) == 250);
    assert_true(mono_since_ms(mono_plus_ms(a, 250), a) == -250);
    assert_true(mono_since_ms(a, (struct mono){a.ns + 999999}) == 0);
    assert_true(mono_since_ms(a, (struct mono){a.ns + 1000000}) == 1);
}

static void test_clocks_run(void **state)
{
    struct mono m = clock_mono();
    struct wall w = clock_wall();
    struct mono later = m;

    (void)state;
    assert_true(w.ms > 1700000000000); /* 2023: a plausible machine */
    assert_true(m.ns > 0);
    while (later.ns == m.ns) {
        later = clock_mono();
        assert_true(later.ns >= m.ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_parse_obeys_the_length),
        cmocka_unit_test(test_format),     cmocka_unit_test(test_mono_arithmetic),
        cmocka_unit_test(test_clocks_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
