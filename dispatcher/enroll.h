/* SPDX-License-Identifier: Apache-2.0 */
/* enroll — the tenants of the configuration and of the overlay (overlay.h) into the store's
 * registry: each by the register script, what operators say of it by the govern script, then the
 * index that ingress and workers watch. A tenant that is in neither any more leaves the registry
 * once it has no unended jobs. The leader writes all; any dispatcher writes the one that it was
 * told of. */
#pragma once

#include "dispatcher.h"

MUST_CHECK int enroll_new(struct dispatcher *d, struct enroll **ret);
void enroll_free(struct enroll *e);
/* The configuration changed, the lease was taken, or the store has a new epoch: write all again. */
void enroll_dirty(struct enroll *e);
/* The leader's turn; writes when there is something to write. */
void enroll_turn(struct enroll *e);

/* rc: 0 (the tenant stands, or is gone), ERR_BUSY (to be removed, and has unended jobs), or as a
 * store_cb; ERR_CLOSED: the program ends. */
typedef void (*enroll_cb)(int rc, void *arg);
/* Writes one tenant as file and overlay have it now, or removes it. fresh: an instance of it that
 * is taken for healthy; or "". Returns 0, or an error; then cb does not come. Copies the texts. */
MUST_CHECK int enroll_one(struct enroll *e, const char *tenant, const char *fresh, enroll_cb cb,
                          void *arg);
/* The version that a tenant's document has in the index. */
enum { ENROLL_VERSION_SIZE = 17 };
void enroll_version(struct str document, char out[ENROLL_VERSION_SIZE]);
