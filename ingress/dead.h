/* SPDX-License-Identifier: Apache-2.0 */
/* dead — /v1/dead of a tenant: the shelf listed, counted, and run again by filter. (One dead letter
 * by its id: jobs.h.)
 *
 * A request walks the shelf in pages, each one script of bounded work, one after the other. It ends
 * at its limit, at the shelf's end, after a bounded number of entries, or when the process drains;
 * its answer says where to go on. Whoever hangs up ends the walk at the page under way. */
#pragma once

#include "ingress.h"

/* GET /v1/dead?tenant=… */
void dead_list(struct ingress *g, struct httpd_req *r);
/* POST /v1/dead/redrive?tenant=… */
void dead_redrive(struct ingress *g, struct httpd_req *r);

/* The document of GET /v1/dead/{id}.
 * v: what dead_show.lua gave, {'dead', …}. Returns 0, ERR_PROTOCOL (a record without a known
 * state), ERR_NOMEM. */
MUST_CHECK int dead_print(struct str id, const struct store_value *v, struct buf *out);
