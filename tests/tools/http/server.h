/* SPDX-License-Identifier: Apache-2.0 */
/* server — a small HTTP/1.1 server of the test tools: many connections, keep-alive, pipelined
 * requests one after the other, and every way of answering badly.
 *
 * An exchange begins in the callback and ends with exactly one of http_answer(), http_drop() and
 * http_end(), now or later. It stays valid until then even when its caller has gone.
 * Thread: the loop's. */
#pragma once

#include "http/request.h"
#include "loop/loop.h"

struct http_server;
struct http_exchange;

typedef void (*http_exchange_cb)(struct http_exchange *x, void *arg);

/* `address` is borrowed for the server's life. */
MUST_CHECK int http_server_new(struct loop *l, const char *address, http_exchange_cb cb, void *arg,
                               struct http_server **ret);
/* Ends every connection; exchanges that are open must not be touched afterwards. */
void http_server_free(struct http_server *s);
/* Refused: the listening socket and every idle connection are closed, so that connects fail. Taking
 * calls again may fail when another took the port. */
MUST_CHECK int http_server_refuse(struct http_server *s, bool is_refused);

const struct http_request *http_exchange_request(const struct http_exchange *x);

/* `headers`: whole lines with their ends, or empty. The body of an answer to HEAD, and of 204 and
 * 304, is left out. */
void http_answer(struct http_exchange *x, int status, struct str headers, struct str content_type,
                 struct str body);
/* Closes without an answer. */
void http_drop(struct http_exchange *x);
/* An answer in pieces: its head, which promises `length` bytes, … */
void http_start(struct http_exchange *x, int status, struct str headers, struct str content_type,
                size_t length);
/* … some of them, … */
void http_more(struct http_exchange *x, struct str bytes);
/* … and its end; is_cut closes the connection once what was given has left. */
void http_end(struct http_exchange *x, bool is_cut);
