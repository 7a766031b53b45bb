/* SPDX-License-Identifier: Apache-2.0 */
/* Water-filling: at level x a lane gets x times its weight, within its bounds. The level at which
 * the sum is the whole is found by halving. */
#include "shares.h"

enum { HALVINGS = 48 };

static uint32_t at_level(const struct share *s, double level)
{
    double x = level * s->weight;
    uint32_t most = s->need > s->minimum ? s->need : s->minimum;

    if (x >= (double)most) {
        return most;
    }
    return x > (double)s->minimum ? (uint32_t)x : s->minimum;
}

static uint64_t sum_at(const struct share *shares, size_t n, double level)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += at_level(&shares[i], level);
    }
    return sum;
}

void shares_divide(uint32_t whole, struct share *shares, size_t n)
{
    double low = 0;
    double high = 1e9;

    if (sum_at(shares, n, high) > whole) {
        for (int i = 0; i < HALVINGS; i++) {
            double middle = (low + high) / 2;
            if (sum_at(shares, n, middle) > whole) {
                high = middle;
            } else {
                low = middle;
            }
        }
    } else {
        low = high;
    }
    for (size_t i = 0; i < n; i++) {
        shares[i].given = at_level(&shares[i], low);
    }
}
