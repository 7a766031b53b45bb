/* SPDX-License-Identifier: Apache-2.0 */
/* The bus against a real RabbitMQ, which may be stopped, killed and alarmed: give it one of its
 * own.
 *
 *   SLUICE_AMQP_URL        amqp://guest:guest@127.0.0.1:5672/   (without it: exit 77)
 *   SLUICE_RABBITMQ_CTL    a command that runs rabbitmqctl on the node, e.g. "/tmp/rmq/ctl.sh"
 *   SLUICE_RABBITMQ_PID    the broker's process id, or a file that holds it
 *   SLUICE_RABBITMQ_START  a command that starts the node and returns when it is ready
 * Tests that need one of the last three are skipped without it. An argument picks tests by pattern
 * ("*ladder*"). Queues made here expire by themselves. */
#include "bus/topology.h"

#include "base/random.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NAME_SIZE = 80, BODY_SIZE = 64, PATIENCE_MS = 20000 };

struct world {
    struct loop *loop;
    const char *url;
    struct loop_hook *hook;
    struct loop_timer *deadline;
    bool (*is_done)(struct world *w);
    bool is_late;
    struct bus_link *link;  /* publishes and declares */
    struct bus_link *other; /* consumes */
    int opened;
    int lost;

    /* Declares. */
    int declared;
    int expected_declares;
    int declare_rc;
    uint32_t ready;

    /* Publishes. */
    size_t outcomes[BUS_UNKNOWN + 1];
    size_t n_outcomes;
    size_t wanted_outcomes;
    size_t refill; /* publishes still to be made, as outcomes come */
    const char *queue;

    /* Deliveries. */
    struct bus_consumer *consumer;
    struct bus_delivery *held[64];
    size_t n_held;
    size_t n_delivered;
    size_t wanted_deliveries;
    size_t n_redelivered;
    bool is_acking;
    unsigned char *seen; /* by number in the body */
    size_t n_seen;
    size_t wanted_seen;
    int consumers_lost;
    char why[256];
};

/* --- waiting --------------------------------------------------------------------------------- */

static void on_deadline(struct loop_timer *t, void *arg)
{
    struct world *w = arg;

    (void)t;
    w->is_late = true;
    loop_stop(w->loop);
}

static void on_turn(void *arg)
{
    struct world *w = arg;

    if (w->is_done != NULL && w->is_done(w)) {
        loop_stop(w->loop);
    }
}

static bool waits(struct world *w, bool (*is_done)(struct world *w), int64_t ms)
{
    w->is_done = is_done;
    w->is_late = false;
    loop_timer_set(w->deadline, ms);
    if (!is_done(w)) {
        loop_run(w->loop);
    }
    loop_timer_cancel(w->deadline);
    w->is_done = NULL;
    return is_done(w);
}

#define WAIT(w, is_done)                                                                           \
    do {                                                                                           \
        if (!waits((w), (is_done), PATIENCE_MS)) {                                                 \
            fail_msg("waited in vain: %s (link: %s)", #is_done, bus_link_why((w)->link));          \
        }                                                                                          \
    } while (0)

/* Lets the loop turn for a while. */
static bool is_never(struct world *w)
{
    (void)w;
    return false;
}

static void idle(struct world *w, int64_t ms)
{
    (void)waits(w, is_never, ms);
}

/* --- links ----------------------------------------------------------------------------------- */

static void on_state(struct bus_link *k, bool is_open, void *arg)
{
    struct world *w = arg;

    (void)k;
    w->opened += is_open ? 1 : 0;
    w->lost += is_open ? 0 : 1;
}

static struct bus_options options(struct world *w)
{
    w->url = getenv("SLUICE_AMQP_URL");
    return (struct bus_options){.urls = &w->url,
                                .n_urls = 1,
                                .name = "bus_live_test",
                                .heartbeat_s = 1,
                                .connect_ms = 10000,
                                .publish_ms = 10000,
                                .declare_ms = 10000,
                                .max_outstanding = 20000,
                                .max_buffer_bytes = 256 << 20,
                                .on_state = on_state,
                                .arg = w};
}

static bool is_link_open(struct world *w)
{
    return bus_link_state(w->link) == BUS_OPEN;
}

static bool are_both_open(struct world *w)
{
    return is_link_open(w) && bus_link_state(w->other) == BUS_OPEN;
}

static bool is_link_down(struct world *w)
{
    return bus_link_state(w->link) == BUS_DOWN;
}

static bool is_blocked(struct world *w)
{
    return bus_link_state(w->link) == BUS_BLOCKED;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct bus_options o = options(w);

    assert_non_null(w);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(loop_timer_new(w->loop, on_deadline, w, &w->deadline), 0);
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), 0);
    assert_int_equal(bus_link_new(w->loop, &o, &w->other), 0);
    assert_int_equal(loop_hook_new(w->loop, on_turn, w, &w->hook), 0);
    *state = w;
    WAIT(w, are_both_open);
    w->lost = 0;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < w->n_held; i++) {
        bus_forget(w->held[i]);
    }
    bus_consumer_free(w->consumer);
    bus_link_free(w->link);
    bus_link_free(w->other);
    loop_hook_free(w->hook);
    loop_timer_free(w->deadline);
    loop_free(w->loop);
    free(w->seen);
    free(w);
    return 0;
}

/* --- declaring ------------------------------------------------------------------------------- */

static void on_declared(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct world *w = arg;

    (void)consumers;
    w->declared++;
    w->declare_rc = rc;
    w->ready = ready;
}

static bool is_declared(struct world *w)
{
    return w->declared > 0;
}

static int declare_answer(struct world *w, int rc)
{
    assert_int_equal(rc, 0);
    WAIT(w, is_declared);
    assert_int_equal(w->declared, 1);
    w->declared = 0;
    return w->declare_rc;
}

static void make_queue(struct world *w, const char *type, char name[NAME_SIZE])
{
    char random[RANDOM_NAME_SIZE];
    const struct bus_arg args[] = {{"x-queue-type", type, 0}, {"x-expires", NULL, 600000}};

    random_name(random);
    (void)snprintf(name, NAME_SIZE, "bus-live-%s", random);
    assert_int_equal(declare_answer(w, bus_declare_queue(w->link, name, args, 2, on_declared, w)),
                     0);
}

static uint32_t ready_in(struct world *w, const char *queue)
{
    assert_int_equal(declare_answer(w, bus_inspect_queue(w->link, queue, on_declared, w)), 0);
    return w->ready;
}

