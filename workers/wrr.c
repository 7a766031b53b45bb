/* SPDX-License-Identifier: Apache-2.0 */
/* Each start gives every class that has work its weight as credit, and takes the sum of these from
 * the one that was served: the largest credit is next. So the classes interleave, and what a class
 * is owed is never more than one round's. */
#include "wrr.h"

#include "base/fault.h"

static const int weights[WRR_CLASSES] = {[WRR_HIGH] = 8, [WRR_NORMAL] = 3, [WRR_LOW] = 1};

enum wrr_class wrr_class_of(struct str class)
{
    if (str_is(class, STR("high"))) {
        return WRR_HIGH;
    }
    return str_is(class, STR("low")) ? WRR_LOW : WRR_NORMAL;
}

int wrr_weight(enum wrr_class c)
{
    return weights[c];
}

enum wrr_class wrr_next(const struct wrr *w, const bool has_work[WRR_CLASSES])
{
    enum wrr_class best = WRR_CLASSES;

    for (enum wrr_class c = WRR_HIGH; c < WRR_CLASSES; c++) {
        if (has_work[c] && !RULE(serve_by_weight)) {
            return c;
        }
        if (has_work[c] &&
            (best == WRR_CLASSES || w->credit[c] + weights[c] > w->credit[best] + weights[best])) {
            best = c;
        }
    }
    return best;
}

void wrr_served(struct wrr *w, enum wrr_class c, const bool has_work[WRR_CLASSES])
{
    int sum = 0;

    for (enum wrr_class i = WRR_HIGH; i < WRR_CLASSES; i++) {
        if (has_work[i] || i == c) {
            w->credit[i] += weights[i];
            sum += weights[i];
        }
    }
    w->credit[c] -= sum;
}
