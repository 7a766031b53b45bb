/* SPDX-License-Identifier: Apache-2.0 */
/* The store against a real Redis. Run by hand or by the integration tests, not by ctest:
 *
 *     build/dev/bin/unit/store_live_test [pattern of names]
 *
 * starts a private redis-server; SLUICE_REDIS_URL (and SLUICE_REDIS_PID, for what stops it) names
 * another, which must be strict and is flushed. */
#include "store/store.h"

#include "live_server.h"
#include "store/adapter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MS = 600, LIMIT_MS = 15000, MANY = 50000 };

/* One test's store, and what it told. */
struct bench {
    struct loop *loop;
    struct store *store;
    struct loop_timer *beat; /* every millisecond or so */
    bool (*is_done)(struct bench *b);
    struct mono end;
    struct mono last_beat;
    int64_t worst_gap_ms;
    bool is_in_call;

    int opened;
    int closed;
    int messages;
    char message[64];
    char channel[64];

    int answers;
    int counts[4]; /* OK, UNKNOWN, LIMIT, others */
    int last_rc;
    char text[256];
    int64_t integer;
    int order;
    int disorder;
    bool is_freeing; /* the next answer frees the store */
    int rc_from_within;
};

static struct live_server *server(void **state)
{
    return *state;
}

static void on_state(struct store *s, bool is_open, void *arg)
{
    struct bench *b = arg;

    assert_ptr_equal(s, b->store);
    assert_int_equal(store_is_open(s), is_open);
    b->opened += is_open ? 1 : 0;
    b->closed += is_open ? 0 : 1;
}

static void on_message(struct str channel, struct str message, void *arg)
{
    struct bench *b = arg;

    b->messages++;
    (void)snprintf(b->channel, sizeof b->channel, "%.*s", STR_ARG(channel));
    (void)snprintf(b->message, sizeof b->message, "%.*s", STR_ARG(message));
}

static void on_answer(int rc, const struct store_value *value, void *arg)
{
    struct bench *b = arg;

    assert_false(b->is_in_call);
    assert_true(value != NULL || rc == ERR_UNKNOWN);
    b->answers++;
    b->counts[rc == ERR_OK ? 0 : rc == ERR_UNKNOWN ? 1 : rc == ERR_LIMIT ? 2 : 3]++;
    b->last_rc = rc;
    b->text[0] = '\0';
    b->integer = 0;
    if (value != NULL && (value->type == STORE_TEXT || value->type == STORE_ERROR)) {
        (void)snprintf(b->text, sizeof b->text, "%.*s", STR_ARG(value->text));
    } else if (value != NULL) {
        b->integer = value->type == STORE_ARRAY ? (int64_t)value->n_items : value->integer;
    }
    if (rc == ERR_UNKNOWN && b->store != NULL) {
        const struct str words[] = {STR("PING")};
        b->rc_from_within = store_command(b->store, words, 1, on_answer, b);
    }
    if (b->is_freeing) {
        b->is_freeing = false;
        store_free(b->store);
        b->store = NULL;
    }
}

/* Answers to "ECHO <n>" must come in the order of asking. */
static void on_echo(int rc, const struct store_value *value, void *arg)
{
    struct bench *b = arg;
    char expected[16];

    on_answer(rc, value, arg);
    (void)snprintf(expected, sizeof expected, "%d", b->order);
    b->disorder += value != NULL && str_is(value->text, str_of(expected)) ? 0 : 1;
    b->order++;
}

static void on_beat(struct loop_timer *t, void *arg)
{
    struct bench *b = arg;
    struct mono now = clock_mono();
    int64_t gap_ms = mono_since_ms(b->last_beat, now);

    b->worst_gap_ms = gap_ms > b->worst_gap_ms ? gap_ms : b->worst_gap_ms;
    b->last_beat = now;
    if (b->is_done(b) || now.ns > b->end.ns) {
        loop_stop(b->loop);
        return;
    }
    loop_timer_set(t, 1);
}

/* Runs the loop until it is so; false when it is not so in time. */
static bool until(struct bench *b, bool (*is_done)(struct bench *b))
{
    b->is_done = is_done;
    b->end = mono_plus_ms(clock_mono(), LIMIT_MS);
    b->last_beat = clock_mono();
    b->worst_gap_ms = 0;
    loop_timer_set(b->beat, 0);
    loop_run(b->loop);
    return is_done(b);
}

