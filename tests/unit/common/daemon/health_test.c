/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/health.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A listening socket on a free port of 127.0.0.1. */
static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    *ret_port = ntohs(sa.sin_port);
    return fd;
}

/* Answers one connection with both pieces, a moment apart; exits 0 if it was asked rightly. */
static pid_t answer_once(int fd, const char *first, const char *second)
{
    static const char asked[] = "GET /readyz HTTP/1.1\r\nHost: ";
    char got[256] = "";
    pid_t pid = fork();

    if (pid != 0) {
        return pid;
    }
    int c = accept(fd, NULL, NULL);
    ssize_t n = recv(c, got, sizeof got - 1, 0);
    (void)send(c, first, strlen(first), MSG_NOSIGNAL);
    (void)usleep(20000); /* so that the pieces arrive apart; nothing hangs on it */
    (void)send(c, second, strlen(second), MSG_NOSIGNAL);
    (void)close(c);
    _exit(n > 0 && strncmp(got, asked, sizeof asked - 1) == 0 ? 0 : 1);
}

static const struct {
    const char *name;
    const char *host; /* as configured */
    const char *first, *second;
    int rc;
    const char *why;
} cases[] = {
    {"ready", "127.0.0.1", "HTTP/1.1 200 OK\r\n\r\n", "", ERR_OK, NULL},
    {"the wildcard", "0.0.0.0", "HTTP/1.1 200 OK\r\n\r\n", "", ERR_OK, NULL},
    {"no address", "", "HTTP/1.1 200 OK\r\n\r\n", "", ERR_OK, NULL},
    {"in pieces", "127.0.0.1", "HTTP/1.", "1 200 OK\r\n\r\n", ERR_OK, NULL},
    {"not ready", "127.0.0.1", "HTTP/1.1 503 Service Unavailable\r\n\r\n", "", ERR_DOWN,
     ": not ready (HTTP/1.1 503)"},
    {"says nothing", "127.0.0.1", "", "", ERR_IO, ": input or output failed"},
    {"says too little", "127.0.0.1", "HTTP/1.1 20", "", ERR_IO, ": input or output failed"},
};

static void answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf why = {0};
        char listen[40], expected[100];
        uint16_t port;
        int status = -1;
        int fd = listen_somewhere(&port);
        pid_t pid = answer_once(fd, cases[i].first, cases[i].second);

        print_message("case: %s\n", cases[i].name);
        (void)snprintf(listen, sizeof listen, "%s:%u", cases[i].host, port);
        assert_int_equal(health_ask(listen, &why), cases[i].rc);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        if (cases[i].why == NULL) {
            assert_int_equal(why.n, 0);
        } else {
            (void)snprintf(expected, sizeof expected, "%s%s", listen, cases[i].why);
            assert_string_equal(why.p, expected);
        }
        (void)close(fd);
        buf_fini(&why);
    }
}

static void nobody_there(void **state)
{
    struct buf why = {0};
    char listen[40];
    uint16_t port;

    (void)state;
    (void)close(listen_somewhere(&port));
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    assert_int_equal(health_ask(listen, &why), ERR_IO);
    assert_true(why.n > 0);
    buf_fini(&why);
}

static void no_address(void **state)
{
    struct buf why = {0};

    (void)state;
    assert_int_equal(health_ask("here", &why), ERR_SYNTAX);
    assert_string_equal(why.p, "\"here\" is not an address and a port");
    buf_fini(&why);
}

/* Connected (the kernel does it), and never accepted: three seconds, no more. */
static void a_frozen_daemon_is_given_up(void **state)
{
    struct buf why = {0};
    char listen[40];
    uint16_t port;
    int fd = listen_somewhere(&port);
    struct mono began = clock_mono();

    (void)state;
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    assert_int_equal(health_ask(listen, &why), ERR_TIMEOUT);
    assert_in_range(mono_since_ms(began, clock_mono()), 2900, 10000);
    (void)close(fd);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(no_address),
        cmocka_unit_test(a_frozen_daemon_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
