/* SPDX-License-Identifier: Apache-2.0 */
/* ask — a request of a command's to the ingress or the dispatcher, and what to say when it brings
 * nothing. */
#pragma once

#include "cli.h"
#include "client.h"

enum { ASK_MS = 30000, ASK_LONG_MS = 300000, ASK_LINES_MAX = 128 };

struct ask {
    const char *base; /* c->ingress or c->dispatcher */
    const char *method;
    const char *path;                 /* with its query */
    const char *lines[ASK_LINES_MAX]; /* "Name: value", borrowed */
    size_t n_lines;
    struct str body;
    int64_t total_ms;   /* 0: ASK_MS */
    bool is_for_tenant; /* nothing of ours is added but the key */
    bool is_harmless;   /* repeating it changes nothing: never in doubt */
};

/* ERR_LIMIT: too many. */
MUST_CHECK int ask_line(struct ask *a, const char *line);
/* Sends it and waits. CLI_OK: an answer came, whatever its status. Else, silently, why not. Free
 * `ret` with client_answer_fini in any case. */
int ask_send(struct cli *c, const struct ask *a, struct client_answer *ret);
/* Says why `code`, which ask_send gave, is not CLI_OK; gives `code`. */
int ask_explain(struct cli *c, const struct ask *a, const struct client_answer *answer, int code);
/* Says what the server refused; gives the exit code. With --json the document goes to stdout. */
int ask_refused(struct cli *c, const struct client_answer *answer);
/* All three: CLI_OK for an answer below 400, else explained. */
int ask(struct cli *c, const struct ask *a, struct client_answer *ret);
/* A tenant's answer to stdout as it is; CLI_FAILED for a status of 400 or more. */
int ask_put_answer(struct cli *c, const struct client_answer *answer, bool has_head);
/* The "202" of a job: its id to stdout, or the document. */
int ask_put_id(struct cli *c, const struct client_answer *answer, int code);
