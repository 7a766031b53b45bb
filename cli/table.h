/* SPDX-License-Identifier: Apache-2.0 */
/* table — rows of cells in aligned columns, for people. Pure.
 *
 * What servers and tenants say may hold anything: control characters and broken UTF-8 are printed
 * as '?', so that a terminal is not told what to do. */
#pragma once

#include "base/buf.h"

struct column {
    const char *name; /* NULL in the first column: no line of names */
    bool is_right;    /* aligned to the right: numbers */
};

struct table {
    const struct column *columns;
    size_t n_columns;
    struct buf cells; /* NUL after each */
};

void table_init(struct table *t, const struct column *columns, size_t n_columns);
void table_fini(struct table *t);
/* Adds the next cell of the row, then of the next row; an empty one shows as "-". */
void table_add(struct table *t, struct str text);
__attribute__((format(printf, 2, 3))) void table_printf(struct table *t, const char *format, ...);
/* Lines without trailing spaces. Out of memory marks `out` as failed. */
void table_print(const struct table *t, struct buf *out);
/* `text` as it may go to a terminal. */
void table_clean(struct str text, struct buf *out);
