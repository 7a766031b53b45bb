/* SPDX-License-Identifier: Apache-2.0 */
#include "job/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
    struct job_answer a = {200, STR("A: 1\r\nB: \r\n"), STR("\r\n\r\nb\0dy")};
    struct job_answer back;
    struct buf packed = {0};

    (void)state;
    job_answer_pack(&a, &packed);
    assert_int_equal(packed.n, 4 + 11 + 2 + 8);
    assert_int_equal(job_answer_unpack(buf_as_str(&packed), &back), ERR_OK);
    assert_int_equal(back.status, 200);
    assert_true(str_is(back.head, a.head));
    assert_true(str_is(back.body, a.body));
    buf_fini(&packed);
}

static void test_unpack(void **state)
{
    static const struct {
        const char *text;
        int rc;
        const char *head;
        const char *body;
    } cases[] = {
        {"200\n\r\n", ERR_OK, "", ""},
        {"204\nA: b\r\n\r\nbody", ERR_OK, "A: b\r\n", "body"},
        {"204\nA:\r\n\r\n", ERR_OK, "A:\r\n", ""},
        {"", ERR_SYNTAX, "", ""},
        {"200", ERR_SYNTAX, "", ""},
        {"200\n", ERR_SYNTAX, "", ""},
        {"200\nA: b\r\n", ERR_SYNTAX, "", ""},
        {"200\nA: b", ERR_SYNTAX, "", ""},
        {"200\r\n\r\n", ERR_SYNTAX, "", ""},
        {"1000\n\r\n", ERR_SYNTAX, "", ""},
        {"-1\n\r\n", ERR_SYNTAX, "", ""},
        {"\n\r\n", ERR_SYNTAX, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_answer a;
        int rc = job_answer_unpack(str_of(cases[i].text), &a);
        if (rc != cases[i].rc) {
            fail_msg("case %zu: %s", i, err_word(rc));
        }
        if (rc == ERR_OK) {
            assert_true(str_is(a.head, str_of(cases[i].head)));
            assert_true(str_is(a.body, str_of(cases[i].body)));
        }
    }
}

static void test_head_next(void **state)
{
    struct str rest = STR("A: 1\r\nb:2: 3 \r\nC:\r\n");
    struct str name;
    struct str value;

    (void)state;
    assert_true(job_head_next(&rest, &name, &value));
    assert_true(str_is(name, STR("A")) && str_is(value, STR("1")));
    assert_true(job_head_next(&rest, &name, &value));
    assert_true(str_is(name, STR("b")) && str_is(value, STR("2: 3")));
    assert_true(job_head_next(&rest, &name, &value));
    assert_true(str_is(name, STR("C")) && value.n == 0);
    assert_false(job_head_next(&rest, &name, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_unpack),
                                       cmocka_unit_test(test_head_next)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
