/* SPDX-License-Identifier: Apache-2.0 */
#include "store/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void test_wire(void **state)
{
    const struct str head[] = {STR("EVALSHA"), STR("0123456789"), STR("1")};
    const struct str keys[] = {STR("{t}:t")};
    const struct str args[] = {{NULL, 0}, STR("a\r\n$b\0c")};
    const struct words parts[] = {{head, 3}, {keys, 1}, {NULL, 0}, {args, 2}};
    const struct str expected = STR("*6\r\n$7\r\nEVALSHA\r\n$10\r\n0123456789\r\n$1\r\n1\r\n"
                                    "$5\r\n{t}:t\r\n$0\r\n\r\n$7\r\na\r\n$b\0c\r\n");

    (void)state;
    struct command *c = store_command_new(parts, 4, 0);
    assert_non_null(c);
    assert_int_equal(c->n, expected.n);
    assert_memory_equal(c->wire, expected.p, expected.n + 1);
    assert_int_equal(c->script, COMMAND_NO_SCRIPT);
    free(c);
}

/* Lengths around a change in their number of digits. */
static void test_lengths(void **state)
{
    static const struct {
        size_t n;
        const char *head;
    } CASES[] = {{9, "*1\r\n$9\r\n"},
                 {10, "*1\r\n$10\r\n"},
                 {99, "*1\r\n$99\r\n"},
                 {100, "*1\r\n$100\r\n"},
                 {1000, "*1\r\n$1000\r\n"}};
    char bytes[1000];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct str word = {bytes, CASES[i].n};
        struct command *c = store_command_new(&(struct words){&word, 1}, 1, 0);
        assert_non_null(c);
        assert_int_equal(c->n, strlen(CASES[i].head) + CASES[i].n + 2);
        assert_memory_equal(c->wire, CASES[i].head, strlen(CASES[i].head));
        assert_memory_equal(c->wire + c->n - 3, "x\r\n", 4);
        free(c);
    }
}

static struct command *call_with(const char *function, const char *key, const struct str *args,
                                 size_t n_args)
{
    char number[STR_I64_SIZE];
    const struct str head[] = {STR("FCALL"), str_of(function), STR("1")};
    const struct str keys[] = {str_of(key)};
    const struct str count[] = {str_from_i64((int64_t)n_args, number)};
    const struct words parts[] = {{head, 3}, {keys, 1}, {count, 1}, {args, n_args}};
    struct command *c = store_command_new(parts, 4, 2);

    assert_non_null(c);
    return c;
}

static struct command *call_of(const char *function, const char *key, const char *word)
{
    return call_with(function, key, &(struct str){word, strlen(word)}, 1);
}

static void test_mates(void **state)
{
    struct command *a = call_of("f", "{t}:t", "one");
    struct command *b = call_of("f", "{t}:t", "another");
    struct command *other_key = call_of("f", "{u}:t", "one");
    struct command *other_function = call_of("g", "{t}:t", "one");
    struct command *plain =
        store_command_new(&(struct words){(const struct str[]){STR("PING")}, 1}, 1, 0);
    char head[STORE_HEAD_SIZE];

    (void)state;
    assert_true(store_command_is_mate(a, b));
    assert_false(store_command_is_mate(a, other_key));
    assert_false(store_command_is_mate(a, other_function));
    assert_false(store_command_is_mate(a, plain));
    assert_false(store_command_is_mate(plain, a));
    assert_int_equal(a->n_rest, 2);
    size_t n = store_command_head(a, a->n_rest + b->n_rest, head);
    const struct str expected = STR("*8\r\n$5\r\nFCALL\r\n$1\r\nf\r\n$1\r\n1\r\n$5\r\n{t}:t\r\n");
    assert_int_equal(n, expected.n);
    assert_memory_equal(head, expected.p, n);
    assert_string_equal(b->wire + b->rest_at, "$1\r\n1\r\n$7\r\nanother\r\n");
    free(a);
    free(b);
    free(other_key);
    free(other_function);
    free(plain);
}

enum { MOST_ARGS = 70 };

/* A call with n arguments, of which those at `places` (from 1 on, ended by 0) are `other`. */
static struct command *call_but_for(size_t n, const size_t *places, struct str other)
{
    struct str args[MOST_ARGS];

    for (size_t i = 0; i < n; i++) {
        args[i] = STR("same\r\n$1\r\n");
    }
    for (; *places > 0; places++) {
        args[*places - 1] = other;
    }
    return call_with("f", "{t}:t", args, n);
}

/* What goes behind its mate: the places, and what stands there. */
static void test_changes(void **state)
{
    static const struct {
        size_t n;
        size_t places[MOST_ARGS];
        const char *other;
        const char *expected; /* NULL: all of it */
    } CASES[] = {
        {5, {2, 0}, "x", "$2\r\n=2\r\n$1\r\nx\r\n"},
        {5, {1, 5, 0}, "", "$4\r\n=1 5\r\n$0\r\n\r\n$0\r\n\r\n"},
        {64, {9, 10, 64, 0}, "$2", "$8\r\n=9 10 64\r\n$2\r\n$2\r\n$2\r\n$2\r\n$2\r\n$2\r\n"},
        {4, {1, 2, 0}, "x", NULL}, /* half of them: dearer than all */
        {5, {0}, "x", NULL},       /* none */
        {65, {2, 0}, "x", NULL},   /* more than can be named */
        {1, {1, 0}, "x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct command *a = call_but_for(CASES[i].n, (const size_t[]){0}, STR(""));
        struct command *b = call_but_for(CASES[i].n, CASES[i].places, str_of(CASES[i].other));
        char places[STORE_PLACES_SIZE];
        char sent[256];
        uint64_t changed = store_command_changes(a, b);
        size_t n_words = store_command_n_words(b, changed);
        if (CASES[i].expected == NULL) {
            assert_int_equal(changed, 0);
            assert_int_equal(n_words, b->n_rest);
        } else {
            size_t n = store_command_places(changed, places);
            memcpy(sent, places, n);
            for (; changed != 0; n_words--) {
                struct str word = store_command_next(b, &changed);
                memcpy(sent + n, word.p, word.n);
                n += word.n;
            }
            assert_int_equal(n_words, 1);
            assert_int_equal(n, strlen(CASES[i].expected));
            assert_memory_equal(sent, CASES[i].expected, n);
        }
        free(a);
        free(b);
    }
}

static void test_changes_in_number(void **state)
{
    struct command *a = call_but_for(5, (const size_t[]){0}, STR(""));
    struct command *b = call_but_for(6, (const size_t[]){0}, STR(""));

    (void)state;
    assert_int_equal(store_command_changes(a, b), 0);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes), cmocka_unit_test(test_changes_in_number),
        cmocka_unit_test(test_wire),    cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_mates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
