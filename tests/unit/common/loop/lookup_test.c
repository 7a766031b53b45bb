/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/lookup.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    struct loop *loop;
    struct loop_lookup *lookup;
    struct loop_timer *too_late;
    bool is_freed_within;
    int calls;
    int rc;
    size_t n;
    struct loop_address first;
};

static void on_too_late(struct loop_timer *t, void *arg)
{
    (void)t;
    (void)arg;
    fail_msg("no answer of the resolver");
}

static void on_found(int rc, const struct loop_address *found, size_t n, void *arg)
{
    struct seen *x = arg;

    x->calls++;
    x->rc = rc;
    x->n = n;
    if (n > 0) {
        x->first = found[0];
    }
    if (x->is_freed_within) {
        loop_lookup_free(x->lookup);
        x->lookup = NULL;
    }
    loop_stop(x->loop);
}

static int setup(void **state)
{
    struct seen *x = calloc(1, sizeof *x);

    assert_non_null(x);
    assert_int_equal(loop_new(&x->loop), ERR_OK);
    assert_int_equal(loop_timer_new(x->loop, on_too_late, x, &x->too_late), ERR_OK);
    loop_timer_set(x->too_late, 60000);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct seen *x = *state;

    loop_lookup_free(x->lookup);
    loop_timer_free(x->too_late);
    loop_free(x->loop);
    free(x);
    return 0;
}

static void look_up(struct seen *x, const char *host)
{
    assert_int_equal(loop_lookup_new(x->loop, host, "5672", on_found, x, &x->lookup), ERR_OK);
    assert_int_equal(x->calls, 0);
    loop_run(x->loop);
    assert_int_equal(x->calls, 1);
}

static uint16_t port_of(const struct loop_address *a)
{
    struct sockaddr_in four;

    memcpy(&four, &a->at, sizeof four);
    return ntohs(four.sin_port);
}

static void test_a_name_is_found(void **state)
{
    struct seen *x = *state;

    look_up(x, "localhost");
    assert_int_equal(x->rc, ERR_OK);
    assert_true(x->n >= 1 && x->n <= LOOP_ADDRESSES);
    assert_int_equal(port_of(&x->first), 5672);
}

static void test_a_name_that_nobody_has(void **state)
{
    struct seen *x = *state;

    /* RFC 6761, section 6.4: never a host. Without a network the resolver says that it cannot
     * tell. */
    look_up(x, "nobody.invalid");
    assert_true(x->rc == ERR_MISSING || x->rc == ERR_DOWN);
    assert_int_equal(x->n, 0);
}

static void test_freed_within_its_callback(void **state)
{
    struct seen *x = *state;

    x->is_freed_within = true;
    look_up(x, "127.0.0.1");
    assert_int_equal(x->rc, ERR_OK);
    assert_null(x->lookup);
}

static void on_time(struct loop_timer *t, void *arg)
{
    struct seen *x = arg;

    (void)t;
    loop_stop(x->loop);
}

static void test_freed_before_its_answer(void **state)
{
    struct seen *x = *state;
    struct loop_timer *soon = NULL;

    assert_int_equal(loop_lookup_new(x->loop, "localhost", "1", on_found, x, &x->lookup), ERR_OK);
    loop_lookup_free(x->lookup);
    x->lookup = NULL;
    assert_int_equal(loop_timer_new(x->loop, on_time, x, &soon), ERR_OK);
    loop_timer_set(soon, 100);
    loop_run(x->loop);
    loop_timer_free(soon);
    assert_int_equal(x->calls, 0);
}

static void test_the_loop_goes_while_one_is_under_way(void **state)
{
    struct seen *x = *state;

    for (int i = 0; i < 64; i++) {
        struct loop_lookup *one = NULL;
        assert_int_equal(loop_lookup_new(x->loop, "nobody.invalid", "1", on_found, x, &one),
                         ERR_OK);
        loop_lookup_free(one);
    }
    assert_int_equal(x->calls, 0);
}

static void test_numeric(void **state)
{
    struct loop_address a = {0};
    char text[LOOP_ADDRESS_TEXT_SIZE];

    (void)state;
    assert_int_equal(loop_lookup_numeric("127.0.0.1", "6379", &a), ERR_OK);
    assert_int_equal(a.at.ss_family, AF_INET);
    assert_int_equal(port_of(&a), 6379);
    loop_address_text(&a, text);
    assert_string_equal(text, "127.0.0.1");
    assert_int_equal(loop_address_port(&a), 6379);
    assert_int_equal(loop_lookup_numeric("::1", "6380", &a), ERR_OK);
    assert_int_equal(a.at.ss_family, AF_INET6);
    loop_address_text(&a, text);
    assert_string_equal(text, "::1");
    assert_int_equal(loop_address_port(&a), 6380);
    assert_int_equal(loop_lookup_numeric("localhost", "6379", &a), ERR_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_name_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_that_nobody_has, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_within_its_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_before_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_loop_goes_while_one_is_under_way, setup, teardown),
        cmocka_unit_test(test_numeric),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
