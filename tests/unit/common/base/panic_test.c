/* SPDX-License-Identifier: Apache-2.0 */
#include "base/panic.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* How a child ends that checks `is_true`, and what it says on standard error. */
static int check_in_child(int is_true, char *said, size_t size)
{
    int ends[2];
    int status;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)dup2(ends[1], STDERR_FILENO);
        CHECK(is_true != 0);
        _exit(7);
    }
    assert_int_equal(close(ends[1]), 0);
    /* The line leaves in pieces. */
    size_t n = 0;
    ssize_t got = 1;
    while (got > 0) {
        got = read(ends[0], said + n, size - 1 - n);
        assert_true(got >= 0);
        n += (size_t)got;
    }
    said[n] = '\0';
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_a_false_check_aborts(void **state)
{
    char said[512];
    int status = check_in_child(0, said, sizeof said);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "panic "));
    assert_non_null(strstr(said, "panic_test.c:"));
    assert_non_null(strstr(said, "check failed: is_true != 0"));
}

static void test_a_true_check_goes_on(void **state)
{
    char said[512];
    int status = check_in_child(1, said, sizeof said);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_false_check_aborts),
        cmocka_unit_test(test_a_true_check_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
