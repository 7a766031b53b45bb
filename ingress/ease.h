/* SPDX-License-Identifier: Apache-2.0 */
/* ease — what Sluice-Backoff says to a caller whose call was taken: for how many seconds it should
 * send less, before calls have to be turned away. Pure. */
#pragma once

#include <stdint.h>

/* wait_ms: what a call waits now, as far as is known; before_ms: what it was of late; deadline_ms:
 * the tenant's sync_s. 0: no need. Else the seconds by which the wait is over a quarter of the
 * deadline, 1 to 60; only while the wait grows, by a fifth at least. */
int ease_off_s(int64_t wait_ms, int64_t before_ms, int64_t deadline_ms);