static bool is_open(struct bench *b)
{
    return store_is_open(b->store);
}

static bool is_closed(struct bench *b)
{
    return b->closed > 0;
}

static bool is_answered(struct bench *b)
{
    return b->store == NULL || store_outstanding(b->store) == 0;
}

static bool is_troubled(struct bench *b)
{
    return !store_is_open(b->store) && strcmp(store_trouble(b->store), "not connected yet") != 0;
}

static void set_up(struct bench *b, struct store_options *o)
{
    *b = (struct bench){.loop = NULL};
    assert_int_equal(loop_new(&b->loop), ERR_OK);
    assert_int_equal(loop_timer_new(b->loop, on_beat, b, &b->beat), ERR_OK);
    o->on_state = on_state;
    o->on_message = on_message;
    o->arg = b;
    assert_int_equal(store_new(b->loop, o, &b->store), ERR_OK);
    assert_false(store_is_open(b->store));
}

static struct store_options options(const struct live_server *v)
{
    return (struct store_options){.url = v->url,
                                  .is_strict = true,
                                  .connect_ms = 3000,
                                  .answer_ms = ANSWER_MS,
                                  .channel = "live.test"};
}

static void open_bench(struct bench *b, const struct live_server *v)
{
    struct store_options o = options(v);

    set_up(b, &o);
    if (!until(b, is_open)) {
        fail_msg("not open: %s", store_trouble(b->store));
    }
}

static void tear_down(struct bench *b)
{
    store_free(b->store);
    loop_timer_free(b->beat);
    loop_free(b->loop);
}

static int arrive(struct bench *b)
{
    const struct str keys[] = {STR("{sluice}:epoch")};
    const struct str args[] = {STR("candidate"), STR("live-test")};

    b->is_in_call = true;
    int rc = store_call(b->store, STORE_ARRIVE, keys, 1, args, 2, on_answer, b);
    b->is_in_call = false;
    return rc;
}

static int ask(struct bench *b, const char *a, const char *c, const char *d)
{
    const struct str words[] = {str_of(a), str_of(c), str_of(d)};
    size_t n = d != NULL ? 3 : c != NULL ? 2 : 1;

    b->is_in_call = true;
    int rc = store_command(b->store, words, n, on_answer, b);
    b->is_in_call = false;
    return rc;
}

/* Asks, waits, and gives what the answer's rc was. */
static int asked(struct bench *b, const char *a, const char *c, const char *d)
{
    assert_int_equal(ask(b, a, c, d), ERR_OK);
    assert_true(until(b, is_answered));
    return b->last_rc;
}

static void test_opens(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    assert_int_equal(b.opened, 1);
    assert_int_equal(strlen(store_epoch(b.store)), 26);
    assert_true(store_generation(b.store) >= 1);
    assert_string_equal(store_trouble(b.store), "");
    assert_int_equal(asked(&b, "SET", "live:x", "y"), ERR_OK);
    assert_string_equal(b.text, "OK");
    assert_int_equal(asked(&b, "GET", "live:x", NULL), ERR_OK);
    assert_string_equal(b.text, "y");
    assert_int_equal(asked(&b, "HGET", "live:x", "f"), ERR_BUG);
    assert_non_null(strstr(b.text, "WRONGTYPE"));
    assert_int_equal(arrive(&b), ERR_OK);
    assert_true(until(&b, is_answered));
    assert_int_equal(b.last_rc, ERR_OK);
    assert_int_equal(b.integer, 3);
    tear_down(&b);
}

static void test_pipeline(void **state)
{
    struct store_options o = options(server(state));
    struct bench b;
    char number[16];

    o.answer_ms = 10000; /* the last one waits for all */
    set_up(&b, &o);
    assert_true(until(&b, is_open));
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(number, sizeof number, "%d", i / 2);
        const struct str words[] = {STR("ECHO"), str_of(number)};
        int rc = i % 2 == 0 ? store_command(b.store, words, 2, on_echo, &b) : arrive(&b);
        assert_int_equal(rc, ERR_OK);
    }
    struct mono start = clock_mono();
    assert_int_equal(store_outstanding(b.store), MANY);
    assert_true(until(&b, is_answered));
    print_message("%d commands in %lld ms, worst gap %lld ms\n", MANY,
                  (long long)mono_since_ms(start, clock_mono()), (long long)b.worst_gap_ms);
    assert_int_equal(b.counts[0], MANY);
    assert_int_equal(b.order, MANY / 2);
    assert_int_equal(b.disorder, 0);
    tear_down(&b);
}

