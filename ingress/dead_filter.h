/* SPDX-License-Identifier: Apache-2.0 */
/* dead_filter — which dead letters a request is about, read from its query. Pure. */
#pragma once

#include "base/buf.h"
#include "job/id.h"

enum {
    DEAD_WORD_SIZE = 72,
    DEAD_VALUE_SIZE = 260,
    DEAD_CURSOR_SIZE = 96,
    DEAD_LIST = 100, /* entries in a list, and at most */
    DEAD_LIST_MAX = 500,
    DEAD_REDRIVE = 1000, /* jobs run again by one request, and at most */
    DEAD_REDRIVE_MAX = 10000,
    DEAD_COUNT = 100000 /* counted by one request */
};

struct dead_filter {
    char tenant[JOB_TENANT_MAX + 1];
    char state[DEAD_WORD_SIZE]; /* "" any */
    char error[DEAD_WORD_SIZE]; /* likewise */
    char label_name[DEAD_WORD_SIZE];
    char label_value[DEAD_VALUE_SIZE];
    int64_t after_ms; /* shelved then or later; -1 any */
    int64_t bound_ms; /* shelved before then; -1: before now */
    int64_t last_ms;  /* the last entry seen; -1 none */
    char last_name[RANDOM_NAME_SIZE];
    uint64_t limit;
    bool is_dry_run;
};

/* Reads a query. is_redrive: the request runs them again; then state is "failed" unless given, and
 * dry_run is known. Returns NULL, or a sentence that says what is wrong with it. */
const char *dead_filter_read(struct str query, bool is_redrive, struct dead_filter *ret);
/* The text that the next request names to go on where this one ended. */
void dead_cursor_print(int64_t bound_ms, int64_t last_ms, struct str last_name,
                       char out[DEAD_CURSOR_SIZE]);
