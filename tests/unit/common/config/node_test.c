/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/node.h"

#include <stdlib.h>

struct parse_case {
    const char *name;
    const char *document;
    const char *json; /* NULL: refused */
    const char *why;  /* a part of the sentence */
    int line;
};

static const struct parse_case parse_cases[] = {
    {"empty", "", "null", NULL, 0},
    {"only a comment", "# nothing\n", "null", NULL, 0},
    {"yaml", "a: 1\nb: [x, 'y', \"z\"]\n", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"]}", NULL, 0},
    {"json", "{\"a\":{\"b\":[1,-2.5e3,null,true,false,\"\"]}}",
     "{\"a\":{\"b\":[1,-2.5e3,null,true,false,\"\"]}}", NULL, 0},
    {"json with tabs", "{\n\t\"a\":\t1\n}\n", "{\"a\":1}", NULL, 0},
    {"json escapes", "\"\\ud83d\\ude00 \\u00e9 \\/ \\\\ud83d\\\\ude00\"",
     "\"\xF0\x9F\x98\x80 \xC3\xA9 / \\\\ud83d\\\\ude00\"", NULL, 0},
    {"byte order mark", "\xEF\xBB\xBF{}", "{}", NULL, 0},
    {"numbers keep their text", "[1.50, 100000000000000000001, 0]",
     "[1.50,100000000000000000001,0]", NULL, 0},
    {"what is no JSON number is text", "[0x10, 1_000, .5, +1, 01, 1., yes, off, 2026-01-01]",
     "[\"0x10\",\"1_000\",\".5\",\"+1\",\"01\",\"1.\",\"yes\",\"off\",\"2026-01-01\"]", NULL, 0},
    {"quoted is text", "['1', \"true\", 'null']", "[\"1\",\"true\",\"null\"]", NULL, 0},
    {"nulls", "{a: , b: ~, c: Null}", "{\"a\":null,\"b\":null,\"c\":null}", NULL, 0},
    {"block text", "a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}", NULL, 0},
    {"key twice", "a: 1\nb: 2\na: 3\n", NULL, "the key \"a\" stands here twice", 3},
    {"json key twice", "{\"a\":1,\n\"a\":2}", NULL, "twice", 2},
    {"same key in another map", "a: {k: 1}\nb: {k: 1}\n", "{\"a\":{\"k\":1},\"b\":{\"k\":1}}", NULL,
     0},
    {"anchor", "a: 1\nb: &x 2\n", NULL, "anchors", 2},
    {"anchor of a map", "a: &x {}\n", NULL, "anchors", 1},
    {"alias", "a: 1\nb: *x\n", NULL, "aliases", 2},
    {"tag", "a: !!str 1\n", NULL, "tags", 1},
    {"tag of a list", "a: !mine [1]\n", NULL, "tags", 1},
    {"key that is a list", "? [a]\n: 1\n", NULL, "a key must be plain text", 1},
    {"second document", "a: 1\n---\nb: 2\n", NULL, "second document", 2},
    {"not well formed", "a: [1,\nb: }\n", NULL, "", 2},
    {"latin-1", "a: 1\nb: \"\xE9\"\n", NULL, "not UTF-8", 2},
    {"escaped NUL", "a: \"\\0\"\n", NULL, "NUL", 1},
    {"control character", "a: \"\x01\"\n", NULL, "control characters", 1},
    {"lone surrogate", "\"\\ud83d\"", NULL, "", 1},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parse_cases / sizeof *parse_cases; i++) {
        const struct parse_case *c = &parse_cases[i];
        struct node *root = NULL;
        struct buf why = {0};
        struct buf json = {0};
        int line = 0;
        print_message("case: %s\n", c->name);
        int rc = node_parse(str_of(c->document), &root, &line, &why);
        if (c->json != NULL) {
            assert_int_equal(rc, ERR_OK);
            node_to_json(root, &json);
            assert_string_equal(json.p, c->json);
        } else {
            assert_int_equal(rc, ERR_SYNTAX);
            assert_null(root);
            assert_int_equal(line, c->line);
            assert_non_null(strstr(why.p, c->why));
        }
        node_free(root);
        buf_fini(&why);
        buf_fini(&json);
    }
}

static int parse(struct str document, struct buf *why)
{
    struct node *root = NULL;
    int line = 0;
    int rc = node_parse(document, &root, &line, why);

    node_free(root);
    return rc;
}

static void test_nul_byte_and_size(void **state)
{
    struct buf why = {0};
    struct buf big = {0};

    (void)state;
    assert_int_equal(parse((struct str){"a: 1\n\0", 6}, &why), ERR_SYNTAX);
    assert_non_null(strstr(why.p, "NUL"));
    while (big.n <= NODE_BYTES) {
        buf_text(&big, "# a comment that is long enough to fill a file quickly\n");
    }
    assert_int_equal(parse(buf_as_str(&big), &why), ERR_SYNTAX);
    assert_non_null(strstr(why.p, "16 MiB"));
    buf_fini(&big);
    buf_fini(&why);
}

static int parse_nested(size_t depth)
{
    struct buf document = {0};
    struct buf why = {0};

    for (size_t i = 0; i < depth; i++) {
        buf_char(&document, '[');
    }
    for (size_t i = 0; i < depth; i++) {
        buf_char(&document, ']');
    }
    int rc = parse(buf_as_str(&document), &why);
    buf_fini(&document);
    buf_fini(&why);
    return rc;
}

static void test_depth(void **state)
{
    (void)state;
    assert_int_equal(parse_nested(NODE_DEPTH), ERR_OK);
    assert_int_equal(parse_nested(NODE_DEPTH + 1), ERR_SYNTAX);
    assert_int_equal(parse_nested(100000), ERR_SYNTAX);
}

static void test_lines(void **state)
{
    static const char document[] = "a:\n  b:\n    - x\n    - y\n";
    struct node *root = NULL;
    struct buf why = {0};
    int line = 0;

    (void)state;
    assert_int_equal(node_parse(STR(document), &root, &line, &why), ERR_OK);
    struct node *b = node_get(node_get(root, "a"), "b");
    assert_int_equal(b->key_line, 2);
    assert_int_equal(b->line, 3);
    assert_int_equal(b->n, 2);
    assert_int_equal(b->last->line, 4);
    assert_null(node_get(root, "c"));
    assert_null(node_get(b, "x"));
    node_free(root);
    buf_fini(&why);
}

static void test_take_and_add(void **state)
{
    struct node *map = node_new(NODE_MAP, NULL, 1);
    struct buf json = {0};

    (void)state;
    assert_int_equal(node_add(map, "a", node_new(NODE_NUMBER, "1", 1)), ERR_OK);
    assert_int_equal(node_add(map, "b", node_new(NODE_NUMBER, "2", 1)), ERR_OK);
    assert_int_equal(node_add(map, "c", node_new(NODE_NUMBER, "3", 1)), ERR_OK);
    struct node *c = node_get(map, "c");
    node_take(map, c);
    struct node *a = node_get(map, "a");
    node_take(map, a);
    assert_int_equal(node_add(map, "d", a), ERR_OK);
    node_free(c);
    node_to_json(map, &json);
    assert_string_equal(json.p, "{\"b\":2,\"d\":1}");
    buf_fini(&json);
    node_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),        cmocka_unit_test(test_nul_byte_and_size),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_take_and_add),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
