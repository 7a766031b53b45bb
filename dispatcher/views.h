/* SPDX-License-Identifier: Apache-2.0 */
/* views — what people and programs read from a dispatcher: /health, /stats, /dump, /v1/scale,
 * /v1/tenants, /v1/schedules. Any replica answers. */
#pragma once

#include "dispatcher.h"

/* Answers it, whatever it asks for. */
void views_request(struct dispatcher *d, struct httpd_req *r);
/* The gauges of /metrics. */
void views_scrape(void *self);
/* One tenant, one instance, as JSON. has_settings: with its whole document. */
void views_tenant(struct dispatcher *d, const struct tenant *t, bool has_settings, struct buf *out);
void views_instance(struct dispatcher *d, const struct tenant *t, const struct tenant_instance *i,
                    struct buf *out);
