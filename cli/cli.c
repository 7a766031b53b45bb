/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "client.h"
#include "grid.h"
#include "help.h"
#include "progress.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define INGRESS_URL "http://127.0.0.1:8080"
#define DISPATCHER_URL "http://127.0.0.1:8081"

enum { SAY_SIZE = 4096 };

/* --- output ----------------------------------------------------------------------------------- */

static void say(struct cli *c, const char *text)
{
    struct buf clean = {0};

    grid_clean(str_of(text), &clean);
    progress_clear(c->progress);
    (void)fprintf(c->err, "sluice: %s\n", clean.p == NULL ? "" : clean.p);
    buf_fini(&clean);
}

void cli_say(struct cli *c, const char *format, ...)
{
    char text[SAY_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say(c, text);
}

int cli_misused(struct cli *c, const char *format, ...)
{
    char text[SAY_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say(c, text);
    return CLI_USAGE;
}

int cli_put(struct cli *c, struct str bytes, int code)
{
    progress_clear(c->progress);
    if ((bytes.n == 0 || fwrite(bytes.p, 1, bytes.n, c->out) == bytes.n) && fflush(c->out) == 0) {
        return code;
    }
    if (errno != EPIPE) { /* who read us has enough */
        cli_say(c, "cannot write the output: %s", strerror(errno));
    }
    return CLI_BROKEN;
}

int cli_put_buf(struct cli *c, const struct buf *b, int code)
{
    if (buf_failed(b)) {
        cli_say(c, "out of memory");
        return CLI_BROKEN;
    }
    return cli_put(c, buf_as_str(b), code);
}

int cli_put_json(struct cli *c, struct str json, int code)
{
    bool has_end = json.n > 0 && json.p[json.n - 1] == '\n';
    int written = cli_put(c, json, code);

    return written == code && !has_end ? cli_put(c, STR("\n"), code) : written;
}

/* --- the command line ------------------------------------------------------------------------- */

struct line {
    struct args before; /* the flags before the command's name */
    struct args after;
    const struct command *command;
};

static const char *setting(const struct line *l, const char *flag, const char *variable,
                           const char *otherwise)
{
    const char *value = args_text(&l->after, flag);

    value = value == NULL ? args_text(&l->before, flag) : value;
    value = value == NULL ? getenv(variable) : value;
    return value == NULL || value[0] == '\0' ? otherwise : value;
}

static bool has(const struct line *l, const char *flag)
{
    return args_has(&l->before, flag) || args_has(&l->after, flag);
}

static int print_help(struct cli *c, const struct command *k)
{
    struct buf text = {0};

    if (k == NULL) {
        help_print(&text);
    } else {
        help_print_command(k, &text);
    }
    int code = cli_put_buf(c, &text, CLI_OK);
    buf_fini(&text);
    return code;
}

static int refuse_command(struct cli *c, const char *name)
{
    const char *nearest = help_nearest(str_of(name));

    if (nearest != NULL) {
        return cli_misused(c, "there is no command \"%s\" (did you mean %s?); see sluice --help",
                           name, nearest);
    }
    return cli_misused(c, "there is no command \"%s\"; see sluice --help", name);
}

/* Why a line that cannot be read cannot. */
static int refuse_line(struct cli *c, const struct command *k, int rc, const struct buf *why)
{
    if (rc == ERR_NOMEM) {
        cli_say(c, "out of memory");
        return CLI_BROKEN;
    }
    return cli_misused(c, "%s; see sluice %s%s--help", why->p == NULL ? "" : why->p,
                       k == NULL ? "" : k->name, k == NULL ? "" : " ");
}

static int run_command(struct cli *c, const struct line *l)
{
    const struct command *k = l->command;

    c->ingress = setting(l, "--ingress", "SLUICE_INGRESS_URL", INGRESS_URL);
    c->dispatcher = setting(l, "--dispatcher", "SLUICE_DISPATCHER_URL", DISPATCHER_URL);
    c->key = setting(l, "--key", "SLUICE_KEY", NULL);
    c->is_json = has(l, "--json");
    if (l->after.n_words < k->least_words || l->after.n_words > k->most_words) {
        return cli_misused(c, "usage: sluice %s %s; see sluice %s --help", k->name, k->words,
                           k->name);
    }
    return k->fn(c, &l->after);
}

static int run_named(struct cli *c, struct line *l, int argc, char **argv)
{
    struct buf why = {0};
    bool is_help = strcmp(argv[0], "help") == 0;
    int code;

    if (is_help && argc < 2) {
        return print_help(c, NULL);
    }
    l->command = help_find(str_of(argv[is_help ? 1 : 0]));
    if (l->command == NULL) {
        return refuse_command(c, argv[is_help ? 1 : 0]);
    }
    if (is_help || has(l, "--help")) {
        return print_help(c, l->command);
    }
    int rc = args_parse(l->command->flags, help_common, argc - 1, argv + 1,
                        /* stops_at_word= */ false, &l->after, NULL, &why);
    if (rc != ERR_OK) {
        code = refuse_line(c, l->command, rc, &why);
    } else {
        code = has(l, "--help") ? print_help(c, l->command) : run_command(c, l);
    }
    buf_fini(&why);
    return code;
}

static int run(struct cli *c, int argc, char **argv)
{
    struct line l = {0};
    struct buf why = {0};
    int used = 0;
    int code;

    int rc = args_parse((struct flags){NULL, 0}, help_common, argc, argv,
                        /* stops_at_word= */ true, &l.before, &used, &why);
    if (rc != ERR_OK) {
        code = refuse_line(c, NULL, rc, &why);
    } else if (has(&l, "--version")) {
        code = cli_put(c, STR("sluice " SLUICE_VERSION "\n"), CLI_OK);
    } else if (used < argc) {
        code = run_named(c, &l, argc - used, argv + used);
    } else if (has(&l, "--help")) {
        code = print_help(c, NULL);
    } else {
        code = cli_misused(c, "no command given; see sluice --help");
    }
    args_fini(&l.before);
    args_fini(&l.after);
    buf_fini(&why);
    return code;
}

int cli_main(int argc, char **argv)
{
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    struct progress progress = {.to = is_terminal ? stderr : NULL};
    struct cli c = {
        .out = stdout, .err = stderr, .is_terminal = is_terminal, .progress = &progress};

    /* A server or reader that goes is an error of write(), not our end. */
    (void)signal(SIGPIPE, SIG_IGN);
    int code = run(&c, argc > 0 ? argc - 1 : 0, argv + 1);
    client_free(c.client);
    return code;
}
