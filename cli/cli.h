/* SPDX-License-Identifier: Apache-2.0 */
/* cli — the command `sluice`: a table of subcommands, each a function of its arguments.
 *
 * What a command found goes to stdout; everything else (progress, notes, refusals) to stderr. The
 * exit code is the commands' contract with scripts: see exit.def. */
#pragma once

#include "args.h"

#include <stdio.h>

struct client;
struct progress;

enum cli_exit {
#define EXIT(NAME, code, text) CLI_##NAME = (code),
#include "exit.def"
#undef EXIT
};

struct cli {
    FILE *out;
    FILE *err;
    const char *ingress;
    const char *dispatcher;
    const char *key; /* NULL: none */
    bool is_json;
    bool is_terminal;      /* stderr is one: progress and hints are shown */
    struct client *client; /* made at the first use */
    struct progress *progress;
};

struct command {
    const char *name;
    int (*fn)(struct cli *c, const struct args *a); /* gives an enum cli_exit, or 128 + signal */
    const char *words;                              /* how its words are named in the help */
    size_t least_words;
    size_t most_words;
    struct flags flags;
    const char *help; /* one line */
    const char *more; /* further text of its own help, or NULL */
};

int cli_main(int argc, char **argv);

/* The commands. */
int call_run(struct cli *c, const struct args *a);
int submit_run(struct cli *c, const struct args *a);
int job_status(struct cli *c, const struct args *a);
int job_why(struct cli *c, const struct args *a);
int job_wait(struct cli *c, const struct args *a);
int job_result(struct cli *c, const struct args *a);
int job_cancel(struct cli *c, const struct args *a);
int job_retry(struct cli *c, const struct args *a);
int job_resolve(struct cli *c, const struct args *a);
int dead_run(struct cli *c, const struct args *a);
int overview_tenants(struct cli *c, const struct args *a);
int tenants_run(struct cli *c, const struct args *a);
int overview_schedules(struct cli *c, const struct args *a);
struct cJSON;
/* All of them, page by page; *all, NULL before, is to be freed with json_free in any case. */
int overview_read_schedules(struct cli *c, struct cJSON **all);
int schedules_run(struct cli *c, const struct args *a);
int crontab_run(struct cli *c, const struct args *a);
int overview_health(struct cli *c, const struct args *a);
int keys_run(struct cli *c, const struct args *a);

/* "sluice: …" on stderr, its control characters replaced. */
__attribute__((format(printf, 2, 3))) void cli_say(struct cli *c, const char *format, ...);
/* The same, and CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_misused(struct cli *c, const char *format, ...);
/* Bytes to stdout as they are; `code`, or CLI_BROKEN when they could not be written. */
int cli_put(struct cli *c, struct str bytes, int code);
/* The same for a buf that was printed into: CLI_BROKEN when it ran out of memory. */
int cli_put_buf(struct cli *c, const struct buf *b, int code);
/* A JSON document, with a line end if it has none. */
int cli_put_json(struct cli *c, struct str json, int code);
