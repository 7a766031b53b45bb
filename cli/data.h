/* SPDX-License-Identifier: Apache-2.0 */
/* data — what comes from files and standard input. Blocks. */
#pragma once

#include "base/buf.h"

/* "-": standard input. Returns 0, or an error with a sentence in `why`. */
MUST_CHECK int data_read_file(const char *path, struct buf *ret, struct buf *why);
/* The value of --data: "@FILE" and "@-" are read, anything else is the text itself. */
MUST_CHECK int data_read(const char *value, struct buf *ret, struct buf *why);
