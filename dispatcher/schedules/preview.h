/* SPDX-License-Identifier: Apache-2.0 */
/* preview — POST /v1/schedules/preview: the instants of times that need not be a schedule's. Any
 * dispatcher answers, at once, of its own. */
#pragma once

#include "dispatcher.h"

/* False: not a request of this kind; nothing was answered. */
bool preview_request(struct dispatcher *d, struct httpd_req *r);
