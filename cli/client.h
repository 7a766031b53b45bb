/* SPDX-License-Identifier: Apache-2.0 */
/* client — one HTTP request after another, each waited for: httpc on a loop of its own.
 *
 * While it waits, SIGINT and SIGTERM end the waiting; in between they end the process as ever. A
 * connection serves one request: none that rests can turn out dead.
 * Blocks. Thread: one. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct client;

struct client_request {
    const char *method;
    const char *url;
    const char *const *head; /* NULL-terminated "Name: value" lines */
    struct str body;
    int64_t total_ms; /* the whole of it; more than 0 */
};

struct client_answer {
    int status;        /* 0: no answer */
    const char *error; /* httpc's word when there is no answer */
    bool may_have_left;
    bool is_too_large;
    int signum; /* ended by this signal, or 0 */
    struct buf head;
    struct buf body;
};

/* Runs several times a second while the client waits. */
typedef void (*client_tick_cb)(void *arg);

MUST_CHECK int client_new(client_tick_cb tick, void *arg, struct client **ret);
void client_free(struct client *c);
/* Sends it and waits. Returns 0 (see `ret`, whatever came), ERR_INVALID (the URL or a head line
 * cannot be sent), ERR_NOMEM, ERR_IO. Free `ret` with client_answer_fini in any case. */
MUST_CHECK int client_ask(struct client *c, const struct client_request *r,
                          struct client_answer *ret);
void client_answer_fini(struct client_answer *a);
/* Returns 0 after that time, or the signal that ended it. */
int client_pause(struct client *c, int64_t ms);
/* The value of an answer's first field of that name; empty when there is none. */
struct str client_field(const struct client_answer *a, const char *name);