static void test_a_function_that_is_gone_heals(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    assert_int_equal(live_server_do(server(state), "FUNCTION FLUSH"), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(arrive(&b), ERR_OK);
    }
    assert_true(until(&b, is_answered));
    assert_int_equal(b.counts[0], 1000);
    assert_int_equal(b.closed, 0);
    tear_down(&b);
}

/* A claim of nothing, of a store that was lost: {'memory'}. */
static int claim(struct bench *b)
{
    const struct str keys[] = {STR("{live}:t")};
    const struct str args[] = {STR("another:1:k:0"), STR("job"), STR("token"), STR("worker")};

    b->is_in_call = true;
    int rc = store_call(b->store, STORE_CLAIM, keys, 1, args, 4, on_answer, b);
    b->is_in_call = false;
    return rc;
}

static void claim_many(struct bench *b, int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(claim(b), ERR_OK);
    }
}

static long long fcalls_of(const struct live_server *v)
{
    return live_server_do(v, "EVAL %s 0",
                          "return tonumber(string.match(redis.call('INFO', 'commandstats'), "
                          "'cmdstat_fcall:calls=(%d+)') or '0')");
}

/* What one turn asks of one tenant is one call, or a few; each gets its own answer. */
static void test_many_in_one_call(void **state)
{
    const struct live_server *v = server(state);
    struct bench b;

    open_bench(&b, v);
    long long before = fcalls_of(v);
    for (int i = 0; i < 50; i++) {
        claim_many(&b, 2);
        assert_int_equal(ask(&b, "ECHO", "between", NULL), ERR_OK);
    }
    assert_true(until(&b, is_answered));
    assert_int_equal(b.counts[0], 150);
    assert_true(fcalls_of(v) - before <= 4); /* 32 at a time */
    claim_many(&b, 1);
    assert_true(until(&b, is_answered));
    assert_int_equal(b.last_rc, ERR_OK);
    assert_int_equal(b.integer, 1);
    tear_down(&b);
}

/* One more claim a turn while Redis stands still, six in all. Then it goes on. */
static bool is_claimed_by_turns(struct bench *b)
{
    if (b->opened < 1 + 6) {
        claim_many(b, 1);
        b->opened++;
        return false;
    }
    (void)kill((pid_t)b->order, SIGCONT);
    return store_outstanding(b->store) == 0;
}

/* What comes while a call is under way goes together, though turns lie between. */
static void test_calls_wait_for_the_one_before(void **state)
{
    const struct live_server *v = server(state);
    struct bench b;

    if (v->pid == 0) {
        skip();
    }
    open_bench(&b, v);
    long long before = fcalls_of(v);
    assert_int_equal(kill(v->pid, SIGSTOP), 0);
    b.order = (int)v->pid;
    assert_true(until(&b, is_claimed_by_turns));
    assert_int_equal(b.counts[0], 6);
    assert_int_equal(fcalls_of(v) - before, 2);
    tear_down(&b);
}

/* Whoever does not wait for an answer relies on the order: another script between two calls keeps
 * them apart. */
static void test_another_script_between(void **state)
{
    const struct live_server *v = server(state);
    struct bench b;

    open_bench(&b, v);
    long long before = fcalls_of(v);
    for (int i = 0; i < 5; i++) {
        claim_many(&b, 1);
        assert_int_equal(arrive(&b), ERR_OK);
    }
    assert_true(until(&b, is_answered));
    assert_int_equal(b.counts[0], 10);
    assert_int_equal(fcalls_of(v) - before, 10);
    tear_down(&b);
}

static void test_many_whose_function_is_gone(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    assert_int_equal(live_server_do(server(state), "FUNCTION FLUSH"), 0);
    claim_many(&b, 100);
    assert_true(until(&b, is_answered));
    assert_int_equal(b.counts[0], 100);
    assert_int_equal(b.integer, 1);
    assert_int_equal(b.closed, 0);
    tear_down(&b);
}

