/* SPDX-License-Identifier: Apache-2.0 */
/* httpc — the HTTP client that forwards attempts and polls health, on the loop (libcurl, multi
 * socket interface).
 *
 * It never re-sends, queues, redirects, resolves or uses a proxy by itself: one call is at most one
 * request on the wire, and the result says whether it may have left. Connections are reused and
 * given up after `idle_s` of rest (0: never reused).
 *
 * What the caller's head lines say of framing, connection, Host or Expect is dropped; repeated and
 * empty fields go out as given, and nothing is added but Host and Content-Length. Names other than
 * numbers and localhost are looked up in curl's threads, never in the loop's, and believed for five
 * seconds.
 *
 * Thread: the loop's.   Memory: the caller's data is borrowed until `done` has run. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

struct httpc;
struct httpc_call;

enum httpc_kind {
    HTTPC_ANSWERED, /* a complete answer came */
    HTTPC_UNSENT,   /* provably never left: resolve, connect or TLS failed, or may_send said no */
    HTTPC_DOUBT     /* may have left, and no complete answer came */
};

struct httpc_result {
    enum httpc_kind kind;
    /* A stable word when not answered: connect_refused, connect_timeout, resolve_failed,
     * tls_failed, not_sent, timeout_first_byte, timeout_total, connection_broken, answer_malformed,
     * aborted. */
    const char *error;
    int status;
    /* End-to-end fields of the answer: "Name: value\r\n" lines, hop-by-hop ones dropped. */
    struct str head;
    struct str body;
    /* The body was longer than max_answer_bytes: `body` is empty, status and head stand. The rest
     * was read and dropped; after 64 MiB of that, or total_ms, we hung up. */
    bool is_too_large;
    size_t body_bytes; /* as received, also when dropped */
    int64_t took_ms;
};

/* Called in the last callback before the request is written; false: do not send (HTTPC_UNSENT,
 * "not_sent"). Once a call at most. */
typedef bool (*httpc_may_send_cb)(void *arg);
/* Exactly once a call; the result's strs are valid until it returns. Never from within httpc_start.
 */
typedef void (*httpc_done_cb)(const struct httpc_result *result, void *arg);

struct httpc_request {
    struct str method;
    const char *url;         /* http:// or https://, path and query as they are to be sent */
    const char *const *head; /* NULL-terminated "Name: value" lines; Host and framing are ours */
    struct str body;         /* borrowed until done */
    int64_t connect_ms;      /* look-up, connect and TLS together; 0: curl's 300 s */
    int64_t first_byte_ms;   /* from the start until the status line (1xx is none); 0: no limit */
    int64_t total_ms;
    size_t max_answer_bytes;
    httpc_may_send_cb may_send; /* may be NULL */
    httpc_done_cb done;
    void *arg;
};

MUST_CHECK int httpc_new(struct loop *l, int64_t idle_s, struct httpc **ret);
/* Calls that still run end with HTTPC_DOUBT or HTTPC_UNSENT, "aborted": their done runs in here.
 * Not from within a done. */
void httpc_free(struct httpc *h);
/* Starts a call. Returns 0 (done will run) or an error (it will not): ERR_INVALID (URL with
 * userinfo, fragment, spaces or control characters; method CONNECT or no token; HEAD with a body; a
 * head line with control characters or without a name), ERR_NOMEM, ERR_CLOSED (within httpc_free).
 */
MUST_CHECK int httpc_start(struct httpc *h, const struct httpc_request *r, struct httpc_call **ret);
/* Ends a call now; done runs in the next turn, "aborted". Nothing on a call that has ended, within
 * its own done, too; afterwards the call is gone. */
void httpc_abort(struct httpc_call *c);
size_t httpc_running(const struct httpc *h);
