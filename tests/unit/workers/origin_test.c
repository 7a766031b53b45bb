/* SPDX-License-Identifier: Apache-2.0 */
#include "origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BASE "http://tenant:9001/base/orders?x=1"

static const struct {
    const char *base;
    const char *reference;
    int rc;
    const char *url;
} ROWS[] = {
    {BASE, "/jobs/7", ERR_OK, "http://tenant:9001/jobs/7"},
    {BASE, "jobs/7?a=b", ERR_OK, "http://tenant:9001/base/jobs/7?a=b"},
    {BASE, "../jobs/7", ERR_OK, "http://tenant:9001/jobs/7"},
    {BASE, "../../../jobs/./7/..", ERR_OK, "http://tenant:9001/jobs/"},
    {BASE, "..", ERR_OK, "http://tenant:9001/"},
    {BASE, "./", ERR_OK, "http://tenant:9001/base/"},
    {BASE, "?y=2", ERR_OK, "http://tenant:9001/base/orders?y=2"},
    {BASE, "#top", ERR_OK, BASE},
    {BASE, "/jobs/7#part", ERR_OK, "http://tenant:9001/jobs/7"},
    {BASE, "a:b", ERR_SYNTAX, ""},
    {BASE, "./a:b", ERR_OK, "http://tenant:9001/base/a:b"},
    {BASE, "//tenant:9001/jobs", ERR_OK, "http://tenant:9001/jobs"},
    {BASE, "http://tenant:9001", ERR_OK, "http://tenant:9001/"},
    {BASE, "HTTP://TENANT:9001/jobs", ERR_OK, "http://tenant:9001/jobs"},
    {BASE, "http://tenant:9001?q", ERR_OK, "http://tenant:9001/?q"},
    {"http://tenant", "jobs", ERR_OK, "http://tenant/jobs"},
    {"http://tenant/a", "http://tenant:80/b", ERR_OK, "http://tenant/b"},
    {"https://tenant/a", "https://tenant:443/b", ERR_OK, "https://tenant/b"},
    {"http://[::1]:80/a", "http://[::1]/b", ERR_OK, "http://[::1]:80/b"},
    {"http://tenant/a", "http://tenant:/b", ERR_OK, "http://tenant/b"},
    {BASE, "/a%2e%2e/b?c=%20", ERR_OK, "http://tenant:9001/a%2e%2e/b?c=%20"},
    {BASE, "https://tenant:9001/jobs", ERR_DENIED, ""},
    {BASE, "http://tenant:9002/jobs", ERR_DENIED, ""},
    {BASE, "http://tenant/jobs", ERR_DENIED, ""},
    {BASE, "http://other:9001/jobs", ERR_DENIED, ""},
    {BASE, "//other:9001/jobs", ERR_DENIED, ""},
    {BASE, "http://tenant:9001.evil/jobs", ERR_DENIED, ""},
    {BASE, "ftp://tenant:9001/jobs", ERR_DENIED, ""},
    {BASE, "http://tenant:99999/jobs", ERR_DENIED, ""},
    {BASE, "http:///jobs", ERR_DENIED, ""},
    {BASE, "///jobs", ERR_DENIED, ""},
    {"http://[::1]/a", "http://[::2]/b", ERR_DENIED, ""},
    {BASE, "http://tenant:9001@evil/jobs", ERR_SYNTAX, ""},
    {BASE, "//me@tenant:9001/jobs", ERR_SYNTAX, ""},
    {BASE, "mailto:me", ERR_SYNTAX, ""},
    {BASE, "http:jobs", ERR_SYNTAX, ""},
    {BASE, "/jobs 7", ERR_SYNTAX, ""},
    {BASE, "/jobs\r\nX: y", ERR_SYNTAX, ""},
    {BASE, "\\\\evil\\jobs", ERR_SYNTAX, ""},
    {BASE, "/\\evil", ERR_SYNTAX, ""},
    {BASE, "", ERR_SYNTAX, ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct buf url = {0};
        buf_text(&url, "left over");
        print_message("%s\n", ROWS[i].reference);
        assert_int_equal(origin_resolve(str_of(ROWS[i].base), str_of(ROWS[i].reference), &url),
                         ROWS[i].rc);
        assert_int_equal(url.n, strlen(ROWS[i].url));
        assert_true(str_is(buf_as_str(&url), str_of(ROWS[i].url)));
        buf_fini(&url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
