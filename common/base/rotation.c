/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rotation.h"

static size_t common_factor(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t drawn_below(size_t n, double unit)
{
    size_t i = (size_t)(unit * (double)n);

    return i < n ? i : n - 1;
}

/* One of the steps that lead through all nodes. */
static size_t drawn_step(size_t n, double unit)
{
    size_t n_steps = 0;

    for (size_t step = 1; step < n; step++) {
        n_steps += common_factor(n, step) == 1;
    }
    size_t left = drawn_below(n_steps, unit);
    for (size_t step = 1; step < n; step++) {
        if (common_factor(n, step) == 1 && left-- == 0) {
            return step;
        }
    }
    return 1;
}

void rotation_init(struct rotation *r, size_t n, double unit_node, double unit_step)
{
    *r = (struct rotation){.n = n, .at = drawn_below(n, unit_node)};
    r->step = n > 2 ? drawn_step(n, unit_step) : 1;
}

int64_t rotation_failed(struct rotation *r, const struct backoff *b, double unit)
{
    r->at = (r->at + r->step) % r->n;
    r->tried++;
    if (r->tried < r->n) {
        return (int64_t)((double)b->initial_ms / 2.0 * unit);
    }
    r->tried = 0;
    r->rounds++;
    return backoff_half_jitter_ms(b, r->rounds, unit);
}

void rotation_settled(struct rotation *r)
{
    r->tried = 0;
    r->rounds = 0;
}
