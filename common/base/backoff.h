/* SPDX-License-Identifier: Apache-2.0 */
/* backoff — how long to wait before trying again. Pure: the random number is an argument. */
#pragma once

#include <stdint.h>

struct backoff {
    int64_t initial_ms; /* before the second try; at least 1 */
    double factor;      /* at least 1 */
    int64_t max_ms;
};

/* Full jitter (a uniform draw from nothing to the exponential bound), never below `floor_ms`, which
 * may exceed max_ms (a Retry-After does).
 * failures: tries that failed so far, from 1. unit: in [0, 1). */
int64_t backoff_full_jitter_ms(const struct backoff *b, unsigned int failures, int64_t floor_ms,
                               double unit);

/* For reconnecting: half fixed, half drawn, so that it is never immediate. */
int64_t backoff_half_jitter_ms(const struct backoff *b, unsigned int failures, double unit);