static void test_free_from_one_of_many(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    claim_many(&b, 100);
    b.is_freeing = true;
    assert_true(until(&b, is_answered));
    assert_null(b.store);
    assert_int_equal(b.counts[0], 1);
    assert_int_equal(b.counts[1], 99);
    tear_down(&b);
}

/* Redis is busy for so many ms, and then answers: before the next, since it reads no further than a
 * long word.
 */
static void ask_for_ms(struct bench *b, const char *ms)
{
    static char padding[40000];
    const struct str words[] = {
        STR("EVAL"),
        STR("local t = redis.call('TIME') local till = t[1] * 1000 + t[2] / 1000 + ARGV[1] "
            "repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > till return 1"),
        STR("0"),
        str_of(ms),
        {padding, sizeof padding}};

    assert_int_equal(store_command(b->store, words, 5, on_answer, b), ERR_OK);
}

/* One answer comes after the other: slow, and not gone. */
static void test_slow_but_alive(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    for (int i = 0; i < 5; i++) {
        ask_for_ms(&b, "250");
    }
    assert_true(until(&b, is_answered));
    assert_int_equal(b.counts[0], 5);
    assert_int_equal(b.closed, 0);
    tear_down(&b);
}

/* But nobody waits for ever. */
static void test_too_slow(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    for (int i = 0; i < 40; i++) {
        ask_for_ms(&b, "250");
    }
    struct mono start = clock_mono();
    assert_true(until(&b, is_answered));
    assert_in_range(mono_since_ms(start, clock_mono()), 3 * ANSWER_MS - 1, 3 * ANSWER_MS + 1000);
    assert_true(b.counts[0] > 0);
    assert_true(b.counts[1] > 0);
    assert_int_equal(b.closed, 1);
    tear_down(&b);
}

/* A stopped Redis: what was asked ends in time, the loop goes on, and it opens again. */
static void test_frozen(void **state)
{
    struct live_server *v = server(state);
    struct bench b;
    static char big[16384];

    if (v->pid == 0) {
        skip();
    }
    memset(big, 'x', sizeof big - 1);
    open_bench(&b, v);
    assert_int_equal(kill(v->pid, SIGSTOP), 0);
    struct mono start = clock_mono();
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(ask(&b, "SET", "live:big", big), ERR_OK);
    }
    assert_true(until(&b, is_answered));
    int64_t took_ms = mono_since_ms(start, clock_mono());
    print_message("frozen: ended after %lld ms, worst gap %lld ms\n", (long long)took_ms,
                  (long long)b.worst_gap_ms);
    assert_int_equal(b.counts[1], 2000);
    assert_int_equal(b.rc_from_within, ERR_DOWN);
    assert_in_range(took_ms, ANSWER_MS - 1, ANSWER_MS + 1000);
    assert_true(b.worst_gap_ms < 300);
    assert_int_equal(b.closed, 1);
    assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_DOWN);
    assert_string_equal(store_trouble(b.store), "no answer within 600 ms");
    assert_int_equal(kill(v->pid, SIGCONT), 0);
    assert_true(until(&b, is_open));
    tear_down(&b);
}

/* Nothing in flight: the probe notices. */
static void test_frozen_idle(void **state)
{
    struct live_server *v = server(state);
    struct bench b;

    if (v->pid == 0) {
        skip();
    }
    open_bench(&b, v);
    assert_int_equal(kill(v->pid, SIGSTOP), 0);
    assert_true(until(&b, is_closed));
    assert_int_equal(kill(v->pid, SIGCONT), 0);
    assert_true(until(&b, is_open));
    tear_down(&b);
}

static bool is_continued(struct bench *b)
{
    if (mono_since_ms(b->end, clock_mono()) > 300 - LIMIT_MS && b->integer != -1) {
        b->integer = -1;
        (void)kill((pid_t)b->order, SIGCONT);
    }
    return store_outstanding(b->store) == 0;
}

