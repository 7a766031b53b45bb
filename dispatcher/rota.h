/* SPDX-License-Identifier: Apache-2.0 */
/* rota — whose turn it is, where something is asked of every tenant again and again: all of them in
 * each round while they are few; else a part, so that each has its turn within ROTA_ROUNDS rounds.
 * Thousands of tenants that do nothing would else keep the store busy with questions. */
#pragma once

#include "daemon/registry.h"

enum {
    ROTA_LEAST = 100, /* so many have their turn in each round */
    ROTA_ROUNDS = 10
};

/* Zero-initialised. */
struct rota {
    size_t cursor; /* in the registry */
    size_t left;   /* in this round */
};

/* How many have their turn in a round, of `n` tenants. Pure. */
size_t rota_share(size_t n);
/* A round begins, with so many turns at most. */
void rota_begin(struct rota *r, const struct registry *tenants, size_t most);
/* False when the round is over. Tenants that come and go between rounds may move others: one may
 * have its turn twice, or miss one. */
bool rota_next(struct rota *r, const struct registry *tenants, struct registry_entry **ret);
