/* SPDX-License-Identifier: Apache-2.0 */
/* mistake — what is wrong with a document: one line a mistake, "FILE:LINE: path.to.key: sentence".
 *
 * Invariant: a line holds no control characters, whatever the document holds. After
 * MISTAKE_LIMIT lines only the count goes on. */
#pragma once

#include "base/buf.h"

enum { MISTAKE_LIMIT = 10000 };

/* Where a value stands; lives on the stack of those who descend. */
struct path {
    const struct path *up; /* NULL: this is a first step */
    const char *key;       /* NULL: an item of a list */
    size_t index;
};

struct mistakes {
    const char *file; /* NULL: lines begin with the path */
    struct buf *out;  /* NULL: they are only counted */
    size_t n;
    bool is_out_of_memory;
};

/* path: NULL for the document as a whole. line: 0 when there is none. */
__attribute__((format(printf, 4, 5))) void mistake_add(struct mistakes *m, const struct path *path,
                                                       int line, const char *format, ...);
/* The outcome of everything so far: 0, ERR_INVALID or ERR_NOMEM. */
int mistake_verdict(const struct mistakes *m);

/* The name of the NULL-ended `names` that is nearest to `key`, or NULL when none is near. */
const char *mistake_nearest(struct str key, const char *const *names);