/* Shorter than answer_ms: a delay and nothing else, also with much to send. */
static void test_frozen_shortly(void **state)
{
    struct live_server *v = server(state);
    struct bench b;
    static char big[16384];

    if (v->pid == 0) {
        skip();
    }
    memset(big, 'x', sizeof big - 1);
    struct store_options o = options(v);
    o.answer_ms = 5000;
    set_up(&b, &o);
    assert_true(until(&b, is_open));
    assert_int_equal(kill(v->pid, SIGSTOP), 0);
    for (int i = 0; i < 3500; i++) {
        assert_int_equal(ask(&b, "SET", "live:big", big), ERR_OK);
    }
    b.order = (int)v->pid;
    assert_true(until(&b, is_continued));
    print_message("thawed with 56 MB waiting: worst gap %lld ms\n", (long long)b.worst_gap_ms);
    assert_int_equal(b.counts[0], 3500);
    assert_int_equal(b.closed, 0);
    assert_true(b.worst_gap_ms < 300);
    tear_down(&b);
}

static void test_restart(void **state)
{
    struct live_server *v = server(state);
    char epoch[64];
    struct bench b;

    if (!live_server_is_ours(v)) {
        skip();
    }
    open_bench(&b, v);
    (void)snprintf(epoch, sizeof epoch, "%s", store_epoch(b.store));
    int64_t generation = store_generation(b.store);
    assert_int_equal(ask(&b, "DEBUG", "SLEEP", "0.2"), ERR_OK);
    live_server_kill(v);
    assert_true(until(&b, is_closed));
    assert_int_equal(b.counts[1], 1);
    assert_non_null(strstr(store_trouble(b.store), "connection"));
    assert_true(live_server_run(v));
    assert_true(until(&b, is_open));
    assert_string_equal(store_epoch(b.store), epoch);
    assert_int_equal(store_generation(b.store), generation + 1);
    tear_down(&b);
}

static void test_flushall(void **state)
{
    char epoch[64];
    struct bench b;

    open_bench(&b, server(state));
    (void)snprintf(epoch, sizeof epoch, "%s", store_epoch(b.store));
    assert_int_equal(live_server_do(server(state), "FLUSHALL"), 0);
    /* Noticed without a command of ours. */
    assert_true(until(&b, is_closed));
    assert_true(until(&b, is_open));
    assert_string_not_equal(store_epoch(b.store), epoch);
    tear_down(&b);
}

static const struct {
    const char *name;
    const char *good;
    const char *bad;
    const char *trouble;
} PERSISTENCE[] = {
    {"appendfsync", "always", "everysec", "not durable: appendfsync is everysec, not always"},
    {"appendonly", "yes", "no", "not durable: appendonly is no, not yes"},
    {"maxmemory-policy", "noeviction", "allkeys-lru",
     "not durable: maxmemory-policy is allkeys-lru, not noeviction"},
};

static void test_persistence(void **state)
{
    const struct live_server *v = server(state);

    for (size_t i = 0; i < sizeof PERSISTENCE / sizeof PERSISTENCE[0]; i++) {
        struct store_options o = options(v);
        struct bench strict;
        struct bench fast;
        assert_int_equal(
            live_server_do(v, "CONFIG SET %s %s", PERSISTENCE[i].name, PERSISTENCE[i].bad), 0);
        set_up(&strict, &o);
        assert_true(until(&strict, is_troubled));
        assert_string_equal(store_trouble(strict.store), PERSISTENCE[i].trouble);
        o.is_strict = false;
        set_up(&fast, &o);
        assert_true(until(&fast, is_open));
        assert_int_equal(strict.opened, 0);
        tear_down(&fast);
        assert_int_equal(
            live_server_do(v, "CONFIG SET %s %s", PERSISTENCE[i].name, PERSISTENCE[i].good), 0);
        /* Put right by the operator: it opens by itself. */
        assert_true(until(&strict, is_open));
        tear_down(&strict);
    }
}

static void test_maxmemory(void **state)
{
    const struct live_server *v = server(state);
    const struct str keys[] = {STR("{live}:t")};
    struct bench b;

    open_bench(&b, v);
    assert_int_equal(live_server_do(v, "CONFIG SET maxmemory 1"), 0);
    assert_int_equal(store_call(b.store, STORE_ACCEPT, keys, 1, NULL, 0, on_answer, &b), ERR_OK);
    assert_true(until(&b, is_answered));
    assert_int_equal(b.last_rc, ERR_LIMIT);
    assert_int_equal(arrive(&b), ERR_OK);
    assert_true(until(&b, is_answered));
    assert_int_equal(b.last_rc, ERR_OK);
    assert_int_equal(asked(&b, "SET", "live:x", "y"), ERR_LIMIT);
    /* Also a fresh connection opens: what completes work must reach it. */
    assert_int_equal(live_server_do(v, "CLIENT KILL TYPE normal SKIPME yes") >= 1, 1);
    assert_true(until(&b, is_closed));
    assert_true(until(&b, is_open));
    assert_int_equal(live_server_do(v, "CONFIG SET maxmemory 0"), 0);
    assert_int_equal(asked(&b, "SET", "live:x", "y"), ERR_OK);
    tear_down(&b);
}