/* --- publishing ------------------------------------------------------------------------------ */

static void publish_number(struct world *w, const char *queue, size_t number);

static void on_outcome(enum bus_outcome outcome, void *arg)
{
    struct world *w = arg;

    w->outcomes[outcome]++;
    w->n_outcomes++;
    if (w->refill > 0) {
        w->refill--;
        publish_number(w, w->queue, w->refill);
    }
}

static bool are_outcomes_in(struct world *w)
{
    return w->n_outcomes >= w->wanted_outcomes;
}

static int try_publish(struct world *w, const char *exchange, const char *key, struct str body)
{
    struct bus_message m = {.id = STR("id-1"), .body = body};

    return bus_publish(w->link, exchange, key, &m, on_outcome, w);
}

static void publish(struct world *w, const char *exchange, const char *key, struct str body)
{
    assert_int_equal(try_publish(w, exchange, key, body), 0);
    w->wanted_outcomes++;
}

static void publish_number(struct world *w, const char *queue, size_t number)
{
    char text[BODY_SIZE];

    (void)snprintf(text, sizeof text, "%zu", number);
    publish(w, "", queue, str_of(text));
}

static void assert_outcomes(struct world *w, size_t confirmed, size_t returned, size_t nacked,
                            size_t unknown)
{
    WAIT(w, are_outcomes_in);
    assert_int_equal(w->outcomes[BUS_CONFIRMED], confirmed);
    assert_int_equal(w->outcomes[BUS_RETURNED], returned);
    assert_int_equal(w->outcomes[BUS_NACKED], nacked);
    assert_int_equal(w->outcomes[BUS_UNKNOWN], unknown);
    assert_int_equal(bus_link_outstanding(w->link), 0);
}

/* --- consuming ------------------------------------------------------------------------------- */

static void note_number(struct world *w, struct str body)
{
    uint64_t number;

    if (w->seen != NULL) {
        assert_int_equal(str_to_u64(body, w->wanted_seen - 1, &number), 0);
        w->n_seen += w->seen[number] == 0 ? 1 : 0;
        w->seen[number] = 1;
    }
}

static void on_delivery(struct bus_delivery *d, void *arg)
{
    struct world *w = arg;

    w->n_delivered++;
    w->n_redelivered += bus_delivery_is_redelivered(d) ? 1 : 0;
    note_number(w, bus_delivery_message(d)->body);
    if (w->is_acking) {
        bus_ack(d);
        return;
    }
    assert_in_range(w->n_held, 0, 63);
    w->held[w->n_held++] = d;
}

static void on_lost(struct bus_consumer *c, const char *why, void *arg)
{
    struct world *w = arg;

    assert_ptr_equal(c, w->consumer);
    (void)snprintf(w->why, sizeof w->why, "%s", why);
    w->consumers_lost++;
}

static void consume(struct world *w, const char *queue, uint16_t prefetch)
{
    assert_int_equal(bus_consume(w->other, queue, prefetch, on_delivery, on_lost, w, &w->consumer),
                     0);
}

static void end_consumer(struct world *w)
{
    bus_consumer_free(w->consumer);
    w->consumer = NULL;
}

static bool are_delivered(struct world *w)
{
    return w->n_delivered >= w->wanted_deliveries;
}

static bool are_seen(struct world *w)
{
    return w->n_seen >= w->wanted_seen;
}

static bool is_consumer_lost(struct world *w)
{
    return w->consumers_lost > 0;
}

static void want_seen(struct world *w, size_t n)
{
    w->seen = calloc(n, 1);
    assert_non_null(w->seen);
    w->wanted_seen = n;
}

/* --- publish and consume --------------------------------------------------------------------- */

static void run_ten_thousand(struct world *w, const char *type)
{
    enum { N = 10000 };
    char queue[NAME_SIZE];

    make_queue(w, type, queue);
    for (size_t i = 0; i < N; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, N, 0, 0, 0);
    assert_int_equal(ready_in(w, queue), N);
    want_seen(w, N);
    w->is_acking = true;
    consume(w, queue, 200);
    WAIT(w, are_seen);
    assert_int_equal(w->n_delivered, N);
    assert_int_equal(w->n_redelivered, 0);
    end_consumer(w);
    idle(w, 300);
    assert_int_equal(ready_in(w, queue), 0);
}

static void test_ten_thousand_classic(void **state)
{
    run_ten_thousand(*state, "classic");
}

static void test_ten_thousand_quorum(void **state)
{
    run_ten_thousand(*state, "quorum");
}

/* Information: publish, confirm, deliver and acknowledge at the same time. */
static void run_throughput(struct world *w, const char *type)
{
    enum { N = 40000, WINDOW = 1000 };
    char queue[NAME_SIZE];

    make_queue(w, type, queue);
    want_seen(w, N);
    w->is_acking = true;
    w->queue = queue;
    w->refill = N - WINDOW;
    consume(w, queue, 500);
    struct mono start = clock_mono();
    for (size_t i = N - WINDOW; i < N; i++) {
        publish_number(w, queue, i);
    }
    WAIT(w, are_seen);
    WAIT(w, are_outcomes_in);
    int64_t took_ms = mono_since_ms(start, clock_mono());
    print_message("%s: %d messages in %lld ms: %lld a second\n", type, N, (long long)took_ms,
                  (long long)(N * 1000LL / (took_ms > 0 ? took_ms : 1)));
    assert_int_equal(w->outcomes[BUS_CONFIRMED], N);
    end_consumer(w);
}

static void test_throughput_classic(void **state)
{
    run_throughput(*state, "classic");
}

static void test_throughput_quorum(void **state)
{
    run_throughput(*state, "quorum");
}

/* Sizes around the frame's: nothing, one frame exactly, one byte more, many frames. */
static void test_bodies(void **state)
{
    struct world *w = *state;
    static const size_t sizes[] = {0, 1, 131064, 131065, 262128, 3000000};
    char queue[NAME_SIZE];
    char *body = malloc(3000000);

    assert_non_null(body);
    for (size_t i = 0; i < 3000000; i++) {
        body[i] = (char)(i * 7 + i / 251);
    }
    make_queue(w, "classic", queue);
    for (size_t i = 0; i < 6; i++) {
        publish(w, "", queue, (struct str){body, sizes[i]});
    }
    assert_outcomes(w, 6, 0, 0, 0);
    w->wanted_deliveries = 6;
    consume(w, queue, 10);
    WAIT(w, are_delivered);
    for (size_t i = 0; i < 6; i++) {
        struct str got = bus_delivery_message(w->held[i])->body;
        assert_int_equal(got.n, sizes[i]);
        assert_true(got.n == 0 || memcmp(got.p, body, got.n) == 0);
    }
    free(body);
}

