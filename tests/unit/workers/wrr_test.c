/* SPDX-License-Identifier: Apache-2.0 */
#include "wrr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Who is served, as letters, for work as given: "hnl". */
static void serve(struct wrr *w, const char *work, size_t n, char *out)
{
    const bool has_work[WRR_CLASSES] = {[WRR_HIGH] = strchr(work, 'h') != NULL,
                                        [WRR_NORMAL] = strchr(work, 'n') != NULL,
                                        [WRR_LOW] = strchr(work, 'l') != NULL};

    for (size_t i = 0; i < n; i++) {
        enum wrr_class c = wrr_next(w, has_work);
        out[i] = "hnl-"[c];
        if (c != WRR_CLASSES) {
            wrr_served(w, c, has_work);
        }
    }
    out[n] = '\0';
}

static void test_rounds(void **state)
{
    static const struct {
        const char *work;
        const char *order;
    } rows[] = {
        /* By hand: the largest credit, each round 12. */
        {"hnl", "hnhhlhnhhhnhhnhhlhnhhhnh"}, {"h", "hhhhhhhh"},      {"n", "nnnn"}, {"l", "llll"},
        {"hn", "hnhhhnhhhnhhnhhhnhhhnh"},    {"nl", "nnlnnnlnnnln"}, {"", "---"},
    };
    char got[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wrr w = {0};
        serve(&w, rows[i].work, strlen(rows[i].order), got);
        if (strcmp(got, rows[i].order) != 0) {
            fail_msg("%s: %s", rows[i].work, got);
        }
    }
}

static size_t count(const char *s, char c)
{
    size_t n = 0;

    for (; *s != '\0'; s++) {
        n += *s == c ? 1 : 0;
    }
    return n;
}

static void test_every_round_is_8_3_1(void **state)
{
    struct wrr w = {0};
    char got[64];

    (void)state;
    for (int round = 0; round < 100; round++) {
        serve(&w, "hnl", 12, got);
        assert_int_equal(count(got, 'h'), 8);
        assert_int_equal(count(got, 'n'), 3);
        assert_int_equal(count(got, 'l'), 1);
        assert_null(strstr(got, "hhhhh")); /* smooth: not eight in a row */
    }
}

/* Who comes back after a long time alone of another is neither owed nor owes more than a round. */
static void test_absence_earns_nothing(void **state)
{
    struct wrr w = {0};
    char got[1024];

    (void)state;
    serve(&w, "hnl", 7, got);
    serve(&w, "l", 1000, got);
    assert_int_equal(count(got, 'l'), 1000);
    serve(&w, "hnl", 24, got);
    assert_in_range(count(got, 'h'), 15, 17);
    assert_in_range(count(got, 'n'), 5, 7);
    assert_in_range(count(got, 'l'), 1, 3);
}

/* Served out of turn (it was alone in hand): the others get theirs afterwards. */
static void test_out_of_turn(void **state)
{
    const bool all[WRR_CLASSES] = {true, true, true};
    struct wrr w = {0};

    (void)state;
    wrr_served(&w, WRR_LOW, all);
    for (int i = 0; i < 11; i++) {
        enum wrr_class c = wrr_next(&w, all);
        assert_int_not_equal(c, WRR_LOW);
        wrr_served(&w, c, all);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(wrr_class_of(STR("high")), WRR_HIGH);
    assert_int_equal(wrr_class_of(STR("normal")), WRR_NORMAL);
    assert_int_equal(wrr_class_of(STR("low")), WRR_LOW);
    assert_int_equal(wrr_class_of(STR("sync")), WRR_NORMAL);
    assert_int_equal(wrr_weight(WRR_HIGH) + wrr_weight(WRR_NORMAL) + wrr_weight(WRR_LOW), 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_every_round_is_8_3_1),
        cmocka_unit_test(test_absence_earns_nothing),
        cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
