/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/field.h"

/* One field of every type that holds a value. */
struct thing {
    bool is_on, is_second, is_inner_set;
    uint32_t small, absent;
    uint64_t large;
    size_t size;
    double ratio;
    int64_t pause_ms, absent_ms, since_ms;
    char *text;
    unsigned int choice;
    char **texts;
    size_t n_texts;
    int *statuses;
    size_t n_statuses;
    struct inner {
        uint32_t a, b;
    } inner, *pointer;
};

#define X(member) offsetof(struct thing, member)
static const char *const choices[] = {NULL, "left", "right"};
static const char *const eithers[] = {"first", "second"};

static const struct field inner_fields[] = {
    {.key = "a",
     .type = FIELD_U32,
     .flags = FIELD_REQUIRED,
     .offset = offsetof(struct inner, a),
     .max = 9},
    {.key = "b", .type = FIELD_U32, .offset = offsetof(struct inner, b), .max = 9, .preset = "7"},
};
static const struct table inner_table = {
    .name = "inner", .fields = inner_fields, .n_fields = 2, .check = NULL};

static const struct field fields[] = {
    {.key = "on", .type = FIELD_BOOL, .offset = X(is_on), .preset = "true"},
    {.key = "small", .type = FIELD_U32, .offset = X(small), .min = 1, .max = 10, .preset = "3"},
    {.key = "absent", .type = FIELD_U32, .offset = X(absent), .min = 1, .max = 10},
    {.key = "large", .type = FIELD_U64, .offset = X(large), .max = 1e15, .preset = "5000000000"},
    {.key = "size", .type = FIELD_SIZE, .offset = X(size), .max = 1e9, .preset = "16"},
    {.key = "ratio", .type = FIELD_NUMBER, .offset = X(ratio), .max = 1, .preset = "0.1"},
    {.key = "pause_s", .type = FIELD_SECONDS, .offset = X(pause_ms), .max = 60, .preset = "0.5"},
    {.key = "absent_s", .type = FIELD_SECONDS, .offset = X(absent_ms), .max = 60},
    {.key = "since", .type = FIELD_INSTANT, .offset = X(since_ms)},
    {.key = "text", .type = FIELD_TEXT, .offset = X(text), .preset = "42", .check = value_some},
    {.key = "choice", .type = FIELD_CHOICE, .offset = X(choice), .choices = choices, .max = 3},
    {.key = "either",
     .type = FIELD_EITHER,
     .offset = X(is_second),
     .choices = eithers,
     .max = 2,
     .preset = "second"},
    {.key = "texts",
     .type = FIELD_TEXTS,
     .flags = FIELD_ONE_OR_MORE,
     .offset = X(texts),
     .count_offset = X(n_texts),
     .min = 1,
     .max = 3},
    {.key = "statuses",
     .type = FIELD_INTS,
     .offset = X(statuses),
     .count_offset = X(n_statuses),
     .max = 3,
     .preset = "202 204"},
    {.key = "inner",
     .type = FIELD_OBJECT,
     .flags = FIELD_WHOLE,
     .offset = X(inner),
     .count_offset = X(is_inner_set),
     .sub = &inner_table},
    {.key = "pointer",
     .type = FIELD_POINTER,
     .offset = X(pointer),
     .sub = &inner_table,
     .sub_size = sizeof(struct inner)},
};
static const struct table table = {
    .name = "thing", .fields = fields, .n_fields = sizeof fields / sizeof *fields, .check = NULL};

static size_t decode(struct thing *t, const char *document, bool is_partial, struct buf *out)
{
    struct mistakes m = {.out = out};
    struct node *root = NULL;
    struct buf why = {0};
    int line = 0;

    assert_int_equal(node_parse(str_of(document), &root, &line, &why), ERR_OK);
    table_decode(&table, &m, NULL, root, is_partial, t);
    assert_false(m.is_out_of_memory);
    node_free(root);
    buf_fini(&why);
    return m.n;
}

static void assert_encoded(const struct thing *t, const char *expected)
{
    struct thing preset = {0};
    struct buf out = {0};

    assert_int_equal(table_preset(&table, &preset), ERR_OK);
    table_encode(&table, t, &preset, &out);
    assert_string_equal(out.p, expected);
    table_fini(&table, &preset);
    buf_fini(&out);
}

static void test_presets(void **state)
{
    struct thing t = {0};

    (void)state;
    assert_int_equal(table_preset(&table, &t), ERR_OK);
    assert_true(t.is_on);
    assert_int_equal(t.small, 3);
    assert_int_equal(t.absent, 0);
    assert_int_equal(t.large, 5000000000);
    assert_int_equal(t.size, 16);
    assert_true(t.ratio == 0.1);
    assert_int_equal(t.pause_ms, 500);
    assert_int_equal(t.absent_ms, -1);
    assert_int_equal(t.since_ms, 0);
    assert_string_equal(t.text, "42");
    assert_int_equal(t.choice, 0);
    assert_true(t.is_second);
    assert_null(t.texts);
    assert_int_equal(t.n_statuses, 2);
    assert_int_equal(t.statuses[1], 204);
    assert_false(t.is_inner_set);
    assert_int_equal(t.inner.b, 7);
    assert_null(t.pointer);
    assert_encoded(&t, "{}");
    table_fini(&table, &t);
}

