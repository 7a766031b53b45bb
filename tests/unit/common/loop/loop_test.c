/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include "base/buf.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What happened, as letters in their order; the handles belong to the test that makes them. */
struct trace {
    struct loop *loop;
    struct buf text;
    struct loop_timer *timers[4];
    struct loop_fd *fds[2];
    struct loop_hook *hooks[4];
    struct loop_signal *signals[2];
    int pair[2];
    int turns;
};

/* Ends a test that would otherwise hang. */
static void on_too_late(struct loop_timer *t, void *arg)
{
    (void)t;
    (void)arg;
    fail_msg("the loop did not end by itself");
}

enum { TOO_LATE = 3, TOO_LATE_MS = 20000 };

static int setup(void **state)
{
    struct trace *x = calloc(1, sizeof *x);

    assert_non_null(x);
    assert_int_equal(loop_new(&x->loop), ERR_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, x->pair), 0);
    assert_int_equal(loop_timer_new(x->loop, on_too_late, x, &x->timers[TOO_LATE]), ERR_OK);
    loop_timer_set(x->timers[TOO_LATE], TOO_LATE_MS);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct trace *x = *state;

    for (int i = 0; i < 4; i++) {
        loop_timer_free(x->timers[i]);
        loop_hook_free(x->hooks[i]);
    }
    for (int i = 0; i < 2; i++) {
        loop_fd_free(x->fds[i]);
        loop_signal_free(x->signals[i]);
    }
    loop_free(x->loop);
    (void)close(x->pair[0]);
    (void)close(x->pair[1]);
    buf_fini(&x->text);
    free(x);
    return 0;
}

static void assert_trace(const struct trace *x, const char *want)
{
    assert_string_equal(x->text.p == NULL ? "" : x->text.p, want);
}

/* --- timers ----------------------------------------------------------------------------------- */

static void on_a(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    assert_ptr_equal(t, x->timers[0]);
    assert_false(loop_timer_is_set(t));
    buf_char(&x->text, 'a');
}

static void on_b(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    (void)t;
    buf_char(&x->text, 'b');
}

static void on_stop(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    (void)t;
    buf_char(&x->text, '.');
    loop_stop(x->loop);
}

static void make(struct trace *x, int i, loop_timer_cb cb)
{
    assert_int_equal(loop_timer_new(x->loop, cb, x, &x->timers[i]), ERR_OK);
}

static void test_timers_fire_once_by_their_delay(void **state)
{
    struct trace *x = *state;
    struct mono before = loop_now(x->loop);

    make(x, 0, on_a);
    make(x, 1, on_b);
    make(x, 2, on_stop);
    assert_false(loop_timer_is_set(x->timers[0]));
    loop_timer_set(x->timers[2], 30);
    loop_timer_set(x->timers[1], 10);
    loop_timer_set(x->timers[0], 20);
    assert_true(loop_timer_is_set(x->timers[0]));
    loop_run(x->loop);
    assert_trace(x, "ba.");
    assert_false(loop_timer_is_set(x->timers[0]));
    /* libuv counts in whole milliseconds: one may be cut off. */
    assert_true(mono_since_ms(before, loop_now(x->loop)) >= 29);
}

static void on_freed(struct loop_timer *t, void *arg)
{
    (void)t;
    (void)arg;
    fail_msg("a freed timer fired");
}

/* Makes another of itself, as a finished job that lets the next begin. */
static void on_next(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    loop_timer_free(t);
    make(x, 1, on_b);
    assert_false(loop_timer_is_set(x->timers[1]));
    loop_timer_set(x->timers[1], 0);
}

