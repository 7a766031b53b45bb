/* SPDX-License-Identifier: Apache-2.0 */
/* quota — a caller's rate, exact over all ingresses, and the RateLimit fields that tell of it (IETF
 * draft ratelimit-headers). One script in front of the accept, for callers whose key has a rate. */
#pragma once

#include "config/tenant.h"
#include "httpd/httpd.h"
#include "store/store.h"

enum { QUOTA_FIELDS = 2, QUOTA_TEXT_SIZE = 64 };

struct quota {
    bool is_set;
    struct tenant_rate rate;
    int64_t left;     /* calls */
    int64_t reset_ms; /* until all are there again */
    int64_t next_ms;  /* until the next one; 0: this one was within it */
};

/* Charges one call to the key of this name. Returns as store_call does. */
MUST_CHECK int quota_charge(struct store *s, struct str caller, const struct tenant_rate *rate,
                            store_cb cb, void *arg);
/* What the script said; false for what it cannot have said. */
bool quota_read(const struct store_value *v, const struct tenant_rate *rate, struct quota *ret);
/* RateLimit-Policy and RateLimit; their texts stand in `texts`. Returns how many: 0 without one. */
size_t quota_fields(const struct quota *q, char texts[QUOTA_FIELDS][QUOTA_TEXT_SIZE],
                    struct httpd_field to[QUOTA_FIELDS]);