static void test_pubsub_killed(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    assert_int_equal(live_server_do(server(state), "CLIENT KILL TYPE pubsub"), 1);
    assert_true(until(&b, is_closed));
    assert_true(until(&b, is_open));
    assert_int_equal(live_server_do(server(state), "PUBLISH live.test again"), 1);
    tear_down(&b);
}

static bool has_message(struct bench *b)
{
    return b->messages > 0;
}

static bool is_probed(struct bench *b)
{
    return mono_since_ms(b->end, clock_mono()) > 2700 - LIMIT_MS;
}

static void test_messages(void **state)
{
    const struct live_server *v = server(state);
    struct bench b;

    open_bench(&b, v);
    assert_int_equal(live_server_do(v, "PUBLISH live.test hello"), 1);
    assert_int_equal(live_server_do(v, "PUBLISH live.other no"), 0);
    assert_true(until(&b, has_message));
    assert_string_equal(b.channel, "live.test");
    assert_string_equal(b.message, "hello");
    /* A probe passes in this time, unseen; the link stays. */
    assert_true(until(&b, is_probed));
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.closed, 0);
    assert_int_equal(b.opened, 1);
    tear_down(&b);
}

static void test_no_channel(void **state)
{
    struct store_options o = options(server(state));
    struct bench b;

    o.channel = NULL;
    set_up(&b, &o);
    assert_true(until(&b, is_open));
    assert_true(until(&b, is_probed));
    assert_int_equal(b.closed, 0);
    assert_int_equal(asked(&b, "PING", NULL, NULL), ERR_OK);
    tear_down(&b);
}

static void test_bounds(void **state)
{
    struct store_options o = options(server(state));
    char big[1025];
    struct bench b;

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    o.max_outstanding = 10;
    o.max_bytes = 4096;
    set_up(&b, &o);
    assert_true(until(&b, is_open));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_OK);
    }
    assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_LIMIT);
    assert_true(until(&b, is_answered));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&b, "ECHO", big, NULL), ERR_OK);
    }
    assert_int_equal(ask(&b, "ECHO", big, NULL), ERR_LIMIT);
    assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_OK);
    assert_true(until(&b, is_answered));
    assert_int_equal(b.counts[0], 14);
    assert_int_equal(asked(&b, "ECHO", big, NULL), ERR_OK);
    tear_down(&b);
}

static void test_free_in_flight(void **state)
{
    struct bench b;

    /* Some written, some only queued. */
    open_bench(&b, server(state));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_OK);
    }
    store_free(b.store);
    b.store = NULL;
    assert_int_equal(b.counts[1], 100);
    tear_down(&b);
}

static void test_free_from_answer(void **state)
{
    struct bench b;

    open_bench(&b, server(state));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_OK);
    }
    b.is_freeing = true;
    assert_true(until(&b, is_answered));
    assert_null(b.store);
    assert_int_equal(b.counts[0], 1);
    assert_int_equal(b.counts[1], 99);
    tear_down(&b);
}

/* Freed by the first of those that end with a lost link. */
static void test_free_from_loss(void **state)
{
    struct live_server *v = server(state);
    struct bench b;

    if (!live_server_is_ours(v)) {
        skip();
    }
    open_bench(&b, v);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask(&b, "DEBUG", "SLEEP", "1"), ERR_OK);
    }
    b.is_freeing = true;
    live_server_kill(v);
    assert_true(until(&b, is_answered));
    assert_null(b.store);
    assert_int_equal(b.counts[1], 100);
    assert_int_equal(b.closed, 0);
    assert_true(live_server_run(v));
    tear_down(&b);
}