static void test_headers(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];
    char names[BUS_HEADERS_MAX][8];
    struct bus_message m = {.id = STR("the id"), .body = STR("b"), .n_headers = BUS_HEADERS_MAX};

    make_queue(w, "quorum", queue);
    for (size_t i = 0; i < BUS_HEADERS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "h%zu", i);
        m.headers[i] = (struct bus_header){names[i], str_of(names[i])};
    }
    m.headers[0].value = (struct str){"\0\xFF\r\n", 4};
    m.headers[1].value = STR("");
    assert_int_equal(bus_publish(w->link, "", queue, &m, on_outcome, w), 0);
    w->wanted_outcomes = 1;
    assert_outcomes(w, 1, 0, 0, 0);
    w->wanted_deliveries = 1;
    consume(w, queue, 1);
    WAIT(w, are_delivered);
    const struct bus_message *got = bus_delivery_message(w->held[0]);
    assert_true(str_is(got->id, STR("the id")));
    assert_int_equal(got->n_headers, BUS_HEADERS_MAX);
    assert_true(str_is(bus_delivery_header(w->held[0], "h0"), m.headers[0].value));
    assert_true(str_is(bus_delivery_header(w->held[0], "h1"), STR("")));
    assert_true(str_is(bus_delivery_header(w->held[0], "h47"), STR("h47")));
    assert_null(bus_delivery_header(w->held[0], "h48").p);
}

static void test_too_large(void **state)
{
    struct world *w = *state;
    static char big[140000];
    struct bus_message m = {.id = STR("id"), .n_headers = 1};
    char key[300];

    memset(big, 'x', sizeof big);
    memset(key, 'k', sizeof key);
    key[256] = '\0';
    assert_int_equal(try_publish(w, "", key, STR("")), ERR_TOO_LARGE);
    m.headers[0] = (struct bus_header){"big", {big, 131000}};
    assert_int_equal(bus_publish(w->link, "", "q", &m, on_outcome, w), ERR_TOO_LARGE);
    m.n_headers = 0;
    m.id = (struct str){big, 256};
    assert_int_equal(bus_publish(w->link, "", "q", &m, on_outcome, w), ERR_TOO_LARGE);
    assert_int_equal(bus_declare_queue(w->link, key, NULL, 0, on_declared, w), ERR_TOO_LARGE);
    assert_int_equal(bus_link_outstanding(w->link), 0);
    /* And nothing of them lies in the stream. */
    char queue[NAME_SIZE];
    make_queue(w, "classic", queue);
    publish_number(w, queue, 1);
    assert_outcomes(w, 1, 0, 0, 0);
}

static void test_bounds(void **state)
{
    struct world *w = *state;
    struct bus_options o = options(w);
    static char body[600000];
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    bus_link_free(w->link);
    o.max_outstanding = 3;
    o.max_buffer_bytes = 1000000;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), 0);
    WAIT(w, is_link_open);
    publish(w, "", queue, (struct str){body, sizeof body});
    assert_int_equal(try_publish(w, "", queue, (struct str){body, sizeof body}), ERR_LIMIT);
    publish(w, "", queue, STR("1"));
    publish(w, "", queue, STR("2"));
    assert_int_equal(try_publish(w, "", queue, STR("3")), ERR_LIMIT);
    assert_int_equal(bus_link_outstanding(w->link), 3);
    assert_outcomes(w, 3, 0, 0, 0);
    assert_int_equal(ready_in(w, queue), 3);
}

/* --- outcomes -------------------------------------------------------------------------------- */

static void test_returned(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];
    static char body[200000];

    make_queue(w, "classic", queue);
    for (int i = 0; i < 50; i++) {
        publish(w, "", queue, STR("there"));
        publish(w, "", "bus-live-no-such-queue", STR("nowhere"));
    }
    publish(w, "", "bus-live-no-such-queue", (struct str){body, sizeof body});
    publish(w, "", "bus-live-no-such-queue", STR(""));
    assert_outcomes(w, 50, 52, 0, 0);
    assert_int_equal(ready_in(w, queue), 50);
}

static void test_nacked(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];
    char random[RANDOM_NAME_SIZE];
    const struct bus_arg args[] = {{"x-max-length", NULL, 1},
                                   {"x-overflow", "reject-publish", 0},
                                   {"x-expires", NULL, 600000}};

    random_name(random);
    (void)snprintf(queue, sizeof queue, "bus-live-%s", random);
    assert_int_equal(declare_answer(w, bus_declare_queue(w->link, queue, args, 3, on_declared, w)),
                     0);
    publish(w, "", queue, STR("1"));
    assert_outcomes(w, 1, 0, 0, 0);
    publish(w, "", queue, STR("2"));
    publish(w, "", queue, STR("3"));
    assert_outcomes(w, 1, 0, 2, 0);
}

/* A full queue refuses, again and again: who publishes to another one does not notice. */
static void test_refusals_hold_up_nobody(void **state)
{
    enum { ROUNDS = 40, EACH = 20 };
    struct world *w = *state;
    char full[NAME_SIZE];
    char queue[NAME_SIZE];
    char random[RANDOM_NAME_SIZE];
    const struct bus_arg args[] = {{"x-max-length", NULL, 1},
                                   {"x-overflow", "reject-publish", 0},
                                   {"x-expires", NULL, 600000}};

    make_queue(w, "quorum", queue);
    random_name(random);
    (void)snprintf(full, sizeof full, "bus-live-%s", random);
    assert_int_equal(declare_answer(w, bus_declare_queue(w->link, full, args, 3, on_declared, w)),
                     0);
    publish(w, "", full, STR("1"));
    assert_outcomes(w, 1, 0, 0, 0);
    /* Channels are replaced once a second at most: two of them, here. */
    for (int round = 0; round < ROUNDS; round++) {
        size_t nacked = w->outcomes[BUS_NACKED];
        publish(w, "", full, STR("2"));
        for (int i = 0; i < EACH; i++) {
            publish(w, "", queue, STR("3"));
            publish(w, "", "bus-live-no-such-queue", STR("4"));
        }
        while (w->outcomes[BUS_NACKED] == nacked) {
            idle(w, 1);
            publish(w, "", queue, STR("3"));
        }
        publish(w, "", queue, STR("3"));
        idle(w, 60);
    }
    WAIT(w, are_outcomes_in);
    assert_int_equal(w->outcomes[BUS_NACKED], ROUNDS);
    assert_int_equal(w->outcomes[BUS_RETURNED], ROUNDS * EACH);
    assert_int_equal(w->outcomes[BUS_UNKNOWN], 0);
    assert_int_equal(w->outcomes[BUS_CONFIRMED], w->wanted_outcomes - (size_t)ROUNDS * (1 + EACH));
    assert_int_equal(bus_link_outstanding(w->link), 0);
    assert_int_equal(w->lost, 0);
}

