/* SPDX-License-Identifier: Apache-2.0 */
/* args — a command line's flags and words, read by a table. Pure.
 *
 * "--name value", "--name=value", "-n value"; "--" ends the flags; "-" is a word. Values are
 * checked by their kind when they are read, so that what asks for them later cannot fail. Memory:
 * texts are borrowed from argv. */
#pragma once

#include "base/buf.h"

enum flag_kind {
    FLAG_SWITCH,
    FLAG_TEXT,
    FLAG_SECONDS, /* a decimal number, kept to the millisecond */
    FLAG_COUNT,   /* a whole number from 1 */
    FLAG_WHOLE    /* a whole number, 0 too */
};

struct flag {
    const char *name;  /* "--data" */
    const char *alias; /* another long name, or NULL */
    char letter;       /* 'd' for "-d", or 0 */
    enum flag_kind kind;
    const char *value; /* its name in the help; NULL for a switch */
    const char *help;
};

struct flags {
    const struct flag *at;
    size_t n;
};

struct args_given;
struct args {
    const char **words;
    size_t n_words;
    struct args_given *given;
    size_t n_given;
};

/* Reads argv[0 … argc-1]. A flag is looked for in `own`, then in `common`.
 * stops_at_word: stop before the first word (the command's name).
 * ret_used: how many of argv were read; may be NULL.
 * Returns 0, ERR_NOMEM, or ERR_INVALID with a sentence in `why`. Free with args_fini in any case.
 */
MUST_CHECK int args_parse(struct flags own, struct flags common, int argc, char **argv,
                          bool stops_at_word, struct args *ret, int *ret_used, struct buf *why);
void args_fini(struct args *a);

/* `name` is the flag's first name. */
bool args_has(const struct args *a, const char *name);
/* The last value given, or NULL. */
const char *args_text(const struct args *a, const char *name);
/* The last value in milliseconds, or `otherwise`. */
int64_t args_ms(const struct args *a, const char *name, int64_t otherwise);
uint64_t args_count(const struct args *a, const char *name, uint64_t otherwise);
/* Every value in its order: start with *cursor = 0; NULL at the end. */
const char *args_next(const struct args *a, const char *name, size_t *cursor);

/* "5" or "0.25", at most ten years, to milliseconds. ERR_SYNTAX, ERR_TOO_LARGE. */
MUST_CHECK int args_seconds(struct str text, int64_t *ret_ms);
/* How many single-character changes make one of the other; texts over 63 bytes are far (64). */
size_t args_distance(struct str a, struct str b);
