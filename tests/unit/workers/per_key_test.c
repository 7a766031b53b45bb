/* SPDX-License-Identifier: Apache-2.0 */
#include "per_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct tenant BY_HEADER = {
    .per_key = {.is_set = true, .header = (char[]){"X-Customer"}, .concurrency = 1}};
static const struct tenant BY_LABEL = {
    .per_key = {.is_set = true, .label = (char[]){"customer"}, .concurrency = 1}};
static const struct tenant WITHOUT = {.concurrency = 1};

/* The digest of "7" begins so; "" is no key. */
#define SEVEN "7902699be42c8a8e46fbbb4501726517"

static const struct {
    const struct tenant *tenant;
    const char *head;
    const char *labels;
    const char *want;
} cases[] = {
    {&BY_HEADER, "A: 1\r\nx-customer: 7\r\nB: 2\r\n", "", SEVEN},
    {&BY_HEADER, "X-Customer:7", "", SEVEN},
    {&BY_HEADER, "X-Customer:  7 \t\r\nX-Customer: 8\r\n", "", SEVEN},
    {&BY_HEADER, "X-Customers: 7\r\nA: X-Customer: 7\r\n", "{\"customer\":\"7\"}", ""},
    {&BY_HEADER, "", "", ""},
    {&BY_LABEL, "X-Customer: 7\r\n", "{\"run\":\"1\"}", ""},
    {&BY_LABEL, "", "", ""},
    {&WITHOUT, "X-Customer: 7\r\n", "{\"customer\":\"7\"}", ""},
};

static void the_key_is_that_of_the_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct job_message m = {.head = str_of(cases[i].head), .labels = str_of(cases[i].labels)};
        char key[PER_KEY_SIZE] = "";
        assert_int_equal(per_key_of(cases[i].tenant, &m, key), cases[i].want[0] != '\0');
        assert_string_equal(key, cases[i].want);
    }
}

static void labels_of_one_value_are_one_key(void **state)
{
    struct job_message a = {.labels = STR("{\"run\":\"1\",\"customer\":\"7\"}")};
    struct job_message b = {.labels = STR("{\"customer\":\"7\"}")};
    struct job_message c = {.labels = STR("{\"customer\":\"8\"}")};
    char keys[3][PER_KEY_SIZE];

    (void)state;
    assert_true(per_key_of(&BY_LABEL, &a, keys[0]));
    assert_true(per_key_of(&BY_LABEL, &b, keys[1]));
    assert_true(per_key_of(&BY_LABEL, &c, keys[2]));
    assert_string_equal(keys[0], keys[1]);
    assert_string_not_equal(keys[0], keys[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_that_of_the_call),
        cmocka_unit_test(labels_of_one_value_are_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
