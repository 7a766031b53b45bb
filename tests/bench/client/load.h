/* SPDX-License-Identifier: Apache-2.0 */
/* load — so many connections, each of which sends the next request when it has its answer. One
 * thread. */
#pragma once

#include "base/err.h"
#include "report.h"

#include <stdint.h>

struct load_options {
    const char *address; /* "127.0.0.1:8080" */
    const char *path;    /* with paths > 0: a '*' in it stands for a number below that, in turn */
    const char *headers; /* further ones, each ended by CRLF; "" for none */
    int64_t connections; /* all are open before the first request is sent */
    int64_t paths;
    int64_t body;    /* bytes of each POST */
    int64_t count;   /* requests in all; 0: as many as `seconds` allow */
    int64_t seconds; /* then no request is sent any more */
    int64_t bound_s; /* then it is given up */
    bool awaits; /* the last Location of each connection is asked for until it says "succeeded" */
};

/* Prints a report. Returns ERR_OK; ERR_TIMEOUT after one of what there was; ERR_IO, ERR_NOMEM with
 * nothing printed. */
MUST_CHECK int load_run(const struct load_options *o);
