/* SPDX-License-Identifier: Apache-2.0 */
/* options — the command line of a test tool as a table: `--name VALUE`, `--name=VALUE`, or a bare
 * `--flag`. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Exactly one of text, number and flag is where the value goes. */
struct option_row {
    const char *name; /* without the dashes */
    const char *help;
    const char **text;
    int64_t *number; /* not negative */
    bool *flag;
};

/* The table ends with a row whose name is NULL. Values are borrowed from argv. Returns 0, or
 * ERR_INVALID after a line on stderr; `--help` prints the table and returns ERR_CLOSED. */
MUST_CHECK int options_parse(const struct option_row *rows, int argc, char **argv);
