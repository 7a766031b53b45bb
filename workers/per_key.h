/* SPDX-License-Identifier: Apache-2.0 */
/* per_key — the key by which a tenant's per_key limit counts a call: the value of a header of the
 * request, or of a label of the job. The store sees a digest of it: any bytes, of one size, and
 * nobody's name. */
#pragma once

#include "config/tenant.h"
#include "job/message.h"

enum { PER_KEY_SIZE = 33 };

/* Writes 32 hex digits. False: the tenant has no such limit, or the call no such header or label;
 * then nothing counts it. Of a header that stands there more than once the first counts. */
bool per_key_of(const struct tenant *t, const struct job_message *m, char out[PER_KEY_SIZE]);
