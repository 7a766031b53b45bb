/* SPDX-License-Identifier: Apache-2.0 */
/* query — the parameters of a request's query, decoded. Pure. */
#pragma once

#include "base/buf.h"

/* Cuts the next parameter off *rest: "a=b%20c&d" gives ("a", "b c"), ("d", ""); '+' is a space,
 * empty pieces are skipped. Both bufs are cleared first. Returns 0, ERR_MISSING at the end,
 * ERR_SYNTAX for a '%' without two hex digits, ERR_NOMEM. */
MUST_CHECK int query_next(struct str *rest, struct buf *ret_name, struct buf *ret_value);