static void test_nobody_listens(void **state)
{
    struct store_options o = options(server(state));
    struct bench b;

    o.url = "redis://127.0.0.1:1/0";
    set_up(&b, &o);
    assert_true(until(&b, is_troubled));
    assert_non_null(strstr(store_trouble(b.store), "Connection refused"));
    assert_null(store_epoch(b.store));
    assert_int_equal(ask(&b, "PING", NULL, NULL), ERR_DOWN);
    assert_int_equal(b.closed, 0);
    tear_down(&b);
}

static void test_bad_urls(void **state)
{
    struct store_options o = options(server(state));
    struct store *s = NULL;
    struct loop *l = NULL;

    assert_int_equal(loop_new(&l), ERR_OK);
    o.url = "rediss://127.0.0.1";
    assert_int_equal(store_new(l, &o, &s), ERR_INVALID);
    o.url = "127.0.0.1";
    assert_int_equal(store_new(l, &o, &s), ERR_SYNTAX);
    assert_null(s);
    store_free(NULL);
    loop_free(l);
}

static void test_users(void **state)
{
    const struct live_server *v = server(state);
    struct store_options o = options(v);
    char url[320];
    struct bench b;

    assert_int_equal(live_server_do(v, "ACL SETUSER live on >pass ~* &* +@all -config"), 0);
    (void)snprintf(url, sizeof url, "redis://live:wrong@127.0.0.1:%d/3", v->port);
    o.url = url;
    set_up(&b, &o);
    assert_true(until(&b, is_troubled));
    assert_non_null(strstr(store_trouble(b.store), "WRONGPASS"));
    tear_down(&b);

    (void)snprintf(url, sizeof url, "redis://live:pass@127.0.0.1:%d/3", v->port);
    set_up(&b, &o);
    assert_true(until(&b, is_troubled));
    assert_non_null(strstr(store_trouble(b.store), "durability cannot be verified: NOPERM"));
    assert_int_equal(live_server_do(v, "ACL SETUSER live +config|get"), 0);
    assert_true(until(&b, is_open));
    assert_int_equal(asked(&b, "CLIENT", "INFO", NULL), ERR_OK);
    assert_non_null(strstr(b.text, " db=3 "));
    tear_down(&b);
    assert_int_equal(live_server_do(v, "ACL DELUSER live"), 1);
}

/* A demoted master: refused, and the connection is not trusted any longer. */
static void test_read_only(void **state)
{
    const struct live_server *v = server(state);
    struct bench b;

    open_bench(&b, v);
    assert_int_equal(live_server_do(v, "REPLICAOF 127.0.0.1 1"), 0);
    assert_int_equal(asked(&b, "SET", "live:x", "y"), ERR_DENIED);
    assert_true(until(&b, is_closed));
    assert_true(until(&b, is_troubled));
    assert_int_equal(live_server_do(v, "REPLICAOF NO ONE"), 0);
    assert_true(until(&b, is_open));
    tear_down(&b);
}

static void test_too_many_clients(void **state)
{
    const struct live_server *v = server(state);
    struct store_options o = options(v);
    struct bench first;
    struct bench second;

    open_bench(&first, v);
    assert_int_equal(live_server_do(v, "CONFIG SET maxclients 2"), 0);
    set_up(&second, &o);
    assert_true(until(&second, is_troubled));
    assert_non_null(strstr(store_trouble(second.store), "max number of clients"));
    assert_int_equal(asked(&first, "CONFIG", "SET", "maxclients"), ERR_BUG);
    const struct str words[] = {STR("CONFIG"), STR("SET"), STR("maxclients"), STR("1000")};
    assert_int_equal(store_command(first.store, words, 4, on_answer, &first), ERR_OK);
    assert_true(until(&first, is_answered));
    assert_true(until(&second, is_open));
    tear_down(&second);
    tear_down(&first);
}

/* The connection stands, but nothing comes through it any more: only the probe can tell. */
static void test_deaf_channel(void **state)
{
    struct live_server proxy;
    struct bench b;

    assert_true(live_proxy_start(server(state), &proxy));
    open_bench(&b, &proxy);
    live_proxy_deafen(&proxy);
    assert_true(until(&b, is_closed));
    assert_string_equal(store_trouble(b.store), "channel: deaf for 600 ms");
    tear_down(&b);
    live_proxy_stop(&proxy);
}

