/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker itself carries: one process publishes persistent messages with pipelined
 * confirms, another consumes and acknowledges them, on one queue. Or, one message at a time, how
 * long it takes to be confirmed and to be delivered. librabbitmq as it is documented. */
#include "http/options.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 1, FRAME_MAX = 131072, HEADERS_MAX = 26 };

static const char QUEUE[] = "bench.raw";

struct options {
    const char *host;
    int64_t port;
    int64_t count;
    int64_t body;
    int64_t window; /* unconfirmed, and unacknowledged */
    int64_t ack;    /* at a time; 0: half a window, as a client that batches does */
    int64_t headers;
    bool is_classic;
    bool is_one;
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

/* A link for publishing, and what it publishes each time. */
struct publisher {
    amqp_connection_state_t link;
    amqp_basic_properties_t properties;
    amqp_table_entry_t entries[HEADERS_MAX];
    amqp_bytes_t body;
};

static void publisher_init(struct publisher *p, const struct options *o)
{
    static char names[] = "abcdefghijklmnopqrstuvwxyz";

    *p = (struct publisher){
        .properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG,
                       .delivery_mode = 2,
                       .headers = {(int)o->headers, p->entries}},
        .body = {(size_t)o->body, calloc(1, (size_t)o->body + 1)}};
    if (p->body.bytes == NULL) {
        give_up("no memory");
    }
    for (int64_t i = 0; i < o->headers; i++) {
        p->entries[i] = (amqp_table_entry_t){
            .key = {1, names + i},
            .value = {.kind = AMQP_FIELD_KIND_UTF8,
                      .value.bytes = amqp_cstring_bytes("about as long as ours")}};
    }
    p->link = open_link(o);
    amqp_confirm_select(p->link, CHANNEL);
    check(p->link, "no confirms");
}

static void publisher_fini(struct publisher *p)
{
    free(p->body.bytes);
    amqp_destroy_connection(p->link);
}

static void put(struct publisher *p)
{
    if (amqp_basic_publish(p->link, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(QUEUE), 0, 0,
                           &p->properties, p->body) != AMQP_STATUS_OK) {
        give_up("not published");
    }
}

static void publish(const struct options *o)
{
    struct publisher p;
    struct confirms confirms = {.seen = calloc((size_t)o->count + 1, sizeof(bool))};

    if (confirms.seen == NULL) {
        give_up("no memory");
    }
    publisher_init(&p, o);
    for (int64_t n = 0; n < o->count; n++) {
        if (n - confirms.n >= o->window) {
            take_confirm(p.link, &confirms);
        }
        put(&p);
    }
    while (confirms.n < o->count) {
        take_confirm(p.link, &confirms);
    }
    free(confirms.seen);
    publisher_fini(&p);
}

static void begin_consuming(amqp_connection_state_t c, const struct options *o)
{
    amqp_basic_qos(c, CHANNEL, 0, (uint16_t)o->window, 0);
    amqp_basic_consume(c, CHANNEL, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check(c, "no consumer");
}

static void consume(amqp_connection_state_t c, const struct options *o)
{
    int64_t step = o->ack > 0 ? o->ack : o->window / 2;

    begin_consuming(c, o);
    for (int64_t n = 1; n <= o->count; n++) {
        amqp_envelope_t e;
        amqp_maybe_release_buffers(c);
        if (amqp_consume_message(c, &e, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) {
            give_up("no delivery");
        }
        if (n % step == 0 || n == o->count) {
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

/* --- one at a time --------------------------------------------------------------------------- */

/* Takes what frames there are; true with one of the type that is waited for. */
static bool take(amqp_connection_state_t c, uint8_t awaited)
{
    amqp_frame_t f;
    struct timeval none = {0};
    int rc;

    amqp_maybe_release_buffers(c);
    while ((rc = amqp_simple_wait_frame_noblock(c, &f, &none)) == AMQP_STATUS_OK) {
        if (f.frame_type == awaited) {
            return true;
        }
    }
    if (rc != AMQP_STATUS_TIMEOUT) {
        give_up("the connection was lost");
    }
    return false;
}

enum { CONFIRM, DELIVERY, EVENTS };

/* The seconds until each. */
static void pass_one(struct publisher *p, amqp_connection_state_t c, double ret_s[EVENTS])
{
    static const uint8_t awaited[EVENTS] = {AMQP_FRAME_METHOD, AMQP_FRAME_BODY};
    amqp_connection_state_t links[EVENTS] = {p->link, c};
    double begun = now_s();

    ret_s[CONFIRM] = ret_s[DELIVERY] = 0;
    put(p);
    while (ret_s[CONFIRM] == 0 || ret_s[DELIVERY] == 0) {
        struct pollfd fds[EVENTS] = {{amqp_get_sockfd(p->link), POLLIN, 0},
                                     {amqp_get_sockfd(c), POLLIN, 0}};
        (void)poll(fds, EVENTS, -1);
        for (int i = 0; i < EVENTS; i++) {
            if (fds[i].revents != 0 && take(links[i], awaited[i])) {
                ret_s[i] = now_s() - begun;
            }
        }
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_times(const char *what, double *s, int64_t n)
{
    qsort(s, (size_t)n, sizeof *s, by_size);
    printf("\"%s_p50_ms\":%.3f,\"%s_p99_ms\":%.3f", what, s[n / 2] * 1000, what,
           s[n * 99 / 100] * 1000);
}

static int run_one(const struct options *o)
{
    amqp_connection_state_t c = open_link(o);
    double *confirms = calloc((size_t)o->count, sizeof *confirms);
    double *deliveries = calloc((size_t)o->count, sizeof *deliveries);
    struct publisher p;

    if (confirms == NULL || deliveries == NULL) {
        give_up("no memory");
    }
    declare(c, o);
    publisher_init(&p, o);
    begin_consuming(c, o);
    for (int64_t n = 0; n < o->count; n++) {
        double s[EVENTS];
        pass_one(&p, c, s);
        confirms[n] = s[CONFIRM];
        deliveries[n] = s[DELIVERY];
        (void)amqp_basic_ack(c, CHANNEL, (uint64_t)n + 1, 0);
    }
    printf("{\"messages\":%lld,", (long long)o->count);
    print_times("confirm", confirms, o->count);
    printf(",");
    print_times("delivery", deliveries, o->count);
    printf("}\n");
    publisher_fini(&p);
    amqp_queue_delete(c, CHANNEL, amqp_cstring_bytes(QUEUE), 0, 0);
    amqp_destroy_connection(c);
    free(confirms);
    free(deliveries);
    return 0;
}

/* --------------------------------------------------------------------------------------------- */

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
        {.name = "headers", .help = "fields of each, at most 26", .number = &o.headers},
        {.name = "window", .help = "unconfirmed at a time, at least 2", .number = &o.window},
        {.name = "ack", .help = "at a time; 0: half a window", .number = &o.ack},
        {.name = "one", .help = "message at a time: how long each takes", .flag = &o.is_one},
        {.name = "classic", .help = "a classic queue; else quorum", .flag = &o.is_classic},
        {.name = NULL},
    };
    int rc = options_parse(rows, argc, argv);

    if (rc != 0) {
        return rc == ERR_CLOSED ? 0 : 2;
    }
    if (o.count < 1 || o.body < 1 || o.window < 2 || o.headers < 0 || o.headers > HEADERS_MAX) {
        give_up("out of bounds");
    }
    return o.is_one ? run_one(&o) : run(&o);
}
