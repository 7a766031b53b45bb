/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
    const char *text;
    int rc;
    const char *user;
    const char *secret;
    const char *host;
    const char *port;
    const char *vhost;
};

static const struct row ROWS[] = {
    {"amqp://u:s@h:1234/v", 0, "u", "s", "h", "1234", "v"},
    {"amqp://h", 0, "guest", "guest", "h", "5672", "/"},
    {"amqp://h/", 0, "guest", "guest", "h", "5672", "/"},
    {"amqp://h/%2F", 0, "guest", "guest", "h", "5672", "/"},
    {"amqp://h/a%2fb", 0, "guest", "guest", "h", "5672", "a/b"},
    {"amqp://u@h", 0, "u", "", "h", "5672", "/"},
    {"amqp://u%40x:p%3A%25@127.0.0.1:5673/v%20w", 0, "u@x", "p:%", "127.0.0.1", "5673", "v w"},
    {"amqp://u:a:b@h", 0, "u", "a:b", "h", "5672", "/"},
    {"amqp://u:a@b@h", 0, "u", "a@b", "h", "5672", "/"},
    {"amqp://[::1]:5672/v", 0, "guest", "guest", "::1", "5672", "v"},
    {"amqp://u:s@[fe80::1]", 0, "u", "s", "fe80::1", "5672", "/"},
    {"amqp://h:65535", 0, "guest", "guest", "h", "65535", "/"},
    {.text = "amqps://h", .rc = ERR_INVALID},
    {.text = "http://h", .rc = ERR_SYNTAX},
    {.text = "h:5672", .rc = ERR_SYNTAX},
    {.text = "", .rc = ERR_SYNTAX},
    {.text = NULL, .rc = ERR_SYNTAX},
    {.text = "amqp://", .rc = ERR_SYNTAX},
    {.text = "amqp:///v", .rc = ERR_SYNTAX},
    {.text = "amqp://:5672/v", .rc = ERR_SYNTAX},
    {.text = "amqp://h:0", .rc = ERR_INVALID},
    {.text = "amqp://h:65536", .rc = ERR_INVALID},
    {.text = "amqp://h:", .rc = ERR_INVALID},
    {.text = "amqp://h:12x", .rc = ERR_INVALID},
    {.text = "amqp://[::1/v", .rc = ERR_SYNTAX},
    {.text = "amqp://[::1]x", .rc = ERR_INVALID},
    {.text = "amqp://h/a/b", .rc = ERR_SYNTAX},
    {.text = "amqp://h/%2", .rc = ERR_SYNTAX},
    {.text = "amqp://h/%zz", .rc = ERR_SYNTAX},
    {.text = "amqp://h/%00", .rc = ERR_INVALID},
    {.text = "amqp://h/v?heartbeat=1", .rc = ERR_SYNTAX},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const struct row *r = &ROWS[i];
        struct url u = {0};
        int rc = bus_url_parse(r->text, &u);
        if (rc != r->rc) {
            fail_msg("%s: %d, not %d", r->text, rc, r->rc);
        }
        if (rc == 0) {
            assert_string_equal(u.user, r->user);
            assert_string_equal(u.secret, r->secret);
            assert_string_equal(u.host, r->host);
            assert_string_equal(u.port, r->port);
            assert_string_equal(u.vhost, r->vhost);
        } else {
            assert_null(u.host); /* untouched */
        }
        bus_url_fini(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
