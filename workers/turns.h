/* SPDX-License-Identifier: Apache-2.0 */
/* turns — who claims next among the deliveries of one tenant that this worker has in hand.
 *
 * While nothing is refused, a delivery claims at once. From the first refusal on the deliveries
 * wait, and claims go out by turns: the classes 8:3:1 (wrr.h), within a class its lanes round
 * robin, within a lane in order. Waiting callers and asynchronous work take their turns apart: the
 * claim script divides the slots between them (sync_share).
 *
 * A freed slot's hint, the tenant's own completions and a timer make the next claims go out; one
 * at a time, twice as many after each that was granted, so that a limit that was raised is used at
 * once, and a single slot costs one refused claim.
 *
 * Nothing granted for two seconds: the lanes that wait give back and rest (lane.h), and wake
 * together. Then claims wait for a moment, until each has something in hand: else whoever is
 * fastest would be served, and not whose turn it is.
 *
 * Memory: the worker owns them, one a tenant; they outlive their lanes. Thread: the loop's. */
#pragma once

#include "lane.h"
#include "wrr.h"

struct turns_group {
    struct turns *turns;
    struct list lanes; /* by lane.sibling */
    struct wrr wrr;
    int last[WRR_CLASSES]; /* the place of the lane that was served last */
    unsigned int flying;   /* claims that went out by turns and have no answer */
    unsigned int window;   /* how many may */
    bool is_again;         /* a hint came while they flew */
    bool is_going;         /* against recursion */
    bool is_refused;       /* nothing was granted since refused_since */
    struct mono refused_since;
    struct mono may_succeed; /* when the refused claims may, at the earliest */
    struct loop_timer *timer;
};

struct turns {
    struct worker *worker;
    struct turns_group sync;
    struct turns_group async;
    struct turns_group polls; /* of offloaded jobs: nothing of them waits */
    struct mono hinted;       /* the last hint */
};

MUST_CHECK int turns_new(struct worker *w, struct turns **ret);
void turns_free(struct turns *t);
/* The group of a route's lane ("sync", "normal.3", "poll"). */
struct turns_group *turns_group_of(struct turns *t, const char *route);

/* A delivery wants its first claim. */
void turns_begin(struct turns_group *g, struct lane *l, struct attempt *a);
/* Its claim was refused; ms: after which it may succeed. */
void turns_refused(struct turns_group *g, struct lane *l, struct attempt *a, int64_t ms);
/* A claim of the lane was granted. */
void turns_served(struct turns_group *g, struct lane *l);
/* A claim that went out by turns has its answer, whatever it is. */
void turns_over(struct turns_group *g);
/* Whether a delivery waits for its claim. */
bool turns_have_waiting(const struct turns_group *g);
/* A slot may be free. */
void turns_hint(struct turns *t);
/* The lanes that rest take up work again, all at once. */
void turns_wake(struct turns_group *g);
/* The ms until a claim may succeed, as the last that was refused was told; 0 when they are over. */
int64_t turns_may_succeed_ms(const struct turns_group *g);
/* Whether deliveries of more than one class, or of more than one lane, were seen lately. */
bool turns_are_mixed(const struct turns_group *g);
