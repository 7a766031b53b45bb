/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct metrics *metrics;
    struct process *process;
};

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);

    assert_non_null(x);
    assert_int_equal(loop_new(&x->loop), ERR_OK);
    x->metrics = metrics_new();
    assert_non_null(x->metrics);
    assert_int_equal(process_new(x->loop, x->metrics, "1.2.3", &x->process), ERR_OK);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    process_free(x->process);
    metrics_free(x->metrics);
    loop_free(x->loop);
    free(x);
    return 0;
}

/* The figure of the line that begins with `name` and a space. */
static double figure(struct fixture *x, const char *name)
{
    struct buf out = {0};
    char start[80];

    process_scrape(x->process);
    metrics_print(x->metrics, &out);
    (void)snprintf(start, sizeof start, "\n%s ", name);
    const char *line = strstr(out.p, start);
    assert_non_null(line);
    double v = strtod(line + strlen(start), NULL);
    buf_fini(&out);
    return v;
}

static void figures(void **state)
{
    struct fixture *x = *state;
    double now_s = (double)time(NULL);

    assert_true(figure(x, "sluice_build_info{version=\"1.2.3\"}") == 1);
    assert_true(figure(x, "process_resident_memory_bytes") > 500e3);
    assert_true(figure(x, "process_resident_memory_bytes") < 1e12);
    assert_true(figure(x, "process_start_time_seconds") > now_s - 60);
    assert_true(figure(x, "process_start_time_seconds") < now_s + 60);
    assert_true(figure(x, "process_cpu_seconds_total") > 0);
    assert_true(figure(x, "process_cpu_seconds_total") < 60);
}

static void descriptors_are_counted(void **state)
{
    struct fixture *x = *state;
    double before = figure(x, "process_open_fds");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(figure(x, "process_open_fds") == before + 1);
    (void)close(fd);
    assert_true(figure(x, "process_open_fds") == before);
}

static void busy_until(struct mono until)
{
    while (mono_since_ms(clock_mono(), until) > 0) {
    }
}

static void on_block(struct loop_timer *t, void *arg)
{
    struct fixture *x = arg;

    (void)t;
    busy_until(mono_plus_ms(loop_now(x->loop), 400));
}

static void on_end(struct loop_timer *t, void *arg)
{
    (void)t;
    loop_stop(arg);
}

/* A handler that holds the loop for 400 ms makes a look, due every 100 ms, at least 300 ms late. */
static void a_blocked_loop_is_late(void **state)
{
    struct fixture *x = *state;
    struct loop_timer *block, *end;

    assert_int_equal(loop_timer_new(x->loop, on_block, x, &block), ERR_OK);
    assert_int_equal(loop_timer_new(x->loop, on_end, x->loop, &end), ERR_OK);
    loop_timer_set(block, 10);
    loop_timer_set(end, 500);
    loop_run(x->loop);
    assert_true(figure(x, "sluice_loop_lag_seconds") >= 0.29);
    assert_true(figure(x, "sluice_loop_lag_seconds") < 0.29); /* told once */
    loop_timer_free(block);
    loop_timer_free(end);
}

/* In a process of its own, since the limit would stay. */
static void nofile_is_raised(void **state)
{
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_max >= 256);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit low = {.rlim_cur = 64, .rlim_max = 256};
        if (setrlimit(RLIMIT_NOFILE, &low) != 0 || process_raise_nofile() != 256 ||
            getrlimit(RLIMIT_NOFILE, &low) != 0 || low.rlim_cur != 256) {
            _exit(1);
        }
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(figures, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_blocked_loop_is_late, setup, teardown),
        cmocka_unit_test(nofile_is_raised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
