/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in schemas/examples is judged by tests/integration/test_job_verdicts.py; here: what a
 * document comes to, and what is said of a wrong one. */
#include "job/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define JOB(request, more) "{\"tenant\":\"erp\",\"request\":{\"path\":\"/\"" request "}" more "}"

enum { NOW_MS = 1000000 };

static int parse(struct str json, struct job_document *d, struct buf *why)
{
    buf_clear(why);
    return job_document_parse(json, NOW_MS, d, why);
}

static void assert_text(const char *found, const char *expected)
{
    if (expected == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, expected);
    }
}

static void test_whole(void **state)
{
    struct job_document d;
    struct buf why = {0};

    (void)state;
    assert_int_equal(
        parse(STR("{\"tenant\":\"erp\",\"request\":{\"method\":\"PUT\",\"path\":\"/a?b=1\","
                  "\"headers\":{\"X-A\":[\"1\",\" 2 \"],\"x-b\":\"\"},\"body\": {\"n\": 1.0} },"
                  "\"idempotency_key\":\"order 4711\",\"ordering_key\":\"c-9\","
                  "\"priority\":\"high\",\"delay_s\":5,\"ttl_s\":3600,\"timeout_s\":1.5,"
                  "\"retry\":{\"max_attempts\":8,\"initial_s\":0.25,\"factor\":1.5,\"max_s\":60},"
                  "\"callback\":\"https://a/b\",\"labels\":{\"run\":\"4\\\"2\",\"b\":\"\"}}\n"),
              &d, &why),
        ERR_OK);
    assert_text(d.tenant, "erp");
    assert_text(d.method, "PUT");
    assert_text(d.path, "/a?b=1");
    assert_text(d.head, "X-A: 1\r\nX-A: 2\r\nx-b: \r\nContent-Type: application/json\r\n");
    assert_int_equal(d.body_n, 10);
    assert_memory_equal(d.body, "{\"n\": 1.0}", 10);
    assert_true(d.is_json_body);
    assert_text(d.idempotency_key, "order 4711");
    assert_text(d.ordering_key, "c-9");
    assert_text(d.priority, "high");
    assert_int_equal(d.due_in_ms, 5000);
    assert_int_equal(d.ttl_ms, 3600000);
    assert_int_equal(d.timeout_ms, 1500);
    assert_text(d.retry, "8 250 1.5 60000");
    assert_text(d.callback, "https://a/b");
    assert_text(d.labels, "{\"run\":\"4\\\"2\",\"b\":\"\"}");
    job_document_fini(&d);
    job_document_fini(NULL);
    buf_fini(&why);
}

static void test_minimal(void **state)
{
    struct job_document d;
    struct buf why = {0};

    (void)state;
    assert_int_equal(parse(STR(JOB("", "")), &d, &why), ERR_OK);
    assert_text(d.method, "POST");
    assert_text(d.head, "");
    assert_null(d.body);
    assert_int_equal(d.body_n, 0);
    assert_null(d.idempotency_key);
    assert_null(d.ordering_key);
    assert_null(d.priority);
    assert_null(d.retry);
    assert_null(d.labels);
    assert_null(d.callback);
    assert_true(d.due_in_ms == 0 && d.ttl_ms == 0 && d.timeout_ms == 0);
    job_document_fini(&d);
    buf_fini(&why);
}

static void test_bodies(void **state)
{
    static const struct {
        struct str json;
        const char *head;
        struct str body;
        bool is_json;
    } cases[] = {
#define BODY(request, head, body, is_json)                                                         \
    {{JOB(request, ""), sizeof JOB(request, "") - 1}, head, {body, sizeof(body) - 1}, is_json}
        BODY(",\"body\" :  [1.0, 1e0 ,\"\\u00e9\"] ", "Content-Type: application/json\r\n",
             "[1.0, 1e0 ,\"\\u00e9\"]", true),
        BODY(",\"body\":null", "Content-Type: application/json\r\n", "null", true),
        BODY(",\"body\":12345678901234567890", "Content-Type: application/json\r\n",
             "12345678901234567890", true),
        BODY(",\"b\\u006fdy\":\"\\n\"", "Content-Type: application/json\r\n", "\"\\n\"", true),
        BODY(",\"body\":1,\"headers\":{\"content-TYPE\":\"a/b\"}", "content-TYPE: a/b\r\n", "1",
             true),
        BODY(",\"body_text\":\"a\\n\\u00e9\"", "Content-Type: text/plain; charset=utf-8\r\n",
             "a\n\xc3\xa9", false),
        BODY(",\"body_text\":\"\"", "Content-Type: text/plain; charset=utf-8\r\n", "", false),
        BODY(",\"body_base64\":\"AAH\\u002b\"", "Content-Type: application/octet-stream\r\n",
             "\0\1\xfe", false),
        BODY(",\"body_base64\":\"\"", "Content-Type: application/octet-stream\r\n", "", false),
        BODY(",\"headers\":{\"Content-Type\":\"a/b\"},\"body_text\":\"x\"", "Content-Type: a/b\r\n",
             "x", false),
#undef BODY
    };
    struct buf why = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_document d;
        assert_int_equal(parse(cases[i].json, &d, &why), ERR_OK);
        assert_text(d.head, cases[i].head);
        assert_non_null(d.body);
        assert_true(str_is((struct str){d.body, d.body_n}, cases[i].body));
        assert_int_equal(d.is_json_body, cases[i].is_json);
        job_document_fini(&d);
    }
    buf_fini(&why);
}

