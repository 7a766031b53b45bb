/* SPDX-License-Identifier: Apache-2.0 */
#include "store/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    int rc;
    const char *host;
    const char *port;
    const char *user;
    const char *password;
    unsigned int db;
} CASES[] = {
    {"redis://127.0.0.1:6379/0", ERR_OK, "127.0.0.1", "6379", "", "", 0},
    {"redis://127.0.0.1", ERR_OK, "127.0.0.1", "6379", "", "", 0},
    {"redis://store:7000/15", ERR_OK, "store", "7000", "", "", 15},
    {"redis://store/", ERR_OK, "store", "6379", "", "", 0},
    {"redis://[::1]:7000/2", ERR_OK, "::1", "7000", "", "", 2},
    {"redis://[fe80::1]", ERR_OK, "fe80::1", "6379", "", "", 0},
    {"redis://:secret@h:1/0", ERR_OK, "h", "1", "", "secret", 0},
    {"redis://me:secret@h:1/0", ERR_OK, "h", "1", "me", "secret", 0},
    {"redis://me:p%40ss%2Fw%3a@h/3", ERR_OK, "h", "6379", "me", "p@ss/w:", 3},
    {"redis://me:a:b@c@h", ERR_OK, "h", "6379", "me", "a:b@c", 0},
    {"redis://h:65535", ERR_OK, "h", "65535", "", "", 0},
    {"", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"127.0.0.1:6379", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://:6379", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://h:", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://h:0", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://h:65536", ERR_TOO_LARGE, NULL, NULL, NULL, NULL, 0},
    {"redis://h:6379/x", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://h:6379/0/1", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://h:6379/9999999", ERR_TOO_LARGE, NULL, NULL, NULL, NULL, 0},
    {"redis://secret@h", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://me:100%@h", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://me:a%00b@h", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://[::1", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"redis://[::1]x", ERR_SYNTAX, NULL, NULL, NULL, NULL, 0},
    {"rediss://h:6379/0", ERR_INVALID, NULL, NULL, NULL, NULL, 0},
    {"amqp://h", ERR_INVALID, NULL, NULL, NULL, NULL, 0},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct redis_url u = {.db = 77};
        int rc = redis_url_parse(CASES[i].text, &u);
        if (rc != CASES[i].rc) {
            fail_msg("%s: %d, not %d", CASES[i].text, rc, CASES[i].rc);
        }
        if (rc != ERR_OK) {
            assert_int_equal(u.db, 77); /* untouched on failure */
            continue;
        }
        assert_string_equal(u.host, CASES[i].host);
        assert_string_equal(u.port, CASES[i].port);
        assert_string_equal(u.user, CASES[i].user);
        assert_string_equal(u.password, CASES[i].password);
        assert_int_equal(u.db, CASES[i].db);
    }
}

static void test_sentinels(void **state)
{
    struct redis_url u = {.db = 77};

    (void)state;
    assert_int_equal(redis_sentinel_parse("me:p%40s@s1:7000", &u), ERR_OK);
    assert_string_equal(u.host, "s1");
    assert_string_equal(u.port, "7000");
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "p@s");
    assert_int_equal(redis_sentinel_parse("[::1]", &u), ERR_OK);
    assert_string_equal(u.host, "::1");
    assert_string_equal(u.port, "26379");
    assert_string_equal(u.password, "");
    assert_int_equal(redis_sentinel_parse("s1:7000/0", &u), ERR_SYNTAX);
    assert_int_equal(redis_sentinel_parse("me@s1:7000", &u), ERR_SYNTAX);
    assert_string_equal(u.host, "::1"); /* untouched on failure */
}

static void test_too_long(void **state)
{
    char text[1200];
    struct redis_url u;

    (void)state;
    char many[601];
    memset(many, 'a', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    (void)snprintf(text, sizeof text, "redis://%s", many);
    assert_int_equal(redis_url_parse(text, &u), ERR_TOO_LARGE);
    (void)snprintf(text, sizeof text, "redis://:%s@h", many);
    assert_int_equal(redis_url_parse(text, &u), ERR_TOO_LARGE);
    (void)snprintf(text, sizeof text, "redis://%s:p@h", many);
    assert_int_equal(redis_url_parse(text, &u), ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
