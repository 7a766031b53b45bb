/* SPDX-License-Identifier: Apache-2.0 */
/* flags — the command line of every daemon, from one table that also prints --help.
 *
 * Memory: the texts are argv's. Pure. */
#pragma once

#include "base/buf.h"

enum flags_mode {
    FLAGS_RUN,
    FLAGS_CHECK,
    FLAGS_PRINT_CONFIG,
    FLAGS_VERSION,
    FLAGS_HEALTH,
    FLAGS_HELP
};

struct flags {
    enum flags_mode mode;
    const char *config; /* FILE, or NULL */
    const char *listen; /* ADDR:PORT, checked; or NULL */
};

/* Takes "--flag VALUE" and "--flag=VALUE"; of a repeated value the last one holds. Returns 0, or
 * ERR_INVALID with a sentence in `why`. --help and --version win over what stands beside them; two
 * other modes at once are refused. */
MUST_CHECK int flags_parse(int argc, char **argv, struct flags *ret, struct buf *why);
void flags_help(const char *program, struct buf *out);
