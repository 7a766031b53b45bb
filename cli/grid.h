/* SPDX-License-Identifier: Apache-2.0 */
/* grid — rows of cells in aligned columns, for people. Pure.
 *
 * What servers and tenants say may hold anything: control characters and broken UTF-8 are printed
 * as '?', so that a terminal is not told what to do. */
#pragma once

#include "base/buf.h"

struct column {
    const char *name; /* NULL in the first column: no line of names */
    bool is_right;    /* aligned to the right: numbers */
};

struct grid {
    const struct column *columns;
    size_t n_columns;
    struct buf cells; /* NUL after each */
};

void grid_init(struct grid *t, const struct column *columns, size_t n_columns);
void grid_fini(struct grid *t);
/* Adds the next cell of the row, then of the next row; an empty one shows as "-". */
void grid_add(struct grid *t, struct str text);
__attribute__((format(printf, 2, 3))) void grid_printf(struct grid *t, const char *format, ...);
/* Lines without trailing spaces. Out of memory marks `out` as failed. */
void grid_print(const struct grid *t, struct buf *out);
/* `text` as it may go to a terminal. */
void grid_clean(struct str text, struct buf *out);
