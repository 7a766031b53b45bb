/* SPDX-License-Identifier: Apache-2.0 */
/* document — POST /v1/jobs: the JSON document, checked whole, and what it asks for.
 *
 * Strict: well-formed UTF-8 JSON to the last byte, no NUL, no duplicate keys, nesting at most 64,
 * no unknown members, no contradictions. `request.body` is the bytes that stood in the document.
 * The control part (without the body) is at most 64 KiB. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct job_document {
    char *tenant;
    char *method; /* "POST" unless given; a token */
    char *path;   /* begins with '/'; with query; no control characters, no dot segments */
    char *head;   /* "Name: value\r\n" lines */
    char *body;   /* heap, or NULL */
    size_t body_n;
    bool is_json_body;     /* `body`, not body_text or body_base64 */
    char *idempotency_key; /* or NULL */
    char *ordering_key;    /* or NULL */
    char *priority;        /* "high", "normal", "low"; NULL: not given */
    int64_t due_in_ms;     /* 0: now */
    int64_t ttl_ms;        /* until its own deadline; 0: never; 1 when expires_at has passed */
    int64_t timeout_ms;    /* 0: the tenant's */
    char *retry;           /* as struct job_message's; NULL: the tenant's */
    char *callback;        /* or NULL */
    char *labels;          /* compact JSON object of strings; NULL: none */
};

/* now_ms: the wall clock, for not_before and expires_at. On ERR_SYNTAX, ERR_INVALID, ERR_TOO_LARGE
 * `why` is a sentence for the caller that names the member. Filled members must be freed with
 * job_document_fini, also after an error. */
MUST_CHECK int job_document_parse(struct str json, int64_t now_ms, struct job_document *ret,
                                  struct buf *why);
void job_document_fini(struct job_document *d);

/* Request targets as Sluice forwards them: begins with '/', no control characters, spaces or '#',
 * and no "." or
 * ".." segment, plain, as %2e, also beside %2f or '\'. */
bool job_path_is_safe(struct str path);

/* Field lines that may go to a tenant: whether a caller's field is forwarded at all (not
 * hop-by-hop, not named by `connection`, not Sluice-*, Prefer, Expect, Proxy-Authorization, Host,
 * Content-Length). */
bool job_field_is_forwarded(struct str name, struct str connection);

/* The digest that names a dedupe key: 64 hex digits and NUL, of (caller, key). */
void job_key_digest(struct str caller, struct str key, char out[65]);
/* Method, path with query, and body: 64 hex digits and NUL. */
void job_fingerprint(struct str method, struct str path, struct str body, char out[65]);
/* SHA-256 (FIPS 180-4). */
void job_sha256(struct str bytes, unsigned char out[32]);
