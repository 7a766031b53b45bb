/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = metrics_new();
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    metrics_free(*state);
    return 0;
}

static void assert_prints(const struct metrics *m, const char *expected)
{
    struct buf out = {0};

    buf_text(&out, "");
    metrics_print(m, &out);
    assert_string_equal(out.p, expected);
    buf_fini(&out);
}

static void nothing_prints_nothing(void **state)
{
    assert_prints(*state, "");
}

static void counter_with_labels(void **state)
{
    struct metric *t =
        metrics_counter(*state, "sluice_jobs_ended_total", "Jobs that ended.", "tenant,state");

    metric_add(t, (struct str[]){STR("erp"), STR("succeeded")}, 1);
    metric_add(t, (struct str[]){STR("erp"), STR("failed")}, 1);
    metric_add(t, (struct str[]){STR("erp"), STR("succeeded")}, 2);
    assert_prints(*state, "# HELP sluice_jobs_ended_total Jobs that ended.\n"
                          "# TYPE sluice_jobs_ended_total counter\n"
                          "sluice_jobs_ended_total{tenant=\"erp\",state=\"succeeded\"} 3\n"
                          "sluice_jobs_ended_total{tenant=\"erp\",state=\"failed\"} 1\n");
}

static void gauge_without_labels(void **state)
{
    struct metric *t = metrics_gauge(*state, "sluice_leader", "1 on the leader.", "");

    assert_prints(*state, "# HELP sluice_leader 1 on the leader.\n# TYPE sluice_leader gauge\n");
    metric_set(t, NULL, 1);
    metric_add(t, NULL, -3);
    assert_prints(*state, "# HELP sluice_leader 1 on the leader.\n"
                          "# TYPE sluice_leader gauge\n"
                          "sluice_leader -2\n");
}

static void metrics_stand_in_order_of_making(void **state)
{
    struct metric *b = metrics_gauge(*state, "b", "B.", "");
    struct metric *a = metrics_gauge(*state, "a", "A.", "");

    metric_set(a, NULL, 1);
    metric_set(b, NULL, 2);
    assert_prints(*state, "# HELP b B.\n# TYPE b gauge\nb 2\n# HELP a A.\n# TYPE a gauge\na 1\n");
}

static void same_name_is_same_metric(void **state)
{
    struct metric *t = metrics_counter(*state, "c", "C.", "x");

    assert_ptr_equal(metrics_counter(*state, "c", "C.", "x"), t);
}

static void numbers(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {1.0 / 3, "0.33333333333333331"},
        {20000, "20000"},
        {1700000000.123, "1700000000.123"},
        {999999999999999.0, "999999999999999"},
        {1e15, "1e+15"},
        {1e-9, "1e-09"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {NAN, "NaN"},
    };
    struct metric *t = metrics_gauge(*state, "g", "G.", "");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[120];
        (void)snprintf(expected, sizeof expected, "# HELP g G.\n# TYPE g gauge\ng %s\n",
                       cases[i].text);
        metric_set(t, NULL, cases[i].v);
        assert_prints(*state, expected);
    }
}

