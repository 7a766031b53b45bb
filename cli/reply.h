/* SPDX-License-Identifier: Apache-2.0 */
/* reply — what an answer means for this command's exit code. Pure. */
#pragma once

#include "base/buf.h"
#include "client.h"

/* A refusal as the server wrote it (RFC 9457), or what can be said of one that is no such
 * document. Texts are borrowed from the tree; empty ones are not there. */
struct reply_problem {
    struct cJSON *tree;
    struct str word; /* "unknown_tenant": the type without its prefix */
    struct str type;
    struct str title;
    struct str detail;
    struct str job;
    struct str retry_after;
    int status;
};

/* Whether the answer is a problem of Sluice's own, not one of a tenant's. */
bool reply_is_problem(const struct client_answer *a);
/* Free with reply_problem_fini. */
void reply_problem_read(const struct client_answer *a, struct reply_problem *ret);
void reply_problem_fini(struct reply_problem *p);
/* Lines for people. */
void reply_problem_print(const struct reply_problem *p, struct buf *out);
/* By the problem's type; without one that says more, by the status (400 or more). */
int reply_exit(int status, struct str word);
/* By a job's state; CLI_TIMEOUT while it has not ended. */
int reply_exit_of_state(struct str state_word);
bool reply_has_ended(struct str state);
