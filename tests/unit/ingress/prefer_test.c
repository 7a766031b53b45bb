/* SPDX-License-Identifier: Apache-2.0 */
#include "prefer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { NO_WAIT = -1 };

/* Up to three Prefer fields, in their order. */
static const struct {
    const char *fields[3];
    bool is_async;
    int64_t wait_ms; /* NO_WAIT: none */
} PREFERS[] = {
    {{NULL}, false, NO_WAIT},
    {{""}, false, NO_WAIT},
    {{","}, false, NO_WAIT},
    {{"respond-async"}, true, NO_WAIT},
    {{"Respond-ASYNC"}, true, NO_WAIT},
    {{" respond-async "}, true, NO_WAIT},
    {{"respond-asynchronous"}, false, NO_WAIT},
    {{"respond"}, false, NO_WAIT},
    {{"respond-async; x=1"}, true, NO_WAIT},
    {{"respond-async, wait=10"}, true, 10000},
    {{"wait=10, respond-async"}, true, 10000},
    {{"return=minimal,respond-async,handling=lenient"}, true, NO_WAIT},
    {{"wait=0"}, false, 0},
    {{"wait=1"}, false, 1000},
    {{"WAIT=7"}, false, 7000},
    {{"wait = 7"}, false, 7000},
    {{"wait=\t7"}, false, 7000},
    {{"wait=\"7\""}, false, 7000},
    {{"wait=7;x=y"}, false, 7000},
    {{"wait=7 ; x"}, false, 7000},
    {{"wait=3600"}, false, 3600000},
    {{"wait=3601"}, false, 3600000},
    {{"wait=999999999999999999999999"}, false, 3600000},
    /* Malformed: as if it were not there. */
    {{"wait"}, false, NO_WAIT},
    {{"wait="}, false, NO_WAIT},
    {{"wait=\"\""}, false, NO_WAIT},
    {{"wait=\""}, false, NO_WAIT},
    {{"wait=\"7"}, false, NO_WAIT},
    {{"wait=-1"}, false, NO_WAIT},
    {{"wait=+1"}, false, NO_WAIT},
    {{"wait=1.5"}, false, NO_WAIT},
    {{"wait=1s"}, false, NO_WAIT},
    {{"wait=99999s"}, false, NO_WAIT},
    {{"wait=1=2"}, false, NO_WAIT},
    {{"wait;=5"}, false, NO_WAIT},
    {{"=5"}, false, NO_WAIT},
    {{"waits=5"}, false, NO_WAIT},
    /* The first of each wins; a malformed one is none. */
    {{"wait=5, wait=10"}, false, 5000},
    {{"wait=0, wait=10"}, false, 0},
    {{"wait=x, wait=10"}, false, 10000},
    {{"wait=5", "wait=10"}, false, 5000},
    {{"return=minimal", "respond-async", "wait=3, wait=4"}, true, 3000},
    {{"", "wait=2"}, false, 2000},
    /* What stands in another preference's quotes is its value, and nothing else. */
    {{"a=\"x, respond-async, y\""}, false, NO_WAIT},
    {{"a=\"x, wait=5\", wait=6"}, false, 6000},
    {{"a=\"x \\\", respond-async, y\""}, false, NO_WAIT},
    {{"a=\"x \\\\\", respond-async"}, true, NO_WAIT},
    {{"wait=5; b=\"x, respond-async\""}, false, 5000},
    {{"a=\"never closed, respond-async"}, false, NO_WAIT},
};

static void test_prefer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(PREFERS); i++) {
        struct prefer p = {0};
        for (size_t k = 0; k < 3 && PREFERS[i].fields[k] != NULL; k++) {
            prefer_read(str_of(PREFERS[i].fields[k]), &p);
        }
        int64_t wait_ms = p.has_wait ? p.wait_ms : NO_WAIT;
        if (p.is_async != PREFERS[i].is_async || wait_ms != PREFERS[i].wait_ms) {
            fail_msg("row %zu, \"%s\": async %d, wait %" PRId64, i,
                     PREFERS[i].fields[0] == NULL ? "" : PREFERS[i].fields[0], p.is_async, wait_ms);
        }
    }
}

static void test_key(void **state)
{
    static const struct {
        struct str field;
        const char *key; /* NULL: refused */
    } rows[] = {
        {STR("abc"), "abc"},
        {STR("\"abc\""), "abc"},
        {STR("a"), "a"},
        {STR("\"a\""), "a"},
        {STR("~!#$%&'()*+,-./:;<=>?@[]^_`{|}"), "~!#$%&'()*+,-./:;<=>?@[]^_`{|}"},
        {STR("8e03978e-40d5-43e8-bc93-6894a57f9324"), "8e03978e-40d5-43e8-bc93-6894a57f9324"},
        {STR(""), NULL},
        {STR("\"\""), NULL},
        {STR("a\tb"), NULL},
        {STR("a\nb"), NULL},
        {STR("a\0b"), NULL},
        {STR("\x7f"), NULL},
        {STR("\xc3\xa9"), NULL},
        {STR("\"\x1f\""), NULL},
        /* Half of a pair is a character of the key. */
        {STR("\"abc"), "\"abc"},
        {STR("abc\""), "abc\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str key = STR("untouched");
        bool is_good = prefer_idempotency_key(rows[i].field, &key);
        const char *want = rows[i].key == NULL ? "untouched" : rows[i].key;
        if (is_good != (rows[i].key != NULL) || !str_is(key, str_of(want))) {
            fail_msg("row %zu: \"%.*s\"", i, STR_ARG(key));
        }
    }
}

/* 255 bytes of key, the quotes not counted. */
static void test_key_length(void **state)
{
    char text[300];
    struct str key;

    (void)state;
    memset(text, 'k', sizeof text);
    assert_true(prefer_idempotency_key((struct str){text, 255}, &key));
    assert_int_equal(key.n, 255);
    assert_false(prefer_idempotency_key((struct str){text, 256}, &key));
    text[0] = '"';
    text[256] = '"';
    assert_true(prefer_idempotency_key((struct str){text, 257}, &key));
    assert_int_equal(key.n, 255);
    assert_ptr_equal(key.p, text + 1);
    text[256] = 'k';
    text[257] = '"';
    assert_false(prefer_idempotency_key((struct str){text, 258}, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefer),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_key_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
