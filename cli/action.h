/* SPDX-License-Identifier: Apache-2.0 */
/* action — a command of many words ("sluice tenants pause"): a table of what each asks of the
 * dispatcher. */
#pragma once

#include "ask.h"

struct action {
    const char *word;
    const char *words; /* how those behind it are named */
    size_t least_words;
    size_t most_words; /* without its own */
    const char *method;
    const char *path; /* each '*' is the next of the words, which must be a name */
    /* The request's body; NULL: none. Gives CLI_OK, or what it said. */
    int (*body)(struct cli *c, const struct args *a, struct buf *out);
    /* What an answer with a document is for people. NULL: the id of a job. */
    int (*print)(struct cli *c, const struct args *a, const struct client_answer *answer);
    bool is_once; /* repeated it does more; else it says what is to be */
    /* Does all of it instead; NULL: one request. Gives the exit code. */
    int (*run)(struct cli *c, const struct args *a);
};

/* A flag, and the actions that take it, by spaces. */
struct action_flag {
    const char *flag;
    const char *actions;
    const char *query; /* what it adds to the path; NULL: nothing */
};

struct action_table {
    const char *command;
    const struct action *actions;
    size_t n_actions;
    const struct action_flag *flags;
    size_t n_flags;
    int (*list)(struct cli *c, const struct args *a); /* "list", or no word at all */
};

/* Runs the action that the words name. Gives the exit code. */
int action_run(struct cli *c, const struct action_table *t, const struct args *a);
/* Whether it can stand in a path as a name. */
bool action_is_name(const char *text);
/* For action.body: a file's bytes, "-": standard input. */
int action_read(struct cli *c, const char *file, struct buf *out);
/* For action.body: {"note": …} of --note, which may be missing. */
int action_note(struct cli *c, const struct args *a, struct buf *out);
/* For action.print: what a show_… function gave and printed. */
int action_put(struct cli *c, int rc, const struct buf *text);
