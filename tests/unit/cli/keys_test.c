/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include "cli.h"
#include "help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ARGS = 8 };

static void test_the_hash_is_the_tokens_sha256(void **state)
{
    struct buf out = {0};

    (void)state;
    /* FIPS 180-4's own example. */
    keys_hash(STR("abc"), &out);
    assert_string_equal(out.p,
                        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    buf_fini(&out);
}

static void test_tokens_differ_and_are_plain(void **state)
{
    char one[KEYS_TOKEN_SIZE];
    char two[KEYS_TOKEN_SIZE];

    (void)state;
    keys_token(one);
    keys_token(two);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), 7 + 52);
    assert_int_equal(strspn(one, "sluice_abcdefghijklmnopqrstuvwxyz234567"), 7 + 52);
    assert_memory_not_equal(one + 7, one + 7 + 26, 26);
}

#define HASH "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_entries(void **state)
{
    static const struct {
        const char *name;
        const char *flags[ARGS];
        const char *entry; /* NULL: refused */
        const char *why;
    } cases[] = {
        {"as it is",
         {NULL},
         "{\"name\": \"key-1\", \"hash\": \"" HASH "\", \"scopes\": [\"submit\", \"read\"]}",
         NULL},
        {"everything",
         {"--name", "shop", "--tenant", "erp", "--tenant", "b", "--scopes", "admin, read"},
         "{\"name\": \"shop\", \"hash\": \"" HASH "\", \"tenants\": [\"erp\", \"b\"], "
         "\"scopes\": [\"read\", \"admin\"]}",
         NULL},
        {"a tenant twice",
         {"--tenant", "erp", "--tenant", "erp"},
         "{\"name\": \"key-1\", \"hash\": \"" HASH "\", \"tenants\": [\"erp\"], "
         "\"scopes\": [\"submit\", \"read\"]}",
         NULL},
        {"a scope twice",
         {"--scopes", "read,read"},
         "{\"name\": \"key-1\", \"hash\": \"" HASH "\", \"scopes\": [\"read\"]}",
         NULL},
        {"an unknown scope",
         {"--scopes", "read,write"},
         NULL,
         "--scopes takes submit, read and admin by commas, not \"write\""},
        {"no scope",
         {"--scopes", ""},
         NULL,
         "--scopes takes submit, read and admin by commas, not \"\""},
        {"a bad name",
         {"--name", "Shop"},
         NULL,
         "--name takes 1 to 64 characters of a-z, 0-9, '_' and '-', not \"Shop\""},
        {"a bad tenant",
         {"--tenant", "a\"b"},
         NULL,
         "--tenant takes 1 to 64 characters of a-z, 0-9, '_' and '-', not \"a\"b\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char texts[ARGS][32];
        char *argv[ARGS];
        int argc = 0;
        struct args a;
        struct buf out = {0};
        struct buf why = {0};
        print_message("%s\n", cases[i].name);
        for (; argc < ARGS && cases[i].flags[argc] != NULL; argc++) {
            (void)snprintf(texts[argc], sizeof texts[argc], "%s", cases[i].flags[argc]);
            argv[argc] = texts[argc];
        }
        const struct command *k = help_find(STR("keys"));
        assert_int_equal(args_parse(k->flags, help_common, argc, argv, false, &a, NULL, &why), 0);
        int rc = keys_entry(&a, STR("abc"), "key-1", &out, &why);
        assert_int_equal(rc, cases[i].entry == NULL ? ERR_INVALID : 0);
        if (cases[i].entry != NULL) {
            assert_string_equal(out.p, cases[i].entry);
        } else {
            assert_string_equal(why.p, cases[i].why);
        }
        buf_fini(&out);
        buf_fini(&why);
        args_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_is_the_tokens_sha256),
        cmocka_unit_test(test_tokens_differ_and_are_plain),
        cmocka_unit_test(test_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
