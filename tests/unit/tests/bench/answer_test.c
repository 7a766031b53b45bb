/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *text;
    int status;
    const char *location;
    const char *body;
} whole[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "", "abc"},
    {"HTTP/1.1 202 Accepted\r\nlocation: /v1/jobs/x.y\r\ncontent-length: 0\r\n\r\n", 202,
     "/v1/jobs/x.y", ""},
    {"HTTP/1.1 503 No\r\n\r\n", 503, "", ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
     200, "", "abc0123456789"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: y\r\n\r\n", 200,
     "", "x"},
};

static void check(const struct answer *a, size_t row)
{
    assert_true(a->is_whole);
    assert_int_equal(a->status, whole[row].status);
    assert_string_equal(a->location, whole[row].location);
    assert_string_equal(a->body, whole[row].body);
}

static void test_at_once_and_byte_by_byte(void **state)
{
    static struct answer a;

    (void)state;
    for (size_t row = 0; row < COUNT(whole); row++) {
        size_t n = strlen(whole[row].text);
        answer_begin(&a);
        assert_int_equal(answer_feed(&a, whole[row].text, n), ERR_OK);
        check(&a, row);
        answer_begin(&a);
        for (size_t i = 0; i < n; i++) {
            assert_false(a.is_whole);
            assert_int_equal(answer_feed(&a, whole[row].text + i, 1), ERR_OK);
        }
        check(&a, row);
    }
}

static void test_what_is_no_answer(void **state)
{
    static const char *const broken[] = {
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    };
    static struct answer a;

    (void)state;
    for (size_t row = 0; row < COUNT(broken); row++) {
        answer_begin(&a);
        assert_int_equal(answer_feed(&a, broken[row], strlen(broken[row])), ERR_SYNTAX);
    }
}

static void test_a_long_body_is_read_and_its_beginning_kept(void **state)
{
    static struct answer a;
    static char body[100000];
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";

    (void)state;
    memset(body, 'x', sizeof body);
    answer_begin(&a);
    assert_int_equal(answer_feed(&a, head, sizeof head - 1), ERR_OK);
    assert_int_equal(answer_feed(&a, body, sizeof body - 1), ERR_OK);
    assert_false(a.is_whole);
    assert_int_equal(answer_feed(&a, body, 1), ERR_OK);
    assert_true(a.is_whole);
    assert_int_equal(strlen(a.body), ANSWER_KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once_and_byte_by_byte),
        cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_a_long_body_is_read_and_its_beginning_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
