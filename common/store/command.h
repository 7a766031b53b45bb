/* SPDX-License-Identifier: Apache-2.0 */
/* command — one command on its way: its bytes as Redis reads them, and who waits for the answer.
 * The bytes are kept until the answer, because a function that is not there means send again. */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/str.h"
#include "store/store.h"

struct command;
/* An answer to the store itself; index: what it was sent with. */
typedef void (*command_step)(struct store *s, size_t index, const struct store_value *value);

enum {
    STORE_HEAD_SIZE = 512,
    STORE_PLACES_SIZE = 256,
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
    /* Of a script that is for many: where in wire its function and keys begin, and where its own
     * number of arguments; else 0. */
    size_t shared_at;
    size_t rest_at;
    size_t n_shared; /* words of it */
    size_t n_rest;
    size_t mates;     /* the reply is an array: of it, and of so many that fly right behind it */
    uint64_t changed; /* store_command_changes() from the mate that it was sent behind */
    struct store_value *kept; /* of the answer, while it is held (wait.h); owned */
    size_t n;
    char wire[]; /* n bytes and a NUL */
};

struct words {
    const struct str *words;
    size_t n;
};

/* The command that the words of all parts make, one behind the other. n_shared: of a script for
 * many, how many parts its mates have in common; else 0. NULL without memory. */
struct command *store_command_new(const struct words *parts, size_t n_parts, size_t n_shared);
/* The same function, the same keys: one call for both. */
bool store_command_is_mate(const struct command *a, const struct command *b);
/* In which arguments c differs from its mate that comes before it in the call (bit 0: the first);
 * 0: all of c's are to be sent. */
uint64_t store_command_changes(const struct command *before, const struct command *c);
/* The words that stand for c in a call, from store_command_changes(): their number. */
size_t store_command_n_words(const struct command *c, uint64_t changed);
/* The first of these words, which says which arguments follow; for changed > 0. Returns its bytes.
 */
size_t store_command_places(uint64_t changed, char ret[STORE_PLACES_SIZE]);
/* Takes the next changed argument out of *changed, and gives its bytes on the wire. */
struct str store_command_next(const struct command *c, uint64_t *changed);
/* What one call begins with whose arguments have so many words, before those of its jobs, which are
 * the bytes from rest_at on of each. Returns how many bytes it wrote, at most STORE_HEAD_SIZE; 0:
 * it is longer. */
size_t store_command_head(const struct command *first, size_t n_rest, char ret[STORE_HEAD_SIZE]);
