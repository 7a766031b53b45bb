/* SPDX-License-Identifier: Apache-2.0 */
/* answer — a tenant's answer as it is stored and as it rides in an announcement:
 * "<status>\n" + "Name: value\r\n" lines + "\r\n" + body. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct job_answer {
    int status;
    struct str head; /* "Name: value\r\n" lines */
    struct str body;
};

void job_answer_pack(const struct job_answer *a, struct buf *ret);
/* Borrows from `packed`. */
MUST_CHECK int job_answer_unpack(struct str packed, struct job_answer *ret);
/* Walks head lines: cuts the next field off *rest; false at the end. */
bool job_head_next(struct str *rest, struct str *ret_name, struct str *ret_value);