/* A freed timer may come back as another's: nothing of its first life does. */
static void test_a_freed_timer_is_forgotten(void **state)
{
    struct trace *x = *state;

    make(x, 0, on_freed);
    loop_timer_set(x->timers[0], 5);
    loop_timer_free(x->timers[0]);
    make(x, 0, on_next);
    make(x, 2, on_stop);
    assert_false(loop_timer_is_set(x->timers[0]));
    assert_false(loop_timer_is_set(x->timers[2]));
    loop_timer_set(x->timers[0], 0);
    loop_timer_set(x->timers[2], 20);
    loop_run(x->loop);
    x->timers[0] = NULL; /* freed in its own callback */
    assert_trace(x, "b.");
}

/* A delay counts from when it is set, however long the turn has been busy. */
static void test_the_delay_counts_from_now(void **state)
{
    struct trace *x = *state;

    make(x, 2, on_stop);
    loop_timer_set(x->timers[2], 0);
    loop_run(x->loop);
    struct mono busy = loop_now(x->loop);
    while (mono_since_ms(busy, loop_now(x->loop)) < 30) {
    }
    struct mono before = loop_now(x->loop);
    loop_timer_set(x->timers[2], 20);
    loop_run(x->loop);
    assert_trace(x, "..");
    assert_true(mono_since_ms(before, loop_now(x->loop)) >= 19);
}

static void test_cancelled_and_replaced(void **state)
{
    struct trace *x = *state;

    make(x, 0, on_a);
    make(x, 1, on_b);
    make(x, 2, on_stop);
    loop_timer_set(x->timers[0], 5);
    loop_timer_cancel(x->timers[0]);
    loop_timer_cancel(x->timers[0]);
    assert_false(loop_timer_is_set(x->timers[0]));
    loop_timer_set(x->timers[1], 1);
    loop_timer_set(x->timers[1], 60000); /* replaces */
    loop_timer_set(x->timers[2], 20);
    loop_run(x->loop);
    assert_trace(x, ".");
    assert_true(loop_timer_is_set(x->timers[1]));
}

static void test_a_negative_delay_is_none(void **state)
{
    struct trace *x = *state;

    make(x, 2, on_stop);
    loop_timer_set(x->timers[2], -5);
    loop_run(x->loop);
    assert_trace(x, ".");
}

static void on_frees_itself_and_b(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    buf_char(&x->text, 'f');
    loop_timer_free(t);
    loop_timer_free(x->timers[1]);
    x->timers[0] = NULL;
    x->timers[1] = NULL;
}

/* Both are due in the same turn: the second one never runs. */
static void test_freed_within_a_callback(void **state)
{
    struct trace *x = *state;

    make(x, 0, on_frees_itself_and_b);
    make(x, 1, on_b);
    make(x, 2, on_stop);
    loop_timer_set(x->timers[0], 0);
    loop_timer_set(x->timers[1], 0);
    loop_timer_set(x->timers[2], 10);
    loop_run(x->loop);
    assert_trace(x, "f.");
}

static void on_hook_stops(void *arg)
{
    struct trace *x = arg;

    buf_char(&x->text, '|');
    if (++x->turns == 3) {
        loop_stop(x->loop);
    }
}

static void on_again(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    if (x->text.n > 100) {
        fail_msg("a timer of 0 keeps its turn from ending");
    }
    buf_char(&x->text, 'a');
    loop_timer_set(t, 0);
}

/* A timer that sets itself to 0 runs in the next turn, not in this one for ever. */
static void test_zero_is_the_next_turn(void **state)
{
    struct trace *x = *state;

    make(x, 0, on_again);
    assert_int_equal(loop_hook_new(x->loop, on_hook_stops, x, &x->hooks[0]), ERR_OK);
    loop_timer_set(x->timers[0], 0);
    loop_run(x->loop);
    assert_trace(x, "a|a|a|");
}

static void on_sets_and_drops(struct loop_timer *t, void *arg)
{
    struct trace *x = arg;

    buf_char(&x->text, 's');
    loop_timer_set(x->timers[1], 0);
    assert_true(loop_timer_is_set(x->timers[1]));
    loop_timer_cancel(x->timers[1]);
    assert_false(loop_timer_is_set(x->timers[1]));
    loop_timer_set(x->timers[2], 60000);
    loop_timer_set(x->timers[2], 5); /* replaces */
    loop_timer_set(t, 0);
    assert_true(loop_timer_is_set(t));
    loop_timer_free(t);
    x->timers[0] = NULL;
}

