/* SPDX-License-Identifier: Apache-2.0 */
/* fair — which fair lane a request goes to, for tenants with fair_by: a hash of the header's value;
 * without the header, of the caller's name; without either, of nothing (all such are one caller).
 * Two callers may share a lane; then they wait for each other in order. Pure. */
#pragma once

#include "base/str.h"

/* "0" to "7", constant; empty when the tenant has no fair_by.
 * value: the header's, .p NULL without. caller: the name of the API key, or empty. */
struct str fair_lane(const char *fair_by, struct str value, struct str caller);
/* The value of the field `name` among "Name: value\r\n" lines; .p NULL without. */
struct str fair_value(struct str head, const char *name);
