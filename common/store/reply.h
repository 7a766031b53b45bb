/* SPDX-License-Identifier: Apache-2.0 */
/* reply — what Redis answered, in our words. Pure. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

#include <stdbool.h>

struct redisReply;

struct redis_refusal {
    const char *words; /* with which an error reply begins */
    int rc;
    bool is_resent;  /* load the scripts and send again */
    bool is_our_end; /* this server serves us no more: connect anew */
};

/* By the first words of the error; never NULL (ERR_BUG for those that are not in the table). */
const struct redis_refusal *redis_refusal_of(struct str error);

/* Room for the items of one answer; reused. A zeroed struct is empty. */
struct redis_values {
    struct store_value *items;
    size_t room;
};

void redis_values_fini(struct redis_values *v);
/* ret: borrows from `reply` and `room`. Returns 0 or ERR_NOMEM. */
MUST_CHECK int redis_value_of(const struct redisReply *reply, struct redis_values *room,
                              struct store_value *ret);
/* A copy that stands on its own, in one block for free(). Returns 0 or ERR_NOMEM. */
MUST_CHECK int redis_value_keep(const struct store_value *v, struct store_value **ret);
