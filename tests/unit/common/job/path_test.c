/* SPDX-License-Identifier: Apache-2.0 */
#include "job/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_paths(void **state)
{
    static const struct {
        const char *path;
        bool is_safe;
    } cases[] = {
        {"/", true},          {"/a", true},           {"//a", true},
        {"/a/", true},        {"/a?b=1", true},       {"/.a", true},
        {"/a.", true},        {"/..a", true},         {"/a..", true},
        {"/...", true},       {"/.../a", true},       {"/a..b/c", true},
        {"/%2ea", true},      {"/%2e%2e%2e", true},   {"/?/../", true},
        {"/a?..", true},      {"/a?x=%2e%2e/", true}, {"/;..", true},
        {"/a;../b", true},    {"/a;x=..", true},      {"/%252e%252e/", true},
        {"/a%", false},       {"/a%2", false},        {"/%zz", false},
        {"/%00", false},      {"/a%00b", false},      {"/a?x=%00", true},
        {"/a?x=%", true},     {"/.%2", false},        {"/%2f", true},
        {"/a\\b", true},      {"/*", true},           {"/~", true},
        {"", false},          {"a", false},           {"*", false},
        {"http://a/", false}, {" /", false},          {"/a b", false},
        {"/a#b", false},      {"/a?b#c", false},      {"/\t", false},
        {"/\r\n", false},     {"/\x7f", false},       {"/\xc3\xa4", false},
        {"/a?b c", false},    {"/.", false},          {"/..", false},
        {"/./", false},       {"/../", false},        {"/a/.", false},
        {"/a/..", false},     {"/a/./b", false},      {"/a/../b", false},
        {"//..", false},      {"/.?x", false},        {"/..?x", false},
        {"/a/..?", false},    {"/%2e", false},        {"/%2E", false},
        {"/%2e%2e", false},   {"/%2E%2e", false},     {"/%2e.", false},
        {"/.%2E", false},     {"/a/%2e./b", false},   {"/a/.%2e?x", false},
        {"/..%2f", false},    {"/..%2F", false},      {"/..%2fa", false},
        {"/a%2f..", false},   {"/a%2f..%2fb", false}, {"/%2e%2e%2f", false},
        {"/%2f..", false},    {"/%2f%2e%2e", false},  {"/..\\", false},
        {"/..\\a", false},    {"/a\\..", false},      {"/a\\..\\b", false},
        {"/..%5c", false},    {"/..%5Ca", false},     {"/a%5c..", false},
        {"/\\..", false},     {"/..;", false},        {"/..;x=1/b", false},
        {"/.;/", false},      {"/%2e%2e;/", false},   {"/..%3b/", false},
        {"/a;b/..", false},   {"/a;b%2f..", false},   {"/%%2f..", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (job_path_is_safe(str_of(cases[i].path)) != cases[i].is_safe) {
            fail_msg("%s", cases[i].path);
        }
    }
    assert_false(job_path_is_safe(STR("/a\0b")));
}

static void test_fields(void **state)
{
    static const struct {
        const char *name;
        const char *connection;
        bool is_forwarded;
    } cases[] = {
        {"Accept", NULL, true},
        {"Content-Type", NULL, true},
        {"Authorization", NULL, true},
        {"X-Sluice-Job", NULL, true},
        {"Sluice", NULL, true},
        {"Sluicegate", NULL, true},
        {"Preference", NULL, true},
        {"Content-Lengths", NULL, true},
        {"Via", NULL, true},
        {"X-A", "", true},
        {"X-A", "close", true},
        {"X-A", "X-AB, x-b", true},
        {"Sluice-", NULL, false},
        {"sluice-key", NULL, false},
        {"SLUICE-Job-Id", NULL, false},
        {"connection", NULL, false},
        {"Keep-Alive", NULL, false},
        {"TE", NULL, false},
        {"te", NULL, false},
        {"Trailer", NULL, false},
        {"Transfer-Encoding", NULL, false},
        {"Upgrade", NULL, false},
        {"Proxy-Connection", NULL, false},
        {"Proxy-Authenticate", NULL, false},
        {"proxy-authorization", NULL, false},
        {"HTTP2-Settings", NULL, false},
        {"Prefer", NULL, false},
        {"Expect", NULL, false},
        {"Host", NULL, false},
        {"content-length", NULL, false},
        {"X-A", "x-a", false},
        {"X-A", "close, X-A", false},
        {"X-A", "close ,\tX-A ,b", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (job_field_is_forwarded(str_of(cases[i].name), str_of(cases[i].connection)) !=
            cases[i].is_forwarded) {
            fail_msg("%s", cases[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paths), cmocka_unit_test(test_fields)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
