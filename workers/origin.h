/* SPDX-License-Identifier: Apache-2.0 */
/* origin — where a tenant says that its answer will be: a URL reference, resolved against the URL
 * that was asked (RFC 3986, section 5), and only on the same origin (RFC 6454: scheme, host, port).
 * Pure. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* base: an absolute http or https URL. reference: as it stood in the answer; its fragment is
 * dropped. ret: the absolute URL is appended. Returns 0; ERR_DENIED for another origin; ERR_SYNTAX
 * for what is no http reference (userinfo, control characters and spaces are none of it);
 * ERR_NOMEM. After an error `ret` is empty. */
MUST_CHECK int origin_resolve(struct str base, struct str reference, struct buf *ret);