static void test_times(void **state)
{
    static const struct {
        const char *json;
        int64_t due_in_ms;
        int64_t ttl_ms;
        int64_t timeout_ms;
    } cases[] = {
        {JOB("", ",\"delay_s\":0"), 0, 0, 0},
        {JOB("", ",\"delay_s\":0.0001"), 1, 0, 0},
        {JOB("", ",\"delay_s\":31622400"), 31622400000, 0, 0},
        {JOB("", ",\"ttl_s\":0.0001"), 0, 1, 0},
        {JOB("", ",\"ttl_s\":316224000"), 0, 316224000000, 0},
        {JOB("", ",\"timeout_s\":1e-9"), 0, 0, 1},
        {JOB("", ",\"timeout_s\":86400"), 0, 0, 86400000},
        /* now is 1970-01-01T00:16:40Z */
        {JOB("", ",\"not_before\":\"1970-01-01T00:16:41.5Z\""), 1500, 0, 0},
        {JOB("", ",\"not_before\":\"1970-01-01T01:16:41+01:00\""), 1000, 0, 0},
        {JOB("", ",\"not_before\":\"1970-01-01T00:00:00Z\""), 0, 0, 0},
        {JOB("", ",\"not_before\":\"1971-01-02T00:16:40Z\""), 31622400000, 0, 0},
        {JOB("", ",\"expires_at\":\"1970-01-01T00:16:41Z\""), 0, 1000, 0},
        {JOB("", ",\"expires_at\":\"1970-01-01T00:16:40Z\""), 0, 1, 0},
        {JOB("", ",\"expires_at\":\"1970-01-01T00:00:00Z\",\"delay_s\":1"), 1000, 1, 0},
    };
    struct buf why = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_document d;
        int rc = parse(str_of(cases[i].json), &d, &why);
        if (rc != ERR_OK || d.due_in_ms != cases[i].due_in_ms || d.ttl_ms != cases[i].ttl_ms ||
            d.timeout_ms != cases[i].timeout_ms) {
            fail_msg("%s", cases[i].json);
        }
        job_document_fini(&d);
    }
    buf_fini(&why);
}

static void test_retry(void **state)
{
    static const struct {
        const char *json;
        const char *retry;
    } cases[] = {
        {JOB("", ",\"retry\":{}"), NULL},
        {JOB("", ",\"retry\":{\"max_attempts\":1}"), "1 0 0 0"},
        {JOB("", ",\"retry\":{\"max_attempts\":1e2}"), "100 0 0 0"},
        {JOB("", ",\"retry\":{\"max_s\":0.0001}"), "0 0 0 1"},
        {JOB("", ",\"retry\":{\"factor\":1,\"initial_s\":86400}"), "0 86400000 1 0"},
    };
    struct buf why = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_document d;
        assert_int_equal(parse(str_of(cases[i].json), &d, &why), ERR_OK);
        assert_text(d.retry, cases[i].retry);
        job_document_fini(&d);
    }
    buf_fini(&why);
}

