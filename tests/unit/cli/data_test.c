/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void test_text_is_itself(void **state)
{
    struct buf out = {0};
    struct buf why = {0};

    (void)state;
    assert_int_equal(data_read("a@b", &out, &why), 0);
    assert_string_equal(out.p, "a@b");
    buf_clear(&out);
    assert_int_equal(data_read("", &out, &why), 0);
    assert_int_equal(out.n, 0);
    assert_non_null(out.p); /* an empty body is a body */
    buf_fini(&out);
}

static void test_a_file_comes_whole(void **state)
{
    enum { N = 300001 };
    char name[] = "/tmp/sluice-data-test.XXXXXX";
    char *bytes = malloc(N);
    char at[sizeof name + 1];
    struct buf out = {0};
    struct buf why = {0};

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < N; i++) {
        bytes[i] = (char)(i % 251);
    }
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, N), N);
    (void)snprintf(at, sizeof at, "@%s", name);
    assert_int_equal(data_read(at, &out, &why), 0);
    assert_int_equal(out.n, N);
    assert_memory_equal(out.p, bytes, N);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(close(fd), 0);
    buf_fini(&out);
    free(bytes);
}

static void test_what_cannot_be_read_is_said(void **state)
{
    struct buf out = {0};
    struct buf why = {0};

    (void)state;
    assert_int_equal(data_read("@/nowhere/x", &out, &why), ERR_IO);
    assert_string_equal(why.p, "/nowhere/x: No such file or directory");
    buf_clear(&why);
    assert_int_equal(data_read("@/", &out, &why), ERR_IO);
    assert_string_equal(why.p, "/: Is a directory");
    buf_fini(&out);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_itself),
        cmocka_unit_test(test_a_file_comes_whole),
        cmocka_unit_test(test_what_cannot_be_read_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
