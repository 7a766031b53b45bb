/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ARGS = 8 };

static const struct flag own_flags[] = {
    {"--data", NULL, 'd', FLAG_TEXT, "TEXT", "h"},
    {"--idempotency-key", "--key-id", 0, FLAG_TEXT, "KEY", "h"},
    {"--wait", NULL, 0, FLAG_SECONDS, "SECONDS", "h"},
    {"--max-attempts", NULL, 0, FLAG_COUNT, "N", "h"},
    {"--include", NULL, 'i', FLAG_SWITCH, NULL, "h"},
    {"--weight", NULL, 0, FLAG_WHOLE, "N", "h"},
};
static const struct flag common_flags[] = {
    {"--json", NULL, 0, FLAG_SWITCH, NULL, "h"},
};
static const struct flags own = {own_flags, 6};
static const struct flags common = {common_flags, 1};

/* args_parse wants argv as main has it. */
#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})

static char data_flag[] = "--data";
static char data_equals[] = "--data=a=b";
static char d_flag[] = "-d";
static char key_id[] = "--key-id";
static char key_flag[] = "--idempotency-key";
static char wait_flag[] = "--wait";
static char wait_half[] = "--wait=0.5";
static char count_flag[] = "--max-attempts";
static char json_flag[] = "--json";
static char weight_flag[] = "--weight";
static char i_flag[] = "-i";
static char over[] = "--";
static char dash[] = "-";
static char word[] = "word";
static char other[] = "other";
static char empty[] = "";

struct good {
    const char *name;
    char **argv;
    int argc;
    size_t n_words;
    const char *data;
    const char *key;
    int64_t wait_ms;
    bool is_json;
    bool is_include;
};

