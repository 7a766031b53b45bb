/* SPDX-License-Identifier: Apache-2.0 */
/* shares — how a worker's concurrency is divided among its lanes: each gets what it needs while
 * there is enough; else in proportion to its weight, but never less than its minimum. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct share {
    double weight;
    uint32_t minimum; /* at least 1; may make the sum exceed the whole when lanes are many */
    uint32_t need;
    uint32_t given; /* the answer */
};

void shares_divide(uint32_t whole, struct share *shares, size_t n);
