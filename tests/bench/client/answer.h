/* SPDX-License-Identifier: Apache-2.0 */
/* answer — reads one HTTP/1.1 answer (RFC 9112) as its bytes come in, by Content-Length or chunks.
 * Keeps its status, its Location and the first bytes of its body. Pure. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_HEAD_MAX = 8192, ANSWER_KEPT = 512, ANSWER_LOCATION_SIZE = 256 };

struct answer {
    int status;
    char location[ANSWER_LOCATION_SIZE]; /* "" without one, or too long */
    char body[ANSWER_KEPT + 1];          /* its first bytes, ended by NUL */
    bool is_whole;
    /* inside */
    enum {
        ANSWER_HEAD,
        ANSWER_BODY,
        ANSWER_SIZE,
        ANSWER_CHUNK,
        ANSWER_CHUNK_END,
        ANSWER_TRAILER
    } state;
    uint64_t left; /* of the body, or of the chunk */
    size_t n_body;
    size_t n_line; /* of a chunk's size line, or of the trailer's line */
    size_t n_head;
    char head[ANSWER_HEAD_MAX];
};

void answer_begin(struct answer *a);
/* Takes bytes up to the answer's end; is_whole tells that it came. Returns ERR_OK; ERR_SYNTAX for
 * what is no such answer, or for bytes behind its end (nothing is pipelined). */
MUST_CHECK int answer_feed(struct answer *a, const char *p, size_t n);