/* A missing exchange closes the channel: what was outstanding is unknown, the link goes on. */
static void test_missing_exchange(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    publish(w, "bus-live-no-such-exchange", "k", STR("1"));
    assert_outcomes(w, 0, 0, 0, 1);
    assert_int_equal(bus_link_state(w->link), BUS_OPEN);
    for (int i = 0; i < 10; i++) {
        publish(w, "", queue, STR("2"));
    }
    publish(w, "", "bus-live-no-such-queue", STR("3"));
    assert_outcomes(w, 10, 1, 0, 1);
    assert_int_equal(w->lost, 0);
}

/* --- declares -------------------------------------------------------------------------------- */

static void on_declared_in_order(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct world *w = arg;
    static const int expected[] = {0, ERR_INVALID, 0, ERR_MISSING, ERR_MISSING, 0};

    (void)ready;
    (void)consumers;
    assert_int_equal(rc, expected[w->declared]);
    w->declared++;
}

static bool are_six_declared(struct world *w)
{
    return w->declared == 6;
}

/* Each refusal costs its channel; the rest, submitted together, go on. */
static void test_declares_in_order(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];
    const struct bus_arg other[] = {{"x-max-length", NULL, 7}};

    make_queue(w, "classic", queue);
    assert_int_equal(bus_inspect_queue(w->link, queue, on_declared_in_order, w), 0);
    assert_int_equal(bus_declare_queue(w->link, queue, other, 1, on_declared_in_order, w), 0);
    assert_int_equal(bus_inspect_queue(w->link, queue, on_declared_in_order, w), 0);
    assert_int_equal(bus_inspect_queue(w->link, "bus-live-none", on_declared_in_order, w), 0);
    assert_int_equal(bus_bind_queue(w->link, queue, "bus-live-none", "k", on_declared_in_order, w),
                     0);
    assert_int_equal(bus_bind_queue(w->link, queue, "amq.topic", "k", on_declared_in_order, w), 0);
    WAIT(w, are_six_declared);
    assert_int_equal(w->lost, 0);
    w->declared = 0;
    publish(w, "amq.topic", "k", STR("bound"));
    assert_outcomes(w, 1, 0, 0, 0);
    assert_int_equal(ready_in(w, queue), 1);
}

/* What each of many declares was answered. */
struct asked {
    struct world *world;
    unsigned int answers;
    int rc;
};

static void on_asked(int rc, uint32_t ready, uint32_t consumers, void *arg)
{
    struct asked *a = arg;

    (void)ready;
    (void)consumers;
    a->answers++;
    a->rc = rc;
    a->world->declared++;
}

static bool are_all_asked(struct world *w)
{
    return w->declared == w->expected_declares;
}

/* As many as said, each bound by a key of its own; what `every` is a multiple of is refused. */
static void bind_many(struct world *w, struct asked *a, int n, int every, const char *queue)
{
    char key[24];

    for (int i = 0; i < n; i++) {
        bool is_refused = every > 0 && i % every == 0;
        a[i] = (struct asked){.world = w};
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(bus_bind_queue(w->link, queue, is_refused ? "bus-live-none" : "amq.topic",
                                        key, on_asked, &a[i]),
                         0);
    }
    w->expected_declares = n;
    WAIT(w, are_all_asked);
    w->declared = 0;
}

/* Refused ones in the middle of a wave: what the broker dropped behind them goes out again. */
static void test_declares_in_waves(void **state)
{
    enum { N = 300, EVERY = 7 };
    static struct asked a[N];
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    bind_many(w, a, N, EVERY, queue);
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].answers, 1);
        assert_int_equal(a[i].rc, i % EVERY == 0 ? ERR_MISSING : 0);
    }
    publish(w, "amq.topic", "k1", STR("bound"));
    publish(w, "amq.topic", "k299", STR("bound"));
    assert_outcomes(w, 2, 0, 0, 0);
    assert_int_equal(ready_in(w, queue), 2);
}

/* More than any broker does in the time: those at the end learn so, the link stays, and answers
 * that come too late are not taken for others'. */
static void test_declares_time_out(void **state)
{
    enum { N = 20000 };
    static struct asked a[N];
    struct world *w = *state;
    struct bus_options o = options(w);
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    bus_link_free(w->link);
    o.declare_ms = 50;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), 0);
    WAIT(w, is_link_open);
    w->lost = 0;
    bind_many(w, a, N, /* every= */ 0, queue);
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].answers, 1);
        assert_true(a[i].rc == 0 || a[i].rc == ERR_TIMEOUT);
    }
    assert_int_equal(a[N - 1].rc, ERR_TIMEOUT);
    for (int rc = ERR_TIMEOUT; rc == ERR_TIMEOUT;) { /* until the late answers have come */
        rc = declare_answer(w, bus_inspect_queue(w->link, "bus-live-none", on_declared, w));
        assert_true(rc == ERR_TIMEOUT || rc == ERR_MISSING);
    }
    assert_int_equal(w->lost, 0);
}

/* --- consumers ------------------------------------------------------------------------------- */

/* Twelve in hand; acknowledged out of order, returned, forgotten: the rest comes again, all of it
 * marked, to the next consumer. */