static void test_set_within_a_callback_and_taken_back(void **state)
{
    struct trace *x = *state;

    make(x, 0, on_sets_and_drops);
    make(x, 1, on_b);
    make(x, 2, on_stop);
    loop_timer_set(x->timers[0], 0);
    loop_run(x->loop);
    assert_trace(x, "s.");
}

static void test_stop_ends_this_turn_only(void **state)
{
    struct trace *x = *state;

    make(x, 2, on_stop);
    for (int i = 0; i < 3; i++) {
        loop_timer_set(x->timers[2], 1);
        loop_run(x->loop);
    }
    assert_trace(x, "...");
}

/* What was stopped and not run again can be freed. */
static void test_free_after_a_stop_that_nobody_ran(void **state)
{
    struct trace *x = *state;

    make(x, 0, on_a);
    loop_timer_set(x->timers[0], 1);
    loop_stop(x->loop);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void on_ready(struct loop_fd *f, unsigned int events, void *arg)
{
    struct trace *x = arg;

    assert_ptr_equal(f, x->fds[0]);
    buf_printf(&x->text, "%u", events);
    loop_fd_want(f, 0);
}

static void watch(struct trace *x, loop_fd_cb cb)
{
    assert_int_equal(loop_fd_new(x->loop, x->pair[0], cb, x, &x->fds[0]), ERR_OK);
    make(x, 2, on_stop);
    loop_timer_set(x->timers[2], 20);
}

static void test_nothing_is_wanted_at_first(void **state)
{
    struct trace *x = *state;

    watch(x, on_ready);
    assert_int_equal(write(x->pair[1], "x", 1), 1);
    loop_run(x->loop);
    assert_trace(x, ".");
}

static void test_wanted_events(void **state)
{
    static const struct {
        unsigned int want;
        bool has_bytes;
        const char *trace;
    } rows[] = {
        {LOOP_READ, false, "."},
        {LOOP_READ, true, "1."},
        {LOOP_WRITE, true, "2."},
        {LOOP_READ | LOOP_WRITE, true, "3."},
        {LOOP_READ | LOOP_WRITE, false, "2."},
    };
    struct trace *x = *state;
    char byte;

    watch(x, on_ready);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_clear(&x->text);
        if (rows[i].has_bytes) {
            assert_int_equal(write(x->pair[1], "x", 1), 1);
        }
        loop_timer_set(x->timers[2], 10);
        loop_fd_want(x->fds[0], rows[i].want);
        loop_run(x->loop);
        loop_fd_want(x->fds[0], 0);
        assert_trace(x, rows[i].trace);
        if (rows[i].has_bytes) {
            assert_int_equal(read(x->pair[0], &byte, 1), 1);
        }
    }
}

static void on_three_times(struct loop_fd *f, unsigned int events, void *arg)
{
    struct trace *x = arg;

    (void)events;
    buf_char(&x->text, 'r');
    if (++x->turns == 3) {
        loop_fd_want(f, 0);
    }
}

/* Level-triggered: what is not read is told again. */
static void test_level_triggered(void **state)
{
    struct trace *x = *state;

    watch(x, on_three_times);
    assert_int_equal(write(x->pair[1], "x", 1), 1);
    loop_fd_want(x->fds[0], LOOP_READ);
    loop_run(x->loop);
    assert_trace(x, "rrr.");
}

static void on_frees_itself_fd(struct loop_fd *f, unsigned int events, void *arg)
{
    struct trace *x = arg;

    (void)events;
    buf_char(&x->text, 'f');
    loop_fd_free(f);
    x->fds[0] = NULL;
}

