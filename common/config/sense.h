/* SPDX-License-Identifier: Apache-2.0 */
/* sense — whether a schedule whose parts are sound ever fires. */
#pragma once

#include "config/config.h"
#include "config/mistake.h"
#include "config/node.h"

/* Adds a mistake at a key of the map `n`; at its line, or the map's when the key is not there. */
void sense_say(struct mistakes *m, const struct path *path, const struct node *n, const char *key,
               const char *why);
/* Whether the zone can be used. Blocks for one small file. Returns 0, or a negative err with a
 * sentence in `why`. */
MUST_CHECK int sense_check_zone(const char *name, char *why, size_t why_size);
/* Adds a mistake when the schedule can never fire, whatever the time is now: a bound that has
 * passed is none, and what cannot be told in bounded time is none. n: the schedule's map. Nothing
 * happens when its expressions or its zone are not sound. */
void sense_check(struct mistakes *m, const struct path *path, const struct node *n,
                 const struct config_schedule *s);
