/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *name;
    struct job_message message;
    struct str base;
    uint32_t number;
    const char *url;
    const char *lines[12];
} ROWS[] = {
    {"the least",
     {.id = STR("erp.abc"), .path = STR("/")},
     STR("http://127.0.0.1:9000"),
     1,
     "http://127.0.0.1:9000/",
     {"Idempotency-Key: erp.abc", "Sluice-Job-Id: erp.abc", "Sluice-Attempt: 1"}},
    {"path and query as they stand",
     {.id = STR("erp.abc"), .path = STR("/a%20b/./c?x=1&y=%41%%")},
     STR("https://erp.example/base"),
     1,
     "https://erp.example/base/a%20b/./c?x=1&y=%41%%",
     {"Idempotency-Key: erp.abc", "Sluice-Job-Id: erp.abc", "Sluice-Attempt: 1"}},
    {"the caller's lines first, in order, repeated ones separate, empty ones kept",
     {.id = STR("erp.abc"),
      .path = STR("/p"),
      .head =
          STR("Accept: a/b\r\nX-Same: 1\r\nx-same:   2  \r\nX-Empty:\r\nX-Url: http://h:1/\r\n")},
     STR("http://h"),
     4294967295,
     "http://h/p",
     {"Accept: a/b", "X-Same: 1", "x-same: 2", "X-Empty: ", "X-Url: http://h:1/",
      "Idempotency-Key: erp.abc", "Sluice-Job-Id: erp.abc", "Sluice-Attempt: 4294967295"}},
    {"the caller's key goes out, percent signs and all",
     {.id = STR("erp.abc"), .path = STR("/p"), .key_value = STR("order 17 %s%n")},
     STR("http://h"),
     2,
     "http://h/p",
     {"Idempotency-Key: order 17 %s%n", "Sluice-Job-Id: erp.abc", "Sluice-Attempt: 2"}},
    {"trace and schedule",
     {.id = STR("erp.abc"),
      .path = STR("/p"),
      .traceparent = STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
      .schedule = STR("nightly"),
      .scheduled_time = STR("2026-03-29T01:00:00Z")},
     STR("http://h"),
     3,
     "http://h/p",
     {"Idempotency-Key: erp.abc", "Sluice-Job-Id: erp.abc", "Sluice-Attempt: 3",
      "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "Sluice-Schedule: nightly", "Sluice-Scheduled-Time: 2026-03-29T01:00:00Z"}},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct forward f = {0};
        size_t n = 0;
        assert_int_equal(forward_make(&ROWS[i].message, ROWS[i].base, ROWS[i].number, STR(""), &f),
                         ERR_OK);
        assert_string_equal(f.url.p, ROWS[i].url);
        for (; f.lines[n] != NULL && ROWS[i].lines[n] != NULL; n++) {
            if (!str_is(str_of(f.lines[n]), str_of(ROWS[i].lines[n]))) {
                fail_msg("%s: \"%s\", not \"%s\"", ROWS[i].name, f.lines[n], ROWS[i].lines[n]);
            }
        }
        if (f.lines[n] != NULL || ROWS[i].lines[n] != NULL) {
            fail_msg("%s: another number of lines", ROWS[i].name);
        }
        forward_fini(&f);
    }
}

/* The text grows while lines are added: they must be found where it lies in the end. */
static void test_many_lines(void **state)
{
    struct buf head = {0};
    struct forward f = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        buf_printf(&head, "X-%d: value %d\r\n", i, i);
    }
    struct job_message m = {.id = STR("erp.abc"), .path = STR("/"), .head = buf_as_str(&head)};
    assert_int_equal(forward_make(&m, STR("http://h"), 1, STR(""), &f), ERR_OK);
    for (int i = 0; i < 1000; i++) {
        char want[40];
        (void)snprintf(want, sizeof want, "X-%d: value %d", i, i);
        assert_string_equal(f.lines[i], want);
    }
    assert_string_equal(f.lines[1000], "Idempotency-Key: erp.abc");
    assert_null(f.lines[1003]);
    forward_fini(&f);
    assert_null(f.lines);
    forward_fini(&f);
    buf_fini(&head);
}

/* The question carries nothing of the caller's, and no key: it is not the work. */
static void test_questions(void **state)
{
    static const struct {
        struct str base;
        struct str path;
        const char *url;
    } rows[] = {
        {STR("http://h"), STR("/jobs/{id}"), "http://h/jobs/erp.abc"},
        {STR("https://h/base"), STR("/s?a={id}&b={id}"), "https://h/base/s?a=erp.abc&b=erp.abc"},
        {STR("http://h"), STR("/by-header"), "http://h/by-header"},
        {STR("http://h"), STR("/{i}/{id"), "http://h/{i}/{id"},
    };
    const struct job_message m = {.id = STR("erp.abc"),
                                  .path = STR("/orders"),
                                  .head = STR("X-Own: 1\r\n"),
                                  .key_value = STR("key"),
                                  .traceparent = STR("00-1-2-3")};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct forward f = {0};
        assert_int_equal(forward_make_question(&m, rows[i].base, rows[i].path, 2, &f), ERR_OK);
        assert_string_equal(f.url.p, rows[i].url);
        assert_string_equal(f.lines[0], "Sluice-Job-Id: erp.abc");
        assert_string_equal(f.lines[1], "Sluice-Attempt: 2");
        assert_string_equal(f.lines[2], "traceparent: 00-1-2-3");
        assert_null(f.lines[3]);
        forward_fini(&f);
    }
}

static void test_the_token_goes_along(void **state)
{
    struct job_message m = {.id = STR("erp.abc"), .path = STR("/p")};
    struct forward f;

    (void)state;
    assert_int_equal(forward_make(&m, STR("http://h"), 1, STR("1.ab"), &f), ERR_OK);
    assert_string_equal(f.lines[3], "Sluice-Complete-Token: 1.ab");
    assert_null(f.lines[4]);
    forward_fini(&f);
}

static void test_a_poll_has_of_the_callers_lines_what_it_needs(void **state)
{
    struct job_message m = {.id = STR("erp.abc"),
                            .path = STR("/p"),
                            .head = STR("accept: a\r\nX-Y: 1\r\nAuthorization: b\r\nCookie: c\r\n"
                                        "Content-Type: d\r\n"),
                            .key_value = STR("key"),
                            .traceparent = STR("00-1")};
    static const char *const lines[] = {"accept: a",         "Authorization: b",
                                        "Cookie: c",         "Sluice-Job-Id: erp.abc",
                                        "Sluice-Attempt: 2", "traceparent: 00-1"};
    struct forward f;

    (void)state;
    assert_int_equal(forward_make_poll(&m, STR("http://h/jobs/7?x"), 2, &f), ERR_OK);
    assert_string_equal(f.url.p, "http://h/jobs/7?x");
    for (size_t i = 0; i < COUNT(lines); i++) {
        assert_string_equal(f.lines[i], lines[i]);
    }
    assert_null(f.lines[COUNT(lines)]);
    forward_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_token_goes_along),
        cmocka_unit_test(test_a_poll_has_of_the_callers_lines_what_it_needs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
