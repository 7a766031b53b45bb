/* SPDX-License-Identifier: Apache-2.0 */
/* command — one command on its way: its bytes as Redis reads them, and who waits for the answer.
 * The bytes are kept until the answer, because NOSCRIPT means send again. */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/str.h"
#include "store/store.h"

struct command;
/* An answer to the store itself; index: what it was sent with. */
typedef void (*command_step)(struct store *s, size_t index, const struct store_value *value);

enum {
    COMMAND_NO_SCRIPT = -1,
    COMMAND_KEPT = -2 /* no script; its answer waits as those of WAITS scripts do */
};

struct command {
    struct list link; /* waiting to be sent, then waiting for its answer */
    struct mono since;
    store_cb cb; /* for the caller; or: */
    void *arg;
    command_step step; /* for the store */
    size_t index;
    int script; /* enum store_script, COMMAND_NO_SCRIPT or COMMAND_KEPT */
    unsigned int resent;
    struct store_value *kept; /* of the answer, while it is held (wait.h); owned */
    size_t n;
    char wire[]; /* n bytes and a NUL */
};

struct words {
    const struct str *words;
    size_t n;
};

/* The command that the words of all parts make, one behind the other. NULL without memory. */
struct command *store_command_new(const struct words *parts, size_t n_parts);
