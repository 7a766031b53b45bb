/* SPDX-License-Identifier: Apache-2.0 */
#include "job/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct text_case {
    struct str text;
    const char *what; /* NULL: sound */
    size_t at;
};

#define SOUND(text)                                                                                \
    {                                                                                              \
        {(text), sizeof(text) - 1}, NULL, 0                                                        \
    }
#define BAD(text, what, at)                                                                        \
    {                                                                                              \
        {(text), sizeof(text) - 1}, (what), (at)                                                   \
    }

static const struct text_case cases[] = {
    SOUND("1"),
    SOUND(" \t\r\n1 \t\r\n"),
    SOUND("null"),
    SOUND("true"),
    SOUND("false"),
    SOUND("\"\""),
    SOUND("[]"),
    SOUND("{}"),
    SOUND("[ ]"),
    SOUND("{ }"),
    SOUND("[1,[2,{\"a\":3}],\"]\"]"),
    SOUND("{\"a\":1,\"A\":2,\"\":3,\"b\":{\"a\":1,\"\":2}}"),
    SOUND("[{\"a\":1},{\"a\":1}]"),
    SOUND("{\"a\":{\"b\":1},\"b\":2}"),
    SOUND("{\"\\u00e9\":1,\"e\":2}"),
    SOUND("0"),
    SOUND("-0"),
    SOUND("-0.0e-0"),
    SOUND("10.50E+01"),
    SOUND("0e999999999999999999999"),
    SOUND("1e-999999999999999999999"),
    SOUND("1e308"),
    SOUND("1.7976931348623157e308"),
    SOUND("-17976931348623157e292"),
    SOUND("0.00017976931348623157e312"),
    SOUND("179769313486231570814527423731704356798070567525844996598917476803157260780028538760589"
          "55863276687817154045895351438246423432132688946418276846754670353751698604991057655128"
          "20762454900903893289440758685084551339423045832369032229481658085593321233477479782620"
          "41447231687381771809192998812504040261841248583680"),
    SOUND("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\uFFFF\\ud83d\\ude00\""),
    SOUND("\"\x7f\xc2\x80\xf0\x9f\x98\x80\""),

    BAD("", "it ends too early", 0),
    BAD(" ", "it ends too early", 1),
    BAD("\xEF\xBB\xBF"
        "1",
        "a byte order mark", 0),
    BAD("1 x", "something follows its end", 2),
    BAD("{}{}", "something follows its end", 2),
    BAD("1\0", "something follows its end", 1),
    BAD("1,", "something follows its end", 1),
    BAD("01", "a number that begins with 0", 1),
    BAD("-01", "a number that begins with 0", 2),
    BAD("1.", "a number without digits after its point", 2),
    BAD("1.e1", "a number without digits after its point", 2),
    BAD("1e", "a number without digits in its exponent", 2),
    BAD("1e+", "a number without digits in its exponent", 3),
    BAD("1e999", "a number that is too large", 5),
    BAD("-1e309", "a number that is too large", 6),
    BAD("1.7976931348623159e308", "a number that is too large", 22),
    BAD("10e99999999999999999999", "a number that is too large", 23),
    BAD("+1", "a value was expected", 0),
    BAD(".5", "a value was expected", 0),
    BAD("-", "a value was expected", 1),
    BAD("-x", "a value was expected", 1),
    BAD("0x10", "something follows its end", 1),
    BAD("NaN", "a value was expected", 0),
    BAD("Infinity", "a value was expected", 0),
    BAD("nul", "a value was expected", 0),
    BAD("truex", "something follows its end", 4),
    BAD("'a'", "a value was expected", 0),
    BAD("\0", "a value was expected", 0),
    BAD("\xff", "a value was expected", 0),
    BAD("[1,]", "a value was expected", 3),
    BAD("[,1]", "a value was expected", 1),
    BAD("[1", "a comma or a closing bracket was expected", 2),
    BAD("[1}", "a comma or a closing bracket was expected", 2),
    BAD("[1 2]", "a comma or a closing bracket was expected", 3),
    BAD("[", "it ends too early", 1),
    BAD("{", "a string was expected", 1),
    BAD("{\"a\":1,}", "a string was expected", 7),
    BAD("{a:1}", "a string was expected", 1),
    BAD("{\"a\" 1}", "a colon was expected", 5),
    BAD("{\"a\"", "a colon was expected", 4),
    BAD("{\"a\":", "it ends too early", 5),
    BAD("{\"a\":1", "a comma or a closing bracket was expected", 6),
    BAD("{\"a\":1]", "a comma or a closing bracket was expected", 6),
    BAD("{\"a\":1,\"a\":2}", "an object that has a name twice", 0),
    BAD("{\"\":1,\"\":2}", "an object that has a name twice", 0),
    BAD("{\"a\":1,\"b\":2,\"\\u0061\":3}", "an object that has a name twice", 0),
    BAD("{\"\\u00e9\":1,\"\xc3\xa9\":3}", "an object that has a name twice", 0),
    BAD("{\"\\/\":1,\"\\u002F\":3}", "an object that has a name twice", 0),
    BAD("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":3}", "an object that has a name twice", 0),
    BAD("[{\"a\":{\"a\":1,\"b\":{},\"a\":1}}]", "an object that has a name twice", 6),
    BAD("\"a", "a string without an end", 2),
    BAD("\"\\", "a string without an end", 2),
    BAD("\"\\\"", "a string without an end", 3),
    BAD("\"\n\"", "a control character in a string", 1),
    BAD("\"\0\"", "a control character in a string", 1),
    BAD("\"\\a\"", "an unknown escape", 2),
    BAD("\"\\\0\"", "an unknown escape", 2),
    BAD("\"\\u12\"", "\\u without four hex digits", 3),
    BAD("\"\\u12g4\"", "\\u without four hex digits", 3),
    BAD("\"\\u0000\"", "the character \\u0000", 3),
    BAD("\"\\ud800\"", "half of a surrogate pair", 7),
    BAD("\"\\ud800\\n\"", "half of a surrogate pair", 7),
    BAD("\"\\ud800\\u0041\"", "half of a surrogate pair", 7),
    BAD("\"\\ud800\\ud800\"", "half of a surrogate pair", 7),
    BAD("\"\\udc00\"", "half of a surrogate pair", 3),
    BAD("\"\\ud800\\udc0\"", "half of a surrogate pair", 7),
    BAD("\"\xff\"", "a string that is not UTF-8", 0),
    BAD("[\"\xc0\xaf\"]", "a string that is not UTF-8", 1),
    BAD("\"\xed\xa0\x80\"", "a string that is not UTF-8", 0),
    BAD("\"\xf4\x90\x80\x80\"", "a string that is not UTF-8", 0),
    BAD("{\"\xe2\x82\":1}", "a string that is not UTF-8", 1),
};

