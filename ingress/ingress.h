/* SPDX-License-Identifier: Apache-2.0 */
/* ingress — the process's one context: links, waiting callers, what is being accepted. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "bus/bus.h"
#include "daemon/brokers.h"
#include "daemon/daemon.h"
#include "daemon/memory.h"
#include "daemon/registry.h"
#include "daemon/standing.h"
#include "store/store.h"

enum { INGRESS_CHANNEL_SIZE = 64 };

struct brisk;
struct bundles;
struct marks;
struct keyring;

struct ingress {
    struct daemon *daemon;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct bus_link *publisher;
    struct marks *marks;
    struct bundles *bundles;
    struct brisk *brisk;
    struct keyring *keys;
    char channel[INGRESS_CHANNEL_SIZE]; /* the reply channel */
    struct map waiting;                 /* job id → struct waiters */
    struct list submissions;            /* being accepted, by submission.all */
    struct list asks;                   /* questions about jobs, by ask.all */
    size_t n_asks;
    struct brokers_watch broker_watch;
    struct standing *standing;
    struct routes *routes;
    bool is_quorum;
    bool is_draining;
    size_t n_submissions;
    size_t n_waiting;
    struct mono moved; /* when a confirm or a record last moved */
    struct loop_timer *tick;
    struct loop_timer *drain_end;
    struct memory memory;
    struct {
        struct metric *accepted;
        struct metric *refused;
        struct metric *waiting;
        struct metric *ended;
    } metrics;
};

extern const struct daemon_program ingress_program;

/* Something was answered: the end of a drain may have come. */
void ingress_note(struct ingress *g);
