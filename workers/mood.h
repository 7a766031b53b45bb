/* SPDX-License-Identifier: Apache-2.0 */
/* mood — what an attempt's outcome says of the instance that it went to: whether it has to cool
 * down, and whether it counts for its breaker and its adaptive limit (docs/protocol.md, "Cooling
 * down, breakers, adaptive limits"). Pure: no clock, no I/O. */
#pragma once

#include "base/clock.h"
#include "config/tenant.h"
#include "httpc/httpc.h"
#include "store/args.h"

struct mood {
    int64_t
        cool_ms; /* the instance, or its tenant, takes nothing for so long; 0: it does not cool */
    struct str breaker; /* good | bad | none */
    struct str load;    /* good | busy | none */
    int64_t took_ms;
};

struct mood mood_of(const struct httpc_result *r, struct wall now);

/* For how long an answer asks to be left alone, at most a day; 0: it does not. Retry-After of a 429
 * or 503 (RFC 9110, 10.2.3); of any answer a RateLimit field that names nothing left (r=0;t=30, or
 * remaining=0, reset=30), or RateLimit-Remaining: 0 with RateLimit-Reset, in seconds. The longest
 * of them. head: "Name: value\r\n" lines. */
int64_t mood_cooling_ms(int status, struct str head, struct wall now);

/* The tenant's policies, as options of the scripts claim and complete. */
struct mood_policies {
    char breaker[160];
    char adaptive[48];
};
/* ret must live until the call was made. */
void mood_add_policies(const struct tenant *t, struct mood_policies *ret, struct store_args *a);
/* What complete needs besides. */
void mood_add(const struct mood *m, const struct tenant *t, struct store_args *a);
