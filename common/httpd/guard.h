/* SPDX-License-Identifier: Apache-2.0 */
/* guard — whether the head of a request may pass. Pure: no I/O, no memory of its own.
 *
 * What is refused here is what two parsers in a row could read in two ways (RFC 9112, sections 3.2,
 * 5, 6 and 11.2): whoever stands in front of us must see the same requests as we do. */
#pragma once

#include "httpd/httpd.h"

struct guard_head {
    struct str method;
    struct str target;
    struct str version;
    const struct httpd_field *fields;
    size_t n_fields;
};

struct guard_verdict {
    int status;         /* 0: may pass; else the status of the refusal */
    const char *detail; /* static; for the refusal */
    bool is_chunked;
    uint64_t body_len; /* what Content-Length says; 0 without one */
};

/* The values as the parser gave them, spaces at their ends included: "chunked " is no
 * Transfer-Encoding to the parser behind us, so it must be none to us. */
struct guard_verdict guard_check(const struct guard_head *head);

/* Whether the head's pieces, which point into the parser's buffer, lie there as CRLF-ended lines
 * without a byte between them that the parser dropped: no NUL, bare LF, folded or skipped line.
 * head_len: from the method's first byte to behind the empty line. */
bool guard_is_gapless(const struct guard_head *head, size_t head_len);

/* RFC 9110: a method's or field's name. */
bool guard_is_token(struct str s);
/* No control character but tab. */
bool guard_is_field_value(struct str s);
/* Origin form; no "." or ".." segment in any disguise, no control characters, no fragment. */
bool guard_is_target(struct str target);