static void run_settling(struct world *w, const char *type)
{
    char queue[NAME_SIZE];

    make_queue(w, type, queue);
    for (size_t i = 0; i < 12; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, 12, 0, 0, 0);
    consume(w, queue, 12);
    w->wanted_deliveries = 12;
    WAIT(w, are_delivered);
    assert_int_equal(bus_consumer_in_hand(w->consumer), 12);
    static const size_t acked[] = {1, 0, 5, 2, 9}; /* 0-2 as one, 5 and 9 singly */
    for (size_t i = 0; i < 5; i++) {
        bus_ack(w->held[acked[i]]);
    }
    bus_forget(w->held[3]);
    assert_int_equal(bus_consumer_in_hand(w->consumer), 6);
    idle(w, 100);
    bus_ack(w->held[4]); /* behind the forgotten one */
    bus_ack(w->held[6]);
    idle(w, 100);
    end_consumer(w);
    assert_false(bus_delivery_is_live(w->held[7]));
    bus_ack(w->held[7]); /* too late: frees only */
    bus_requeue(w->held[8]);
    bus_forget(w->held[10]);
    bus_ack(w->held[11]);
    w->n_held = 0;
    want_seen(w, 12);
    w->n_delivered = 0;
    w->wanted_deliveries = 5; /* 3, 7, 8, 10, 11 */
    consume(w, queue, 12);
    WAIT(w, are_delivered);
    idle(w, 200);
    assert_int_equal(w->n_delivered, 5);
    assert_int_equal(w->n_redelivered, 5);
    assert_true(w->seen[3] && w->seen[7] && w->seen[8] && w->seen[10] && w->seen[11]);
}

static void test_settling_classic(void **state)
{
    run_settling(*state, "classic");
}

static void test_settling_quorum(void **state)
{
    run_settling(*state, "quorum");
}

static void test_requeue(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "quorum", queue);
    publish_number(w, queue, 0);
    assert_outcomes(w, 1, 0, 0, 0);
    consume(w, queue, 1);
    w->wanted_deliveries = 1;
    WAIT(w, are_delivered);
    assert_int_equal(w->n_redelivered, 0);
    w->n_held = 0;
    w->wanted_deliveries = 2;
    bus_requeue(w->held[0]);
    WAIT(w, are_delivered);
    assert_int_equal(w->n_redelivered, 1);
}

/* A delivery with three shares is in hand until the last of them was said. */
static void test_shares_acked(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "quorum", queue);
    publish_number(w, queue, 0);
    publish_number(w, queue, 1);
    assert_outcomes(w, 2, 0, 0, 0);
    consume(w, queue, 2);
    w->wanted_deliveries = 2;
    WAIT(w, are_delivered);
    bus_share(w->held[0], 3);
    bus_ack(w->held[0]);
    bus_ack(w->held[1]); /* behind it, and alone: not as one with it */
    bus_ack(w->held[0]);
    assert_int_equal(bus_consumer_in_hand(w->consumer), 1);
    assert_true(bus_delivery_is_live(w->held[0]));
    idle(w, 100);
    end_consumer(w); /* what is not acknowledged comes again */
    bus_ack(w->held[0]);
    w->n_held = 0;
    w->wanted_deliveries = 3;
    consume(w, queue, 2);
    WAIT(w, are_delivered);
    assert_int_equal(w->n_redelivered, 1);
    bus_share(w->held[0], 2);
    bus_ack(w->held[0]);
    bus_ack(w->held[0]);
    w->n_held = 0;
    assert_int_equal(bus_consumer_in_hand(w->consumer), 0);
    idle(w, 300);
    end_consumer(w);
    idle(w, 300);
    assert_int_equal(w->n_delivered, 3);
    assert_int_equal(ready_in(w, queue), 0);
}

/* What is returned of one share is returned, whenever that was said. */
static void run_shares_returned(struct world *w, size_t which)
{
    char queue[NAME_SIZE];

    make_queue(w, "quorum", queue);
    publish_number(w, queue, 0);
    assert_outcomes(w, 1, 0, 0, 0);
    consume(w, queue, 1);
    w->wanted_deliveries = 1;
    WAIT(w, are_delivered);
    w->n_held = 0;
    bus_share(w->held[0], 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(w->n_delivered, 1);
        (i == which ? bus_requeue : bus_ack)(w->held[0]);
    }
    w->wanted_deliveries = 2;
    WAIT(w, are_delivered);
    assert_int_equal(w->n_redelivered, 1);
    bus_ack(w->held[0]); /* one share again */
    w->n_held = 0;
    assert_int_equal(bus_consumer_in_hand(w->consumer), 0);
}

static void test_shares_first_returned(void **state)
{
    run_shares_returned(*state, 0);
}

static void test_shares_last_returned(void **state)
{
    run_shares_returned(*state, 2);
}

/* One share forgotten: the delivery is, and comes again with its channel's end. */
static void test_shares_forgotten(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "quorum", queue);
    publish_number(w, queue, 0);
    assert_outcomes(w, 1, 0, 0, 0);
    consume(w, queue, 1);
    w->wanted_deliveries = 1;
    WAIT(w, are_delivered);
    w->n_held = 0;
    bus_share(w->held[0], 3);
    bus_requeue(w->held[0]);
    bus_forget(w->held[0]);
    bus_ack(w->held[0]);
    assert_int_equal(bus_consumer_in_hand(w->consumer), 0);
    idle(w, 300);
    assert_int_equal(w->n_delivered, 1);
    end_consumer(w);
    consume(w, queue, 1);
    w->wanted_deliveries = 2;
    WAIT(w, are_delivered);
    assert_int_equal(w->n_redelivered, 1);
}

static void test_stop(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    for (size_t i = 0; i < 40; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, 40, 0, 0, 0);
    consume(w, queue, 4);
    w->wanted_deliveries = 4;
    WAIT(w, are_delivered);
    bus_consumer_stop(w->consumer);
    bus_ack(w->held[0]); /* the broker has sent more by the time it reads the cancel, or not */
    bus_ack(w->held[1]);
    idle(w, 300);
    assert_int_equal(w->n_delivered, 4);
    assert_true(bus_delivery_is_live(w->held[2]));
    bus_ack(w->held[2]);
    bus_ack(w->held[3]);
    w->n_held = 0;
    assert_int_equal(bus_consumer_in_hand(w->consumer), 0);
    end_consumer(w);
    idle(w, 300);
    assert_int_equal(ready_in(w, queue), 36);
}

static void test_consume_missing_queue(void **state)
{
    struct world *w = *state;

    consume(w, "bus-live-no-such-queue", 1);
    WAIT(w, is_consumer_lost);
    assert_non_null(strstr(w->why, "404 NOT_FOUND"));
    assert_int_equal(bus_link_state(w->other), BUS_OPEN);
}

static bool is_consumer_made(struct world *w)
{
    int rc = bus_consume(w->other, w->queue, 1, on_delivery, on_lost, w, &w->consumer);

    assert_true(rc == 0 || rc == ERR_LIMIT);
    return rc == 0;
}

