/* SPDX-License-Identifier: Apache-2.0 */
/* zone — what the wall clock of a place showed and will show: one time zone of the system's tz
 * database, read by ourselves (TZif, RFC 8536, with its footer for the years after the table).
 *
 * Own reader, because libc knows one zone a process, in a global, by an environment variable; and
 * one daemon fires schedules in many.
 *
 * Thread: a loaded zone is immutable and may be read from any thread. Memory: the caller owns it.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct zone;

/* A stretch of time with one offset: instants start_s <= t < end_s, in seconds since 1970 UTC.
 * Neighbouring spans may have the same offset. */
struct zone_span {
    int64_t start_s;  /* ZONE_ALWAYS: no beginning */
    int64_t end_s;    /* ZONE_NEVER: no end */
    int32_t offset_s; /* seconds east of UTC: what the wall clock shows minus UTC */
};
#define ZONE_ALWAYS INT64_MIN
#define ZONE_NEVER INT64_MAX

/* No offset reaches this far from UTC, to either side (RFC 8536: -25 h to +26 h). */
enum { ZONE_MAX_OFFSET_S = 26 * 3600 };

/* Reads the zone of that name ("Europe/Berlin") from /usr/share/zoneinfo. "UTC" and "Etc/UTC" need
 * no file. "localtime" is refused: it is another zone on another machine.
 * Blocks for one small file.
 * Returns 0, ERR_INVALID (not a name of a zone, or a file that counts leap seconds), ERR_MISSING
 * (no such zone), ERR_SYNTAX (not a TZif file), ERR_TOO_LARGE, ERR_IO, ERR_NOMEM. */
MUST_CHECK int zone_load(const char *name, struct zone **ret);

/* The same from the bytes of a TZif file, borrowed for the call. Never reads beyond them, whatever
 * they are. Returns 0, ERR_SYNTAX, ERR_INVALID, ERR_NOMEM. */
MUST_CHECK int zone_parse(struct str tzif, struct zone **ret);

/* NULL is allowed. */
void zone_free(struct zone *z);

/* The span that `when_s` lies in. O(log n). */
struct zone_span zone_span_at(const struct zone *z, int64_t when_s);

/* Seconds east of UTC at that instant. */
int32_t zone_offset_s(const struct zone *z, struct wall when);

/* RFC 3339 as the zone's wall clock shows it, whole seconds: "2026-03-29T03:00:00+02:00". An offset
 * with seconds, of times long ago, is cut to minutes, and the time with it. */
void zone_format(const struct zone *z, struct wall when, char out[WALL_TEXT_SIZE]);
