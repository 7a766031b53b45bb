/* SPDX-License-Identifier: Apache-2.0 */
/* offload — calls that the sample tenant answers 202, and works on: what is said at their status
 * URL, and the outcome that it posts (tenant.h says how they are asked for). Thread: the loop's. */
#pragma once

#include "http/server.h"

struct offload;

/* on_done: called once for each call that was begun, when its work is over. */
MUST_CHECK int offload_new(struct loop *l, void (*on_done)(void *arg), void *arg,
                           struct offload **ret);
void offload_free(struct offload *o);
/* Whether the call is to be offloaded; then it is answered, and its work begins. */
bool offload_takes(const struct http_request *r);
MUST_CHECK int offload_begin(struct offload *o, struct http_exchange *x);
/* GET below /offload/. */
bool offload_is_asked(const struct http_request *r);
void offload_answer(struct offload *o, struct http_exchange *x);
/* How often a status URL was asked. */
uint64_t offload_polls(const struct offload *o);
/* Posted outcomes by what was answered: 200, and all else. */
uint64_t offload_posted(const struct offload *o);
uint64_t offload_refused(const struct offload *o);
