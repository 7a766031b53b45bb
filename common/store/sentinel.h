/* SPDX-License-Identifier: Apache-2.0 */
/* sentinel — one question to one Redis Sentinel, on a connection of its own: where is the master of
 * this name, and how new is that knowledge?
 *
 * All within one bound: the lookup of the sentinel's name, its addresses in turn (beginning at a
 * random one), the answer. Of this folder only.
 *
 * Thread: the loop's. Never blocks. Memory: owned by who asked; freed at any time, also from within
 * its callback, and after it. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"
#include "store/url.h"

#include <stdint.h>

struct sentinel_ask;

struct sentinel_answer {
    const char *host; /* numeric, or a name where the sentinels give names (resolve-hostnames) */
    const char *port;
    uint64_t epoch; /* grows with every failover: of two sentinels the one with more knows more */
};

/* rc: 0 with an answer; else NULL and a sentence in `why`: ERR_DOWN (no answer), ERR_DENIED (it
 * refuses, or answers what cannot be understood), ERR_MISSING (it knows no master of this name).
 * Both are borrowed. Once a question, never from within the call. */
typedef void (*sentinel_cb)(int rc, const struct sentinel_answer *answer, const char *why,
                            void *arg);

/* sentinel and master are borrowed until it is freed. Returns 0 or ERR_NOMEM. */
MUST_CHECK int sentinel_ask_new(struct loop *l, const struct redis_url *sentinel,
                                const char *master, int64_t bound_ms, sentinel_cb cb, void *arg,
                                struct sentinel_ask **ret);
/* After it the callback does not run. NULL is accepted. */
void sentinel_ask_free(struct sentinel_ask *x);