static void test_fd_freed_within_its_callback(void **state)
{
    struct trace *x = *state;
    char byte;

    watch(x, on_frees_itself_fd);
    assert_int_equal(write(x->pair[1], "x", 1), 1);
    loop_fd_want(x->fds[0], LOOP_READ);
    loop_run(x->loop);
    assert_trace(x, "f.");
    /* The descriptor stayed the caller's. */
    assert_int_equal(read(x->pair[0], &byte, 1), 1);
    /* And can be watched again. */
    assert_int_equal(loop_fd_new(x->loop, x->pair[0], on_ready, x, &x->fds[0]), ERR_OK);
}

static void test_a_hang_up_is_read(void **state)
{
    struct trace *x = *state;
    char byte;

    watch(x, on_ready);
    loop_fd_want(x->fds[0], LOOP_READ);
    assert_int_equal(shutdown(x->pair[1], SHUT_WR), 0);
    loop_run(x->loop);
    assert_trace(x, "1.");
    assert_int_equal(read(x->pair[0], &byte, 1), 0);
}

static void test_no_watch_on_what_is_no_descriptor(void **state)
{
    struct trace *x = *state;
    struct loop_fd *f = NULL;

    assert_int_equal(loop_fd_new(x->loop, 1 << 20, on_ready, x, &f), ERR_IO);
    assert_null(f);
}

/* --- hooks ------------------------------------------------------------------------------------ */

static void on_hook_1(void *arg)
{
    buf_char(&((struct trace *)arg)->text, '1');
}

static void on_hook_2(void *arg)
{
    buf_char(&((struct trace *)arg)->text, '2');
}

static void on_hook_3(void *arg)
{
    struct trace *x = arg;

    buf_char(&x->text, '3');
    if (x->turns++ == 1) {
        loop_hook_free(x->hooks[1]);
        loop_hook_free(x->hooks[2]);
        x->hooks[1] = NULL;
        x->hooks[2] = NULL;
    }
}

static void hook(struct trace *x, int i, loop_hook_cb cb)
{
    assert_int_equal(loop_hook_new(x->loop, cb, x, &x->hooks[i]), ERR_OK);
}

/* Those made later run first; and each once at the end of a turn, after what the turn brought. */
static void test_hooks_run_newest_first(void **state)
{
    struct trace *x = *state;

    hook(x, 0, on_hook_1);
    hook(x, 1, on_hook_2);
    hook(x, 2, on_hook_3);
    make(x, 2, on_stop);
    loop_timer_set(x->timers[2], 0);
    loop_run(x->loop);
    assert_trace(x, ".321");
}

/* In the second turn the newest frees itself and the one after it: that one is silent at once. */
static void test_hooks_freed_within_a_hook(void **state)
{
    struct trace *x = *state;

    hook(x, 0, on_hook_1);
    hook(x, 1, on_hook_2);
    hook(x, 2, on_hook_3);
    make(x, 2, on_stop);
    for (int i = 0; i < 3; i++) {
        loop_timer_set(x->timers[2], 0);
        loop_run(x->loop);
    }
    assert_trace(x, ".321.31.1");
}

static void on_read_and_stop(struct loop_fd *f, unsigned int events, void *arg)
{
    struct trace *x = arg;

    (void)events;
    buf_char(&x->text, 'r');
    loop_fd_want(f, 0);
    make(x, 2, on_stop);
    loop_timer_set(x->timers[2], 0);
}

static void on_hook_once(void *arg)
{
    struct trace *x = arg;

    if (x->text.n > 0 && x->text.p[x->text.n - 1] != '|') {
        buf_char(&x->text, '|');
    }
}

/* A descriptor's callback is followed by the hook before the loop sleeps again. */
static void test_hook_after_descriptors(void **state)
{
    struct trace *x = *state;

    hook(x, 0, on_hook_once);
    assert_int_equal(loop_fd_new(x->loop, x->pair[0], on_read_and_stop, x, &x->fds[0]), ERR_OK);
    loop_fd_want(x->fds[0], LOOP_READ);
    assert_int_equal(write(x->pair[1], "x", 1), 1);
    loop_run(x->loop);
    assert_true(str_is(buf_as_str(&x->text), STR("r.|")) ||
                str_is(buf_as_str(&x->text), STR("r|.|")));
}

