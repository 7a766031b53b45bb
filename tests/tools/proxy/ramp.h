/* SPDX-License-Identifier: Apache-2.0 */
/* ramp — a delay that grows to a maximum and shrinks again, once. Pure. */
#pragma once

#include "base/clock.h"

struct ramp {
    int64_t base_ms;
    int64_t max_ms;   /* at most base_ms: the delay is constant */
    int64_t ms_per_s; /* how fast it grows and shrinks; 0: constant */
    struct mono start;
};

int64_t ramp_delay_ms(const struct ramp *r, struct mono now);
