/* SPDX-License-Identifier: Apache-2.0 */
/* wait — follows a job to its end by long-polls. */
#pragma once

#include "cli.h"

/* timeout_ms: negative: for ever; 0: asks once. Gives the exit code of the job's state,
 * CLI_TIMEOUT, or why it could not go on (said already). A server that is away is asked again for
 * half a minute. ret_document: the job as it was last seen; empty if it never was. */
int wait_for(struct cli *c, struct str id, int64_t timeout_ms, struct buf *ret_document);
/* Prints what wait_for found; gives `code`, or CLI_BROKEN. */
int wait_show(struct cli *c, const struct buf *document, int code);
