/* SPDX-License-Identifier: Apache-2.0 */
/* lane — one queue of one tenant, as this worker consumes it: declared, consumed, stopped while the
 * tenant has no room, taken up again. The machine's table is lane.def.
 *
 * What waits for the whole tenant waits in its queue (protocol.md, invariant 8): a claim that finds
 * no slot is tried again for two seconds; then everything not begun goes back, and the lane rests
 * until a slot's hint or its timer.
 *
 * Memory: the worker owns lanes. Thread: the loop's. */
#pragma once

#include "worker.h"

enum lane_state {
#define STATE(NAME, word) LANE_##NAME,
#define MOVE(FROM, EVENT, TO)
#include "lane.def"
#undef STATE
#undef MOVE
    LANE_STATES
};

enum lane_event {
    LANE_LINK_UP,   /* the consumer link opened and the shared topology stands */
    LANE_DECLARED,  /* the tenant's queues stand */
    LANE_TROUBLE,   /* declare or consume failed */
    LANE_LINK_DOWN, /* link or channel lost */
    LANE_NO_ROOM,   /* no slot for two seconds */
    LANE_ROOM,      /* the timer, or a hint: try again */
    LANE_LEAVE,     /* draining, or the tenant left the registry */
    LANE_EVENTS
};

struct lane {
    struct worker *worker;
    char *tenant;
    const char *class; /* "sync", "normal", or TOPOLOGY_POLL */
    enum lane_state state;
    struct bus_consumer *consumer;
    uint16_t prefetch;   /* of the consumer */
    size_t in_hand;      /* attempts that live: a lane outlives them */
    struct list refused; /* those without a slot, by attempt.refused */
    bool is_refused;     /* nothing was granted since refused_since */
    struct mono refused_since;
    struct loop_timer *timer;
    uint64_t declares; /* numbers them, so that a late answer is told from the current one */
};

/* The state after `event`, or LANE_STATES when the table has no such move. Pure. */
enum lane_state lane_next(enum lane_state from, enum lane_event event);

MUST_CHECK int lane_new(struct worker *w, const char *tenant, const char *class, struct lane **ret);
void lane_free(struct lane *l);
/* Every change of a lane's state. A move that is not in the table is ignored: links come and go. */
void lane_move(struct lane *l, enum lane_event event);
/* A claim was refused (no slot, no instance, paused). */
struct attempt;
void lane_refused(struct lane *l, struct attempt *a);
/* A claim was granted: the tenant has room. */
void lane_served(struct lane *l);
/* What is delivered here are polls of offloaded jobs. */
bool lane_is_for_polls(const struct lane *l);
/* The tenant's limits, or the number of lanes, changed: consumes anew when its prefetch is another.
 */
void lane_refit(struct lane *l);
/* A slot may be free: those refused try again, or the lane does. */
void lane_hint(struct lane *l);
