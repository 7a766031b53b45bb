/* SPDX-License-Identifier: Apache-2.0 */
/* The client on real sockets of this process: what a kernel alone can answer. Whole exchanges are
 * the integration suite's. */
#include "client.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
enum { URL_SIZE = 64 };

static void count_tick(void *arg)
{
    unsigned int *ticks = arg;

    (*ticks)++;
}

/* A socket that takes connections (the kernel does) and says nothing; or a port that refuses. */
static int open_port(bool listens, char url[URL_SIZE])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    if (listens) {
        assert_int_equal(listen(fd, 8), 0);
    }
    (void)snprintf(url, URL_SIZE, "http://127.0.0.1:%d/x", ntohs(a.sin_port));
    return fd;
}

static void test_refused(void **state)
{
    char url[URL_SIZE];
    int fd = open_port(false, url);
    unsigned int ticks = 0;
    struct client *c = NULL;
    struct client_answer a;

    (void)state;
    assert_int_equal(client_new(count_tick, &ticks, &c), 0);
    struct client_request r = {.method = "GET", .url = url, .total_ms = 10000};
    assert_int_equal(client_ask(c, &r, &a), 0);
    assert_int_equal(a.status, 0);
    assert_string_equal(a.error, "connect_refused");
    assert_false(a.may_have_left);
    assert_int_equal(a.signum, 0);
    client_answer_fini(&a);
    client_free(c);
    (void)close(fd);
}

static void test_every_wait_is_bounded(void **state)
{
    char url[URL_SIZE];
    int fd = open_port(true, url);
    unsigned int ticks = 0;
    struct client *c = NULL;
    struct client_answer a;

    (void)state;
    assert_int_equal(client_new(count_tick, &ticks, &c), 0);
    struct client_request r = {.method = "POST", .url = url, .total_ms = 300};
    assert_int_equal(client_ask(c, &r, &a), 0);
    assert_int_equal(a.status, 0);
    assert_string_equal(a.error, "timeout_total");
    assert_true(a.may_have_left);
    assert_true(ticks >= 2);
    client_answer_fini(&a);
    client_free(c);
    (void)close(fd);
}

static void test_what_cannot_be_sent(void **state)
{
    const char *const line[] = {"X: a\nb", NULL};
    unsigned int ticks = 0;
    struct client *c = NULL;
    struct client_answer a;

    (void)state;
    assert_int_equal(client_new(count_tick, &ticks, &c), 0);
    struct client_request space = {.method = "GET", .url = "http://127.0.0.1/a b", .total_ms = 1};
    assert_int_equal(client_ask(c, &space, &a), ERR_INVALID);
    client_answer_fini(&a);
    struct client_request bad = {
        .method = "GET", .url = "http://127.0.0.1/", .head = line, .total_ms = 1};
    assert_int_equal(client_ask(c, &bad, &a), ERR_INVALID);
    client_answer_fini(&a);
    client_free(c);
}

/* Sent by the tick, that is: surely while the client waits. */
static void interrupt(void *arg)
{
    int *number = arg;

    (void)kill(getpid(), *number);
}

static void test_signals_end_the_waiting(void **state)
{
    char url[URL_SIZE];
    int fd = open_port(true, url);
    int number = SIGINT;
    struct client *c = NULL;
    struct client_answer a;

    (void)state;
    assert_int_equal(client_new(interrupt, &number, &c), 0);
    struct client_request r = {.method = "GET", .url = url, .total_ms = 30000};
    assert_int_equal(client_ask(c, &r, &a), 0);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.signum, SIGINT);
    client_answer_fini(&a);
    number = SIGTERM;
    assert_int_equal(client_pause(c, 30000), SIGTERM);
    client_free(c);
    (void)close(fd);
}

static void test_a_pause_ends(void **state)
{
    unsigned int ticks = 0;
    struct client *c = NULL;
    struct mono before = clock_mono();

    (void)state;
    assert_int_equal(client_new(count_tick, &ticks, &c), 0);
    assert_int_equal(client_pause(c, 50), 0);
    assert_true(mono_since_ms(before, clock_mono()) >= 45);
    client_free(c);
}

static void test_fields(void **state)
{
    struct client_answer a = {0};

    (void)state;
    buf_text(&a.head, "ETag: \"x\"\r\nSluice-Job-Id:\r\nX: a:b\r\nx: second\r\n");
    assert_true(str_is(client_field(&a, "etag"), STR("\"x\"")));
    assert_int_equal(client_field(&a, "Sluice-Job-Id").n, 0);
    assert_true(str_is(client_field(&a, "X"), STR("a:b")));
    assert_int_equal(client_field(&a, "Y").n, 0);
    client_answer_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_wait_is_bounded),
        cmocka_unit_test(test_what_cannot_be_sent),
        cmocka_unit_test(test_signals_end_the_waiting),
        cmocka_unit_test(test_a_pause_ends),
        cmocka_unit_test(test_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
