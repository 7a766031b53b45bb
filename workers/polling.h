/* SPDX-License-Identifier: Apache-2.0 */
/* polling — offloaded work: a tenant answered "not yet", and is polled, or posts the outcome. The
 * record keeps what is needed; a delivery is in hand only while one poll runs.
 *
 *   forward ─pending─► settle(offload) ─► delay ─confirm─► acknowledge
 *   claim ──poll─► GET ─pending, trouble─► polled ─► delay ─confirm─► acknowledge
 *                   ├─unknown────────────► polled ─► claim: the in-doubt policy
 *                   └─any other answer───► settle: the outcome of attempt n */
#pragma once

#include "attempt.h"
#include "httpc/httpc.h"
#include "store/store.h"

/* A forwarded call was answered: where the tenant offloads, and says "not yet", the verdict becomes
 * that. */
void polling_look(struct attempt *a, const struct httpc_result *r);
/* The claim's answer said: poll. */
void polling_begin(struct attempt *a, const struct store_value *v);
/* Tells the script what the tenant said, again where no answer came. */
void polling_record(struct attempt *a);