/* Channels are used again once their closing is answered. */
static void test_many_consumers(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    w->queue = queue;
    for (size_t i = 0; i < 3000; i++) {
        if (!is_consumer_made(w)) {
            idle(w, 20);
            continue;
        }
        end_consumer(w);
    }
    publish_number(w, queue, 0);
    w->wanted_deliveries = 1;
    idle(w, 1000);
    assert_true(is_consumer_made(w));
    WAIT(w, are_delivered);
    assert_int_equal(w->lost, 0);
}

/* --- freeing from within --------------------------------------------------------------------- */

static void on_outcome_free(enum bus_outcome outcome, void *arg)
{
    struct world *w = arg;

    w->outcomes[outcome]++;
    if (outcome == BUS_CONFIRMED) {
        struct bus_link *k = w->link;
        w->link = NULL;
        bus_link_free(k);
    }
}

static bool is_freed(struct world *w)
{
    return w->link == NULL;
}

static void test_free_in_outcome(void **state)
{
    struct world *w = *state;
    struct bus_message m = {.body = STR("b")};
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(bus_publish(w->link, "", queue, &m, on_outcome_free, w), 0);
    }
    assert_true(waits(w, is_freed, PATIENCE_MS));
    assert_int_equal(w->outcomes[BUS_CONFIRMED], 1);
    assert_int_equal(w->outcomes[BUS_UNKNOWN], 99);
    assert_int_equal(w->lost, 0);
}

static void on_delivery_free(struct bus_delivery *d, void *arg)
{
    struct world *w = arg;
    struct bus_link *k = w->other;

    w->other = NULL;
    w->n_delivered++;
    bus_ack(d);
    bus_link_free(k);
}

static void test_free_in_delivery(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    make_queue(w, "classic", queue);
    for (size_t i = 0; i < 10; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, 10, 0, 0, 0);
    w->wanted_deliveries = 1;
    assert_int_equal(bus_consume(w->other, queue, 10, on_delivery_free, on_lost, w, &w->consumer),
                     0);
    WAIT(w, are_delivered);
    assert_int_equal(w->n_delivered, 1);
    assert_int_equal(w->consumers_lost, 1);
    idle(w, 300);
    assert_int_equal(ready_in(w, queue), 9); /* the one acknowledgement was not lost */
}

/* --- topology -------------------------------------------------------------------------------- */

static void on_topology(int rc, void *arg)
{
    on_declared(rc, 0, 0, arg);
}

static void make_tenant(struct world *w, char tenant[NAME_SIZE])
{
    char random[RANDOM_NAME_SIZE];

    random_name(random);
    (void)snprintf(tenant, NAME_SIZE, "t%s", random);
    struct mono start = clock_mono();
    assert_int_equal(declare_answer(w, topology_declare_shared(w->link, on_topology, w)), 0);
    struct mono middle = clock_mono();
    assert_int_equal(
        declare_answer(w, topology_declare_tenant(w->link, tenant, true, on_topology, w)), 0);
    print_message("declared: shared %lld ms, tenant %lld ms\n",
                  (long long)mono_since_ms(start, middle),
                  (long long)mono_since_ms(middle, clock_mono()));
}

static void test_topology(void **state)
{
    struct world *w = *state;
    char tenant[NAME_SIZE];
    char name[TOPOLOGY_KEY_SIZE];

    make_tenant(w, tenant);
    assert_int_equal(declare_answer(w, topology_declare_shared(w->link, on_topology, w)), 0);
    assert_int_equal(
        declare_answer(w, topology_declare_tenant(w->link, tenant, true, on_topology, w)), 0);
    assert_int_equal(
        declare_answer(w, topology_declare_tenant(w->link, tenant, false, on_topology, w)),
        ERR_INVALID);
    topology_work_key(tenant, "sync", name);
    publish(w, TOPOLOGY_WORK, name, STR("1"));
    publish(w, TOPOLOGY_SHELF, tenant, STR("2"));
    assert_outcomes(w, 2, 0, 0, 0);
    topology_queue(tenant, "sync", name);
    assert_int_equal(ready_in(w, name), 1);
    topology_queue(tenant, "shelf", name);
    assert_int_equal(ready_in(w, name), 1);
    uint32_t orphans = ready_in(w, TOPOLOGY_ORPHAN);
    publish(w, TOPOLOGY_WORK, "bus-live-nobody.normal", STR("3"));
    assert_outcomes(w, 3, 0, 0, 0); /* routed: to the orphans */
    assert_int_equal(ready_in(w, TOPOLOGY_ORPHAN), orphans + 1);
}

struct rung {
    int64_t delay_ms;
    struct mono sent;
    int arrivals;
};

static struct rung RUNGS[] = {{.delay_ms = 1},    {.delay_ms = 100},  {.delay_ms = 125},
                              {.delay_ms = 250},  {.delay_ms = 375},  {.delay_ms = 700},
                              {.delay_ms = 1000}, {.delay_ms = 1500}, {.delay_ms = 2875},
                              {.delay_ms = 3000}};
enum { N_RUNGS = sizeof RUNGS / sizeof RUNGS[0], ROUNDS = 2, LATE_MS = 700 };

static void climb(struct world *w, const char *tenant, size_t i, const struct bus_header *headers,
                  size_t n_headers)
{
    char exchange[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];
    char body[BODY_SIZE];
    struct bus_message m = {.id = STR("ladder"), .n_headers = n_headers};

    (void)snprintf(body, sizeof body, "%zu", i);
    m.body = str_of(body);
    memcpy(m.headers, headers, n_headers * sizeof *headers);
    topology_delay(RUNGS[i].delay_ms, tenant, "normal", exchange, key);
    RUNGS[i].sent = clock_mono();
    assert_int_equal(bus_publish(w->link, exchange, key, &m, on_outcome, w), 0);
    w->wanted_outcomes++;
}

static const char *ladder_tenant(const struct world *w)
{
    return w->queue;
}

