/* SPDX-License-Identifier: Apache-2.0 */
/* What a link does where there is no broker: the port is closed, mute, or speaks something else. */
#include "bus/bus.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    struct bus_link *link;
    struct loop_timer *deadline;
    struct loop_hook *hook;
    int listener;
    int answering;
    char url[64];
    char other[64];
    const char *urls[2];
    size_t n_urls;
    int64_t connect_ms;
    const char *awaited; /* in bus_link_why() */
    bool is_for_node;    /* in bus_link_node() instead */
    bool is_found;
};

static void on_deadline(struct loop_timer *t, void *arg)
{
    struct world *w = arg;

    (void)t;
    loop_stop(w->loop);
}

static void on_turn(void *arg)
{
    struct world *w = arg;

    const char *said = w->is_for_node ? bus_link_node(w->link) : bus_link_why(w->link);
    if (w->awaited != NULL && strstr(said, w->awaited) != NULL) {
        w->is_found = true;
        loop_stop(w->loop);
    }
}

static int bound_socket(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static int set_up(void **state)
{
    static struct world world;
    struct world *w = &world;
    uint16_t port;

    *w = (struct world){0};
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(loop_timer_new(w->loop, on_deadline, w, &w->deadline), 0);
    w->listener = bound_socket(&port);
    (void)snprintf(w->url, sizeof w->url, "amqp://u:s@127.0.0.1:%u/v", port);
    w->answering = bound_socket(&port);
    (void)snprintf(w->other, sizeof w->other, "amqp://u:s@127.0.0.1:%u/v", port);
    w->urls[0] = w->url;
    w->urls[1] = w->other;
    w->n_urls = 1;
    w->connect_ms = 100;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    bus_link_free(w->link);
    loop_hook_free(w->hook);
    loop_timer_free(w->deadline);
    loop_free(w->loop);
    (void)close(w->listener);
    (void)close(w->answering);
    return 0;
}

static struct bus_options options(struct world *w)
{
    return (struct bus_options){.urls = w->urls,
                                .n_urls = w->n_urls,
                                .name = "test",
                                .heartbeat_s = 5,
                                .connect_ms = w->connect_ms,
                                .publish_ms = 1000,
                                .declare_ms = 1000,
                                .max_outstanding = 10,
                                .max_buffer_bytes = 1000};
}

static void make_link(struct world *w)
{
    struct bus_options o = options(w);

    assert_int_equal(bus_link_new(w->loop, &o, &w->link), 0);
    assert_int_equal(loop_hook_new(w->loop, on_turn, w, &w->hook), 0);
}

static void assert_lost(struct world *w, const char *why)
{
    w->awaited = why;
    w->is_found = false;
    loop_timer_set(w->deadline, 5000);
    loop_run(w->loop);
    if (!w->is_found) {
        fail_msg("the link says \"%s\", not \"%s\"", bus_link_why(w->link), why);
    }
    assert_int_equal(bus_link_state(w->link), BUS_DOWN);
}

/* Runs until the link is at the node that `text` begins with. */
static void await_node(struct world *w, const char *text)
{
    char node[64];

    (void)snprintf(node, sizeof node, "%.*s", (int)strcspn(text, "/"), text);
    w->awaited = node;
    w->is_found = false;
    loop_timer_set(w->deadline, 5000);
    loop_run(w->loop);
    w->awaited = NULL;
    if (!w->is_found) {
        fail_msg("the link is at \"%s\", not \"%s\"", bus_link_node(w->link), node);
    }
}

static void test_closed_port(void **state)
{
    struct world *w = *state;

    make_link(w);
    assert_lost(w, "connect: Connection refused");
    assert_true(strncmp(bus_link_why(w->link), "127.0.0.1:", 10) == 0);
}

/* Wherever it begins. */
static void test_goes_on_to_the_next(void **state)
{
    struct world *w = *state;

    w->n_urls = 2;
    make_link(w);
    w->is_for_node = true;
    assert_string_equal(bus_link_node(w->link), "");
    await_node(w, strstr(w->url, "127"));
    await_node(w, strstr(w->other, "127"));
    await_node(w, strstr(w->url, "127"));
}

/* The one that answers nothing keeps it for a part of connect_ms only, as long as there is another.
 */
static void test_a_mute_one_is_left_soon(void **state)
{
    struct world *w = *state;

    assert_int_equal(listen(w->listener, 8), 0);
    assert_int_equal(listen(w->answering, 8), 0);
    w->n_urls = 2;
    w->connect_ms = 600000;
    make_link(w);
    assert_lost(w, "no log-in within 2000 ms");
}

static void test_a_name_is_looked_up_at_each_dial(void **state)
{
    struct world *w = *state;
    const char *port = strrchr(w->url, ':');

    (void)snprintf(w->other, sizeof w->other, "amqp://u:s@localhost%s", port);
    w->urls[0] = w->other;
    make_link(w);
    assert_lost(w, "connect: Connection refused");
    assert_int_equal(listen(w->listener, 8), 0);
    assert_lost(w, "no log-in within 100 ms");
    assert_true(strncmp(bus_link_why(w->link), "localhost:", 10) == 0);
}

/* It is no mistake of ours: the name may come. Whether the resolver knows that there is none, or
 * does not know, is the machine's affair. */
static void test_a_name_that_nobody_knows(void **state)
{
    struct world *w = *state;
    char name[] = "amqp://no-such-host.invalid";

    w->urls[0] = name;
    make_link(w);
    assert_lost(w, "no-such-host.invalid:5672: ");
}

static void test_freed_while_it_looks_up(void **state)
{
    struct world *w = *state;
    char name[] = "amqp://no-such-host.invalid";

    w->urls[0] = name;
    w->connect_ms = 600000;
    make_link(w);
    w->is_for_node = true;
    await_node(w, "no-such-host.invalid:5672");
    bus_link_free(w->link);
    w->link = NULL;
}

static void test_mute_port(void **state)
{
    struct world *w = *state;

    assert_int_equal(listen(w->listener, 8), 0);
    make_link(w);
    assert_lost(w, "no log-in within 100 ms");
}

/* Accepts one connection beforehand: the kernel completes it, and what is said waits. */
static void test_other_protocol(void **state)
{
    struct world *w = *state;

    assert_int_equal(listen(w->listener, 8), 0);
    make_link(w);
    loop_timer_set(w->deadline, 20);
    loop_run(w->loop);
    int fd = accept(w->listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL), 28);
    assert_lost(w, "no AMQP 0-9-1 frame");
    (void)close(fd);
}

