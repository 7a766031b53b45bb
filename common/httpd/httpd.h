/* SPDX-License-Identifier: Apache-2.0 */
/* httpd — the HTTP/1.1 server of every daemon, on the loop.
 *
 * A request reaches its handler once, whole (head and body), or not at all: whatever is malformed,
 * too large or too slow is answered here. The handler answers at once or keeps the request and
 * answers later; a caller that hangs up meanwhile is noticed within a second.
 *
 * Strictness (RFC 9112; libmicrohttpd 0.9.75 alone would let requests be smuggled): one valid
 * Content-Length and none beside Transfer-Encoding, `chunked` alone as Transfer-Encoding, token
 * field names, no control characters in values or target, exactly one Host (HTTP/1.0: at most one),
 * origin-form targets without "." or ".." segments (also %2e, also beside %2f or '\'), else 400 and
 * the connection closes.
 * Over the limits: 413 body, 431 header section, 503 connections; 408 for a slow head or body.
 *
 * Thread: the loop's.   Memory: the server owns requests until they are answered or gone. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

struct httpd;
struct httpd_req;

struct httpd_field {
    struct str name;
    struct str value;
};

/* An answer. Everything is borrowed for the call and copied, but for a `body` with `free_body`. */
struct httpd_answer {
    int status;
    const char *content_type; /* NULL: no Content-Type of ours (then `fields` may carry one) */
    const struct httpd_field *fields;
    size_t n_fields;
    struct str body;
    void (*free_body)(void *p); /* NULL: copied; else the server owns body.p and frees it so */
};

/* Early answer, as problem+json, for what the server refuses by itself (400, 408, 413, 431, 503).
 * Fills a body for `status` into the answer; the default is plain text. */
typedef void (*httpd_refusal_cb)(int status, const char *detail, struct httpd_answer *answer,
                                 void *arg);
/* The head is there, the body is not: the handler may answer now (httpd_answer), which refuses the
 * body, or return and let the body come. If it never comes, nobody is told: own nothing yet. */
typedef void (*httpd_head_cb)(struct httpd_req *r, void *arg);
/* The whole request is there. Must be answered exactly once, now or later, unless it is gone. */
typedef void (*httpd_request_cb)(struct httpd_req *r, void *arg);
/* The caller of a request that waits has hung up. The request must not be answered any more; it is
 * freed after this returns. */
typedef void (*httpd_gone_cb)(struct httpd_req *r, void *arg);

struct httpd_options {
    const char *listen; /* "127.0.0.1:8080", "[::1]:8080", ":8080" */
    size_t max_header_bytes;
    size_t max_body_bytes;
    unsigned int max_connections;
    int64_t head_timeout_ms; /* the whole head must be there by then */
    int64_t body_timeout_ms; /* and the whole body */
    int64_t idle_timeout_ms; /* between requests of a kept-alive connection */
    httpd_head_cb on_head;   /* may be NULL */
    httpd_request_cb on_request;
    httpd_refusal_cb on_refusal; /* may be NULL */
    void *arg;
};

/* Listens (SO_REUSEPORT) and serves. Returns 0, ERR_IO (cannot listen; errno says why), ERR_NOMEM.
 */
MUST_CHECK int httpd_new(struct loop *l, const struct httpd_options *o, struct httpd **ret);
/* Stops listening; kept requests go on and connections close as they are answered. */
void httpd_quiesce(struct httpd *h);
/* The port that is listened on (for ":0"). */
int httpd_port(const struct httpd *h);
/* Requests that have not been answered yet. */
size_t httpd_pending(const struct httpd *h);
/* Open connections. */
size_t httpd_connections(const struct httpd *h);
/* Drops every connection; kept requests are gone (their gone_cb runs). */
void httpd_free(struct httpd *h);

/* --- a request: the strs live as long as the request ------------------------------------------ */
struct str httpd_method(const struct httpd_req *r);
/* The raw target as it came: path and, after '?', the query; nothing decoded. */
struct str httpd_target(const struct httpd_req *r);
/* The target before '?'. */
struct str httpd_path(const struct httpd_req *r);
/* After '?'; empty without one. */
struct str httpd_query(const struct httpd_req *r);
/* A field's first value by name (any case); {NULL, 0} when it is not there. */
struct str httpd_header(const struct httpd_req *r, const char *name);
/* How often a field name occurs. */
size_t httpd_header_count(const struct httpd_req *r, const char *name);
/* All fields in their order, repeated ones separate. */
size_t httpd_n_fields(const struct httpd_req *r);
struct httpd_field httpd_field_at(const struct httpd_req *r, size_t i);
/* The whole body; empty in on_head. */
struct str httpd_body(const struct httpd_req *r);
/* Moves the body out (the caller frees with free()); NULL when it is empty. */
char *httpd_body_take(struct httpd_req *r, size_t *ret_n);
/* A pointer of the handler's own. */
void httpd_set_data(struct httpd_req *r, void *data);
void *httpd_data(const struct httpd_req *r);
/* The text of the peer's address, for logs. */
const char *httpd_peer(const struct httpd_req *r);

/* Call before returning from on_request when the answer comes later. Again, at any time, to have
 * another callback: the request changed hands. */
void httpd_keep(struct httpd_req *r, httpd_gone_cb gone);
/* Answers and forgets the request; `r` is invalid afterwards. Never blocks. The body of an answer
 * to HEAD is not sent; its length is. */
void httpd_answer(struct httpd_req *r, const struct httpd_answer *a);
