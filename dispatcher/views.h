/* SPDX-License-Identifier: Apache-2.0 */
/* views — what people and programs read from a dispatcher: /health, /stats, /dump, /v1/scale,
 * /v1/tenants, /v1/schedules. Any replica answers. */
#pragma once

#include "dispatcher.h"

void views_request(struct httpd_req *r, void *self);
/* The gauges of /metrics. */
void views_scrape(void *self);
