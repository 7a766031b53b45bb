/* SPDX-License-Identifier: Apache-2.0 */
/* fault — named instants at which a test kills, stops or fails this very process, and named rules
 * of the protocol that a test takes out, to see that it is noticed.
 *
 * Both are there in builds with -DSLUICE_FAULTS=ON (preset `faults`) and cost nothing elsewhere.
 *
 *   SLUICE_FAULT="point:action[:n][,…]"   at the n-th time (1) that the point is passed; "n+": from
 *                                         then on. kill: SIGKILL; stop: SIGSTOP, goes on at
 *                                         SIGCONT; fail: FAULT() is true, and the caller goes on as
 *                                         if no answer had come.
 *   SLUICE_FAULT_LOG=FILE                 "point action" is appended before the deed: a test knows
 *                                         that its instant was met.
 *   SLUICE_FAULT_SET="name=n[,…]"         TUNED(name, value) is n: a test need not wait half a
 * minute. SLUICE_BREAK="rule[,…]"               RULE(rule) is false; the store's scripts leave out
 * their lines that end in "-- BREAK:rule".
 *
 * A wrong SLUICE_FAULT panics at the first point passed. Thread: the loop's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef SLUICE_FAULTS
/* True: act as if this step had failed. */
bool fault_point(const char *point);
bool fault_is_broken(const char *rule);
int64_t fault_number(const char *name, int64_t value);
#define FAULT(point) fault_point(#point)
#define RULE(name) (!fault_is_broken(#name))
#define TUNED(name, value) fault_number(#name, value)
#else
#define FAULT(point) false
#define RULE(name) true
#define TUNED(name, value) ((int64_t)(value))
#endif

/* A point at which nothing can fail, only end or stop. */
#define FAULT_HERE(point) ((void)FAULT(point))
