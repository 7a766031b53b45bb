/* SPDX-License-Identifier: Apache-2.0 */
/* document_inside — what the files of the document decoder share; nobody else includes it. */
#pragma once

#include "job/document.h"

struct cJSON;

struct document_reader {
    struct job_document *d;
    struct buf *why;
    int64_t now_ms;
    /* Raw values cut out of the request; empty: not there. */
    struct str body;
    struct str body_text;
    struct str body_base64;
};

/* One member of an object: its reader is called with the value when it is there. */
struct document_member {
    const char *name;
    int (*read)(struct document_reader *r, const struct cJSON *value, const char *where);
};

/* Says why and returns ERR_INVALID. */
__attribute__((format(printf, 2, 3))) int document_refuse(struct document_reader *r,
                                                          const char *format, ...);
/* Reads each member by its row; one without a row is refused. `prefix` ("retry.") stands before
 * names in `why`. */
MUST_CHECK int document_members(struct document_reader *r, const struct cJSON *object,
                                const char *prefix, const struct document_member *rows, size_t n);
/* The string's characters (borrowed), of `min` to `max` bytes, else ERR_INVALID. */
MUST_CHECK int document_text(struct document_reader *r, const struct cJSON *value,
                             const char *where, size_t min, size_t max, struct str *ret);
/* A copy; replaces NULL. */
MUST_CHECK int document_keep(struct str text, char **ret);
/* Whether every byte is visible ASCII, a space, or, above ASCII, part of a character. */
bool document_is_printable(struct str text);
bool document_is_token(struct str text);
/* Appends a name that a caller chose: short, and safe to show. */
void document_show(struct buf *why, struct str name);

/* The member `request`, and the bodies that were cut out of it. */
MUST_CHECK int document_request(struct document_reader *r, const struct cJSON *value,
                                const char *where);
