/* SPDX-License-Identifier: Apache-2.0 */
/* drain — a worker told to stop begins nothing, ends what it has begun, and hands back the rest.
 *
 * How long that may take: worker.drain_s, or the longest limit of an attempt, and 5 s. What still
 * runs then is cut off, and its fate is unknown to us: that is said, job by job. */
#pragma once

#include "worker.h"

/* For what runs now. The registry is asked, not the file: tenants come and change while it runs. */
int64_t drain_bound_ms(const struct worker *w);
void drain_begin(struct worker *w);
/* Whether an attempt of so long a limit, sent now, ends before the drain does. True when none is.
 */
bool drain_has_time_for(const struct worker *w, int64_t limit_ms);
/* The process ends: a line for each attempt that is cut off. */
void drain_say_cut(const struct worker *w);
