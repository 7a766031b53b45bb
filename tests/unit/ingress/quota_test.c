/* SPDX-License-Identifier: Apache-2.0 */
#include "quota.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct store_value text(const char *word)
{
    return (struct store_value){.type = STORE_TEXT, .text = str_of(word)};
}

static const struct tenant_rate HUNDRED = {
    .is_set = true, .limit = 100, .period_ms = 60000, .burst = 20};

static bool read_words(const char *word, const char *left, const char *reset, const char *next,
                       struct quota *ret)
{
    const struct store_value items[] = {text(word), text(left), text(reset), text(next)};
    const struct store_value all = {.type = STORE_ARRAY, .items = items, .n_items = 4};

    return quota_read(&all, &HUNDRED, ret);
}

static void expect_field(struct httpd_field f, const char *name, const char *value)
{
    assert_true(str_is(f.name, str_of(name)));
    assert_true(str_is(f.value, str_of(value)));
}

static void test_within_it(void **state)
{
    char texts[QUOTA_FIELDS][QUOTA_TEXT_SIZE];
    struct httpd_field f[QUOTA_FIELDS];
    struct quota q = {0};

    (void)state;
    assert_true(read_words("ok", "19", "600", "0", &q));
    assert_int_equal(q.next_ms, 0);
    assert_int_equal(quota_fields(&q, texts, f), QUOTA_FIELDS);
    expect_field(f[0], "RateLimit-Policy", "\"key\";q=100;w=60");
    expect_field(f[1], "RateLimit", "\"key\";r=19;t=1");
}

static void test_over_it(void **state)
{
    char texts[QUOTA_FIELDS][QUOTA_TEXT_SIZE];
    struct httpd_field f[QUOTA_FIELDS];
    struct quota q = {0};

    (void)state;
    assert_true(read_words("no", "0", "12000", "2001", &q));
    assert_int_equal(q.next_ms, 2001);
    assert_int_equal(quota_fields(&q, texts, f), QUOTA_FIELDS);
    expect_field(f[1], "RateLimit", "\"key\";r=0;t=3");
    assert_true(read_words("no", "0", "12000", "0", &q));
    assert_int_equal(q.next_ms, 1);
}

static void test_a_rate_below_one_is_one_in_more_periods(void **state)
{
    char texts[QUOTA_FIELDS][QUOTA_TEXT_SIZE];
    struct httpd_field f[QUOTA_FIELDS];
    struct quota q = {.is_set = true, .rate = {.is_set = true, .limit = 0.25, .period_ms = 1500}};

    (void)state;
    assert_int_equal(quota_fields(&q, texts, f), QUOTA_FIELDS);
    expect_field(f[0], "RateLimit-Policy", "\"key\";q=1;w=6");
}

static void test_without_one_nothing_is_said(void **state)
{
    struct quota q = {.left = 7};

    (void)state;
    assert_false(read_words("memory", "", "", "", &q));
    assert_false(quota_read(NULL, &HUNDRED, &q));
    assert_int_equal(q.left, 7);
    assert_int_equal(quota_fields(&q, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_it),
        cmocka_unit_test(test_over_it),
        cmocka_unit_test(test_a_rate_below_one_is_one_in_more_periods),
        cmocka_unit_test(test_without_one_nothing_is_said),
    };

    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
