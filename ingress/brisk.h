/* SPDX-License-Identifier: Apache-2.0 */
/* brisk — what the store's last answers said of tenants: whether their attempts are brief and their
 * queue is short, so that jobs may travel together (bundles.h) and before their records; and what
 * the store's clock says by now. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

struct brisk;

MUST_CHECK int brisk_new(struct brisk **ret);
void brisk_free(struct brisk *b);
/* An answer about a tenant. together: how many of its jobs may share a message; 0: it is not brisk.
 * store_ms: by the store's clock; 0: it said no time. Without memory it is as if the tenant were
 * not brisk. */
void brisk_note(struct brisk *b, struct str tenant, size_t together, int64_t store_ms,
                struct mono now);
/* As the last answer said, if it is of the last fifth of a second; else 0. */
size_t brisk_together(const struct brisk *b, struct str tenant, struct mono now);
/* The store's clock, as far as known: only while some tenant is brisk. */
int64_t brisk_store_ms(const struct brisk *b, struct mono now);
