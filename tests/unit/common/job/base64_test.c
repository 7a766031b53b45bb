/* SPDX-License-Identifier: Apache-2.0 */
#include "job/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_decode(void **state)
{
    static const struct {
        const char *text;
        int rc;
        struct str bytes;
    } cases[] = {
        {"", ERR_OK, {"", 0}},
        {"Zg==", ERR_OK, {"f", 1}},
        {"Zm8=", ERR_OK, {"fo", 2}},
        {"Zm9v", ERR_OK, {"foo", 3}},
        {"Zm9vYg==", ERR_OK, {"foob", 4}},
        {"Zm9vYmFy", ERR_OK, {"foobar", 6}},
        {"AAH+/w==", ERR_OK, {"\0\1\xfe\xff", 4}},
        {"Zg", ERR_SYNTAX, {"", 0}},
        {"Zg=", ERR_SYNTAX, {"", 0}},
        {"Zm9vY", ERR_SYNTAX, {"", 0}},
        {"Zh==", ERR_SYNTAX, {"", 0}},
        {"Zm9=", ERR_SYNTAX, {"", 0}},
        {"====", ERR_SYNTAX, {"", 0}},
        {"Z===", ERR_SYNTAX, {"", 0}},
        {"Zg==Zg==", ERR_SYNTAX, {"", 0}},
        {"Z=g=", ERR_SYNTAX, {"", 0}},
        {"Zm9v\n", ERR_SYNTAX, {"", 0}},
        {"Zm 9", ERR_SYNTAX, {"", 0}},
        {"-_-_", ERR_SYNTAX, {"", 0}},
        {"\xff\xff\xff\xff", ERR_SYNTAX, {"", 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        int rc = base64_decode(str_of(cases[i].text), &out);
        if (rc != cases[i].rc || (rc == ERR_OK && !str_is(buf_as_str(&out), cases[i].bytes))) {
            fail_msg("%s", cases[i].text);
        }
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
