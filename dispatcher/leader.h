/* SPDX-License-Identifier: Apache-2.0 */
/* leader — the lease that one dispatcher holds (key {sluice}:leader). It gives liveness only:
 * everything the leader does is safe if two do it. */
#pragma once

#include "dispatcher.h"

typedef void (*leader_cb)(bool leads, void *arg);

MUST_CHECK int leader_new(struct dispatcher *d, leader_cb cb, void *arg, struct leader **ret);
void leader_free(struct leader *l);
bool leader_leads(const struct leader *l);
/* Gives the lease back, so that another takes it at once. */
void leader_resign(struct leader *l);
/* Asks at once: the store opened. */
void leader_now(struct leader *l);
