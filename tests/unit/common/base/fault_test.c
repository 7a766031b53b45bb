/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include "base/panic.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHILD_FINE = 7 };

/* Runs `body` in a child with these settings (NULL: unset); how it ended, or stopped. The settings
 * are read once a process, so that each case needs one of its own. */
static int run(const char *fault, const char *log, void (*body)(void), pid_t *ret_child)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        CHECK(setenv("SLUICE_FAULT", fault, 1) == 0);
        CHECK(log == NULL || setenv("SLUICE_FAULT_LOG", log, 1) == 0);
        body();
        _exit(CHILD_FINE);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    *ret_child = child;
    return status;
}

static void pass_here(void)
{
    FAULT_HERE(here);
}

#ifdef SLUICE_FAULTS

static void assert_fine(const char *fault, void (*body)(void))
{
    pid_t child;
    int status = run(fault, NULL, body, &child);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHILD_FINE);
}

static void fails_at_the_third(void)
{
    CHECK(!FAULT(here) && !FAULT(here) && !FAULT(there));
    CHECK(FAULT(here));
    CHECK(!FAULT(here));
}

static void fails_from_the_second_on(void)
{
    CHECK(!FAULT(here));
    CHECK(FAULT(here) && FAULT(here) && FAULT(here));
}

static void fails_at_both(void)
{
    CHECK(FAULT(here) && FAULT(there) && !FAULT(elsewhere));
    CHECK(!FAULT(here) && FAULT(there));
}

static void fails_nowhere(void)
{
    CHECK(!FAULT(here) && !FAULT(her) && !FAULT(heret));
}

static void test_the_pass_that_counts(void **state)
{
    (void)state;
    assert_fine("here:fail:3", fails_at_the_third);
    assert_fine("here:fail:2+", fails_from_the_second_on);
    assert_fine("here:fail,there:fail:1+", fails_at_both);
    assert_fine("", fails_nowhere);
    assert_fine("elsewhere:fail:1+", fails_nowhere);
    assert_fine("elsewhere:kill", pass_here);
}

static void test_each_deed_is_written_down(void **state)
{
    char name[] = "/tmp/sluice-fault-test.XXXXXX";
    char text[256];
    int fd = mkstemp(name);
    pid_t child;

    (void)state;
    assert_true(fd >= 0);
    assert_true(WIFEXITED(run("here:fail,there:fail:1+", name, fails_at_both, &child)));
    assert_true(WIFSIGNALED(run("here:kill", name, pass_here, &child)));
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, "here fail\nthere fail\nthere fail\nhere kill\n");
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(name), 0);
}

static void test_kill(void **state)
{
    pid_t child;
    int status = run("here:kill", NULL, pass_here, &child);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void test_stop_goes_on_when_continued(void **state)
{
    pid_t child;
    int status = run("here:stop", NULL, pass_here, &child);

    (void)state;
    assert_true(WIFSTOPPED(status));
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHILD_FINE);
}

static void test_what_cannot_be_read_panics(void **state)
{
    static const char *const wrong[] = {"here:burn", "here", "here:fail:x", "here:fail:1-"};
    pid_t child;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int status = run(wrong[i], NULL, pass_here, &child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
            fail_msg("%s: taken", wrong[i]);
        }
    }
}

static void test_rules_hold_unless_they_are_named(void **state)
{
    (void)state;
    assert_true(RULE(first) && RULE(second));
    assert_int_equal(setenv("SLUICE_BREAK", "first,third", 1), 0);
    assert_true(!RULE(first) && RULE(second) && !RULE(third) && RULE(fir));
    assert_int_equal(unsetenv("SLUICE_BREAK"), 0);
    assert_true(RULE(first));
}

static void test_numbers_are_the_programs_own_unless_set(void **state)
{
    (void)state;
    assert_int_equal(TUNED(lease_ms, 30000), 30000);
    assert_int_equal(setenv("SLUICE_FAULT_SET", "other=5,lease_ms=1500", 1), 0);
    assert_int_equal(TUNED(lease_ms, 30000), 1500);
    assert_int_equal(TUNED(lease, 7), 7);
    assert_int_equal(unsetenv("SLUICE_FAULT_SET"), 0);
}

#else

static void test_nothing_is_there(void **state)
{
    pid_t child;
    int status = run("here:kill", NULL, pass_here, &child);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHILD_FINE);
    assert_int_equal(setenv("SLUICE_FAULT", "here:fail:1+", 1), 0);
    assert_int_equal(setenv("SLUICE_BREAK", "first", 1), 0);
    assert_int_equal(setenv("SLUICE_FAULT_SET", "lease_ms=1", 1), 0);
    assert_false(FAULT(here));
    assert_true(RULE(first));
    assert_int_equal(TUNED(lease_ms, 30000), 30000);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef SLUICE_FAULTS
        cmocka_unit_test(test_the_pass_that_counts),
        cmocka_unit_test(test_each_deed_is_written_down),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_stop_goes_on_when_continued),
        cmocka_unit_test(test_what_cannot_be_read_panics),
        cmocka_unit_test(test_rules_hold_unless_they_are_named),
        cmocka_unit_test(test_numbers_are_the_programs_own_unless_set),
#else
        cmocka_unit_test(test_nothing_is_there),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
