/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* By hand, the whole table: a word is in logs and documents, a class decides about retries. */
static const struct {
    int err;
    const char *word;
    enum err_class class;
} ROWS[] = {
    {ERR_OK, "ok", ERR_CLASS_NONE},
    {ERR_NOMEM, "no_memory", ERR_CLASS_RETRY},
    {ERR_BUSY, "busy", ERR_CLASS_RETRY},
    {ERR_LIMIT, "limit", ERR_CLASS_RETRY},
    {ERR_DOWN, "down", ERR_CLASS_RETRY},
    {ERR_TIMEOUT, "timeout", ERR_CLASS_RETRY},
    {ERR_UNKNOWN, "outcome_unknown", ERR_CLASS_RETRY},
    {ERR_IO, "io", ERR_CLASS_RETRY},
    {ERR_SYNTAX, "syntax", ERR_CLASS_PERMANENT},
    {ERR_INVALID, "invalid", ERR_CLASS_PERMANENT},
    {ERR_TOO_LARGE, "too_large", ERR_CLASS_PERMANENT},
    {ERR_MISSING, "missing", ERR_CLASS_PERMANENT},
    {ERR_EXISTS, "exists", ERR_CLASS_PERMANENT},
    {ERR_PROTOCOL, "protocol", ERR_CLASS_PERMANENT},
    {ERR_DENIED, "denied", ERR_CLASS_REFUSED},
    {ERR_CLOSED, "closed", ERR_CLASS_REFUSED},
    {ERR_BUG, "bug", ERR_CLASS_BUG},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        assert_string_equal(err_word(ROWS[i].err), ROWS[i].word);
        if (err_class(ROWS[i].err) != ROWS[i].class) {
            fail_msg("%s: class %d, not %d", ROWS[i].word, (int)err_class(ROWS[i].err),
                     (int)ROWS[i].class);
        }
        assert_true(strlen(err_text(ROWS[i].err)) > 0);
    }
}

static void test_all_are_negative_and_listed(void **state)
{
    (void)state;
    assert_int_equal(ERR_LAST_ - ERR_FIRST_ - 1, (int)(sizeof ROWS / sizeof ROWS[0]) - 1);
    assert_true(ERR_LAST_ < 0);
}

static void test_strays(void **state)
{
    static const int strays[] = {1, -1, ERR_FIRST_, ERR_LAST_, INT32_MIN, INT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof strays / sizeof strays[0]; i++) {
        assert_string_equal(err_word(strays[i]), "bug");
        assert_string_equal(err_text(strays[i]), "an error outside its table");
        assert_int_equal(err_class(strays[i]), ERR_CLASS_BUG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_all_are_negative_and_listed),
        cmocka_unit_test(test_strays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