static void test_why(void **state)
{
    static const struct {
        const char *json;
        int rc;
        const char *why;
    } cases[] = {
        {"", ERR_SYNTAX, "The document is not acceptable JSON: it ends too early, at byte 0."},
        {"[]", ERR_INVALID, "The document must be an object."},
        {"{}", ERR_INVALID, "tenant is required."},
        {"{\"tenant\":\"erp\"}", ERR_INVALID, "request is required."},
        {"{\"tenant\":\"erp\",\"request\":{}}", ERR_INVALID, "request.path is required."},
        {"{\"request\":{\"path\":\"/\"}}", ERR_INVALID, "tenant is required."},
        {JOB("", ",\"a\\tb\":1"), ERR_INVALID, "The member a?b is not known."},
        {JOB(",\"url\":1", ""), ERR_INVALID, "The member request.url is not known."},
        {JOB("", ",\"retry\":{\"n\":1}"), ERR_INVALID, "The member retry.n is not known."},
        {JOB("", ",\"0123456789012345678901234567890123456789012345678901234567890123a\":1"),
         ERR_INVALID,
         "The member 0123456789012345678901234567890123456789012345678901234567890123... is not "
         "known."},
        {JOB("", ",\"012345678901234567890123456789012345678901234567890123456789012\xc3\xa4\":1"),
         ERR_INVALID,
         "The member 012345678901234567890123456789012345678901234567890123456789012... is not "
         "known."},
        {JOB("", ",\"delay_s\":1,\"not_before\":\"2026-01-01T00:00:00Z\""), ERR_INVALID,
         "not_before must be at most 366 days ahead."},
        {JOB("", ",\"delay_s\":1,\"not_before\":\"1970-01-01T00:00:00Z\""), ERR_INVALID,
         "Give not_before or delay_s, not both."},
        {JOB("", ",\"ttl_s\":1,\"expires_at\":\"2026-01-01T00:00:00Z\""), ERR_INVALID,
         "Give expires_at or ttl_s, not both."},
        {JOB(",\"body\":1,\"body_text\":\"\"", ""), ERR_INVALID,
         "request must have one of body, body_text and body_base64 only."},
        {JOB(",\"body_text\":1", ""), ERR_INVALID, "request.body_text must be a string."},
        {JOB(",\"headers\":{\"hOST\":\"a\"}", ""), ERR_INVALID,
         "request.headers must not have hOST: it is not forwarded, Sluice or its HTTP client sets "
         "it."},
        {JOB(",\"headers\":{\"Idempotency-Key\":\"a\"}", ""), ERR_INVALID,
         "request.headers must not have Idempotency-Key: give the key as idempotency_key."},
        {JOB(",\"headers\":{\"X-A\":[\"a\",1]}", ""), ERR_INVALID,
         "request.headers.X-A must be a string of at most 8192 bytes without control characters, "
         "or an array of such strings."},
        {JOB("", ",\"timeout_s\":0"), ERR_INVALID,
         "timeout_s must be a number of seconds above 0, at most 86400."},
    };
    struct buf why = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_document d;
        assert_int_equal(parse(str_of(cases[i].json), &d, &why), cases[i].rc);
        assert_string_equal(why.p, cases[i].why);
        job_document_fini(&d);
    }
    buf_fini(&why);
}

/* A document with `n` bytes of x as the value of `member` of the request. */
static int parse_long(const char *member, size_t n, struct buf *why)
{
    struct job_document d;
    struct buf json = {0};

    buf_printf(&json, "{\"tenant\":\"erp\",\"request\":{\"path\":\"/\",\"%s\":\"", member);
    for (size_t i = 0; i < n; i++) {
        buf_char(&json, 'x');
    }
    buf_text(&json, "\"}}");
    int rc = parse(buf_as_str(&json), &d, why);
    assert_true(rc != ERR_OK || d.body_n >= n / 4 * 3);
    job_document_fini(&d);
    buf_fini(&json);
    return rc;
}

/* The bodies do not count against the bound of the control part. */
static void test_bounds(void **state)
{
    struct buf why = {0};

    (void)state;
    assert_int_equal(parse_long("body", 1 << 20, &why), ERR_OK);
    assert_int_equal(parse_long("body_text", 1 << 20, &why), ERR_OK);
    assert_int_equal(parse_long("body_base64", 1 << 20, &why), ERR_OK);
    assert_int_equal(parse_long("other", 60 << 10, &why), ERR_INVALID);
    assert_int_equal(parse_long("other", 64 << 10, &why), ERR_TOO_LARGE);
    assert_string_equal(why.p, "The document without its body must have at most 65536 bytes.");
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),  cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_bodies), cmocka_unit_test(test_times),
        cmocka_unit_test(test_retry),  cmocka_unit_test(test_why),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
