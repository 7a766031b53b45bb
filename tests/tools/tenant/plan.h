/* SPDX-License-Identifier: Apache-2.0 */
/* plan — how the sample tenant will answer one call: read from the path (/sleep, /status/503,
 * /fail, /drop, …) and, on any path, from the query (?sleep_ms=&status=&drop=1…). Pure. */
#pragma once

#include "http/request.h"

enum plan_kind {
    PLAN_ECHO,    /* the body as it came, or a description of the request */
    PLAN_HEADERS, /* the request's headers as JSON */
    PLAN_BIG,     /* `bytes` bytes */
    PLAN_DRIP,    /* the same, `chunk` of them every `every_ms` */
    PLAN_CUT,     /* a whole head, half a body */
    PLAN_DROP     /* no answer */
};

struct plan {
    enum plan_kind kind;
    int status; /* of the answer that is not a failure */
    int64_t sleep_ms;
    int64_t retry_after_s; /* -1: none */
    uint64_t fail_times;   /* this many calls of one key fail first … */
    int fail_status;       /* … with this */
    size_t bytes;
    size_t chunk;
    int64_t every_ms;
};

void plan_of(const struct http_request *r, struct plan *ret);
