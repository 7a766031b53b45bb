/* SPDX-License-Identifier: Apache-2.0 */
/* request — an HTTP/1.1 request as a test tool must read it: whole, strict about framing, and
 * shared with nothing that the product uses. Pure. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    HTTP_HEADERS = 128,
    HTTP_HEAD_BYTES = 128 * 1024,
    HTTP_BODY_BYTES = 256 * 1024 * 1024,
    HTTP_VALUE_SIZE = 256
};

struct http_header {
    struct str name;
    struct str value;
};

/* Everything is borrowed from the bytes that were parsed, and a chunked body from `body`. */
struct http_request {
    struct str method;
    struct str target; /* as sent */
    struct str path;
    struct str query; /* without the '?' */
    struct str body;
    bool keeps_alive;
    bool expects_continue;
    size_t n_headers;
    struct http_header headers[HTTP_HEADERS];
};

/* Reads one request from the front of `bytes`; `body` receives a chunked body.
 * Returns 0 with *ret_used, the bytes that it took; ERR_MISSING when it is not whole yet, with
 * *ret_need, the size below which asking again is useless, and `ret` filled as far as the head if
 * the head was whole (method.n > 0); ERR_SYNTAX or ERR_TOO_LARGE. */
MUST_CHECK int http_request_parse(struct str bytes, struct buf *body, struct http_request *ret,
                                  size_t *ret_used, size_t *ret_need);

/* The first header of that name; the empty str when there is none. */
struct str http_header(const struct http_request *r, const char *name);
/* The raw value of a query parameter; false when it is not there. */
bool http_query(const struct http_request *r, const char *name, struct str *ret);
/* The number that a query parameter holds, or `otherwise`. */
int64_t http_query_number(const struct http_request *r, const char *name, int64_t otherwise);
/* The percent-decoded value, cut at the room, NUL-terminated; false when it is not there. */
bool http_query_text(const struct http_request *r, const char *name, char ret[HTTP_VALUE_SIZE]);
