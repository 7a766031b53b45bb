/* SPDX-License-Identifier: Apache-2.0 */
/* enroll — the configuration's tenants into the store's registry: each by the register script, then
 * the index that ingress and workers watch. A tenant that left the file leaves the registry once it
 * has no unended jobs. */
#pragma once

#include "dispatcher.h"

MUST_CHECK int enroll_new(struct dispatcher *d, struct enroll **ret);
void enroll_free(struct enroll *e);
/* The configuration changed, the lease was taken, or the store has a new epoch: write all again. */
void enroll_dirty(struct enroll *e);
/* The leader's turn; writes when there is something to write. */
void enroll_turn(struct enroll *e);
