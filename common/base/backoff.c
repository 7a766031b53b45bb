/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

static double bound_ms(const struct backoff *b, unsigned int failures)
{
    double bound = (double)b->initial_ms;

    for (unsigned int i = 1; i < failures && bound < (double)b->max_ms; i++) {
        bound *= b->factor;
        if (b->factor <= 1.0) {
            break;
        }
    }
    return bound < (double)b->max_ms ? bound : (double)b->max_ms;
}

int64_t backoff_full_jitter_ms(const struct backoff *b, unsigned int failures, int64_t floor_ms,
                               double unit)
{
    int64_t drawn = (int64_t)(bound_ms(b, failures) * unit);

    return drawn > floor_ms ? drawn : floor_ms;
}

int64_t backoff_half_jitter_ms(const struct backoff *b, unsigned int failures, double unit)
{
    double bound = bound_ms(b, failures);

    return (int64_t)(bound / 2.0 + bound / 2.0 * unit);
}
