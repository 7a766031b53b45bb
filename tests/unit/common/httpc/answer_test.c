/* SPDX-License-Identifier: Apache-2.0 */
#include "httpc/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct head_case {
    const char *name;
    const char *lines; /* as they come, a '\n' ends each */
    int rc;            /* of the last line that was taken */
    int status;
    bool is_whole;
    bool is_ambiguous;
    const char *head;
};

static const struct head_case head_cases[] = {
    {"plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 0, 200, true, false, "A: b\r\n"},
    {"without a reason", "HTTP/1.1 200\r\n\r\n", 0, 200, true, false, ""},
    {"bare line feeds", "HTTP/1.0 404 no\nA: b\n\n", 0, 404, true, false, "A: b\r\n"},
    {"not ended", "HTTP/1.1 200 OK\r\nA: b\r\n", 0, 200, false, false, ""},
    {"repeated, in order", "HTTP/1.1 200 OK\r\nS: 2\r\nB: x\r\nS: 1\r\n\r\n", 0, 200, true, false,
     "S: 2\r\nB: x\r\nS: 1\r\n"},
    {"empty value", "HTTP/1.1 200 OK\r\nA:\r\nB: \t \r\n\r\n", 0, 200, true, false,
     "A: \r\nB: \r\n"},
    {"hop-by-hop",
     "HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nA: b\r\n"
     "Proxy-Authenticate: x\r\nTE: x\r\nTrailer: x\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n",
     0, 200, true, false, "A: b\r\n"},
    {"named before its line", "HTTP/1.1 200 OK\r\nx-mine: 1\r\nA: b\r\nCONNECTION: X-Mine\r\n\r\n",
     0, 200, true, false, "A: b\r\n"},
    {"interim answers are forgotten",
     "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
     "HTTP/1.1 201 Made\r\nA: b\r\n\r\n",
     0, 201, true, false, "A: b\r\n"},
    {"interim answers alone", "HTTP/1.1 100 Continue\r\n\r\n", 0, 100, false, false, ""},
    {"trailers are dropped", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nT: x\r\n\r\n", 0, 200, true, false,
     "A: b\r\n"},
    {"folded", "HTTP/1.1 200 OK\r\nA: b\r\n \t c\r\n\td\r\nB: e\r\n\r\n", 0, 200, true, false,
     "A: b c d\r\nB: e\r\n"},
    {"folded onto nothing", "HTTP/1.1 200 OK\r\n A: b\r\nB: e\r\n\r\n", 0, 200, true, false,
     "B: e\r\n"},
    {"a lone CR must not split", "HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: x\x01y\r\n\r\n", 0, 200,
     true, false, "A: b Set-Cookie: x y\r\n"},
    {"space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\nConnection : C\r\nC: x\r\n\r\n", 0, 200,
     true, false, "A: b\r\n"},
    {"names that are none", "HTTP/1.1 200 OK\r\n: b\r\nA b: c\r\nno colon\r\nB: e\r\n\r\n", 0, 200,
     true, false, "B: e\r\n"},
    {"two lengths that agree", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
     0, 200, true, false, ""},
    {"two lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
     ERR_PROTOCOL, 200, false, false, ""},
    {"length and coding",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 200, true,
     true, ""},
    {"switching unasked", "HTTP/1.1 101 Switching\r\n\r\n", ERR_PROTOCOL, 101, false, false, ""},
    {"status 999", "HTTP/1.1 999 Odd\r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"status 099", "HTTP/1.1 099 Odd\r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"HTTP/2", "HTTP/2 200 \r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"HTTP/3.0", "HTTP/3.0 200 OK\r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"status of four", "HTTP/1.1 2000 Odd\r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"no status line", "A: b\r\n\r\n", ERR_PROTOCOL, 0, false, false, ""},
    {"Connection names too many",
     "HTTP/1.1 200 OK\r\nConnection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n", ERR_PROTOCOL, 200,
     false, false, ""},
};

static int feed(struct httpc_answer *a, const char *lines)
{
    int rc = ERR_OK;

    while (rc == ERR_OK && *lines != '\0') {
        size_t n = (size_t)(strchr(lines, '\n') + 1 - lines);
        rc = httpc_answer_line(a, (struct str){lines, n});
        lines += n;
    }
    return rc;
}

static void test_head(void **state)
{
    const struct head_case *k = *state;
    struct httpc_answer a = {0};

    assert_int_equal(feed(&a, k->lines), k->rc);
    assert_int_equal(a.status, k->status);
    assert_int_equal(a.is_head_whole, k->is_whole);
    assert_int_equal(a.is_ambiguous, k->is_ambiguous);
    assert_string_equal(a.head.n == 0 ? "" : a.head.p, k->head);
    httpc_answer_fini(&a);
}

static void test_head_bound(void **state)
{
    struct httpc_answer a = {0};
    size_t taken = 0;

    (void)state;
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\n"), 0);
    while (feed(&a, "A: 345678901234\r\n") == ERR_OK) { /* 16 bytes without CR */
        taken++;
    }
    assert_int_equal(taken, (64 << 10) / 16);
    httpc_answer_fini(&a);
}

static void test_interim_flood_is_bounded(void **state)
{
    struct httpc_answer a = {0};
    size_t taken = 0;

    (void)state;
    while (feed(&a, "HTTP/1.1 102 Processing....\r\n\r\n") == ERR_OK) { /* 31 bytes */
        taken++;
    }
    assert_int_equal(taken, (256 << 10) / 31);
    httpc_answer_fini(&a);
}

static void test_body_bounds(void **state)
{
    struct httpc_answer a = {0};

    (void)state;
    assert_int_equal(httpc_answer_body(&a, STR("abc"), 5), 0);
    assert_int_equal(httpc_answer_body(&a, STR("de"), 5), 0);
    assert_false(a.is_too_large);
    assert_string_equal(a.body.p, "abcde");
    assert_int_equal(httpc_answer_body(&a, STR("f"), 5), 0);
    assert_true(a.is_too_large);
    assert_int_equal(a.body.n, 0);
    assert_int_equal(a.body_bytes, 6);
    a.body_bytes = 5 + (64 << 20) - 1;
    assert_int_equal(httpc_answer_body(&a, STR("g"), 5), 0);
    assert_int_equal(httpc_answer_body(&a, STR("h"), 5), ERR_LIMIT);
    assert_int_equal(a.body.n, 0);
    httpc_answer_fini(&a);
}

static void test_reset_forgets(void **state)
{
    struct httpc_answer a = {0};

    (void)state;
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), 0);
    assert_int_equal(httpc_answer_body(&a, STR("abc"), 2), 0);
    httpc_answer_reset(&a);
    assert_int_equal(a.status, 0);
    assert_false(a.is_head_whole);
    assert_false(a.is_too_large);
    assert_int_equal(a.body_bytes, 0);
    assert_int_equal(feed(&a, "HTTP/1.1 204 No\r\n\r\n"), 0);
    assert_int_equal(a.status, 204);
    assert_int_equal(a.head.n, 0);
    httpc_answer_fini(&a);
}

int main(void)
{
    struct CMUnitTest heads[COUNT(head_cases)];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_bound),
        cmocka_unit_test(test_interim_flood_is_bounded),
        cmocka_unit_test(test_body_bounds),
        cmocka_unit_test(test_reset_forgets),
    };

    for (size_t i = 0; i < COUNT(head_cases); i++) {
        heads[i] = (struct CMUnitTest){.name = head_cases[i].name,
                                       .test_func = test_head,
                                       .initial_state = (void *)(uintptr_t)&head_cases[i]};
    }
    int failed = cmocka_run_group_tests(heads, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
