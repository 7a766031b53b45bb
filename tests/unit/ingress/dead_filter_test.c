/* SPDX-License-Identifier: Apache-2.0 */
#include "dead_filter.h"
#include "query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define NAME "k3jx5c2vqz7n4wduoyh6tbfamr"

static void test_query(void **state)
{
    static const struct {
        const char *query;
        const char *pairs; /* "name=value;" of each */
        int end;
    } cases[] = {
        {"", "", ERR_MISSING},
        {"a=b", "a=b;", ERR_MISSING},
        {"&&a=1&b=2&", "a=1;b=2;", ERR_MISSING},
        {"a&b=", "a=;b=;", ERR_MISSING},
        {"a=b=c", "a=b=c;", ERR_MISSING},
        {"a%3Db=%c3%A9+x%20y", "a=b=\303\251 x y;", ERR_MISSING},
        {"a=1&b=%2", "a=1;", ERR_SYNTAX},
        {"%zz=1", "", ERR_SYNTAX},
        {"a=%", "", ERR_SYNTAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str rest = str_of(cases[i].query);
        struct buf name = {0};
        struct buf value = {0};
        struct buf all = {0};
        int rc;
        print_message("%s\n", cases[i].query);
        buf_text(&all, "");
        while ((rc = query_next(&rest, &name, &value)) == ERR_OK) {
            buf_str(&all, buf_as_str(&name));
            buf_char(&all, '=');
            buf_str(&all, buf_as_str(&value));
            buf_char(&all, ';');
        }
        assert_int_equal(rc, cases[i].end);
        assert_true(str_is(buf_as_str(&all), str_of(cases[i].pairs)));
        buf_fini(&name);
        buf_fini(&value);
        buf_fini(&all);
    }
}

static void test_all_parameters(void **state)
{
    struct dead_filter f;

    (void)state;
    assert_null(dead_filter_read(
        STR("tenant=erp&state=in_doubt&error=worker_lost&label=run:a:b&after=1970-01-01T00:00:01Z&"
            "limit=7&cursor=3000-2000-" NAME "&before=1970-01-01T00:00:05Z&dry_run=1"),
        /* is_redrive= */ true, &f));
    assert_string_equal(f.tenant, "erp");
    assert_string_equal(f.state, "in_doubt");
    assert_string_equal(f.error, "worker_lost");
    assert_string_equal(f.label_name, "run");
    assert_string_equal(f.label_value, "a:b");
    assert_int_equal(f.after_ms, 1000);
    assert_int_equal(f.bound_ms, 3000); /* the cursor's, wherever it stands */
    assert_int_equal(f.last_ms, 2000);
    assert_string_equal(f.last_name, NAME);
    assert_int_equal(f.limit, 7);
    assert_true(f.is_dry_run);
}

static void test_what_is_usual(void **state)
{
    struct dead_filter f;

    (void)state;
    assert_null(dead_filter_read(STR("tenant=a"), false, &f));
    assert_string_equal(f.state, "");
    assert_int_equal(f.limit, DEAD_LIST);
    assert_int_equal(f.bound_ms, -1);
    assert_int_equal(f.after_ms, -1);
    assert_int_equal(f.last_ms, -1);
    /* What is in doubt is not run again unless that was said. */
    assert_null(dead_filter_read(STR("tenant=a"), true, &f));
    assert_string_equal(f.state, "failed");
    assert_int_equal(f.limit, DEAD_REDRIVE);
    assert_null(dead_filter_read(STR("tenant=a&dry_run=1"), true, &f));
    assert_int_equal(f.limit, DEAD_COUNT);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *query;
        bool is_redrive;
    } cases[] = {
        {"", false},
        {"tenant=", false},
        {"tenant=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"tenant=a%00b", false},
        {"tenant=a&tenant=a", false},
        {"tenant=a&state=queued", false},
        {"tenant=a&dry_run=1", false},
        {"tenant=a&dry_run=2", true},
        {"tenant=a&limit=501", false},
        {"tenant=a&limit=10001", true},
        {"tenant=a&limit=100001&dry_run=1", true},
        {"tenant=a&limit=0", true},
        {"tenant=a&limit=-1", true},
        {"tenant=a&label=x", false},
        {"tenant=a&label=:x", false},
        {"tenant=a&label=x:", false},
        {"tenant=a&before=now", false},
        {"tenant=a&before=1969-12-31T00:00:00Z", false},
        {"tenant=a&cursor=1-2", false},
        {"tenant=a&cursor=1-2-" NAME "-x", false},
        {"tenant=a&cursor=1-2-NAME", false},
        {"tenant=a&cursor=1-x-" NAME, false},
        {"tenant=a&error=%", false},
        {"tenant=a&more=1", false},
    };
    struct dead_filter f;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("%s\n", cases[i].query);
        assert_non_null(dead_filter_read(str_of(cases[i].query), cases[i].is_redrive, &f));
    }
}

static void test_a_cursor_is_read_as_it_was_printed(void **state)
{
    char query[160];
    char cursor[DEAD_CURSOR_SIZE];
    struct dead_filter f;

    (void)state;
    dead_cursor_print(1774746010000, 1774746004500, STR(NAME), cursor);
    (void)snprintf(query, sizeof query, "tenant=a&cursor=%s", cursor);
    assert_null(dead_filter_read(str_of(query), false, &f));
    assert_int_equal(f.bound_ms, 1774746010000);
    assert_int_equal(f.last_ms, 1774746004500);
    assert_string_equal(f.last_name, NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_all_parameters),
        cmocka_unit_test(test_what_is_usual),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_a_cursor_is_read_as_it_was_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
