/* SPDX-License-Identifier: Apache-2.0 */
/* waiters — callers that wait for a job to end: told by the reply channel, by reading the record
 * again every few seconds, and after each reconnection (protocol.md, invariant 7: the announcement
 * is a hint).
 *
 * At its deadline a synchronous caller's job is asked to expire and the caller gets 504; a wait=N
 * caller gets 202. A caller that hangs up is forgotten, and its unstarted job with it.
 *
 * Memory: the table owns waiters; each ends with its answer. */
#pragma once

#include "caller.h"
#include "calls.h"

enum { WAITER_NAME_SIZE = INGRESS_CHANNEL_SIZE + 20 };
struct waiter;

/* Draws the name under which a caller will wait: "channel|token". */
void waiter_name(const struct ingress *g, char out[WAITER_NAME_SIZE]);
/* Takes the caller over: from here on the request's hang-up and its answer are the waiter's.
 * name: as the record has it. left_ms: until its deadline. went_in: the life of the store in which
 * the job's message left before its record; NULL of one that did not. Returns NULL without memory
 * (then the caller is untouched). */
struct waiter *waiter_add(struct ingress *g, const struct caller *c, const char *name,
                          int64_t left_ms, const struct calls_life *went_in);
/* The job is known to stand: reads it at once when it was there before. */
void waiter_read(struct waiter *w);
/* Takes the caller back, e.g. because the job was not accepted; the waiter ends. False: the caller
 * has left or was answered already. */
bool waiter_take(struct ingress *g, const char *id, const char *name, struct caller *ret);
/* Whether the caller still waits for its answer. */
bool waiter_is_there(const struct ingress *g, const char *id, const char *name);
/* An announcement from the reply channel. */
void waiters_on_message(struct ingress *g, struct str message);
/* The store is back: everybody reads again. */
void waiters_read_all(struct ingress *g);
/* The process stops: 503 draining with the job's id; wait=N gets 202. */
void waiters_dismiss(struct ingress *g);
void waiters_free(struct ingress *g);
