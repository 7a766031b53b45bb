/* SPDX-License-Identifier: Apache-2.0 */
/* base64 — RFC 4648 section 4, strictly: padded, no white space, unused bits zero. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Appends the bytes. Returns 0, ERR_SYNTAX, or ERR_NOMEM; after an error `out` may hold a part. */
MUST_CHECK int base64_decode(struct str text, struct buf *out);
