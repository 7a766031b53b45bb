/* SPDX-License-Identifier: Apache-2.0 */
/* shelving — the shelve script about a message: what waits for a person, with its request
 * (protocol.md, invariant 9). To be called when the tenant's shelf queue has confirmed its copy. */
#pragma once

#include "job/message.h"
#include "store/args.h"

struct shelving {
    int64_t seen_number; /* what the claim's answer named; −1: there is no record */
    struct str seen_token;
    const char *reason; /* a stable word */
    bool is_dead;       /* attempts used up; else in doubt */
    uint64_t max_bytes; /* of the tenant's shelf */
    int64_t window_ms;  /* of its keys */
};

/* The message is stored as one that was attempted, perhaps. cb gets the script's answer. Returns 0,
 * ERR_INVALID (the id), ERR_DOWN, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK int shelving_call(struct store *s, const struct job_message *m,
                             const struct shelving *how, store_cb cb, void *arg);
/* What accept wrote of a message beside key, class and times, as names and values. */
void shelving_add_request(struct store_args *a, const struct job_message *m);
