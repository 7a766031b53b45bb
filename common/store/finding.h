/* SPDX-License-Identifier: Apache-2.0 */
/* finding — where the store is now: what its host's name means, or what the sentinels say.
 *
 * Without sentinels the name is looked up anew each time. With sentinels these are asked one after
 * the other, SENTINEL_MS each at most, the first of all a random one, then always the next: the
 * first that tells an address is believed, unless its knowledge (config-epoch) is older than what
 * another has told before. Only when all of a round know less is the newest of them believed next
 * time: the sentinels were set up anew. What they tell is a hint; that it is a master, its own ROLE
 * must say.
 *
 * While a link is in use the finder goes on asking, a sentinel every WATCH_MS, so that a link
 * leaves a master that was replaced also when that one still answers. Why not SUBSCRIBE
 * +switch-master: the one sentinel that we hear may be the one that is cut off with the old master.
 *
 * Thread: the loop's. Never blocks. No callback runs from within a call. Of this folder only. */
#pragma once

#include "base/err.h"
#include "loop/lookup.h"
#include "loop/loop.h"

#include <stddef.h>

struct store_finder;

struct store_place {
    const char *host; /* copied; not used with sentinels */
    const char *port;
    const char *const *sentinels; /* "[user:password@]host[:port]"; copied */
    size_t n_sentinels;           /* 0: none */
    const char *master;           /* the sentinels' name for it; copied */
    int64_t lookup_ms;            /* longer than it waits for a name */
};

struct store_finder_calls {
    /* Where to dial: n > 0 addresses, borrowed. */
    void (*on_found)(const struct loop_address *found, size_t n, void *arg);
    /* Nobody can tell; `why` is borrowed. */
    void (*on_none)(const char *why, void *arg);
    /* While it watches: the master is another than the one in use. */
    void (*on_moved)(const char *why, void *arg);
    void *arg;
};

/* Returns 0, ERR_SYNTAX or ERR_TOO_LARGE (a sentinel's text), ERR_NOMEM. */
MUST_CHECK int store_finder_new(struct loop *l, const struct store_place *where,
                                const struct store_finder_calls *calls, struct store_finder **ret);
/* At any time. NULL is accepted. */
void store_finder_free(struct store_finder *f);

/* One on_found or on_none follows, and then it rests. */
void store_finder_seek(struct store_finder *f);
/* `in_use`: one of the addresses that were found last. on_moved may follow, and then it rests.
 * Does nothing without sentinels. */
void store_finder_watch(struct store_finder *f, const struct loop_address *in_use);
/* Asks nobody any more. */
void store_finder_rest(struct store_finder *f);
