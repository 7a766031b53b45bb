/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ZEROS_20 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

struct row {
    int64_t delay_ms;
    const char *exchange;
    const char *key;
};

/* Units of 125 ms, 28 digits, the highest first. */
static const struct row ROWS[] = {
    {INT64_MIN, "sluice.work", "erp.normal"},
    {-1, "sluice.work", "erp.normal"},
    {0, "sluice.work", "erp.normal"},
    {1, "sluice.delay.0", ZEROS_20 "0.0.0.0.0.0.0.1.erp.normal"},     /* 1 unit */
    {125, "sluice.delay.0", ZEROS_20 "0.0.0.0.0.0.0.1.erp.normal"},   /* 1 */
    {126, "sluice.delay.1", ZEROS_20 "0.0.0.0.0.0.1.0.erp.normal"},   /* 2 */
    {250, "sluice.delay.1", ZEROS_20 "0.0.0.0.0.0.1.0.erp.normal"},   /* 2 */
    {251, "sluice.delay.1", ZEROS_20 "0.0.0.0.0.0.1.1.erp.normal"},   /* 3 */
    {1000, "sluice.delay.3", ZEROS_20 "0.0.0.0.1.0.0.0.erp.normal"},  /* 8 */
    {1100, "sluice.delay.3", ZEROS_20 "0.0.0.0.1.0.0.1.erp.normal"},  /* 9 */
    {3000, "sluice.delay.4", ZEROS_20 "0.0.0.1.1.0.0.0.erp.normal"},  /* 24 */
    {30000, "sluice.delay.7", ZEROS_20 "1.1.1.1.0.0.0.0.erp.normal"}, /* 240 */
    /* A day: 691,200 units = 1010 1000 1100 0000 0000 in binary. */
    {86400000, "sluice.delay.19",
     "0.0.0.0.0.0.0.0.1.0.1.0.1.0.0.0.1.1.0.0.0.0.0.0.0.0.0.0.erp.normal"},
    /* 2^27 units. */
    {16777216000, "sluice.delay.27", "1.0.0.0.0.0.0.0." ZEROS_20 "erp.normal"},
    /* 2^28 - 1 units, one more, and far more. */
    {33554431875, "sluice.delay.27",
     "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.erp.normal"},
    {33554431876, "sluice.delay.27",
     "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.erp.normal"},
    {INT64_MAX, "sluice.delay.27",
     "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.erp.normal"},
};

static void test_delay(void **state)
{
    char exchange[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        topology_delay(ROWS[i].delay_ms, "erp", "normal", exchange, key);
        assert_string_equal(exchange, ROWS[i].exchange);
        assert_string_equal(key, ROWS[i].key);
    }
}

static void test_names(void **state)
{
    char out[TOPOLOGY_KEY_SIZE];

    (void)state;
    topology_queue("erp", "sync", out);
    assert_string_equal(out, "sluice.erp.sync");
    topology_work_key("erp", "sync", out);
    assert_string_equal(out, "erp.sync");
    topology_queue("erp", "high.7", out);
    assert_string_equal(out, "sluice.erp.high.7");
    topology_work_key("erp", "high.7", out);
    assert_string_equal(out, "erp.high.7");
}

static void test_routes(void **state)
{
    static const char *const no[] = {"",      "other",  "normal.8", "normal.",    "normal.10",
                                     "shelf", "high.x", ".3",       "normal.3.4", "sync "};
    static const char *const classes[] = {"sync", "high", "normal", "low"};
    char text[16];
    struct str class;
    struct str lane;

    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (topology_route_read(str_of(no[i]), &class, &lane)) {
            fail_msg("\"%s\" is a route", no[i]);
        }
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        assert_true(topology_route_read(str_of(classes[i]), &class, &lane));
        assert_true(str_is(class, str_of(classes[i])));
        assert_int_equal(lane.n, 0);
        for (int k = 0; k < TOPOLOGY_LANES; k++) {
            (void)snprintf(text, sizeof text, "%s.%d", classes[i], k);
            assert_true(topology_route_read(str_of(text), &class, &lane));
            assert_true(str_is(class, str_of(classes[i])));
            assert_int_equal(lane.n, 1);
            assert_int_equal(lane.p[0], '0' + k);
        }
    }
}

static void test_longest_key_fits(void **state)
{
    const char *tenant = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char exchange[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];

    (void)state;
    topology_delay(INT64_MAX, tenant, "normal", exchange, key);
    assert_int_equal(strlen(key), 28 * 2 + 64 + 1 + 6);
    assert_string_equal(key + 28 * 2 + 64, ".normal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_delay), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_routes),
                                       cmocka_unit_test(test_longest_key_fits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
