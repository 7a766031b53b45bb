/* SPDX-License-Identifier: Apache-2.0 */
#include "why.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What the script says (state, due, asked, reason, until, place, note) at the instant 1000000. */
static const struct {
    const char *said[7];
    const char *document; /* NULL: refused */
} CASES[] = {
    {{"running", "0", "", "", "", "", ""},
     "{\"state\":\"running\",\"reason\":null,\"until\":null,\"place\":null}"},
    {{"queued", "0", "", "concurrency", "", "3", ""},
     "{\"state\":\"queued\",\"reason\":\"concurrency\",\"until\":null,\"place\":3}"},
    {{"queued", "0", "", "paused", "", "1", "Kim: \"later\""},
     "{\"state\":\"queued\",\"reason\":\"paused\",\"until\":null,\"place\":1,"
     "\"note\":\"Kim: \\\"later\\\"\"}"},
    {{"scheduled", "2000000", "", "delayed", "2000000", "", ""},
     "{\"state\":\"scheduled\",\"reason\":\"delayed\",\"until\":\"1970-01-01T00:33:20.000Z\","
     "\"place\":null}"},
    /* Once due it shows queued, here as elsewhere; but for one that is asked about. */
    {{"waiting", "1000", "", "", "", "1", ""},
     "{\"state\":\"queued\",\"reason\":null,\"until\":null,\"place\":1}"},
    {{"waiting", "1000", "1", "", "", "1", ""},
     "{\"state\":\"waiting\",\"reason\":null,\"until\":null,\"place\":1}"},
    {{"dancing", "0", "", "", "", "", ""}, NULL},
};

static void test_each_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct store_value items[7];
        struct buf out = {0};
        for (size_t k = 0; k < 7; k++) {
            items[k] = (struct store_value){.type = STORE_TEXT, .text = str_of(CASES[i].said[k])};
        }
        struct store_value all = {.type = STORE_ARRAY, .items = items, .n_items = 7};
        int rc = why_print(&all, (struct wall){1000000}, &out);
        if (CASES[i].document == NULL) {
            assert_int_equal(rc, ERR_PROTOCOL);
            assert_int_equal(out.n, 0);
        } else {
            assert_int_equal(rc, ERR_OK);
            assert_string_equal(out.p, CASES[i].document);
        }
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_case)};

    return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
