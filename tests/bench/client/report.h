/* SPDX-License-Identifier: Apache-2.0 */
/* report — what was seen of a load, and its one line of JSON. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
    uint32_t *us; /* how long each answered request took, in microseconds */
    size_t n;
    size_t capacity;
    uint64_t statuses[1000];
    uint64_t broken; /* connections that ended in the middle, or answers that were none */
};

/* False without memory. */
bool report_add(struct report *r, int status, int64_t us);
/* Prints one line to stdout:
 * {"requests":…,"ok":…,"broken":…,"statuses":{"200":…},"seconds":…,"done_seconds":…,"rate":…,
 * "p50_ms":…,"p99_ms":…,"max_ms":…}. ok: 2xx. us: until the last answer; done_us: until the last
 * result was readable. */
void report_print(struct report *r, int64_t us, int64_t done_us);
void report_fini(struct report *r);
