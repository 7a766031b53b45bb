/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Standard error goes into a file while it is caught. */
struct caught {
    int real;
    FILE *file;
    struct buf text;
};

static void catch_start(struct caught *c)
{
    *c = (struct caught){.real = dup(STDERR_FILENO), .file = tmpfile()};
    assert_true(c->real >= 0);
    assert_non_null(c->file);
    assert_true(dup2(fileno(c->file), STDERR_FILENO) >= 0);
}

static void catch_end(struct caught *c)
{
    char part[4096];
    size_t n;

    assert_true(dup2(c->real, STDERR_FILENO) >= 0);
    assert_int_equal(close(c->real), 0);
    rewind(c->file);
    while ((n = fread(part, 1, sizeof part, c->file)) > 0) {
        buf_add(&c->text, part, n);
    }
    assert_int_equal(fclose(c->file), 0);
    buf_text(&c->text, "");
    assert_false(buf_failed(&c->text));
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

static void test_a_line(void **state)
{
    struct caught c;
    struct wall when;

    (void)state;
    catch_start(&c);
    log_init("sluice-test", LOG_INFO);
    log_event(LOG_WARN, "thing_lost", "name=%s msg=\"%d left\"", "x", 3);
    catch_end(&c);
    assert_memory_equal(c.text.p, "ts=", 3);
    assert_int_equal(wall_parse(c.text.p + 3, 24, &when), 0);
    assert_non_null(strstr(c.text.p, " level=warn id=thing_lost program=sluice-test pid="));
    assert_non_null(strstr(c.text.p, " name=x msg=\"3 left\"\n"));
    assert_int_equal(count(c.text.p, "\n"), 1);
    buf_fini(&c.text);
}

static void test_level(void **state)
{
    struct caught c;

    (void)state;
    catch_start(&c);
    log_init("sluice-test", LOG_WARN);
    log_event(LOG_DEBUG, "l_debug", "msg=a");
    log_event(LOG_INFO, "l_info", "msg=b");
    log_event(LOG_WARN, "l_warn", "msg=c");
    log_event(LOG_ERROR, "l_error", "msg=d");
    catch_end(&c);
    assert_int_equal(count(c.text.p, "\n"), 2);
    assert_non_null(strstr(c.text.p, "level=warn id=l_warn "));
    assert_non_null(strstr(c.text.p, "level=error id=l_error "));
    buf_fini(&c.text);
}

/* Nobody may forge a second line. */
static void test_control_characters(void **state)
{
    struct caught c;

    (void)state;
    catch_start(&c);
    log_init("sluice-test", LOG_INFO);
    log_event(LOG_INFO, "forged", "msg=\"%s\"", "a\nts=1\r\t\x1b[0m\x7f\xc3\xa9");
    catch_end(&c);
    assert_int_equal(count(c.text.p, "\n"), 1);
    assert_non_null(strstr(c.text.p, "msg=\"a?ts=1???[0m?\xc3\xa9\"\n"));
    buf_fini(&c.text);
}

static void test_long_lines_are_cut(void **state)
{
    struct caught c;
    char *text = malloc(10001);

    (void)state;
    assert_non_null(text);
    memset(text, 'y', 10000);
    text[10000] = '\0';
    catch_start(&c);
    log_init("sluice-test", LOG_INFO);
    log_event(LOG_INFO, "long_one", "msg=%s", text);
    log_event(LOG_INFO, "after_it", "msg=short");
    catch_end(&c);
    free(text);
    assert_int_equal(count(c.text.p, "\n"), 2);
    assert_true(strchr(c.text.p, '\n') - c.text.p < 2048);
    assert_non_null(strstr(c.text.p, "yyy\nts="));
    assert_non_null(strstr(c.text.p, "id=after_it "));
    buf_fini(&c.text);
}

static void wait_for_the_next_second(void)
{
    int64_t second = clock_wall().ms / 1000;

    while (clock_wall().ms / 1000 == second) {
        (void)usleep(2000);
    }
}

/* A hundred at once, from the start of a second: 20 come through, another id is not held up by
 * them, and the next second's first line confesses the rest. */
static void test_repeats(void **state)
{
    struct caught c;

    (void)state;
    log_init("sluice-test", LOG_INFO);
    wait_for_the_next_second();
    catch_start(&c);
    for (int i = 0; i < 100; i++) {
        log_event(LOG_INFO, "storm", "msg=%d", i);
    }
    log_event(LOG_INFO, "calm", "msg=here");
    wait_for_the_next_second();
    log_event(LOG_INFO, "storm", "msg=after");
    log_event(LOG_INFO, "storm", "msg=again");
    catch_end(&c);
    assert_int_equal(count(c.text.p, " id=storm "), 22);
    assert_int_equal(count(c.text.p, " id=calm "), 1);
    assert_non_null(strstr(c.text.p, " dropped=80 msg=after\n"));
    assert_int_equal(count(c.text.p, " dropped="), 1);
    buf_fini(&c.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_repeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
