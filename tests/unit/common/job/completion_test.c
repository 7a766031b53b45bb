/* SPDX-License-Identifier: Apache-2.0 */
#include "job/completion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *json;
    int rc;
    int status;
    const char *token;
    const char *head;
    const char *body;
} ROWS[] = {
    {"{\"token\":\"1.a\"}", ERR_OK, 200, "1.a", "", ""},
    {"{\"token\":\"\",\"status\":599}", ERR_OK, 599, "", "", ""},
    {"{\"body\": {\"n\": 1.0},\"token\":\"t\"}", ERR_OK, 200, "t",
     "Content-Type: application/json\r\n", "{\"n\": 1.0}"},
    {"{\"token\":\"t\",\"body\":null}", ERR_OK, 200, "t", "Content-Type: application/json\r\n",
     "null"},
    {"{\"token\":\"t\",\"body_text\":\"\\u00e4\\n\"}", ERR_OK, 200, "t",
     "Content-Type: text/plain; charset=utf-8\r\n", "\xc3\xa4\n"},
    {"{\"token\":\"t\",\"body_base64\":\"YQ==\",\"headers\":{\"content-type\":\"x/y\"}}", ERR_OK,
     200, "t", "content-type: x/y\r\n", "a"},
    {"{\"token\":\"t\",\"headers\":{\"A\":[\"1\", \"\\\",]\" ,\"\"],\"Connection\":\"close\","
     "\"Content-Length\":\"7\",\"B\":\" 2 \",\"C\":[]}}",
     ERR_OK, 200, "t", "A: 1\r\nA: \",]\r\nA: \r\nB: 2\r\n", ""},
    {"", ERR_INVALID, 0, "", "", ""},
    {"[]", ERR_INVALID, 0, "", "", ""},
    {"{}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":7}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"token\":\"t\"}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\"}x", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"more\":1}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"status\":199}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"status\":2e2}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"body\":1,\"body_text\":\"1\"}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"body_text\":1}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"body_base64\":\"a\"}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"headers\":[]}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"headers\":{\"A B\":\"1\"}}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"headers\":{\"A\":1}}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"headers\":{\"A\":[1,\"2\"]}}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"headers\":{\"A\":[[\"1\"]]}}", ERR_INVALID, 0, "", "", ""},
    {"{\"token\":\"t\",\"headers\":{\"A\":\"1\\r\\nB: 2\"}}", ERR_INVALID, 0, "", "", ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct job_completion c;
        struct buf why = {0};
        print_message("%s\n", ROWS[i].json);
        assert_int_equal(job_completion_parse(str_of(ROWS[i].json), &c, &why), ROWS[i].rc);
        if (ROWS[i].rc == ERR_OK) {
            assert_int_equal(c.status, ROWS[i].status);
            assert_string_equal(c.token, ROWS[i].token);
            assert_true(str_is(buf_as_str(&c.head), str_of(ROWS[i].head)));
            assert_true(str_is(buf_as_str(&c.body), str_of(ROWS[i].body)));
        } else {
            assert_true(why.n > 0);
        }
        job_completion_fini(&c);
        buf_fini(&why);
    }
}

static void test_a_long_token_is_wrong(void **state)
{
    struct buf json = {0};
    struct buf why = {0};
    struct job_completion c;
    char token[JOB_COMPLETE_TOKEN_SIZE];

    (void)state;
    job_complete_token(STR("erp.abc"), 4294967295, STR("0123456789abcdef"), token);
    buf_printf(&json, "{\"token\":\"%sx\"}", token);
    assert_int_equal(job_completion_parse(buf_as_str(&json), &c, &why), ERR_OK);
    assert_string_not_equal(c.token, token);
    job_completion_fini(&c);
    buf_fini(&json);
    buf_fini(&why);
}

static void test_tokens_differ(void **state)
{
    char a[JOB_COMPLETE_TOKEN_SIZE];
    char b[JOB_COMPLETE_TOKEN_SIZE];

    (void)state;
    job_complete_token(STR("erp.abc"), 1, STR("0123456789abcdef"), a);
    assert_int_equal(strlen(a), 34);
    assert_true(str_starts(str_of(a), STR("1.")));
    job_complete_token(STR("erp.abc"), 1, STR("0123456789abcdef"), b);
    assert_string_equal(a, b);
    job_complete_token(STR("erp.abc"), 1, STR("0123456789abcdee"), b);
    assert_string_not_equal(a, b);
    job_complete_token(STR("erp.abd"), 1, STR("0123456789abcdef"), b);
    assert_string_not_equal(a, b);
    job_complete_token(STR("erp.abc"), 2, STR("0123456789abcdef"), b);
    assert_string_not_equal(a + 2, b + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_a_long_token_is_wrong),
                                       cmocka_unit_test(test_tokens_differ)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