static bool is_a_while_over(struct bench *b)
{
    return mono_since_ms(b->end, clock_mono()) > 100 - LIMIT_MS;
}

static void test_busy(void **state)
{
    const struct live_server *v = server(state);
    const struct str endless[] = {STR("EVAL"), STR("while true do end"), STR("0")};
    struct bench busy;
    struct bench b;

    open_bench(&busy, v);
    open_bench(&b, v);
    assert_int_equal(live_server_do(v, "CONFIG SET busy-reply-threshold 10"), 0);
    assert_int_equal(store_command(busy.store, endless, 3, on_answer, &busy), ERR_OK);
    assert_true(until(&busy, is_a_while_over));
    assert_int_equal(asked(&b, "GET", "live:x", NULL), ERR_DENIED);
    assert_int_equal(b.closed, 0);
    assert_int_equal(live_server_do(v, "SCRIPT KILL"), 0);
    assert_true(until(&busy, is_answered));
    assert_int_equal(busy.last_rc, ERR_BUG); /* killed by a user */
    assert_int_equal(asked(&b, "GET", "live:x", NULL), ERR_OK);
    assert_int_equal(live_server_do(v, "CONFIG SET busy-reply-threshold 5000"), 0);
    tear_down(&b);
    tear_down(&busy);
}

/* The adapter alone, to write twice into a connection that the other side has closed. */
struct pipe_bench {
    struct loop *loop;
    int replies;
    char why[128];
};

static void on_pipe_reply(const struct redisReply *reply, void *arg)
{
    struct pipe_bench *p = arg;

    (void)reply;
    p->replies++;
    loop_stop(p->loop);
}

static void on_pipe_lost(const char *why, void *arg)
{
    struct pipe_bench *p = arg;

    (void)snprintf(p->why, sizeof p->why, "%s", why);
}

static void test_broken_pipe(void **state)
{
    const struct live_server *v = server(state);
    struct pipe_bench p = {NULL, 0, ""};
    const struct redis_adapter_calls calls = {on_pipe_reply, on_pipe_lost, &p};
    const struct str ping = STR("*1\r\n$4\r\nPING\r\n");
    struct redis_adapter *a = NULL;

    (void)signal(SIGPIPE, SIG_DFL);
    assert_int_equal(loop_new(&p.loop), ERR_OK);
    assert_int_equal(redis_adapter_open(p.loop, "127.0.0.1", v->port, &calls, &a), ERR_OK);
    assert_int_equal(redis_adapter_send(a, ping), ERR_OK);
    assert_int_equal(redis_adapter_backlog(a), ping.n);
    loop_run(p.loop);
    assert_int_equal(p.replies, 1);
    assert_int_equal(live_server_do(v, "CLIENT KILL TYPE normal SKIPME yes"), 1);
    for (int i = 0; i < 100 && p.why[0] == '\0'; i++) {
        assert_int_equal(redis_adapter_send(a, ping), ERR_OK);
        redis_adapter_flush(a);
    }
    assert_string_equal(p.why, "Broken pipe");
    assert_int_equal(redis_adapter_send(a, ping), ERR_DOWN);
    redis_adapter_flush(a);
    redis_adapter_read(a);
    redis_adapter_close(a);
    loop_free(p.loop);
}

static int start(void **state)
{
    static struct live_server v;

    *state = &v;
    return live_server_start(&v) ? 0 : -1;
}

static int stop(void **state)
{
    live_server_stop(server(state));
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_a_function_that_is_gone_heals),
        cmocka_unit_test(test_slow_but_alive),
        cmocka_unit_test(test_too_slow),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_frozen_idle),
        cmocka_unit_test(test_frozen_shortly),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_flushall),
        cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_maxmemory),
        cmocka_unit_test(test_pubsub_killed),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_no_channel),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_free_in_flight),
        cmocka_unit_test(test_free_from_answer),
        cmocka_unit_test(test_free_from_loss),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_too_many_clients),
        cmocka_unit_test(test_deaf_channel),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_broken_pipe),
        cmocka_unit_test(test_many_in_one_call),
        cmocka_unit_test(test_calls_wait_for_the_one_before),
        cmocka_unit_test(test_another_script_between),
        cmocka_unit_test(test_many_whose_function_is_gone),
        cmocka_unit_test(test_free_from_one_of_many),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, start, stop);
}