static void label_values_are_escaped(void **state)
{
    static const struct {
        const char *name;
        struct str value;
        const char *text;
    } cases[] = {
        {"plain", {"erp", 3}, "erp"},
        {"empty", {"", 0}, ""},
        {"null", {NULL, 0}, ""},
        {"quote", {"a\"b", 3}, "a\\\"b"},
        {"backslash", {"a\\b", 3}, "a\\\\b"},
        {"newline", {"a\nb", 3}, "a\\nb"},
        {"braces and comma", {"{a,b=}", 6}, "{a,b=}"},
        {"utf-8", {"gr\xC3\xBC\xC3\x9F", 6}, "gr\xC3\xBC\xC3\x9F"},
        {"not utf-8", {"a\xFF\xC3", 3}, "a??"},
        {"not terminated", {"erpXXX", 3}, "erp"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct metrics *m = metrics_new();
        struct metric *t = metrics_counter(m, "c", "C.", "v");
        char expected[120];
        (void)state;
        print_message("case: %s\n", cases[i].name);
        (void)snprintf(expected, sizeof expected, "# HELP c C.\n# TYPE c counter\nc{v=\"%s\"} 1\n",
                       cases[i].text);
        metric_add(t, &cases[i].value, 1);
        assert_prints(m, expected);
        metrics_free(m);
    }
}

static void help_is_escaped_but_its_quotes(void **state)
{
    (void)metrics_gauge(*state, "g", "A \"b\"\\\nc", "");
    assert_prints(*state, "# HELP g A \"b\"\\\\\\nc\n# TYPE g gauge\n");
}

/* Two values that print alike must be one series: a scrape with a series twice is lost whole. */
static void broken_values_that_print_alike_are_one_series(void **state)
{
    struct metric *t = metrics_counter(*state, "c", "C.", "v");

    metric_add(t, (struct str[]){STR("\xFE")}, 1);
    metric_add(t, (struct str[]){STR("\xFF")}, 1);
    metric_add(t, (struct str[]){STR("?")}, 1);
    assert_prints(*state, "# HELP c C.\n# TYPE c counter\nc{v=\"?\"} 3\n");
}

static void values_do_not_run_together(void **state)
{
    struct metric *t = metrics_counter(*state, "c", "C.", "a,b,c");

    metric_add(t, (struct str[]){STR("x"), STR("yz"), STR("")}, 1);
    metric_add(t, (struct str[]){STR("xy"), STR("z"), STR("")}, 1);
    metric_add(t, (struct str[]){STR(""), STR("xyz"), STR("")}, 1);
    assert_prints(*state, "# HELP c C.\n# TYPE c counter\n"
                          "c{a=\"x\",b=\"yz\",c=\"\"} 1\n"
                          "c{a=\"xy\",b=\"z\",c=\"\"} 1\n"
                          "c{a=\"\",b=\"xyz\",c=\"\"} 1\n");
}

static void histogram_buckets_are_cumulative(void **state)
{
    struct metric *t = metrics_histogram(*state, "sluice_attempt_seconds", "Attempts.", "tenant");
    const struct str erp[] = {STR("erp")};

    /* All are sums of powers of two, so that the sum is exact. */
    metric_observe(t, erp, 0);
    metric_observe(t, erp, 0.0009765625); /* le 0.001 */
    metric_observe(t, erp, 0.25);         /* the bound itself belongs to its bucket */
    metric_observe(t, erp, 59.5);
    metric_observe(t, erp, 600);
    metric_observe(t, erp, 601); /* +Inf alone */
    metric_observe(t, erp, -1);  /* counts as nothing */
    metric_observe(t, erp, NAN); /* does not count */
    assert_prints(*state, "# HELP sluice_attempt_seconds Attempts.\n"
                          "# TYPE sluice_attempt_seconds histogram\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.001\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.0025\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.005\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.01\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.025\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.05\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.1\"} 3\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.25\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"0.5\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"1\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"2.5\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"5\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"10\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"25\"} 4\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"60\"} 5\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"120\"} 5\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"300\"} 5\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"600\"} 6\n"
                          "sluice_attempt_seconds_bucket{tenant=\"erp\",le=\"+Inf\"} 7\n"
                          "sluice_attempt_seconds_sum{tenant=\"erp\"} 1260.7509765625\n"
                          "sluice_attempt_seconds_count{tenant=\"erp\"} 7\n");
}

static void histogram_without_labels(void **state)
{
    struct metric *t = metrics_histogram(*state, "h", "H.", "");
    struct buf out = {0};

    metric_observe(t, NULL, 2);
    metrics_print(*state, &out);
    assert_non_null(strstr(out.p, "\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"2.5\"} 1\n"));
    assert_non_null(strstr(out.p, "\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n"));
    buf_fini(&out);
}

static size_t count_of(const struct metrics *m, const char *what)
{
    struct buf out = {0};
    size_t n = 0;

    metrics_print(m, &out);
    for (const char *p = strstr(out.p, what); p != NULL; p = strstr(p + 1, what)) {
        n++;
    }
    buf_fini(&out);
    return n;
}

static void series_are_bounded(void **state)
{
    struct metric *t = metrics_counter(*state, "c", "C.", "a,b");
    char name[24];

    for (int i = 0; i < METRICS_SERIES + 500; i++) {
        int n = snprintf(name, sizeof name, "t%d", i);
        metric_add(t, (struct str[]){{name, (size_t)n}, STR("x")}, 1);
    }
    /* One that is there counts on, under its own name. */
    metric_add(t, (struct str[]){STR("t7"), STR("x")}, 1);
    assert_int_equal(count_of(*state, "\nc{"), METRICS_SERIES + 1);
    assert_int_equal(count_of(*state, "\nc{a=\"_other\",b=\"_other\"} 500\n"), 1);
    assert_int_equal(count_of(*state, "\nc{a=\"t7\",b=\"x\"} 2\n"), 1);
    assert_int_equal(count_of(*state, "\nc{a=\"t19999\",b=\"x\"} 1\n"), 1);
    assert_int_equal(count_of(*state, "\nc{a=\"t20000\","), 0);
}

static void reset_forgets_the_series(void **state)
{
    struct metric *t = metrics_gauge(*state, "g", "G.", "tenant");

    metric_set(t, (struct str[]){STR("gone")}, 1);
    metric_reset(t);
    metric_set(t, (struct str[]){STR("here")}, 2);
    assert_prints(*state, "# HELP g G.\n# TYPE g gauge\ng{tenant=\"here\"} 2\n");
}

static void null_is_taken(void **state)
{
    (void)state;
    metric_add(NULL, NULL, 1);
    metric_set(NULL, NULL, 1);
    metric_observe(NULL, NULL, 1);
    metric_reset(NULL);
    metrics_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_prints_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(counter_with_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(gauge_without_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_stand_in_order_of_making, setup, teardown),
        cmocka_unit_test_setup_teardown(same_name_is_same_metric, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(label_values_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(help_is_escaped_but_its_quotes, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_values_that_print_alike_are_one_series, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(values_do_not_run_together, setup, teardown),
        cmocka_unit_test_setup_teardown(histogram_buckets_are_cumulative, setup, teardown),
        cmocka_unit_test_setup_teardown(histogram_without_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(series_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_forgets_the_series, setup, teardown),
        cmocka_unit_test(null_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
