/* SPDX-License-Identifier: Apache-2.0 */
/* lane — one queue of one tenant, as this worker consumes it: declared, consumed, stopped while the
 * tenant has no room, taken up again. The machine's table is lane.def.
 *
 * What waits for the whole tenant waits in its queue (protocol.md, invariant 8): a claim that finds
 * no slot waits for its turn (turns.h), for two seconds; then everything not begun goes back, and
 * the lane rests until a slot's hint or its timer.
 *
 * A lane has one to four consumers of its queue: what it may have in hand is the sum of their
 * prefetches. It grows by one more consumer, so that what runs keeps its channel and still counts.
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

enum { LANE_CONSUMERS_MAX = 4 };

struct turns_group;

struct lane {
    struct worker *worker;
    char *tenant;
    char route[16];    /* "normal" or "normal.3" */
    const char *class; /* "sync", "high", "normal", "low" or "poll"; constant */
    const char *fair;  /* the fair lane, "0" to "7", in `route`; or "" */
    int place;         /* among the lanes of its class: 0, or the fair lane and one */
    enum lane_state state;
    struct {
        struct bus_consumer *consumer;
        uint16_t prefetch;
    } consumers[LANE_CONSUMERS_MAX];
    size_t n_consumers;
    uint32_t prefetch;       /* of all consumers */
    size_t in_hand;          /* attempts that live: a lane outlives them */
    size_t messages;         /* that brought them */
    size_t begun;            /* of them, those not in `surplus` */
    struct list surplus;     /* of messages with several jobs: more than it may have under way */
    bool is_beginning;       /* against recursion */
    size_t peak;             /* the most in hand since the worker looked last */
    size_t delivered_lately; /* since then */
    bool was_full;           /* then */
    struct mono fitted;      /* when its prefetch was last changed */
    struct mono heard;       /* its last delivery, or when the broker was asked after it */
    struct list refused;     /* those without a slot, by attempt.refused */
    struct turns_group *group;
    struct list sibling; /* in group.lanes */
    struct mono delivered;
    struct mono waits_since; /* when one waited and none of it had been served */
    struct mono woke;
    bool is_expecting; /* it woke, and has nothing in hand yet */
    struct loop_timer *timer;
    bool stands; /* its queue, if that is not one that every tenant has; on this life of the link */
    uint64_t declares; /* numbers them, so that a late answer is told from the current one */
};

/* The state after `event`, or LANE_STATES when the table has no such move. Pure. */
enum lane_state lane_next(enum lane_state from, enum lane_event event);

/* route: a sound one (topology_route_read). g: must outlive it. */
MUST_CHECK int lane_new(struct worker *w, const char *tenant, const char *route,
                        struct turns_group *g, struct lane **ret);
void lane_free(struct lane *l);
/* Every change of a lane's state. A move that is not in the table is ignored: links come and go. */
void lane_move(struct lane *l, enum lane_event event);
/* Of a lane whose queue every tenant has: it stands, or why it may not. */
void lane_standing(struct lane *l, int rc);
/* The broker took its consumer, or its queue. */
void lane_lost(struct lane *l, const char *why);
/* A job that was delivered wants its first claim. */
struct attempt;
void lane_begin(struct lane *l, struct attempt *a);
/* A claim was refused (no slot, no instance, paused); it may succeed in `ms`. */
void lane_refused(struct lane *l, struct attempt *a, int64_t ms);
/* A claim was granted: the tenant has room. */
void lane_served(struct lane *l);
/* A claim by turns has its answer. */
void lane_turn_over(struct lane *l);
/* Whether deliveries of its kind (waiting callers', or the others) wait for a claim. */
bool lane_has_waiting(const struct lane *l);
/* What is delivered here are polls of offloaded jobs. */
bool lane_is_for_polls(const struct lane *l);
/* A slot may be free: those refused try again, or the lanes of the tenant do. */
void lane_hint(struct lane *l);

/* How much the lane can use at most: what its tenant can run, and a little more while its classes
 * wait for each other. */
uint32_t lane_capacity(const struct lane *l);
/* Changes how much it may have in hand. Only while it consumes. */
void lane_fit(struct lane *l, uint32_t prefetch);
