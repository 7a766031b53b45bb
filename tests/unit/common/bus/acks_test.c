/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/acks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TAGS_MAX = 8, TEXT_SIZE = 128 };

struct row {
    const char *name;
    uint64_t tags[TAGS_MAX]; /* in the order of settling, ended by 0 */
    uint64_t first_open;
    const char *sent; /* "7*" is tag 7 with multiple */
};

static const struct row ROWS[] = {
    {"nothing", {0}, 0, ""},
    {"one, nothing else in hand", {5, 0}, 0, "5 "},
    {"one, below what is in hand", {5, 0}, 6, "5 "},
    {"one, above what is in hand", {5, 0}, 4, "5 "},
    {"a prefix", {1, 2, 3, 0}, 4, "3* "},
    {"a prefix out of order", {3, 1, 2, 0}, 4, "3* "},
    {"all, nothing in hand", {3, 1, 2, 0}, 0, "3* "},
    {"a prefix and one behind a gap", {1, 2, 4, 0}, 3, "2* 4 "},
    {"all behind a gap", {9, 8, 7, 0}, 6, "9 8 7 "},
    {"one before, two behind", {10, 2, 11, 0}, 3, "2 10 11 "},
};

static void note(uint64_t tag, bool is_multiple, void *arg)
{
    char *text = arg;
    size_t n = strlen(text);

    (void)snprintf(text + n, TEXT_SIZE - n, "%u%s ", (unsigned int)tag, is_multiple ? "*" : "");
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct acks a = {0};
        char sent[TEXT_SIZE] = "";
        for (size_t t = 0; ROWS[i].tags[t] != 0; t++) {
            assert_int_equal(bus_acks_add(&a, ROWS[i].tags[t]), 0);
        }
        bus_acks_flush(&a, ROWS[i].first_open, note, sent);
        if (strcmp(sent, ROWS[i].sent) != 0) {
            fail_msg("%s: sent \"%s\", not \"%s\"", ROWS[i].name, sent, ROWS[i].sent);
        }
        bus_acks_flush(&a, 0, note, sent);
        assert_string_equal(sent, ROWS[i].sent); /* nothing is sent twice */
        bus_acks_fini(&a);
    }
}

static void test_many(void **state)
{
    struct acks a = {0};
    char sent[TEXT_SIZE] = "";

    (void)state;
    for (uint64_t tag = 1; tag <= 1000; tag++) {
        assert_int_equal(bus_acks_add(&a, tag), 0);
    }
    bus_acks_flush(&a, 1001, note, sent);
    assert_string_equal(sent, "1000* ");
    bus_acks_fini(&a);
}

static void test_urgent(void **state)
{
    struct acks a = {0};

    (void)state;
    assert_false(bus_acks_are_urgent(&a, 4, 8));
    assert_true(bus_acks_are_urgent(&a, 5, 8));
    assert_int_equal(bus_acks_add(&a, 1), 0);
    assert_false(bus_acks_are_urgent(&a, 3, 8));
    assert_true(bus_acks_are_urgent(&a, 4, 8)); /* those gathered count, too */
    assert_true(bus_acks_are_urgent(&a, 0, 1));
    assert_true(bus_acks_are_urgent(&a, 0, 0));
    assert_false(bus_acks_are_urgent(&a, 0, UINT16_MAX));
    bus_acks_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_urgent)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
