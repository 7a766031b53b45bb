/* SPDX-License-Identifier: Apache-2.0 */
/* order — what a command line asks for, as a request. Pure. */
#pragma once

#include "args.h"

/* The document for POST /v1/jobs, from submit's flags.
 * body: NULL p: none. Returns 0, ERR_NOMEM, ERR_INVALID with a sentence in `why`. */
MUST_CHECK int order_document(const struct args *a, const char *tenant, const char *path,
                              struct str body, struct buf *ret, struct buf *why);
/* "Idempotency-Key: …" as a structured-field string, so that the key arrives as it is. ERR_INVALID
 * unless it is 1 to 255 visible characters or spaces. */
MUST_CHECK int order_key_line(const char *key, struct buf *ret, struct buf *why);
/* "/call/TENANT/PATH". ERR_INVALID when either would make it another path. */
MUST_CHECK int order_call_path(const char *tenant, const char *path, struct buf *ret,
                               struct buf *why);
/* Whether "Content-Type: application/json" is to be added: the body is JSON and no header says what
 * it is. */
bool order_is_json(const struct args *a, struct str body);
/* A "NAME: VALUE" text; false when it is none. */
bool order_header(const char *line, struct str *ret_name, struct str *ret_value);
