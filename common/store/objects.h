/* SPDX-License-Identifier: Apache-2.0 */
/* objects — makes the replies that hiredis reads, in a block that one connection uses again and
 * again: by itself hiredis makes two allocations a text and one a number, and a call for many jobs
 * is answered with hundreds.
 *
 * The room of a reply is used again when no reply of its connection is left, whole or half read.
 *
 * Thread: the loop's.   Memory: outlives its owner while a reply is left (hiredis frees its context
 * when it likes). */
#pragma once

#include "base/err.h"

struct redisReader;
struct redis_objects;

/* From now on `reader`, which has read nothing, makes its replies here. Returns 0 or ERR_NOMEM. */
MUST_CHECK int redis_objects_new(struct redisReader *reader, struct redis_objects **ret);
/* Nothing is read any more; the last reply that is left frees it. */
void redis_objects_release(struct redis_objects *o);
