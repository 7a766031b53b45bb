/* SPDX-License-Identifier: Apache-2.0 */
/* prefer — the Prefer header (RFC 7240): respond-async and wait=N. Pure. */
#pragma once

#include "base/str.h"

#include <stdint.h>

struct prefer {
    bool is_async; /* respond-async */
    bool has_wait;
    int64_t wait_ms; /* wait=N, seconds; bounded by PREFER_WAIT_MAX_MS */
};

enum { PREFER_WAIT_MAX_MS = 3600000 };

/* One field value; call for each occurrence: the first of each preference wins (RFC 7240, section
 * 2). Unknown and malformed preferences are ignored. */
void prefer_read(struct str value, struct prefer *p);

/* The value of an Idempotency-Key: with or without the quotes of a structured-field string (RFC
 * 8941, 3.3.3). False when it is empty, longer than 255 bytes, or holds other than visible
 * characters. */
bool prefer_idempotency_key(struct str field, struct str *ret);
