/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker itself carries: one process publishes persistent messages with pipelined
 * confirms, another consumes and acknowledges them, on one queue. librabbitmq as it is documented,
 * blocking. */
#include "http/options.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 1, FRAME_MAX = 131072 };

static const char QUEUE[] = "bench.raw";

struct options {
    const char *host;
    int64_t port;
    int64_t count;
    int64_t body;
    int64_t window; /* unconfirmed, and unacknowledged */
    bool is_classic;
};

static void give_up(const char *what)
{
    (void)fprintf(stderr, "sluice-bench-broker: %s\n", what);
    _exit(1);
}

static void check(amqp_connection_state_t c, const char *what)
{
    if (amqp_get_rpc_reply(c).reply_type != AMQP_RESPONSE_NORMAL) {
        give_up(what);
    }
}

static amqp_connection_state_t open_link(const struct options *o)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);

    if (s == NULL || amqp_socket_open(s, o->host, (int)o->port) != AMQP_STATUS_OK) {
        give_up("cannot connect");
    }
    if (amqp_login(c, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type !=
        AMQP_RESPONSE_NORMAL) {
        give_up("refused");
    }
    amqp_channel_open(c, CHANNEL);
    check(c, "no channel");
    return c;
}

static void declare(amqp_connection_state_t c, const struct options *o)
{
    amqp_table_entry_t type = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t arguments = {.num_entries = o->is_classic ? 0 : 1, .entries = &type};

    amqp_queue_delete(c, CHANNEL, amqp_cstring_bytes(QUEUE), 0, 0);
    amqp_queue_declare(c, CHANNEL, amqp_cstring_bytes(QUEUE), 0, 1, 0, 0, arguments);
    check(c, "no queue");
}

struct confirms {
    bool *seen;   /* by delivery tag */
    uint64_t low; /* all up to here */
    int64_t n;
};

static void note(struct confirms *s, uint64_t tag)
{
    s->n += s->seen[tag] ? 0 : 1;
    s->seen[tag] = true;
}

static void take_confirm(amqp_connection_state_t c, struct confirms *s)
{
    amqp_frame_t f;

    if (amqp_simple_wait_frame(c, &f) != AMQP_STATUS_OK || f.frame_type != AMQP_FRAME_METHOD ||
        f.payload.method.id != AMQP_BASIC_ACK_METHOD) {
        give_up("no confirm");
    }
    const amqp_basic_ack_t *ack = f.payload.method.decoded;
    if (!ack->multiple) {
        note(s, ack->delivery_tag);
    }
    while (ack->multiple && s->low < ack->delivery_tag) {
        note(s, ++s->low);
    }
    amqp_maybe_release_buffers(c);
}

static void publish(const struct options *o)
{
    amqp_connection_state_t c = open_link(o);
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = 2};
    char *body = calloc(1, (size_t)o->body + 1);
    struct confirms confirms = {.seen = calloc((size_t)o->count + 1, sizeof(bool))};

    if (body == NULL || confirms.seen == NULL) {
        give_up("no memory");
    }
    amqp_confirm_select(c, CHANNEL);
    check(c, "no confirms");
    for (int64_t n = 0; n < o->count; n++) {
        if (n - confirms.n >= o->window) {
            take_confirm(c, &confirms);
        }
        amqp_bytes_t content = {(size_t)o->body, body};
        if (amqp_basic_publish(c, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(QUEUE), 0, 0,
                               &properties, content) != AMQP_STATUS_OK) {
            give_up("not published");
        }
    }
    while (confirms.n < o->count) {
        take_confirm(c, &confirms);
    }
    free(confirms.seen);
    free(body);
    amqp_destroy_connection(c);
}

static void consume(amqp_connection_state_t c, const struct options *o)
{
    amqp_basic_qos(c, CHANNEL, 0, (uint16_t)o->window, 0);
    amqp_basic_consume(c, CHANNEL, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check(c, "no consumer");
    for (int64_t n = 1; n <= o->count; n++) {
        amqp_envelope_t e;
        amqp_maybe_release_buffers(c);
        if (amqp_consume_message(c, &e, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) {
            give_up("no delivery");
        }
        /* Half a window at a time, as a client that batches does. */
        if (n % (o->window / 2) == 0 || n == o->count) {
            (void)amqp_basic_ack(c, CHANNEL, e.delivery_tag, 1);
        }
        amqp_destroy_envelope(&e);
    }
}

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const struct options *o)
{
    amqp_connection_state_t c = open_link(o);

    declare(c, o);
    double begun = now_s();
    pid_t pid = fork();
    if (pid == 0) {
        publish(o);
        _exit(0);
    }
    consume(c, o);
    double s = now_s() - begun;
    int status = 1;
    bool is_published = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    amqp_queue_delete(c, CHANNEL, amqp_cstring_bytes(QUEUE), 0, 0);
    amqp_destroy_connection(c);
    if (is_published) {
        printf("{\"messages\":%lld,\"seconds\":%.6f,\"rate\":%.1f}\n", (long long)o->count, s,
               (double)o->count / s);
    }
    return is_published ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o = {
        .host = "127.0.0.1", .port = 5672, .count = 20000, .body = 1024, .window = 500};
    const struct option_row rows[] = {
        {.name = "host", .help = "of the broker", .text = &o.host},
        {.name = "port", .help = "of the broker", .number = &o.port},
        {.name = "count", .help = "messages", .number = &o.count},
        {.name = "body", .help = "bytes of each", .number = &o.body},
        {.name = "window", .help = "unconfirmed at a time, at least 2", .number = &o.window},
        {.name = "classic", .help = "a classic queue; else quorum", .flag = &o.is_classic},
        {.name = NULL},
    };
    int rc = options_parse(rows, argc, argv);

    if (rc != 0) {
        return rc == ERR_CLOSED ? 0 : 2;
    }
    return run(&o);
}
