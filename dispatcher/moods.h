/* SPDX-License-Identifier: Apache-2.0 */
/* moods — what each instance is in the mood for, as the store's scripts have it: cooling down, its
 * breaker, its adaptive limit. Read each round, to be shown; nothing is decided by it. */
#pragma once

#include "dispatcher.h"

enum mood_breaker { MOOD_CLOSED, MOOD_HALF_OPEN, MOOD_OPEN };

struct mood {
    enum mood_breaker breaker; /* MOOD_CLOSED without one */
    struct wall cooling_until; /* 0: it does not cool */
    int64_t limit;             /* found by itself; 0: it has none */
};

MUST_CHECK int moods_new(struct dispatcher *d, struct moods **ret);
void moods_free(struct moods *m);
/* Asks for all tenants' moods. */
void moods_turn(struct moods *m);
/* As of the last round; that of a calm instance when it is not known yet. */
struct mood moods_of(const struct moods *m, const struct tenant *t, const char *instance);
/* closed, half_open, open */
const char *mood_breaker_word(enum mood_breaker b);
/* ,"breaker":…,"cooling_until":…,"limit":… */
void mood_print(const struct mood *mood, struct buf *out);
