/* SPDX-License-Identifier: Apache-2.0 */
#include "job/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NAME "abcdefghijklmnopqrstuv2345"

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        const char *tenant; /* NULL: no id */
    } cases[] = {
        {"erp." NAME, "erp"},
        {"a-b_9." NAME, "a-b_9"},
        {"0123456789012345678901234567890123456789012345678901234567890123." NAME,
         "0123456789012345678901234567890123456789012345678901234567890123"},
        {"01234567890123456789012345678901234567890123456789012345678901234." NAME, NULL},
        {"", NULL},
        {NAME, NULL},
        {"." NAME, NULL},
        {"erp" NAME, NULL},
        {"erp." NAME "a", NULL},
        {"erp.bcdefghijklmnopqrstuv2345", NULL},
        {"ERP." NAME, NULL},
        {"e.p." NAME, NULL},
        {"erp.Abcdefghijklmnopqrstuv2345", NULL},
        {"erp.1bcdefghijklmnopqrstuv2345", NULL},
        {"erp.8bcdefghijklmnopqrstuv2345", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_id id;
        bool is = job_id_parse(str_of(cases[i].text), &id);
        if (is != (cases[i].tenant != NULL)) {
            fail_msg("%s", cases[i].text);
        }
        if (is) {
            assert_true(str_is(id.tenant, str_of(cases[i].tenant)));
            assert_true(str_is(id.name, STR(NAME)));
        }
    }
}

static void test_print(void **state)
{
    char text[JOB_ID_SIZE];

    (void)state;
    job_id_print(STR("erp"), NAME, text);
    assert_string_equal(text, "erp." NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_print)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
