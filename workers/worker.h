/* SPDX-License-Identifier: Apache-2.0 */
/* worker — the process's one context: its links, its lanes, what is in its hand. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "bus/bus.h"
#include "daemon/brokers.h"
#include "daemon/daemon.h"
#include "daemon/handover.h"
#include "daemon/memory.h"
#include "daemon/registry.h"
#include "daemon/standing.h"
#include "heartbeat.h"
#include "httpc/httpc.h"
#include "store/store.h"

enum { WORKER_CHANNEL_SIZE = 64 };

struct worker {
    struct daemon *daemon;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct bus_link *publisher;
    struct bus_link *consumer;
    struct brokers_watch publisher_watch, consumer_watch;
    struct standing *standing;   /* over the consumer link */
    struct handovers *handovers; /* whose turn has come under an ordering key */
    struct httpc *http;
    struct heartbeat *heartbeat;
    char channel[WORKER_CHANNEL_SIZE]; /* where slots' hints come */
    struct map lanes;                  /* "tenant.route" → struct lane */
    struct map turns;                  /* tenant → struct turns */
    struct routes *routes;
    struct mono spread;    /* when the lanes' prefetches were last looked at */
    size_t lookout;        /* whose turn it is to be looked at: a cursor of `lanes` */
    struct mono said_full; /* that no channel is left; zero: never */
    uint32_t concurrency;
    char *region; /* of the configuration; or NULL */
    int64_t lease_ms;
    uint64_t shelf_max_bytes;
    bool is_quorum;
    bool is_draining;
    int64_t drain_ms;     /* of the configuration; -1: absent */
    struct mono drained;  /* when the drain is over, whatever is left */
    bool has_left;        /* nothing is in hand, and the store is told */
    struct mono left;     /* since when */
    bool is_stopping;     /* everything is being freed */
    struct list attempts; /* all that live */
    size_t in_hand;       /* how many */
    size_t running;       /* of them, claimed and not settled */
    int64_t generation;   /* of the store, when it was last open */
    struct memory memory;
    struct mono forgot; /* when a life of the store began that may have forgotten something */
    bool may_have_forgotten;
    bool is_away;        /* as the last look at the store found */
    struct mono reached; /* when the store was last there, with the lease renewed */
    struct mono moved;   /* when a delivery, confirm or record last moved */
    struct loop_timer *tick;
    struct {
        struct metric *attempts;
        struct metric *ended;
        struct metric *seconds;
        struct metric *missing;
        struct metric *rebuilt;
        struct metric *running;
        struct metric *in_hand;
        struct metric *shelf_full;
        struct metric *asked;
        struct metric *polls;
    } metrics;
};

extern const struct daemon_program worker_program;

/* For seconds now nothing can be claimed here, while others perhaps can: nothing is held. */
bool worker_is_away(const struct worker *w);
/* An attempt was begun or is done: bookkeeping, and the end of a drain. */
void worker_note(struct worker *w);
