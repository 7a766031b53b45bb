/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/nodes.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const three[] = {"amqp://u:s@b1/", "amqp://u:s@[::1]:5673/",
                                    "amqp://10.0.0.3:1/v"};

static struct loop_address address(unsigned char last)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0A000000u + last)};
    struct loop_address a = {.n = sizeof at};

    memcpy(&a.at, &at, sizeof at);
    return a;
}

/* The last byte of the next address; 0 when there is none. */
static int next(struct nodes *x)
{
    const struct loop_address *a = bus_nodes_address(x);
    struct sockaddr_in at;

    if (a == NULL) {
        return 0;
    }
    memcpy(&at, &a->at, sizeof at);
    return (int)(ntohl(at.sin_addr.s_addr) & 0xFF);
}

static void assert_at(const struct nodes *x, const char *name)
{
    char text[NODES_NAME_SIZE];

    bus_nodes_name(x, text);
    assert_string_equal(text, name);
}

static void test_goes_round(void **state)
{
    struct nodes x;

    (void)state;
    assert_int_equal(bus_nodes_init(&x, three, 3, 0.0, 0.0), 0);
    assert_at(&x, "b1:5672");
    assert_string_equal(bus_nodes_url(&x)->user, "u");
    assert_true(bus_nodes_has_fresh(&x));
    assert_int_equal(bus_nodes_failed(&x, 0.5), 25);
    assert_at(&x, "[::1]:5673");
    assert_true(bus_nodes_has_fresh(&x));
    assert_int_equal(bus_nodes_failed(&x, 0.0), 0);
    assert_at(&x, "10.0.0.3:1");
    assert_string_equal(bus_nodes_url(&x)->vhost, "v");
    assert_false(bus_nodes_has_fresh(&x)); /* the last of the round has its full time */
    assert_int_equal(bus_nodes_failed(&x, 0.0), 50);
    assert_at(&x, "b1:5672");
    assert_false(bus_nodes_has_fresh(&x)); /* and so have all in the next rounds */
    bus_nodes_fini(&x);
}

static void test_all_addresses_of_a_name(void **state)
{
    const struct loop_address found[] = {address(1), address(2)};
    struct nodes x;

    (void)state;
    assert_int_equal(bus_nodes_init(&x, three, 1, 0.0, 0.0), 0);
    assert_int_equal(next(&x), 0);
    assert_false(bus_nodes_has_fresh(&x));
    bus_nodes_found(&x, found, 2);
    assert_int_equal(next(&x), 1);
    assert_true(bus_nodes_has_fresh(&x));
    assert_int_equal(bus_nodes_failed(&x, 0.5), 25); /* no round ended */
    assert_int_equal(next(&x), 2);
    assert_false(bus_nodes_has_fresh(&x));
    assert_int_equal(bus_nodes_failed(&x, 0.0), 50);
    assert_int_equal(next(&x), 0); /* looked up anew */
    bus_nodes_found(&x, found, 1);
    assert_int_equal(next(&x), 1);
    assert_int_equal(bus_nodes_failed(&x, 0.0), 100);
    bus_nodes_fini(&x);
}

static void test_the_lost_one_comes_last(void **state)
{
    const struct loop_address found[] = {address(1), address(2), address(3)};
    const struct loop_address moved[] = {address(9)};
    struct nodes x;

    (void)state;
    assert_int_equal(bus_nodes_init(&x, three, 1, 0.0, 0.0), 0);
    bus_nodes_found(&x, found, 3);
    assert_int_equal(next(&x), 1);
    (void)bus_nodes_failed(&x, 0.0);
    assert_int_equal(next(&x), 2);
    assert_int_equal(bus_nodes_lost(&x, /* has_settled= */ true, 0.0), 50);
    assert_int_equal(next(&x), 0);
    bus_nodes_found(&x, found, 3);
    assert_int_equal(next(&x), 3);
    assert_int_equal(next(&x), 1);
    assert_int_equal(next(&x), 2);
    assert_int_equal(next(&x), 0);
    bus_nodes_found(&x, moved, 1);
    assert_int_equal(next(&x), 9);
    bus_nodes_fini(&x);
}

static void test_only_a_settled_one_begins_anew(void **state)
{
    struct nodes x;

    (void)state;
    assert_int_equal(bus_nodes_init(&x, three, 1, 0.0, 0.0), 0);
    assert_int_equal(bus_nodes_lost(&x, /* has_settled= */ false, 0.0), 50);
    assert_int_equal(bus_nodes_lost(&x, /* has_settled= */ false, 0.0), 100);
    assert_int_equal(bus_nodes_lost(&x, /* has_settled= */ true, 0.0), 50);
    bus_nodes_fini(&x);
}

static void test_bad_urls(void **state)
{
    const char *bad[] = {"amqp://b1/", "amqps://b2/"};
    struct nodes x;

    (void)state;
    assert_int_equal(bus_nodes_init(&x, bad, 2, 0.0, 0.0), ERR_INVALID);
    bad[1] = "b2";
    assert_int_equal(bus_nodes_init(&x, bad, 2, 0.0, 0.0), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_round),
        cmocka_unit_test(test_all_addresses_of_a_name),
        cmocka_unit_test(test_the_lost_one_comes_last),
        cmocka_unit_test(test_only_a_settled_one_begins_anew),
        cmocka_unit_test(test_bad_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
