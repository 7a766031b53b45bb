/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include "cli.h"
#include "help.h"
#include "job/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ARGS = 12 };

/* A command line of submit's, as main has it. */
struct given {
    char texts[ARGS][96];
    char *argv[ARGS];
    struct args args;
};

static void give(struct given *g, const char *const *flags)
{
    struct buf why = {0};
    int argc = 0;

    for (; argc < ARGS && flags[argc] != NULL; argc++) {
        (void)snprintf(g->texts[argc], sizeof g->texts[argc], "%s", flags[argc]);
        g->argv[argc] = g->texts[argc];
    }
    const struct command *k = help_find(STR("submit"));
    assert_int_equal(args_parse(k->flags, help_common, argc, g->argv, false, &g->args, NULL, &why),
                     0);
}

struct document {
    const char *name;
    const char *flags[ARGS];
    struct str body;
    const char *expected;
};

#define START "{\"tenant\":\"erp\",\"request\":{\"method\":"
#define NO_BODY                                                                                    \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static const struct document documents[] = {
    {"the least", {NULL}, NO_BODY, START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{}}}"},
    {"an ordering key",
     {"--ordering-key", "customer \"9\""},
     NO_BODY,
     START
     "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{}},\"ordering_key\":\"customer \\\"9\\\"\"}"},
    {"a priority",
     {"--priority", "high"},
     NO_BODY,
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{}},\"priority\":\"high\"}"},
    {"JSON says so",
     {NULL},
     {"{\"n\": 1}", 8},
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{\"content-type\":\"application/json\"},"
           "\"body_text\":\"{\\\"n\\\": 1}\"}}"},
    {"a header knows better",
     {"--header", "Content-Type: text/x", "--header", "X-A:  b "},
     {"{}", 2},
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{\"Content-Type\":\"text/x\",\"X-A\":"
           "\"b\"},\"body_text\":\"{}\"}}"},
    {"text",
     {NULL},
     {"hi", 2},
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{},"
           "\"body_text\":\"hi\"}}"},
    {"an empty body is one",
     {"--method", "PUT"},
     {"", 0},
     START "\"PUT\",\"path\":\"/o?a=\\\"b\",\"headers\":{},\"body_text\":\"\"}}"},
    {"bytes",
     {NULL},
     {"\377\0\1", 3},
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{},"
           "\"body_base64\":\"/wAB\"}}"},
    {"a NUL is no text",
     {NULL},
     {"a\0", 2},
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{},\"body_base64\":\"YQA=\"}}"},
    {"one byte",
     {NULL},
     {"\377", 1},
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{},"
           "\"body_base64\":\"/w==\"}}"},
    {"all else",
     {"--delay", "0.25", "--ttl=60", "--timeout", "7", "--max-attempts", "3", "--label", "a=b=c",
      "--label", "d=e"},
     NO_BODY,
     START "\"POST\",\"path\":\"/o?a=\\\"b\",\"headers\":{}},\"delay_s\":0.250,\"ttl_s\":60.000,"
           "\"timeout_s\":7.000,\"retry\":{\"max_attempts\":3},\"labels\":{\"a\":\"b=c\",\"d\":"
           "\"e\"}}"},
};

static void test_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct given g = {0};
        struct buf out = {0};
        struct buf why = {0};
        print_message("%s\n", documents[i].name);
        give(&g, documents[i].flags);
        assert_int_equal(order_document(&g.args, "erp", "/o?a=\"b", documents[i].body, &out, &why),
                         0);
        assert_string_equal(out.p, documents[i].expected);
        buf_fini(&out);
        args_fini(&g.args);
    }
}

