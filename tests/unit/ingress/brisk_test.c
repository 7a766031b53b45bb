/* SPDX-License-Identifier: Apache-2.0 */
#include "brisk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HOUR_MS = 3600000 };

static const struct mono START = {.ns = 1000000000};

static struct brisk *told(void)
{
    struct brisk *b = NULL;

    assert_int_equal(brisk_new(&b), ERR_OK);
    brisk_note(b, STR("quick"), true, HOUR_MS, START);
    return b;
}

static void test_it_holds_for_a_moment(void **state)
{
    struct brisk *b = told();

    (void)state;
    assert_true(brisk_is(b, STR("quick"), mono_plus_ms(START, 199)));
    assert_false(brisk_is(b, STR("quick"), mono_plus_ms(START, 201)));
    assert_false(brisk_is(b, STR("other"), START));
    brisk_note(b, STR("quick"), false, HOUR_MS, START);
    assert_false(brisk_is(b, STR("quick"), START));
    brisk_free(b);
}

static void test_the_clock_goes_on(void **state)
{
    struct brisk *b = told();

    (void)state;
    assert_int_equal(brisk_store_ms(b, mono_plus_ms(START, 150)), HOUR_MS + 150);
    brisk_free(b);
}

/* A tenant that is not registered yet: its answer has no time. Others are brisk meanwhile. */
static void test_an_answer_without_a_time_leaves_the_clock(void **state)
{
    struct brisk *b = told();

    (void)state;
    brisk_note(b, STR("new"), false, 0, mono_plus_ms(START, 100));
    assert_int_equal(brisk_store_ms(b, mono_plus_ms(START, 150)), HOUR_MS + 150);
    brisk_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_holds_for_a_moment),
        cmocka_unit_test(test_the_clock_goes_on),
        cmocka_unit_test(test_an_answer_without_a_time_leaves_the_clock),
    };

    return cmocka_run_group_tests_name("brisk", tests, NULL, NULL);
}