static void test_good(void **state)
{
    const struct good cases[] = {
        {"none", ARGV(NULL), 0, 0, NULL, NULL, -1, false, false},
        {"words and flags mixed", ARGV(word, data_flag, other, word), 4, 2, "other", NULL, -1,
         false, false},
        {"with =", ARGV(data_equals), 1, 0, "a=b", NULL, -1, false, false},
        {"a letter", ARGV(d_flag, word, i_flag), 3, 0, "word", NULL, -1, false, true},
        {"a value may be a flag", ARGV(data_flag, json_flag), 2, 0, "--json", NULL, -1, false,
         false},
        {"an empty value", ARGV(data_flag, empty), 2, 0, "", NULL, -1, false, false},
        {"the last holds", ARGV(data_flag, word, data_flag, other), 4, 0, "other", NULL, -1, false,
         false},
        {"an alias", ARGV(key_id, word), 2, 0, NULL, "word", -1, false, false},
        {"its first name", ARGV(key_flag, word), 2, 0, NULL, "word", -1, false, false},
        {"seconds", ARGV(wait_half), 1, 0, NULL, NULL, 500, false, false},
        {"a common one", ARGV(word, json_flag), 2, 1, NULL, NULL, -1, true, false},
        {"after --", ARGV(over, json_flag, over), 3, 2, NULL, NULL, -1, false, false},
        {"a dash is a word", ARGV(dash), 1, 1, NULL, NULL, -1, false, false},
        {"an empty word", ARGV(empty), 1, 1, NULL, NULL, -1, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct good *g = &cases[i];
        struct args a;
        struct buf why = {0};
        int used = -1;
        print_message("%s\n", g->name);
        assert_int_equal(args_parse(own, common, g->argc, g->argv, false, &a, &used, &why), 0);
        assert_int_equal(used, g->argc);
        assert_int_equal(a.n_words, g->n_words);
        const char *data = args_text(&a, "--data");
        const char *key = args_text(&a, "--idempotency-key");
        assert_string_equal(data == NULL ? "(none)" : data, g->data == NULL ? "(none)" : g->data);
        assert_string_equal(key == NULL ? "(none)" : key, g->key == NULL ? "(none)" : g->key);
        assert_int_equal(args_ms(&a, "--wait", -1), g->wait_ms);
        assert_int_equal(args_has(&a, "--json"), g->is_json);
        assert_int_equal(args_has(&a, "--include"), g->is_include);
        assert_int_equal(why.n, 0);
        args_fini(&a);
    }
}

struct bad {
    const char *name;
    char **argv;
    int argc;
    const char *why;
};

static void test_bad(void **state)
{
    static char unknown[] = "--dota";
    static char far[] = "--colour";
    static char alias_near[] = "--key-ix=1";
    static char letter[] = "-x";
    static char glued[] = "-dx";
    static char valued[] = "--json=yes";
    static char minus[] = "-1";
    static char text[] = "5s";
    static char zero[] = "0";
    const struct bad cases[] = {
        {"unknown, near", ARGV(unknown), 1, "unknown flag --dota (did you mean --data?)"},
        {"unknown, far", ARGV(far), 1, "unknown flag --colour"},
        {"near an alias", ARGV(alias_near), 1, "unknown flag --key-ix (did you mean --key-id?)"},
        {"a letter", ARGV(letter), 1, "unknown flag -x"},
        {"glued", ARGV(glued), 1, "unknown flag -dx"},
        {"no value", ARGV(word, data_flag), 2, "--data needs a value (TEXT)"},
        {"a value not wanted", ARGV(valued), 1, "--json takes no value"},
        {"negative seconds", ARGV(wait_flag, minus), 2,
         "--wait takes seconds, as 5 or 0.25, not \"-1\""},
        {"a unit", ARGV(wait_flag, text), 2, "--wait takes seconds, as 5 or 0.25, not \"5s\""},
        {"no seconds", ARGV(wait_flag, empty), 2, "--wait takes seconds, as 5 or 0.25, not \"\""},
        {"zero of a count", ARGV(count_flag, zero), 2,
         "--max-attempts takes a whole number from 1, not \"0\""},
        {"a word for a count", ARGV(count_flag, word), 2,
         "--max-attempts takes a whole number from 1, not \"word\""},
        {"no whole number", ARGV(weight_flag, minus), 2,
         "--weight takes a whole number from 0, not \"-1\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct args a;
        struct buf why = {0};
        print_message("%s\n", cases[i].name);
        assert_int_equal(
            args_parse(own, common, cases[i].argc, cases[i].argv, false, &a, NULL, &why),
            ERR_INVALID);
        assert_string_equal(why.p, cases[i].why);
        buf_fini(&why);
        args_fini(&a);
    }
}

static void test_a_whole_number_may_be_zero(void **state)
{
    static char zero[] = "0";
    struct args a;
    struct buf why = {0};

    (void)state;
    assert_int_equal(args_parse(own, common, 2, ARGV(weight_flag, zero), false, &a, NULL, &why), 0);
    assert_true(args_has(&a, "--weight"));
    assert_int_equal(args_count(&a, "--weight", 7), 0);
    args_fini(&a);
}

static void test_stops_at_the_first_word(void **state)
{
    char *argv[] = {json_flag, word, data_flag};
    struct args a;
    struct buf why = {0};
    int used = -1;

    (void)state;
    assert_int_equal(args_parse(own, common, 3, argv, true, &a, &used, &why), 0);
    assert_int_equal(used, 1);
    assert_int_equal(a.n_words, 0);
    assert_true(args_has(&a, "--json"));
    args_fini(&a);
}

static void test_repeated_values_come_in_order(void **state)
{
    char *argv[] = {d_flag, word, json_flag, data_equals, data_flag, other};
    struct args a;
    struct buf why = {0};
    size_t cursor = 0;

    (void)state;
    assert_int_equal(args_parse(own, common, 6, argv, false, &a, NULL, &why), 0);
    assert_string_equal(args_next(&a, "--data", &cursor), "word");
    assert_string_equal(args_next(&a, "--data", &cursor), "a=b");
    assert_string_equal(args_next(&a, "--data", &cursor), "other");
    assert_null(args_next(&a, "--data", &cursor));
    args_fini(&a);
}

static void test_seconds(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } cases[] = {{"0", 0, 0},
                 {"5", 0, 5000},
                 {"0.25", 0, 250},
                 {"1.5", 0, 1500},
                 {"0.0019", 0, 1},
                 {"007", 0, 7000},
                 {"316224000", 0, 316224000000},
                 {"316224001", ERR_TOO_LARGE, -1},
                 {"99999999999999999999", ERR_TOO_LARGE, -1},
                 {"", ERR_SYNTAX, -1},
                 {".5", ERR_SYNTAX, -1},
                 {"5.", ERR_SYNTAX, -1},
                 {"1.2.3", ERR_SYNTAX, -1},
                 {"1e3", ERR_SYNTAX, -1},
                 {" 1", ERR_SYNTAX, -1},
                 {"+1", ERR_SYNTAX, -1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -1;
        print_message("\"%s\"\n", cases[i].text);
        assert_int_equal(args_seconds(str_of(cases[i].text), &ms), cases[i].rc);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void test_distance(void **state)
{
    static char long_text[] = "0123456789012345678901234567890123456789012345678901234567890123";

    (void)state;
    assert_int_equal(args_distance(STR("status"), STR("status")), 0);
    assert_int_equal(args_distance(STR("stauts"), STR("status")), 2);
    assert_int_equal(args_distance(STR("stats"), STR("status")), 1);
    assert_int_equal(args_distance(STR(""), STR("abc")), 3);
    assert_int_equal(args_distance(STR("kitten"), STR("sitting")), 3);
    assert_int_equal(args_distance(str_of(long_text), str_of(long_text)), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_a_whole_number_may_be_zero),
        cmocka_unit_test(test_stops_at_the_first_word),
        cmocka_unit_test(test_repeated_values_come_in_order),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_distance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
