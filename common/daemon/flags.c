/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/flags.h"

#include "daemon/exposure.h"

#include <stdio.h>

enum effect { SETS_CONFIG, SETS_LISTEN, SETS_MODE };

struct flag {
    const char *name;
    const char *value; /* its name in the help; NULL: takes none */
    enum effect effect;
    enum flags_mode mode; /* of SETS_MODE */
    const char *help;
};

static const struct flag table[] = {
    {"--config", "FILE", SETS_CONFIG, FLAGS_RUN, "the configuration file, YAML or JSON"},
    {"--listen", "ADDR:PORT", SETS_LISTEN, FLAGS_RUN,
     "listen here, whatever the configuration says"},
    {"--check", NULL, SETS_MODE, FLAGS_CHECK,
     "say every mistake of the configuration, one a line, and exit"},
    {"--print-config", NULL, SETS_MODE, FLAGS_PRINT_CONFIG,
     "print the configuration with all defaults, without secrets, and exit"},
    {"--health", NULL, SETS_MODE, FLAGS_HEALTH,
     "ask the daemon that listens there whether it is ready; exit 0 if so"},
    {"--version", NULL, SETS_MODE, FLAGS_VERSION, "print the version and exit"},
    {"--help", NULL, SETS_MODE, FLAGS_HELP, "print this and exit"},
};
enum { FLAGS = sizeof table / sizeof table[0] };

static const struct flag *find_flag(struct str name)
{
    for (size_t i = 0; i < FLAGS; i++) {
        if (str_is(str_of(table[i].name), name)) {
            return &table[i];
        }
    }
    return NULL;
}

static int set_listen(const char *value, struct flags *to, struct buf *why)
{
    struct exposure where;

    if (exposure_parse(value, &where) != ERR_OK) {
        buf_printf(why,
                   "--listen takes an address and a port, as 127.0.0.1:8080 or [::1]:8080 or "
                   ":8080, not \"%s\"",
                   value);
        return ERR_INVALID;
    }
    to->listen = value;
    return ERR_OK;
}

static bool is_last_word(enum flags_mode mode)
{
    return mode == FLAGS_HELP || mode == FLAGS_VERSION;
}

static int set_mode(enum flags_mode mode, struct flags *to, struct buf *why)
{
    if (to->mode == mode || is_last_word(to->mode)) {
        return ERR_OK;
    }
    if (to->mode != FLAGS_RUN && !is_last_word(mode)) {
        buf_text(why, "--check, --print-config and --health exclude each other");
        return ERR_INVALID;
    }
    to->mode = mode;
    return ERR_OK;
}

static int apply(const struct flag *f, const char *value, struct flags *to, struct buf *why)
{
    if (f->value != NULL && (value == NULL || value[0] == '\0')) {
        buf_printf(why, "%s needs a value (%s)", f->name, f->value);
        return ERR_INVALID;
    }
    if (f->value == NULL && value != NULL) {
        buf_printf(why, "%s takes no value", f->name);
        return ERR_INVALID;
    }
    switch (f->effect) {
    case SETS_CONFIG:
        to->config = value;
        return ERR_OK;
    case SETS_LISTEN:
        return set_listen(value, to, why);
    case SETS_MODE:
    default:
        return set_mode(f->mode, to, why);
    }
}

int flags_parse(int argc, char **argv, struct flags *ret, struct buf *why)
{
    struct flags result = {.mode = FLAGS_RUN};

    for (int i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t n = equals == NULL ? strlen(argv[i]) : (size_t)(equals - argv[i]);
        const struct flag *f = find_flag((struct str){argv[i], n});
        if (f == NULL) {
            buf_printf(why, "unknown argument \"%s\"", argv[i]);
            return ERR_INVALID;
        }
        const char *value = equals == NULL ? NULL : equals + 1;
        if (value == NULL && f->value != NULL && i + 1 < argc) {
            value = argv[++i];
        }
        int rc = apply(f, value, &result, why);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    *ret = result;
    return ERR_OK;
}

void flags_help(const char *program, struct buf *out)
{
    char left[40];

    buf_printf(out, "Usage: %s [--config FILE] [FLAG...]\n\n", program);
    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &table[i];
        (void)snprintf(left, sizeof left, "%s%s%s", f->name, f->value == NULL ? "" : " ",
                       f->value == NULL ? "" : f->value);
        buf_printf(out, "  %-20s  %s\n", left, f->help);
    }
    buf_printf(
        out, "\nSIGHUP reads the configuration again, SIGTERM drains and stops, a second one stops "
             "at once.\nExit status: 0 well, 1 refused or failed, 2 wrong usage.\n");
}