/* What we print, the server's own decoder takes, and it gives the bytes back. */
static void test_the_server_reads_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct given g = {0};
        struct buf out = {0};
        struct buf why = {0};
        struct job_document d = {0};
        print_message("%s\n", documents[i].name);
        give(&g, documents[i].flags);
        assert_int_equal(order_document(&g.args, "erp", "/orders", documents[i].body, &out, &why),
                         0);
        assert_int_equal(job_document_parse(buf_as_str(&out), 0, &d, &why), 0);
        assert_true(str_is((struct str){d.body, d.body_n}, documents[i].body));
        assert_string_equal(d.tenant, "erp");
        job_document_fini(&d);
        buf_fini(&out);
        buf_fini(&why);
        args_fini(&g.args);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        const char *flags[ARGS];
        const char *why;
    } cases[] = {
        {"no colon", {"--header", "X-A"}, "--header takes 'NAME: VALUE', not \"X-A\""},
        {"no name", {"--header", ": b"}, "--header takes 'NAME: VALUE', not \": b\""},
        {"a space before the colon",
         {"--header", "X : b"},
         "--header takes 'NAME: VALUE', not \"X : b\""},
        {"a header twice",
         {"--header", "X-A: 1", "--method", "GET", "--header", "x-a: 2"},
         "--header x-a is given twice; join the values by a comma"},
        {"no value of a label", {"--label", "a="}, "--label takes NAME=VALUE, not \"a=\""},
        {"no equals", {"--label", "a"}, "--label takes NAME=VALUE, not \"a\""},
        {"no label", {"--label", "=a"}, "--label takes NAME=VALUE, not \"=a\""},
        {"a label twice", {"--label", "a=1", "--label", "a=2"}, "--label a is given twice"},
        {"not UTF-8", {"--label", "a=\377"}, "--label is not UTF-8"},
        {"a method that is none",
         {"--method", "\377"},
         "the tenant, the path or the method is not UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct given g = {0};
        struct buf out = {0};
        struct buf why = {0};
        print_message("%s\n", cases[i].name);
        give(&g, cases[i].flags);
        assert_int_equal(order_document(&g.args, "erp", "/", (struct str){NULL, 0}, &out, &why),
                         ERR_INVALID);
        assert_string_equal(why.p, cases[i].why);
        buf_fini(&out);
        buf_fini(&why);
        args_fini(&g.args);
    }
}

static void test_key_lines(void **state)
{
    static const struct {
        const char *key;
        const char *line; /* NULL: refused */
    } cases[] = {{"order-1", "Idempotency-Key: \"order-1\""},
                 {" a ", "Idempotency-Key: \" a \""},
                 {"\"quoted\"", "Idempotency-Key: \"quoted\""},
                 {"\"", "Idempotency-Key: \"\"\""},
                 {"", NULL},
                 {"\"\"", NULL},
                 {"a\nb", NULL},
                 {"\303\274", NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        struct buf why = {0};
        int rc = order_key_line(cases[i].key, &out, &why);
        print_message("%s\n", cases[i].key);
        assert_int_equal(rc, cases[i].line == NULL ? ERR_INVALID : 0);
        assert_string_equal(out.p == NULL ? "" : out.p, cases[i].line == NULL ? "" : cases[i].line);
        assert_int_equal(why.n > 0, cases[i].line == NULL);
        buf_fini(&out);
        buf_fini(&why);
    }
}

static void test_key_length(void **state)
{
    char key[257];
    struct buf out = {0};
    struct buf why = {0};

    (void)state;
    memset(key, 'k', sizeof key);
    key[256] = '\0';
    assert_int_equal(order_key_line(key, &out, &why), ERR_INVALID);
    key[255] = '\0';
    assert_int_equal(order_key_line(key, &out, &why), 0);
    buf_fini(&out);
    buf_fini(&why);
}

static void test_call_paths(void **state)
{
    static const struct {
        const char *tenant;
        const char *path;
        const char *expected; /* NULL: refused */
    } cases[] = {{"erp", "/a?b=c", "/call/erp/a?b=c"},
                 {"erp", "/", "/call/erp/"},
                 {"erp", "a", NULL},
                 {"", "/a", NULL},
                 {"..", "/v1/jobs", NULL},
                 {"erp/x", "/a", NULL},
                 {"erp?x", "/a", NULL},
                 {"%2e", "/a", NULL},
                 {"erp", "", NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        struct buf why = {0};
        int rc = order_call_path(cases[i].tenant, cases[i].path, &out, &why);
        print_message("%s %s\n", cases[i].tenant, cases[i].path);
        assert_int_equal(rc, cases[i].expected == NULL ? ERR_INVALID : 0);
        assert_string_equal(out.p == NULL ? "" : out.p,
                            cases[i].expected == NULL ? "" : cases[i].expected);
        buf_fini(&out);
        buf_fini(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),  cmocka_unit_test(test_the_server_reads_them),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_key_lines),
        cmocka_unit_test(test_key_length), cmocka_unit_test(test_call_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
