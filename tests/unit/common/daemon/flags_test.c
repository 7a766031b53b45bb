/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { ARGS = 6 };

struct good {
    const char *name;
    const char *args[ARGS];
    enum flags_mode mode;
    const char *config;
    const char *listen;
};

static const struct good good[] = {
    {"none", {NULL}, FLAGS_RUN, NULL, NULL},
    {"config", {"--config", "a.yaml"}, FLAGS_RUN, "a.yaml", NULL},
    {"config with =", {"--config=a=b.yaml"}, FLAGS_RUN, "a=b.yaml", NULL},
    {"the last holds", {"--config", "a", "--config", "b"}, FLAGS_RUN, "b", NULL},
    {"listen", {"--listen", "[::1]:80"}, FLAGS_RUN, NULL, "[::1]:80"},
    {"all interfaces", {"--listen=:80"}, FLAGS_RUN, NULL, ":80"},
    {"check", {"--check", "--config", "a"}, FLAGS_CHECK, "a", NULL},
    {"check twice", {"--check", "--check"}, FLAGS_CHECK, NULL, NULL},
    {"print", {"--config", "a", "--print-config"}, FLAGS_PRINT_CONFIG, "a", NULL},
    {"health", {"--health"}, FLAGS_HEALTH, NULL, NULL},
    {"version wins", {"--check", "--version"}, FLAGS_VERSION, NULL, NULL},
    {"help wins", {"--help", "--health", "--check"}, FLAGS_HELP, NULL, NULL},
};

struct bad {
    const char *name;
    const char *args[ARGS];
    const char *why;
};

static const struct bad bad[] = {
    {"unknown", {"--colour"}, "unknown argument \"--colour\""},
    {"a prefix", {"--conf", "a"}, "unknown argument \"--conf\""},
    {"an operand", {"a.yaml"}, "unknown argument \"a.yaml\""},
    {"empty", {""}, "unknown argument \"\""},
    {"no value", {"--config"}, "--config needs a value (FILE)"},
    {"empty value", {"--config="}, "--config needs a value (FILE)"},
    {"empty next value", {"--listen", ""}, "--listen needs a value (ADDR:PORT)"},
    {"value not wanted", {"--check=yes"}, "--check takes no value"},
    {"two modes",
     {"--check", "--health"},
     "--check, --print-config and --health exclude each other"},
    {"no port",
     {"--listen", "127.0.0.1"},
     "--listen takes an address and a port, as 127.0.0.1:8080 or [::1]:8080 or :8080, not "
     "\"127.0.0.1\""},
};

/* `texts`: where the arguments live, as argv's would. */
static int parse(const char *const args[ARGS], char texts[ARGS + 1][64], struct flags *ret,
                 struct buf *why)
{
    char *argv[ARGS + 2] = {texts[0]};
    int argc = 1;

    while (argc <= ARGS && args[argc - 1] != NULL) {
        (void)snprintf(texts[argc], sizeof texts[argc], "%s", args[argc - 1]);
        argv[argc] = texts[argc];
        argc++;
    }
    return flags_parse(argc, argv, ret, why);
}

static void assert_text(const char *got, const char *expected)
{
    if (expected == NULL) {
        assert_null(got);
    } else {
        assert_non_null(got);
        assert_string_equal(got, expected);
    }
}

static void good_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct flags f = {0};
        struct buf why = {0};
        char texts[ARGS + 1][64] = {"program"};
        print_message("case: %s\n", good[i].name);
        assert_int_equal(parse(good[i].args, texts, &f, &why), ERR_OK);
        assert_int_equal(f.mode, good[i].mode);
        assert_text(f.config, good[i].config);
        assert_text(f.listen, good[i].listen);
        assert_int_equal(why.n, 0);
        buf_fini(&why);
    }
}

static void bad_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct flags f = {.config = "untouched"};
        struct buf why = {0};
        char texts[ARGS + 1][64] = {"program"};
        print_message("case: %s\n", bad[i].name);
        assert_int_equal(parse(bad[i].args, texts, &f, &why), ERR_INVALID);
        assert_string_equal(why.p, bad[i].why);
        assert_string_equal(f.config, "untouched");
        buf_fini(&why);
    }
}

static void help_names_every_flag(void **state)
{
    static const char *const lines[] = {
        "Usage: sluice-test [--config FILE]",
        "\n  --config FILE ",
        "\n  --listen ADDR:PORT ",
        "\n  --check ",
        "\n  --print-config ",
        "\n  --version ",
        "\n  --health ",
        "\n  --help ",
    };
    struct buf out = {0};

    (void)state;
    flags_help("sluice-test", &out);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_non_null(strstr(out.p, lines[i]));
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(help_names_every_flag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
