/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of every example are flipped, dropped, doubled and cut, from a fixed seed. Whatever comes
 * of it is a verdict: no crash, no leak (under ASan), a sentence with each refusal, and the
 * promises of document.h for each acceptance. */
#include "job/document.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROUNDS = 150, EXAMPLE_MAX = 32768 };

/* xorshift64: the same numbers everywhere. */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static size_t mutate(char *bytes, size_t n, uint64_t *seed)
{
    static const char telling[] = "{}[]\",:\\0.e-ud\0\xff";
    size_t at = n == 0 ? 0 : draw(seed) % n;

    if (n == 0) {
        return n;
    }
    switch (draw(seed) % 5) {
    case 0:
        bytes[at] = (char)(bytes[at] ^ (1 << (draw(seed) % 8)));
        return n;
    case 1:
        bytes[at] = telling[draw(seed) % (sizeof telling - 1)];
        return n;
    case 2:
        memmove(bytes + at, bytes + at + 1, n - at - 1);
        return n - 1;
    case 3:
        memmove(bytes + at + 1, bytes + at, n - at);
        return n + 1;
    default:
        return draw(seed) % 8 == 0 ? at : n;
    }
}

static void judge(struct str json)
{
    struct job_document d;
    struct buf why = {0};

    int rc = job_document_parse(json, 0, &d, &why);
    if (rc == ERR_OK) {
        assert_non_null(d.tenant);
        assert_non_null(d.method);
        assert_non_null(d.head);
        assert_true(job_path_is_safe(str_of(d.path)));
        assert_true(!d.is_json_body || memmem(json.p, json.n, d.body, d.body_n) != NULL);
        assert_true(d.due_in_ms >= 0 && d.ttl_ms >= 0 && d.timeout_ms >= 0);
    } else {
        assert_true(rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_TOO_LARGE);
        assert_true(why.n > 0 && why.p[why.n - 1] == '.');
        assert_true(str_is_utf8(buf_as_str(&why)));
    }
    job_document_fini(&d);
    buf_fini(&why);
}

/* The text is given in a block of its very size, so that ASan sees a read past its end. */
static void play(const char *example, size_t n, uint64_t *seed)
{
    char bytes[EXAMPLE_MAX + 16];

    for (int round = 0; round < ROUNDS; round++) {
        size_t length = n;
        memcpy(bytes, example, n);
        for (uint64_t i = draw(seed) % 3 + 1; i > 0; i--) {
            length = mutate(bytes, length, seed);
        }
        char *copy = malloc(length == 0 ? 1 : length);
        assert_non_null(copy);
        memcpy(copy, bytes, length);
        judge((struct str){copy, length});
        free(copy);
    }
}

static int play_folder(const char *folder, uint64_t *seed)
{
    char example[EXAMPLE_MAX];
    struct dirent **entries = NULL;
    int played = 0;
    int n = scandir(folder, &entries, NULL, alphasort); /* sorted: the seed's numbers fall alike */

    for (int i = 0; i < n; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        FILE *f = entries[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (f != NULL) {
            play(example, fread(example, 1, sizeof example, f), seed);
            (void)fclose(f);
            played++;
        }
        free(entries[i]);
    }
    free(entries);
    return played;
}

static void test_mutations(void **state)
{
    uint64_t seed = 20260329;

    (void)state;
    assert_true(play_folder(SLUICE_EXAMPLES "/valid/job", &seed) > 10);
    assert_true(play_folder(SLUICE_EXAMPLES "/invalid/job", &seed) > 10);
    assert_true(play_folder(SLUICE_EXAMPLES "/invalid/job-syntax", &seed) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
