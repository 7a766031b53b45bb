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
    struct command *c = store_command_new(parts, 4);
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
        struct command *c = store_command_new(&(struct words){&word, 1}, 1);
        assert_non_null(c);
        assert_int_equal(c->n, strlen(CASES[i].head) + CASES[i].n + 2);
        assert_memory_equal(c->wire, CASES[i].head, strlen(CASES[i].head));
        assert_memory_equal(c->wire + c->n - 3, "x\r\n", 4);
        free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
