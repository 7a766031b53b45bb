/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ramp.h"

int64_t ramp_delay_ms(const struct ramp *r, struct mono now)
{
    int64_t height = r->max_ms - r->base_ms;
    int64_t moved = mono_since_ms(r->start, now) * r->ms_per_s / 1000;

    if (height <= 0 || r->ms_per_s <= 0 || moved >= 2 * height) {
        return r->base_ms;
    }
    return r->base_ms + (moved < height ? moved : 2 * height - moved);
}
