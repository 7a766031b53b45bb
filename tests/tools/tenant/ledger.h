/* SPDX-License-Identifier: Apache-2.0 */
/* ledger — the tenant's word on what it received: one line of JSON a receipt, in the file before
 * the answer leaves. Several tenants may append to one file. */
#pragma once

#include "base/clock.h"
#include "http/request.h"

struct ledger {
    int fd; /* -1: none is kept */
    const char *instance;
    struct buf line;
};

/* `path` may be NULL: nothing is kept. Returns 0 or ERR_IO with errno set. */
MUST_CHECK int ledger_open(const char *path, const char *instance, struct ledger *ret);
void ledger_close(struct ledger *g);
/* Returns 0, or ERR_IO when the line is not in the file: the caller must not answer then. */
MUST_CHECK int ledger_receipt(struct ledger *g, const struct http_request *r, struct wall now,
                              bool is_dropped);
