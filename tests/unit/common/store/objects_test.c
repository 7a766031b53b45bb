/* SPDX-License-Identifier: Apache-2.0 */
#include "store/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

struct fixture {
    redisReader *reader;
    struct redis_objects *objects;
};

static void set_up(struct fixture *f)
{
    f->reader = redisReaderCreate();
    assert_non_null(f->reader);
    assert_int_equal(redis_objects_new(f->reader, &f->objects), ERR_OK);
}

static void tear_down(struct fixture *f)
{
    redisReaderFree(f->reader);
    redis_objects_release(f->objects);
}

static redisReply *read_one(struct fixture *f, const char *bytes)
{
    void *reply = NULL;

    assert_int_equal(redisReaderFeed(f->reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(f->reader, &reply), REDIS_OK);
    return reply;
}

static void give_back(struct fixture *f, redisReply *reply)
{
    f->reader->fn->freeObject(reply);
}

static void test_types(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    redisReply *r = read_one(
        &f, "*6\r\n+OK\r\n$5\r\na\r\nbc\r\n:-12\r\n$-1\r\n*2\r\n$0\r\n\r\n-ERR x\r\n*-1\r\n");
    assert_non_null(r);
    assert_int_equal(r->type, REDIS_REPLY_ARRAY);
    assert_int_equal(r->elements, 6);
    assert_int_equal(r->element[0]->type, REDIS_REPLY_STATUS);
    assert_string_equal(r->element[0]->str, "OK");
    assert_int_equal(r->element[1]->type, REDIS_REPLY_STRING);
    assert_int_equal(r->element[1]->len, 5);
    assert_memory_equal(r->element[1]->str, "a\r\nbc", 6);
    assert_int_equal(r->element[2]->type, REDIS_REPLY_INTEGER);
    assert_int_equal(r->element[2]->integer, -12);
    assert_int_equal(r->element[3]->type, REDIS_REPLY_NIL);
    redisReply *inner = r->element[4];
    assert_int_equal(inner->type, REDIS_REPLY_ARRAY);
    assert_int_equal(inner->elements, 2);
    assert_int_equal(inner->element[0]->len, 0);
    assert_string_equal(inner->element[0]->str, "");
    assert_int_equal(inner->element[1]->type, REDIS_REPLY_ERROR);
    assert_string_equal(inner->element[1]->str, "ERR x");
    assert_int_equal(r->element[5]->type, REDIS_REPLY_NIL);
    give_back(&f, r);
    tear_down(&f);
}

/* What was read stays where it is while the rest comes, byte by byte. */
static void test_in_pieces(void **state)
{
    static const char bytes[] = "*3\r\n$3\r\none\r\n*1\r\n:2\r\n$5\r\nthree\r\n";
    struct fixture f;
    redisReply *r = NULL;

    (void)state;
    set_up(&f);
    for (size_t i = 0; bytes[i] != '\0'; i++) {
        char one[] = {bytes[i], '\0'};
        assert_null(r);
        r = read_one(&f, one);
    }
    assert_non_null(r);
    assert_string_equal(r->element[0]->str, "one");
    assert_int_equal(r->element[1]->element[0]->integer, 2);
    assert_string_equal(r->element[2]->str, "three");
    give_back(&f, r);
    tear_down(&f);
}

/* More than the room that is kept, and one text that is larger than it. */
static void test_large(void **state)
{
    enum { N = 3000, LARGE = 300000 };
    struct fixture f;
    char *large = malloc(LARGE + 64);
    char head[64];

    (void)state;
    assert_non_null(large);
    set_up(&f);
    for (int round = 0; round < 3; round++) {
        (void)snprintf(head, sizeof head, "*%d\r\n", N + 1);
        assert_null(read_one(&f, head));
        for (int i = 0; i < N; i++) {
            (void)snprintf(head, sizeof head, "$4\r\n%04d\r\n", i);
            assert_null(read_one(&f, head));
        }
        int at = snprintf(large, LARGE + 64, "$%d\r\n", LARGE);
        memset(large + at, 'x', LARGE);
        memcpy(large + at + LARGE, "\r\n", 3);
        redisReply *r = read_one(&f, large);
        assert_non_null(r);
        for (int i = 0; i < N; i++) {
            (void)snprintf(head, sizeof head, "%04d", i);
            assert_string_equal(r->element[i]->str, head);
        }
        assert_int_equal(strspn(r->element[N]->str, "x"), LARGE);
        give_back(&f, r);
    }
    free(large);
    tear_down(&f);
}

/* A handler may read on while it has a reply in its hands. */
static void test_two_at_a_time(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    redisReply *first = read_one(&f, "$5\r\nfirst\r\n");
    redisReply *second = read_one(&f, "$6\r\nsecond\r\n");
    give_back(&f, second);
    redisReply *third = read_one(&f, "*1\r\n$5\r\nthird\r\n");
    assert_string_equal(first->str, "first");
    give_back(&f, first);
    assert_string_equal(third->element[0]->str, "third");
    give_back(&f, third);
    tear_down(&f);
}

/* hiredis frees a reader when it likes, with half a reply in it. */
static void test_ends_half_read(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    assert_null(read_one(&f, "*2\r\n$5\r\nfirst\r\n"));
    tear_down(&f);

    set_up(&f);
    redisReply *whole = read_one(&f, "$5\r\nwhole\r\n");
    assert_null(read_one(&f, "*2\r\n$5\r\nfirst\r\n"));
    redis_objects_release(f.objects);
    assert_string_equal(whole->str, "whole");
    give_back(&f, whole);
    redisReaderFree(f.reader);
}

static void test_broken(void **state)
{
    struct fixture f;
    void *reply = NULL;
    const char bytes[] = "*2\r\n$5\r\nfirst\r\n?\r\n";

    (void)state;
    set_up(&f);
    assert_int_equal(redisReaderFeed(f.reader, bytes, sizeof bytes - 1), REDIS_OK);
    assert_int_equal(redisReaderGetReply(f.reader, &reply), REDIS_ERR);
    assert_null(reply);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),          cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_large),          cmocka_unit_test(test_two_at_a_time),
        cmocka_unit_test(test_ends_half_read), cmocka_unit_test(test_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