/* The first round's message is published anew as it came, headers and all. */
static void on_rung(struct bus_delivery *d, void *arg)
{
    struct world *w = arg;
    const struct bus_message *m = bus_delivery_message(d);
    uint64_t i;

    assert_int_equal(str_to_u64(m->body, N_RUNGS - 1, &i), 0);
    struct rung *r = &RUNGS[i];
    int64_t took_ms = mono_since_ms(r->sent, clock_mono());
    print_message("delay %5lld ms arrived after %5lld ms\n", (long long)r->delay_ms,
                  (long long)took_ms);
    assert_true(took_ms >= r->delay_ms);
    assert_true(took_ms <= r->delay_ms + LATE_MS);
    assert_true(str_is(bus_delivery_header(d, "sluice-a"), STR("one")));
    assert_true(str_is(bus_delivery_header(d, "sluice-b"), (struct str){"\0\xFF", 2}));
    assert_null(bus_delivery_header(d, "x-death").p);
    assert_true(str_is(m->id, STR("ladder")));
    w->n_delivered++;
    if (++r->arrivals < ROUNDS) {
        climb(w, ladder_tenant(w), i, m->headers, m->n_headers);
    }
    bus_ack(d);
}

static void test_ladder(void **state)
{
    struct world *w = *state;
    char tenant[NAME_SIZE];
    char queue[TOPOLOGY_KEY_SIZE];
    const struct bus_header headers[] = {{"sluice-a", STR("one")}, {"sluice-b", {"\0\xFF", 2}}};

    make_tenant(w, tenant);
    w->queue = tenant;
    topology_queue(tenant, "normal", queue);
    assert_int_equal(bus_consume(w->other, queue, 50, on_rung, on_lost, w, &w->consumer), 0);
    for (size_t i = 0; i < N_RUNGS; i++) {
        climb(w, tenant, i, headers, 2);
    }
    w->wanted_deliveries = ROUNDS * N_RUNGS;
    WAIT(w, are_delivered);
    idle(w, 300);
    assert_int_equal(w->n_delivered, ROUNDS * N_RUNGS);
    assert_outcomes(w, ROUNDS * N_RUNGS, 0, 0, 0);
}

/* --- refused log-ins ------------------------------------------------------------------------- */

static bool is_refused(struct world *w)
{
    return strstr(bus_link_why(w->link), w->why) != NULL;
}

static void use_url(struct world *w, const char *url)
{
    struct bus_options o = options(w);

    bus_link_free(w->link);
    w->url = url;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), 0);
}

static void test_wrong_secret(void **state)
{
    struct world *w = *state;
    char url[256];
    const char *at = strrchr(getenv("SLUICE_AMQP_URL"), '@');

    assert_non_null(at);
    (void)snprintf(url, sizeof url, "amqp://guest:wrong%s", at);
    use_url(w, url);
    (void)snprintf(w->why, sizeof w->why, "403 ACCESS_REFUSED");
    WAIT(w, is_refused);
    assert_int_equal(bus_link_state(w->link), BUS_DOWN);
}

static void test_wrong_vhost(void **state)
{
    struct world *w = *state;
    char url[256];
    const char *given = getenv("SLUICE_AMQP_URL");
    const char *slash = strchr(given + strlen("amqp://"), '/');
    int n = slash == NULL ? (int)strlen(given) : (int)(slash - given);

    (void)snprintf(url, sizeof url, "%.*s/no%%2Fsuch", n, given);
    use_url(w, url);
    (void)snprintf(w->why, sizeof w->why, "530 NOT_ALLOWED");
    WAIT(w, is_refused);
    assert_non_null(strstr(bus_link_why(w->link), "no/such"));
}

/* --- faults ---------------------------------------------------------------------------------- */

static void need(const char *variable)
{
    if (getenv(variable) == NULL) {
        print_message("%s is not set\n", variable);
        skip();
    }
}

static void run_command(const char *variable, const char *arguments)
{
    char line[512];

    (void)snprintf(line, sizeof line, "%s %s", getenv(variable), arguments);
    assert_int_equal(system(line), 0);
}

static pid_t broker_pid(void)
{
    const char *text = getenv("SLUICE_RABBITMQ_PID");
    char line[32] = "";

    if (text[0] == '/') {
        FILE *f = fopen(text, "re");
        assert_non_null(f);
        assert_non_null(fgets(line, sizeof line, f));
        (void)fclose(f);
        text = line;
    }
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 1);
    return pid;
}

static void test_queue_deleted(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];
    char command[2 * NAME_SIZE];

    need("SLUICE_RABBITMQ_CTL");
    make_queue(w, "quorum", queue);
    publish_number(w, queue, 0);
    consume(w, queue, 1);
    w->wanted_deliveries = 1;
    WAIT(w, are_delivered);
    (void)snprintf(command, sizeof command, "delete_queue %s", queue);
    run_command("SLUICE_RABBITMQ_CTL", command);
    WAIT(w, is_consumer_lost);
    assert_non_null(strstr(w->why, "cancelled"));
    assert_false(bus_delivery_is_live(w->held[0]));
    assert_int_equal(w->lost, 0);
    /* The link and its channels go on. */
    end_consumer(w);
    make_queue(w, "quorum", queue);
    publish_number(w, queue, 0);
    w->wanted_deliveries = 2;
    consume(w, queue, 1);
    WAIT(w, are_delivered);
}

static void test_closed_by_operator(void **state)
{
    struct world *w = *state;

    need("SLUICE_RABBITMQ_CTL");
    w->opened = 0;
    run_command("SLUICE_RABBITMQ_CTL", "close_all_connections 'for a test'");
    WAIT(w, is_link_down);
    assert_non_null(strstr(bus_link_why(w->link), "320 CONNECTION_FORCED"));
    WAIT(w, are_both_open);
    assert_int_equal(w->opened, 2);
}

/* The rest of an alarm: what was published into it is settled after it; acknowledging goes on. */
static void test_alarm(void **state)
{
    struct world *w = *state;
    char queue[NAME_SIZE];

    need("SLUICE_RABBITMQ_CTL");
    make_queue(w, "classic", queue);
    for (size_t i = 0; i < 20; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, 20, 0, 0, 0);
    run_command("SLUICE_RABBITMQ_CTL", "set_vm_memory_high_watermark absolute 1MB");
    publish_number(w, queue, 20); /* the broker tells publishers only */
    WAIT(w, is_blocked);
    assert_int_equal(try_publish(w, "", queue, STR("x")), ERR_DOWN);
    w->is_acking = true;
    w->wanted_deliveries = 20;
    consume(w, queue, 5);
    WAIT(w, are_delivered);
    idle(w, 3500); /* more than two heartbeats: blocked is not dead */
    assert_int_equal(w->lost, 0);
    run_command("SLUICE_RABBITMQ_CTL", "set_vm_memory_high_watermark absolute 800MB");
    WAIT(w, is_link_open);
    w->wanted_deliveries = 21;
    WAIT(w, are_delivered);
    assert_outcomes(w, 21, 0, 0, 0);
    assert_int_equal(w->lost, 0);
}

