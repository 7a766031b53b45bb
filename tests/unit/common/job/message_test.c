/* SPDX-License-Identifier: Apache-2.0 */
#include "job/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#define ID "erp.abcdefghijklmnopqrstuv2345"

static const struct job_message whole = {
    .id = {ID, sizeof ID - 1},
    .epoch = {"e1", 2},
    .class = {"sync", 4},
    .method = {"POST", 4},
    .path = {"/a?b=1", 6},
    .head = {"A: b\r\nC: d\r\n", 12},
    .key = {"0f", 2},
    .key_value = {"order 1", 7},
    .caller = {"shop", 4},
    .fingerprint = {"ff", 2},
    .labels = {"{\"a\":\"b\"}", 9},
    .retry = {"8 0 0 0", 7},
    .traceparent = {"00-1", 4},
    .schedule = {"nightly", 7},
    .scheduled_time = {"2026-03-29T01:00:00Z", 20},
    .channel = {"reply", 5},
    .created_ms = 1,
    .due_ms = INT64_MAX,
    .expires_ms = INT64_MIN + 1,
    .deadline_ms = 4,
    .timeout_ms = 5,
    .was_attempted = true,
    .parks = UINT32_MAX,
    .body = {"b\0dy", 4},
};

static void assert_same(const struct job_message *a, const struct job_message *b)
{
#define SAME(member) assert_true(str_is(a->member, b->member))
    SAME(id);
    SAME(epoch);
    SAME(class);
    SAME(method);
    SAME(path);
    SAME(head);
    SAME(key);
    SAME(key_value);
    SAME(caller);
    SAME(fingerprint);
    SAME(labels);
    SAME(retry);
    SAME(traceparent);
    SAME(schedule);
    SAME(scheduled_time);
    SAME(channel);
    SAME(body);
#undef SAME
    assert_true(a->created_ms == b->created_ms && a->due_ms == b->due_ms);
    assert_true(a->expires_ms == b->expires_ms && a->deadline_ms == b->deadline_ms);
    assert_true(a->timeout_ms == b->timeout_ms && a->was_attempted == b->was_attempted);
    assert_true(a->parks == b->parks);
}

static void test_pack_and_unpack(void **state)
{
    struct buf head = {0};
    struct job_message back;

    (void)state;
    job_message_pack(&whole, &head);
    assert_int_equal(job_message_unpack(buf_as_str(&head), whole.body, &back), ERR_OK);
    assert_same(&whole, &back);
    buf_fini(&head);
}

/* The value of a field of a packed head that begins at `at`; moves behind it. */
static struct str cut_field(struct str *at, char name[8])
{
    size_t n = 0;

    assert_int_equal(sscanf(at->p, "%7s %zu", name, &n), 2);
    int line = (int)(strchr(at->p, '\n') - at->p) + 1;
    struct str value = {at->p + line, n};
    at->p += (size_t)line + n + 1;
    at->n -= (size_t)line + n + 1;
    return value;
}

/* One by one, as an earlier release laid them out. */
static void test_fields_are_read_one_by_one(void **state)
{
    struct buf head = {0};
    struct job_message back = {.id = whole.id, .body = whole.body};
    char name[8];
    size_t n = 0;

    (void)state;
    job_message_pack(&whole, &head);
    for (struct str rest = buf_as_str(&head); rest.n > 0; n++) {
        struct str value = cut_field(&rest, name);
        assert_int_equal(job_message_read(&back, str_of(name), value), ERR_OK);
    }
    assert_int_equal(n, 23);
    assert_same(&whole, &back);
    buf_fini(&head);
}

static void test_empty_fields_are_left_out(void **state)
{
    struct job_message m = {
        .id = whole.id, .class = STR("normal"), .method = STR("GET"), .path = STR("/")};
    struct buf head = {0};

    (void)state;
    job_message_pack(&m, &head);
    assert_string_equal(head.p, "id 30\n" ID "\nc 6\nnormal\nm 3\nGET\np 1\n/\n");
    buf_fini(&head);
}

static void test_unpack_refuses(void **state)
{
    static const struct {
        const char *head;
        int rc;
    } cases[] = {
        {"id 30\n" ID "\nc 4\nsync\nm 3\nGET\np 1\n/\n", ERR_OK},
        {"id 30\n" ID "\nc 4\nsync\nm 3\nGET\np 1\n/\nnew 2\n\n\n\n", ERR_OK},
        {"", ERR_PROTOCOL},
        {"id 30\n" ID "\nc 5\nother\nm 3\nGET\np 1\n/\n", ERR_PROTOCOL},
        {"id 30\n" ID "\nc 4\nsync\nm 3\nGET\np 1\na\n", ERR_PROTOCOL},
        {"id 30\n" ID "\nc 4\nsync\np 1\n/\n", ERR_PROTOCOL},
        {"id 3\nerp\nc 4\nsync\nm 3\nGET\np 1\n/\n", ERR_PROTOCOL},
        {"id", ERR_SYNTAX},
        {"id 30", ERR_SYNTAX},
        {"id 30\n", ERR_SYNTAX},
        {"id\n", ERR_SYNTAX},
        {"c x\nsync\n", ERR_SYNTAX},
        {"c -1\nsync\n", ERR_SYNTAX},
        {"c 5\nsync\n", ERR_SYNTAX},
        {"c 3\nsync\n", ERR_SYNTAX},
        {"c 9223372036854775807\nsync\n", ERR_SYNTAX},
        {"c 18446744073709551615\nsync\n", ERR_SYNTAX},
        {"ca 1\nx\n", ERR_SYNTAX},
        {"ca 0\n\n", ERR_SYNTAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_message m;
        struct str body = {"", 0};
        int rc = job_message_unpack(str_of(cases[i].head), body, &m);
        if (rc != cases[i].rc) {
            fail_msg("case %zu: %s", i, err_word(rc));
        }
    }
}

/* A number that does not fit its member must not become another one. */
static void test_numbers_out_of_range(void **state)
{
    struct job_message m = {0};

    (void)state;
    assert_int_equal(job_message_read(&m, STR("pk"), STR("4294967296")), ERR_SYNTAX);
    assert_int_equal(job_message_read(&m, STR("pk"), STR("-1")), ERR_SYNTAX);
    assert_int_equal(job_message_read(&m, STR("pk"), STR("4294967295")), ERR_OK);
    assert_true(m.parks == UINT32_MAX);
    assert_int_equal(job_message_read(&m, STR("at"), STR("2")), ERR_SYNTAX);
    assert_int_equal(job_message_read(&m, STR("at"), STR("1")), ERR_OK);
    assert_true(m.was_attempted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_and_unpack),
        cmocka_unit_test(test_fields_are_read_one_by_one),
        cmocka_unit_test(test_empty_fields_are_left_out),
        cmocka_unit_test(test_unpack_refuses),
        cmocka_unit_test(test_numbers_out_of_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
