/* SPDX-License-Identifier: Apache-2.0 */
/* schedules_control — what an operator says to the schedules over HTTP: pause, resume, run,
 * backfill. Any dispatcher takes the word, and any shows what holds: both are read from the store.
 */
#pragma once

#include "schedules.h"

/* False: not a request of this kind; nothing was answered. */
bool schedules_control_request(struct schedules *s, struct httpd_req *r);
