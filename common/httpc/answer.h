/* SPDX-License-Identifier: Apache-2.0 */
/* answer — gathers one HTTP answer from the lines and bytes that curl hands over. No I/O.
 *
 * Interim answers (1xx) are forgotten; of the final one the end-to-end fields stay. Trailers are
 * dropped. Heads are bounded here, because curl's own bounds differ by version.
 * Memory: a zeroed struct is empty; fini frees. */
#pragma once

#include "base/buf.h"

enum {
    HTTPC_HEAD_MAX = 64 << 10, /* one head; larger ones are malformed. Ours, as ingress bounds it */
    HTTPC_HEADS_MAX = 256 << 10, /* all that came as head lines: interim ones and trailers, too */
    HTTPC_DRAIN_MAX = 64 << 20   /* read beyond max_answer_bytes before we hang up */
};

struct httpc_answer {
    int status;         /* of the last status line; 0 before any */
    bool is_in_head;    /* fields of that status line are due */
    bool is_head_whole; /* the final answer's head has ended */
    /* Content-Length beside Transfer-Encoding: the connection must not be used again (RFC
     * 9112, 6.3)
     */
    bool is_ambiguous;
    bool is_too_large;
    size_t head_bytes;
    size_t body_bytes;
    struct buf raw; /* the current head's lines, unfolded */
    struct buf head;
    struct buf body;
};

/* Forgets everything but small rooms. */
void httpc_answer_reset(struct httpc_answer *a);
void httpc_answer_fini(struct httpc_answer *a);
/* One line of a head or trailer, with its line end. Returns 0, ERR_PROTOCOL, ERR_NOMEM. */
MUST_CHECK int httpc_answer_line(struct httpc_answer *a, struct str line);
/* Bytes of the body; over `max` they are counted and dropped. Returns 0, or ERR_LIMIT when enough
 * was dropped. */
MUST_CHECK int httpc_answer_body(struct httpc_answer *a, struct str bytes, size_t max);