static void test_decode_and_encode(void **state)
{
    static const char document[] =
        "{\"absent\":1,\"absent_s\":0,\"choice\":\"right\",\"either\":\"first\","
        "\"inner\":{\"a\":1},\"large\":1000000000000000,\"on\":false,\"pause_s\":1.05,"
        "\"pointer\":{\"a\":2,\"b\":3},\"ratio\":0.30000000000000004,"
        "\"since\":\"2026-01-01T00:00:00.000Z\",\"size\":0,\"small\":10,\"statuses\":[],"
        "\"text\":\"\xC3\xA9\",\"texts\":[\"a\",\"b\"]}";
    struct thing t = {0};

    (void)state;
    assert_int_equal(table_preset(&table, &t), ERR_OK);
    assert_int_equal(decode(&t, document, /* is_partial= */ false, NULL), 0);
    assert_int_equal(t.pause_ms, 1050);
    assert_int_equal(t.absent_ms, 0);
    assert_int_equal(t.choice, 2);
    assert_non_null(t.statuses);
    assert_int_equal(t.n_statuses, 0);
    assert_int_equal(t.pointer->b, 3);
    assert_encoded(&t, document);
    table_fini(&table, &t);
}

static void test_merging(void **state)
{
    struct thing t = {0};

    (void)state;
    assert_int_equal(table_preset(&table, &t), ERR_OK);
    assert_int_equal(decode(&t,
                            "{small: 5, text: x, texts: [a, b], inner: {a: 1, b: 2}, "
                            "pointer: {a: 1, b: 2}, statuses: [500]}",
                            false, NULL),
                     0);
    assert_int_equal(
        decode(&t, "{text: null, texts: c, inner: {a: 3}, pointer: {a: 4}}", true, NULL), 0);
    assert_encoded(&t, "{\"inner\":{\"a\":3},\"pointer\":{\"a\":4},\"small\":5,"
                       "\"statuses\":[500],\"texts\":[\"c\"]}");
    assert_int_equal(
        decode(&t, "{inner: ~, pointer: ~, statuses: ~, small: ~, texts: ~}", true, NULL), 0);
    assert_encoded(&t, "{}");
    table_fini(&table, &t);
}

struct refusal {
    const char *document;
    const char *mistake;
};

static const struct refusal refusals[] = {
    {"{on: yes}", "on: expected true or false, found the text \"yes\"\n"},
    {"{small: 0}", "small: expected a whole number from 1 to 10, found 0\n"},
    {"{small: 11}", "small: expected a whole number from 1 to 10, found 11\n"},
    {"{small: 1.5}", "small: expected a whole number from 1 to 10, found 1.5\n"},
    {"{small: '5'}", "small: expected a whole number from 1 to 10, found the text \"5\"\n"},
    {"{large: 1e300}", "large: expected a whole number from 0 to 1e+15, found 1e300\n"},
    {"{ratio: 1.0000001}", "ratio: expected a number from 0 to 1, found 1.0000001\n"},
    {"{pause_s: 5s}", "pause_s: expected seconds from 0 to 60, found the text \"5s\"\n"},
    {"{since: 2026-01-01}", "since: expected a time as 2026-03-29T01:00:00Z (RFC 3339), found the "
                            "text \"2026-01-01\"\n"},
    {"{text: 42}", "text: expected text (put it into quotes), found 42\n"},
    {"{text: [a]}", "text: expected text, found a list\n"},
    {"{choice: up}", "choice: expected one of left, right, found the text \"up\"\n"},
    {"{texts: []}", "texts: expected at least 1\n"},
    {"{texts: [a, b, c, d]}", "texts: expected at most 3\n"},
    {"{texts: [a, a]}", "texts[1]: a stands here twice\n"},
    {"{texts: [a, 1]}", "texts[1]: expected text, found 1\n"},
    {"{statuses: [600]}", "statuses[0]: expected a status from 200 to 599, found 600\n"},
    {"{statuses: 500}", "statuses: expected a list, found 500\n"},
    {"{inner: 5}", "inner: expected a map of a and b, found 5\n"},
    {"{inner: {b: 1}}", "inner: the key a is missing\n"},
    {"{inner: {a: null}}", "inner.a: expected a value, found null\n"},
    {"{pointer: {a: 1, c: 1}}", "pointer.c: unknown key\n"},
    {"{smal: 1}", "smal: unknown key; did you mean small?\n"},
    {"{quite_another: 1}", "quite_another: unknown key\n"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct thing t = {0};
        struct buf out = {0};
        print_message("case: %s\n", refusals[i].document);
        assert_int_equal(table_preset(&table, &t), ERR_OK);
        assert_int_equal(decode(&t, refusals[i].document, false, &out), 1);
        assert_string_equal(out.p, refusals[i].mistake);
        table_fini(&table, &t);
        buf_fini(&out);
    }
}

static void test_print(void **state)
{
    struct thing t = {0};
    struct buf out = {0};

    (void)state;
    assert_int_equal(table_preset(&table, &t), ERR_OK);
    assert_int_equal(decode(&t, "{inner: {a: 1}, texts: [x]}", false, NULL), 0);
    table_print(&table, &t, 2, &out);
    assert_string_equal(out.p, "  on: true\n"
                               "  small: 3\n"
                               "  absent: null\n"
                               "  large: 5000000000\n"
                               "  size: 16\n"
                               "  ratio: 0.1\n"
                               "  pause_s: 0.5\n"
                               "  absent_s: null\n"
                               "  since: null\n"
                               "  text: \"42\"\n"
                               "  choice: null\n"
                               "  either: \"second\"\n"
                               "  texts: [\"x\"]\n"
                               "  statuses: [202,204]\n"
                               "  inner:\n"
                               "    a: 1\n"
                               "    b: 7\n"
                               "  pointer: null\n");
    table_fini(&table, &t);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets), cmocka_unit_test(test_decode_and_encode),
        cmocka_unit_test(test_merging), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
