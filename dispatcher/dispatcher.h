/* SPDX-License-Identifier: Apache-2.0 */
/* dispatcher — the process's one context: links, the lease of the leader, what it knows of tenants.
 *
 * Any replica answers reads; the one that holds the lease enrolls, polls, fires and recovers. All
 * that it does is idempotent, so that two who believe they lead do no harm. */
#pragma once

#include "base/map.h"
#include "bus/bus.h"
#include "daemon/brokers.h"
#include "daemon/daemon.h"
#include "daemon/memory.h"
#include "daemon/registry.h"
#include "daemon/standing.h"
#include "httpc/httpc.h"
#include "store/args.h"

struct keyring;
struct leader;
struct enroll;
struct overlay;
struct tenants;
struct deaths;
struct health;
struct schedules;
struct services;
struct outbox;
struct figures;
struct moods;
struct losses;
struct orphans;
struct shelf;

struct dispatcher {
    struct daemon *daemon;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct bus_link *publisher;
    struct bus_link *consumer; /* of the shelf's sweep and the orphans */
    struct brokers_watch publisher_watch, consumer_watch;
    struct standing *standing;
    struct routes *routes;
    struct map probed;  /* tenants whose routes this process has looked for in the broker */
    uint64_t probed_at; /* epochs seen then: a loss of memory lost the list */
    struct httpc *http;
    struct keyring *keys;
    struct leader *leader;
    struct overlay *overlay;
    struct enroll *enroll;
    struct tenants *tenants;
    struct deaths *deaths;
    struct health *health;
    struct schedules *schedules;
    struct services *services;
    struct outbox *outbox;
    struct figures *figures;
    struct moods *moods;
    struct shelf *shelf;
    struct orphans *orphans;
    uint32_t worker_concurrency;
    int64_t leader_lease_ms;
    bool is_quorum;
    bool is_draining;
    struct loop_timer *tick;
    struct mono round; /* when the last slow round began */
    struct memory memory;
    struct {
        struct metric *leader;
        struct metric *fired;
        struct metric *clock_steps;
        struct metric *schedules_ahead;
        struct metric *buried;
        struct metric *lost;
        struct metric *orphans;
        struct metric *queue_ready;
        struct metric *running;
        struct metric *in_doubt;
        struct metric *dead;
        struct metric *desired;
        struct metric *instance_up;
        struct metric *breaker_state;
    } metrics;
};

extern const struct daemon_program dispatcher_program;
