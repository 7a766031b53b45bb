/* SPDX-License-Identifier: Apache-2.0 */
/* clock — three clocks that the compiler refuses to mix. Deciding code takes a time as an argument
 * and never reads a clock itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Monotonic: durations. Counts time in suspend (CLOCK_BOOTTIME), as leases and accept windows must.
 */
struct mono {
    int64_t ns;
};

/* Wall: schedules and display only. Milliseconds since 1970-01-01T00:00:00Z. */
struct wall {
    int64_t ms;
};

struct mono clock_mono(void);
struct wall clock_wall(void);

/* later − earlier in milliseconds; negative when `later` is the earlier one. */
int64_t mono_since_ms(struct mono earlier, struct mono later);
struct mono mono_plus_ms(struct mono from, int64_t ms);

/* RFC 3339, UTC, milliseconds: "2026-03-29T01:00:00.000Z" (24 characters; the room is larger). */
enum { WALL_TEXT_SIZE = 40 };
void wall_format(struct wall when, char out[WALL_TEXT_SIZE]);
/* The same without a fraction: "2026-03-29T01:00:00Z". */
void wall_format_seconds(struct wall when, char out[WALL_TEXT_SIZE]);
/* RFC 3339 with any offset and fraction; `n` bytes at `text`. Returns 0 or ERR_SYNTAX. */
int wall_parse(const char *text, size_t n, struct wall *ret);
