/* SPDX-License-Identifier: Apache-2.0 */
/* zones — time zones by name, each read from the disk once.
 *
 * Thread: the loop's.   Memory: a zeroed map has none; what is in it is owned by it. */
#pragma once

#include "base/map.h"
#include "cron/zone.h"

/* Returns 0, or as zone_load; *ret is borrowed from the map. */
MUST_CHECK int zones_find(struct map *zones, const char *name, struct zone **ret);
void zones_fini(struct map *zones);