/* Turns of the loop while the broker is frozen. */
struct pulse {
    struct loop_timer *timer;
    struct mono last;
    int64_t longest_ms;
};

static void on_pulse(struct loop_timer *t, void *arg)
{
    struct pulse *p = arg;
    struct mono now = clock_mono();
    int64_t gap_ms = mono_since_ms(p->last, now);

    p->longest_ms = gap_ms > p->longest_ms ? gap_ms : p->longest_ms;
    p->last = now;
    loop_timer_set(t, 5);
}

static bool is_one_outcome_in(struct world *w)
{
    return w->n_outcomes > 0;
}

/* A frozen broker, with more to send than the socket takes: publishes end in time, the link is
 * found dead by its silence, the loop keeps turning. */
static void run_frozen(struct world *w, pid_t pid, const char *queue)
{
    static char body[1 << 20];
    struct pulse p = {.last = clock_mono()};

    assert_int_equal(loop_timer_new(w->loop, on_pulse, &p, &p.timer), 0);
    loop_timer_set(p.timer, 0);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    struct mono start = clock_mono();
    for (int i = 0; i < 50; i++) {
        publish(w, "", queue, (struct str){body, sizeof body});
    }
    bool is_unknown = waits(w, is_one_outcome_in, 5000);
    int64_t unknown_ms = mono_since_ms(start, clock_mono());
    bool is_down = waits(w, is_link_down, 5000);
    int64_t down_ms = mono_since_ms(start, clock_mono());
    assert_int_equal(kill(pid, SIGCONT), 0);
    loop_timer_free(p.timer);
    print_message("frozen: unknown after %lld ms, down after %lld ms, longest turn %lld ms\n",
                  (long long)unknown_ms, (long long)down_ms, (long long)p.longest_ms);
    assert_true(is_unknown && is_down);
    assert_in_range(unknown_ms, 700, 1000); /* publish_ms */
    assert_in_range(down_ms, 1000, 3000);   /* two heartbeats since the last byte */
    assert_in_range(p.longest_ms, 5, 250);
}

static void test_frozen(void **state)
{
    struct world *w = *state;
    struct bus_options o = options(w);
    char queue[NAME_SIZE];

    need("SLUICE_RABBITMQ_PID");
    make_queue(w, "classic", queue);
    bus_link_free(w->link);
    o.publish_ms = 700;
    assert_int_equal(bus_link_new(w->loop, &o, &w->link), 0);
    WAIT(w, is_link_open);
    w->lost = 0;
    run_frozen(w, broker_pid(), queue);
    assert_outcomes(w, 0, 0, 0, 50);
    assert_non_null(strstr(bus_link_why(w->link), "silent for two heartbeats"));
    WAIT(w, are_both_open);
    publish(w, "", queue, STR("after"));
    assert_outcomes(w, 1, 0, 0, 50);
}

/* kill -9 in the middle of publishing and consuming; nothing that was confirmed is missing. */
static void run_killed(struct world *w, const char *type)
{
    enum { BEFORE = 500, N = 600, AGE_MS = 3000 };
    char queue[NAME_SIZE];

    make_queue(w, type, queue);
    /* RabbitMQ 3.10's own: a quorum queue younger than about a second comes back from a kill -9
     * without a leader, for ever. */
    idle(w, AGE_MS);
    for (size_t i = 0; i < BEFORE; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, BEFORE, 0, 0, 0);
    consume(w, queue, 20);
    w->wanted_deliveries = 20;
    WAIT(w, are_delivered);
    assert_int_equal(kill(broker_pid(), SIGKILL), 0);
    WAIT(w, is_link_down);
    WAIT(w, is_consumer_lost);
    assert_false(bus_delivery_is_live(w->held[0]));
    assert_int_equal(try_publish(w, "", queue, STR("x")), ERR_DOWN);
    run_command("SLUICE_RABBITMQ_START", "");
    WAIT(w, are_both_open);
    end_consumer(w);
    for (size_t i = 0; i < 20; i++) {
        bus_ack(w->held[i]);
    }
    w->n_held = 0;
    for (size_t i = BEFORE; i < N; i++) {
        publish_number(w, queue, i);
    }
    assert_outcomes(w, N, 0, 0, 0);
    want_seen(w, N);
    w->is_acking = true;
    consume(w, queue, 100);
    WAIT(w, are_seen);
}

static void test_killed_quorum(void **state)
{
    need("SLUICE_RABBITMQ_PID");
    need("SLUICE_RABBITMQ_START");
    run_killed(*state, "quorum");
}

static void test_killed_classic(void **state)
{
    need("SLUICE_RABBITMQ_PID");
    need("SLUICE_RABBITMQ_START");
    run_killed(*state, "classic");
}

#define LIVE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        LIVE(test_ten_thousand_classic),
        LIVE(test_ten_thousand_quorum),
        LIVE(test_throughput_classic),
        LIVE(test_throughput_quorum),
        LIVE(test_bodies),
        LIVE(test_headers),
        LIVE(test_too_large),
        LIVE(test_bounds),
        LIVE(test_returned),
        LIVE(test_nacked),
        LIVE(test_refusals_hold_up_nobody),
        LIVE(test_missing_exchange),
        LIVE(test_declares_in_order),
        LIVE(test_declares_in_waves),
        LIVE(test_declares_time_out),
        LIVE(test_settling_classic),
        LIVE(test_settling_quorum),
        LIVE(test_requeue),
        LIVE(test_shares_acked),
        LIVE(test_shares_first_returned),
        LIVE(test_shares_last_returned),
        LIVE(test_shares_forgotten),
        LIVE(test_stop),
        LIVE(test_consume_missing_queue),
        LIVE(test_many_consumers),
        LIVE(test_free_in_outcome),
        LIVE(test_free_in_delivery),
        LIVE(test_topology),
        LIVE(test_ladder),
        LIVE(test_wrong_secret),
        LIVE(test_wrong_vhost),
        LIVE(test_queue_deleted),
        LIVE(test_closed_by_operator),
        LIVE(test_alarm),
        LIVE(test_frozen),
        LIVE(test_killed_quorum),
        LIVE(test_killed_classic),
    };

    if (getenv("SLUICE_AMQP_URL") == NULL) {
        (void)fprintf(stderr, "SLUICE_AMQP_URL is not set\n");
        return 77;
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