/* --- signals ---------------------------------------------------------------------------------- */

static void on_signal_1(int signum, void *arg)
{
    struct trace *x = arg;

    assert_int_equal(signum, SIGUSR1);
    buf_char(&x->text, 'u');
    loop_stop(x->loop);
}

static void on_signal_frees(int signum, void *arg)
{
    struct trace *x = arg;

    (void)signum;
    buf_char(&x->text, 's');
    loop_signal_free(x->signals[0]);
    x->signals[0] = NULL;
    make(x, 2, on_stop);
    loop_timer_set(x->timers[2], 5);
}

static void test_signal(void **state)
{
    struct trace *x = *state;

    assert_int_equal(loop_signal_new(x->loop, SIGUSR1, on_signal_1, x, &x->signals[0]), ERR_OK);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_trace(x, ""); /* not within the signal handler */
    loop_run(x->loop);
    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(x->loop);
    assert_trace(x, "uu");
}

static void test_signal_freed_within_its_callback(void **state)
{
    struct trace *x = *state;

    assert_int_equal(loop_signal_new(x->loop, SIGUSR1, on_signal_frees, x, &x->signals[0]), ERR_OK);
    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(x->loop);
    assert_trace(x, "s.");
}

/* Caught, but freed before the loop could tell: no callback, and the loop can still be freed. */
static void test_signal_freed_while_caught(void **state)
{
    struct trace *x = *state;

    assert_int_equal(loop_signal_new(x->loop, SIGUSR1, on_signal_1, x, &x->signals[0]), ERR_OK);
    assert_int_equal(raise(SIGUSR1), 0);
    loop_signal_free(x->signals[0]);
    x->signals[0] = NULL;
}

static void test_a_signal_nobody_can_catch(void **state)
{
    struct trace *x = *state;
    struct loop_signal *s = NULL;

    assert_int_equal(loop_signal_new(x->loop, SIGKILL, on_signal_1, x, &s), ERR_IO);
    assert_null(s);
}

/* --- nothing ---------------------------------------------------------------------------------- */

static void test_null_is_freed(void **state)
{
    (void)state;
    loop_free(NULL);
    loop_timer_free(NULL);
    loop_fd_free(NULL);
    loop_hook_free(NULL);
    loop_signal_free(NULL);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timers_fire_once_by_their_delay),
        LOOP_TEST(test_a_freed_timer_is_forgotten),
        LOOP_TEST(test_the_delay_counts_from_now),
        LOOP_TEST(test_cancelled_and_replaced),
        LOOP_TEST(test_a_negative_delay_is_none),
        LOOP_TEST(test_freed_within_a_callback),
        LOOP_TEST(test_zero_is_the_next_turn),
        LOOP_TEST(test_set_within_a_callback_and_taken_back),
        LOOP_TEST(test_stop_ends_this_turn_only),
        LOOP_TEST(test_free_after_a_stop_that_nobody_ran),
        LOOP_TEST(test_nothing_is_wanted_at_first),
        LOOP_TEST(test_wanted_events),
        LOOP_TEST(test_level_triggered),
        LOOP_TEST(test_fd_freed_within_its_callback),
        LOOP_TEST(test_a_hang_up_is_read),
        LOOP_TEST(test_no_watch_on_what_is_no_descriptor),
        LOOP_TEST(test_hooks_run_newest_first),
        LOOP_TEST(test_hooks_freed_within_a_hook),
        LOOP_TEST(test_hook_after_descriptors),
        LOOP_TEST(test_signal),
        LOOP_TEST(test_signal_freed_within_its_callback),
        LOOP_TEST(test_signal_freed_while_caught),
        LOOP_TEST(test_a_signal_nobody_can_catch),
        cmocka_unit_test(test_null_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
