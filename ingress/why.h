/* SPDX-License-Identifier: Apache-2.0 */
/* why — the document of GET /v1/jobs/{id}/why, from what the script says. Pure. */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "store/store.h"

/* {"state", "reason", "until", "place"}, and "note" of a pause that has one. Returns 0, or
 * ERR_PROTOCOL for what the script cannot have said. */
MUST_CHECK int why_print(const struct store_value *v, struct wall now, struct buf *out);
