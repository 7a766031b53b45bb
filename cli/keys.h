/* SPDX-License-Identifier: Apache-2.0 */
/* keys — API keys: a token for the caller, and its hash for the configuration. Pure but for the
 * random token. */
#pragma once

#include "args.h"

enum { KEYS_TOKEN_SIZE = 64, KEYS_NAME_SIZE = 16 };

/* "sluice_" and 52 characters: 260 random bits, so that a bare hash keeps it. */
void keys_token(char out[KEYS_TOKEN_SIZE]);
/* "sha256:" and 64 hex digits. */
void keys_hash(struct str token, struct buf *out);
/* name: NULL: `made_up`. The entry of the configuration's `keys`, in flow style: JSON and YAML at
 * once. Returns 0, ERR_NOMEM, ERR_INVALID with a sentence in `why`. */
MUST_CHECK int keys_entry(const struct args *a, struct str token, const char *made_up,
                          struct buf *ret, struct buf *why);
