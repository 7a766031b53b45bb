/* SPDX-License-Identifier: Apache-2.0 */
#include "job/document.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_sha256(struct str bytes, const char *hex)
{
    unsigned char out[32];
    char text[65];

    job_sha256(bytes, out);
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", out[i]);
    }
    assert_string_equal(text, hex);
}

/* FIPS 180-4's examples. */
static void test_sha256(void **state)
{
    (void)state;
    assert_sha256((struct str){NULL, 0},
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256(STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* The form is kept in the store: sha256 of "4:shop" "7:order-1" and so on, as printed by
 * printf '4:shop7:order-1' | sha256sum. */
static void test_form(void **state)
{
    char text[65];

    (void)state;
    job_key_digest(STR("shop"), STR("order-1"), text);
    assert_string_equal(text, "c8b9680630d4f96ac616c6273b6a9c26aba5430c8447849354f0c9d05eebfb81");
    job_fingerprint(STR("POST"), STR("/a?b"), STR("x\0y"), text);
    assert_string_equal(text, "2963d6b6423fdaff9e9f44f40f653d38e7b79c019c1fd3f3d8e026d8faf42de9");
}

static void test_parts_do_not_run_together(void **state)
{
    char a[65];
    char b[65];

    (void)state;
    job_key_digest(STR("a"), STR("bc"), a);
    job_key_digest(STR("ab"), STR("c"), b);
    assert_string_not_equal(a, b);
    job_fingerprint(STR("GET"), STR("/a"), STR("b"), a);
    job_fingerprint(STR("GET"), STR("/ab"), STR(""), b);
    assert_string_not_equal(a, b);
    job_fingerprint(STR("GET"), STR("/"), STR("1:b"), a);
    job_fingerprint(STR("GET"), STR("/1:1"), STR("b"), b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sha256), cmocka_unit_test(test_form),
                                       cmocka_unit_test(test_parts_do_not_run_together)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
