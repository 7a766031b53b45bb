/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

static const struct {
    const char *error;
    int rc;
    bool is_resent;
    bool is_our_end;
} REFUSALS[] = {
    {"ERR Function not found", ERR_DENIED, true, false},
    {"LOADING Redis is loading the dataset in memory", ERR_DENIED, false, false},
    {"BUSY Redis is busy running a script.", ERR_DENIED, false, false},
    {"MISCONF Errors writing to the AOF file", ERR_DENIED, false, false},
    {"NOREPLICAS Not enough good replicas to write.", ERR_DENIED, false, false},
    {"READONLY You can't write against a read only replica.", ERR_DENIED, false, true},
    {"MASTERDOWN Link with MASTER is down", ERR_DENIED, false, true},
    {"OOM command not allowed when used memory > 'maxmemory'.", ERR_LIMIT, false, false},
    {"OOM", ERR_LIMIT, false, false},
    {"ERR Error running script", ERR_BUG, false, false},
    {"WRONGTYPE Operation against a key", ERR_BUG, false, false},
    {"BUSYGROUP Consumer Group name already exists", ERR_BUG, false, false},
    {"busy but not as Redis says it", ERR_BUG, false, false},
    {"", ERR_BUG, false, false},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        const struct redis_refusal *r = redis_refusal_of(str_of(REFUSALS[i].error));
        if (r->rc != REFUSALS[i].rc || r->is_resent != REFUSALS[i].is_resent ||
            r->is_our_end != REFUSALS[i].is_our_end) {
            fail_msg("%s", REFUSALS[i].error);
        }
    }
}

static void test_values(void **state)
{
    char nine[] = "nine";
    char bad[] = "ERR x";
    redisReply text = {.type = REDIS_REPLY_STRING, .str = nine, .len = 4};
    redisReply status = {.type = REDIS_REPLY_STATUS, .str = nine, .len = 4};
    redisReply number = {.type = REDIS_REPLY_INTEGER, .integer = -9};
    redisReply nil = {.type = REDIS_REPLY_NIL};
    redisReply error = {.type = REDIS_REPLY_ERROR, .str = bad, .len = 5};
    redisReply *inner_items[] = {&number, &nil};
    redisReply inner = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = inner_items};
    redisReply empty = {.type = REDIS_REPLY_ARRAY, .elements = 0};
    redisReply *outer_items[] = {&inner, &text, &empty, &status, &error};
    redisReply outer = {.type = REDIS_REPLY_ARRAY, .elements = 5, .element = outer_items};
    struct redis_values room = {NULL, 0};
    struct store_value v;

    (void)state;
    assert_int_equal(redis_value_of(&text, &room, &v), ERR_OK);
    assert_int_equal(v.type, STORE_TEXT);
    assert_true(str_is(v.text, STR("nine")));

    assert_int_equal(redis_value_of(&outer, &room, &v), ERR_OK);
    assert_int_equal(v.type, STORE_ARRAY);
    assert_int_equal(v.n_items, 5);
    assert_int_equal(v.items[0].type, STORE_ARRAY);
    assert_int_equal(v.items[0].n_items, 2);
    assert_int_equal(v.items[0].items[0].type, STORE_INTEGER);
    assert_int_equal(v.items[0].items[0].integer, -9);
    assert_int_equal(v.items[0].items[1].type, STORE_NIL);
    assert_true(str_is(v.items[1].text, STR("nine")));
    assert_int_equal(v.items[2].type, STORE_ARRAY);
    assert_int_equal(v.items[2].n_items, 0);
    assert_int_equal(v.items[3].type, STORE_TEXT);
    assert_int_equal(v.items[4].type, STORE_ERROR);
    assert_true(str_is(v.items[4].text, STR("ERR x")));

    /* The room is used again. */
    const struct store_value *items = v.items;
    assert_int_equal(redis_value_of(&outer, &room, &v), ERR_OK);
    assert_ptr_equal(v.items, items);
    redis_values_fini(&room);
}

static void test_keep(void **state)
{
    char told[] = "told";
    struct store_value inner[] = {{.type = STORE_INTEGER, .integer = 7},
                                  {.type = STORE_TEXT, .text = {told, 4}}};
    struct store_value outer[] = {{.type = STORE_ARRAY, .items = inner, .n_items = 2},
                                  {.type = STORE_NIL},
                                  {.type = STORE_TEXT, .text = {NULL, 0}},
                                  {.type = STORE_ERROR, .text = {told, 2}}};
    const struct store_value v = {.type = STORE_ARRAY, .items = outer, .n_items = 4};
    struct store_value *kept = NULL;

    (void)state;
    assert_int_equal(redis_value_keep(&v, &kept), ERR_OK);
    memset(told, 'x', sizeof told);
    memset(inner, 0, sizeof inner);
    memset(outer, 0, sizeof outer);
    assert_int_equal(kept->n_items, 4);
    assert_int_equal(kept->items[0].items[0].integer, 7);
    assert_true(str_is(kept->items[0].items[1].text, STR("told")));
    assert_int_equal(kept->items[1].type, STORE_NIL);
    assert_int_equal(kept->items[2].text.n, 0);
    assert_true(str_is(kept->items[3].text, STR("to")));
    free(kept);

    const struct store_value number = {.type = STORE_INTEGER, .integer = -1};
    assert_int_equal(redis_value_keep(&number, &kept), ERR_OK);
    assert_int_equal(kept->integer, -1);
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
