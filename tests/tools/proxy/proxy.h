/* SPDX-License-Identifier: Apache-2.0 */
/* proxy — a TCP proxy that is the third party that turns slow: delays, stops reading, falls silent,
 * cuts.
 *
 * Its control address: GET /stats; /set?delay_ms=&ramp_ms_per_s=&max_ms= (begins the ramp anew),
 * /stop-reading (what is sent to it piles up at the sender), /blackhole (reads and forwards
 * nothing), /resume (ends both), /cut (resets every connection), /refuse, /accept.
 * Thread: the loop's. */
#pragma once

#include "loop/loop.h"

#include <stdbool.h>

struct proxy;

struct proxy_options {
    const char *listen;
    const char *target;
    const char *control;   /* or NULL */
    const char *direction; /* what is delayed: "answers", "requests" or "both" */
    int64_t delay_ms;
    int64_t ramp_ms_per_s;
    int64_t max_ms;
    bool logs; /* the conversation's sizes, to stderr */
};

/* Borrows the options. Returns 0, or an error after a line on stderr. */
MUST_CHECK int proxy_new(struct loop *l, const struct proxy_options *o, struct proxy **ret);
void proxy_free(struct proxy *p);