static void test_closed_by_peer(void **state)
{
    struct world *w = *state;

    assert_int_equal(listen(w->listener, 8), 0);
    make_link(w);
    loop_timer_set(w->deadline, 20);
    loop_run(w->loop);
    int fd = accept(w->listener, NULL, NULL);
    char said[9] = {0};
    assert_int_equal(recv(fd, said, 8, 0), 8);
    assert_memory_equal(said, "AMQP\0\0\x09\x01", 8);
    (void)shutdown(fd, SHUT_WR);
    assert_lost(w, "the broker closed the connection");
    (void)close(fd);
}

static void never(enum bus_outcome outcome, void *arg)
{
    (void)outcome;
    (void)arg;
    fail();
}

static void never_declared(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    (void)rc;
    (void)ready;
    (void)consumers;
    (void)arg;
    fail();
}

static void test_down_refuses(void **state)
{
    struct world *w = *state;
    struct bus_message m = {.id = STR("id"), .body = STR("body")};
    struct bus_consumer *c;

    make_link(w);
    assert_int_equal(bus_link_state(w->link), BUS_DOWN);
    assert_int_equal(bus_publish(w->link, "", "q", &m, never, NULL), ERR_DOWN);
    assert_int_equal(bus_declare_queue(w->link, "q", NULL, 0, never_declared, NULL), ERR_DOWN);
    assert_int_equal(bus_inspect_queue(w->link, "q", never_declared, NULL), ERR_DOWN);
    assert_int_equal(bus_consume(w->link, "q", 1, NULL, NULL, NULL, &c), ERR_DOWN);
    assert_int_equal(bus_link_outstanding(w->link), 0);
}

static void test_bad_options(void **state)
{
    struct world *w = *state;
    struct bus_options o = options(w);

    o.n_urls = 2;
    w->urls[1] = "amqps://127.0.0.1";
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), ERR_INVALID);
    w->urls[1] = "127.0.0.1";
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), ERR_SYNTAX);
    o.n_urls = 0;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), ERR_INVALID);
    o = options(w);
    o.heartbeat_s = 0;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), ERR_INVALID);
    o = options(w);
    o.max_outstanding = 0;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), ERR_INVALID);
    assert_null(w->link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_closed_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mute_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_goes_on_to_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_mute_one_is_left_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_is_looked_up_at_each_dial, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_that_nobody_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freed_while_it_looks_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_protocol, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_by_peer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_down_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_options, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
