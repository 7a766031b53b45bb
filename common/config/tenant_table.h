/* SPDX-License-Identifier: Apache-2.0 */
/* tenant_table — the tables of a tenant's keys, for those who decode a whole configuration. */
#pragma once

#include "config/field.h"
#include "config/tenant.h"

extern const struct table tenant_table;
extern const struct table tenant_rate_table;

/* A tenant with every default; NULL without memory. */
struct tenant *tenant_new(struct str name);
/* A rate without a burst gets its limit as one. */
void tenant_rate_complete(struct tenant_rate *rate);
/* What can only be done when the last document was decoded: names for the nameless instances.
 * 0 or ERR_NOMEM. */
MUST_CHECK int tenant_complete(struct tenant *t);