static void check_case(const struct text_case *c, struct str text)
{
    struct json_trouble trouble = {"", 0};
    int rc = json_check(text, &trouble);

    if (rc != (c->what == NULL ? ERR_OK : ERR_SYNTAX)) {
        fail_msg("%.*s: %s", STR_ARG(c->text), err_word(rc));
    }
    if (rc != ERR_OK && (strcmp(trouble.what, c->what) != 0 || trouble.at != c->at)) {
        fail_msg("%.*s: %s, at %zu", STR_ARG(c->text), trouble.what, trouble.at);
    }
}

/* Each text lies in a block of its very size, so that ASan sees a read past its end. */
static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *copy = test_malloc(cases[i].text.n + (cases[i].text.n == 0));
        memcpy(copy, cases[i].text.p, cases[i].text.n);
        check_case(&cases[i], (struct str){copy, cases[i].text.n});
        test_free(copy);
    }
}

static int check_nested(const char *open, const char *close, int depth)
{
    struct json_trouble trouble;
    struct buf text = {0};

    for (int i = 0; i < depth; i++) {
        buf_text(&text, open);
    }
    buf_text(&text, "1");
    for (int i = 0; i < depth; i++) {
        buf_text(&text, close);
    }
    int rc = json_check(buf_as_str(&text), &trouble);
    buf_fini(&text);
    return rc;
}

static void test_depth(void **state)
{
    (void)state;
    assert_int_equal(check_nested("[", "]", 64), ERR_OK);
    assert_int_equal(check_nested("[", "]", 65), ERR_SYNTAX);
    assert_int_equal(check_nested("{\"a\":", "}", 64), ERR_OK);
    assert_int_equal(check_nested("{\"a\":", "}", 65), ERR_SYNTAX);
    assert_int_equal(check_nested("[", "]", 100000), ERR_SYNTAX);
}

/* Many names, then one of the first again. */
static void test_many_names(void **state)
{
    struct json_trouble trouble;
    struct buf text = {0};

    (void)state;
    buf_char(&text, '{');
    for (int i = 0; i < 50000; i++) {
        buf_printf(&text, "\"k%d\":{\"k%d\":%d},", i, i, i);
    }
    size_t n = text.n;
    buf_text(&text, "\"k50000\":0}");
    assert_int_equal(json_check(buf_as_str(&text), &trouble), ERR_OK);
    text.n = n;
    buf_text(&text, "\"k\\u0031\":0}");
    assert_int_equal(json_check(buf_as_str(&text), &trouble), ERR_SYNTAX);
    buf_fini(&text);
}

static void test_walk(void **state)
{
    static const struct {
        const char *name;
        const char *value;
    } members[] = {
        {"\"a\"", "1"},       {"\"b,}\\\"\"", "{ \"x\" : [ 1 , \"]\" ] }"},
        {"\"\"", "\"\\\\\""}, {"\"c\"", "[]"},
        {"\"d\"", "-1.5e3"},
    };
    struct str rest = json_members(STR(" { \"a\":1 , \"b,}\\\"\" : { \"x\" : [ 1 , \"]\" ] } ,"
                                       "\"\":\"\\\\\",\"c\":[],\"d\"\n:\t-1.5e3 } "));
    struct str name;
    struct str value;

    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        assert_true(json_next(&rest, &name, &value));
        assert_true(str_is(name, str_of(members[i].name)));
        assert_true(str_is(value, str_of(members[i].value)));
    }
    assert_false(json_next(&rest, &name, &value));
    rest = json_members(STR("{ }"));
    assert_false(json_next(&rest, &name, &value));
}

static void test_unescape(void **state)
{
    struct buf out = {0};

    (void)state;
    json_unescape(STR("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00z\""), &out);
    assert_string_equal(out.p, "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    buf_fini(&out);
}

static void test_string_is(void **state)
{
    (void)state;
    assert_true(json_string_is(STR("\"body\""), STR("body")));
    assert_true(json_string_is(STR("\"\\u0062\\u006f\\u0064\\u0079\""), STR("body")));
    assert_false(json_string_is(STR("\"bodY\""), STR("body")));
    assert_false(json_string_is(STR("\"bod\""), STR("body")));
    assert_false(json_string_is(STR("\"body_\""), STR("body")));
    assert_false(json_string_is(STR("\"\""), STR("body")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),      cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_names), cmocka_unit_test(test_walk),
        cmocka_unit_test(test_unescape),   cmocka_unit_test(test_string_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
