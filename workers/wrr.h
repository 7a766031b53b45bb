/* SPDX-License-Identifier: Apache-2.0 */
/* wrr — which class is served next: smooth weighted round robin, 8:3:1 for high, normal and low
 * while all have work; a class alone is served alone. Pure. */
#pragma once

#include "base/str.h"

enum wrr_class { WRR_HIGH, WRR_NORMAL, WRR_LOW, WRR_CLASSES };

/* A zeroed struct has served nothing. */
struct wrr {
    int credit[WRR_CLASSES];
};

/* By its name; that of waiting callers ("sync") has no others beside it, and counts as normal. */
enum wrr_class wrr_class_of(struct str class);
int wrr_weight(enum wrr_class c);
/* The class whose turn it is among those that have work; WRR_CLASSES when none has. */
enum wrr_class wrr_next(const struct wrr *w, const bool has_work[WRR_CLASSES]);
/* `c` was served, while those of has_work (c among them or not) waited. */
void wrr_served(struct wrr *w, enum wrr_class c, const bool has_work[WRR_CLASSES]);
