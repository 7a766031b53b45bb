/* SPDX-License-Identifier: Apache-2.0 */
/* tenant — the sample tenant: a backend that answers what it is asked to, keeps a ledger of every
 * receipt, and *drops* what exceeds its limit, as single-call bridges do.
 *
 * Its own paths, which are neither calls nor receipts: GET /health (POLL: counted), GET /stats,
 * POST /control?health=503|200&pause=1|0&limit=K&refuse=1|0&refuse_ms=N&capacity=K&status=S&
 * retry_after=N (beyond capacity calls get 503 at once; with a status all calls get it, with this
 * Retry-After; 0 takes each back), and its status path
 * GET /jobs/{id}: what became of the call with this Sluice-Job-Id, if its query had `asked`. 404:
 * it never arrived (or had no `asked`); 202: it runs; 200: it is done, whether or not its caller
 * got the answer. With ?asked=404,202,500 these in turn instead, the last again and again.
 *
 * A call with ?offload_ms=N is answered 202 at once, with a Location below /offload/, and worked on
 * for N ms: GET there gives 202, then 200 with `X-Offloaded: done`, or ?then=STATUS; 404 of what it
 * does not know; first those of ?polls=503,429 in turn. ?location=TEXT stands there instead (`no`:
 * none). ?poll_after=S is a Retry-After of the 202s. With ?complete_at=PORT it posts the outcome
 * itself, to the ingress there. What it works on counts as running. Thread: the loop's. */
#pragma once

#include "http/server.h"

struct tenant;

struct tenant_options {
    const char *listen;
    const char *control; /* a second address for /control and /stats, or NULL */
    const char *ledger;  /* or NULL */
    const char *name;
    int64_t limit; /* calls at a time; 0: none */
};

/* Borrows the options. Returns 0, or an error after a line on stderr. */
MUST_CHECK int tenant_new(struct loop *l, const struct tenant_options *o, struct tenant **ret);
/* Calls that run are cut off. */
void tenant_free(struct tenant *t);
