/* SPDX-License-Identifier: Apache-2.0 */
/* show — the servers' documents as tables for people. Pure.
 *
 * Members that are missing show as "-"; what is not known is left out. Each returns 0, or
 * ERR_PROTOCOL when the text is not a JSON object. */
#pragma once

#include "base/buf.h"

MUST_CHECK int show_job(struct str json, struct buf *out);
/* A page of dead letters; one of them, with what can be done about it. */
MUST_CHECK int show_dead_list(struct str json, struct buf *out);
MUST_CHECK int show_dead(struct str json, struct buf *out);
/* scale: empty when it could not be had. */
MUST_CHECK int show_tenants(struct str tenants, struct str scale, struct buf *out);
/* One tenant; one instance. */
MUST_CHECK int show_tenant(const char *name, struct str json, struct buf *out);
MUST_CHECK int show_instance(const char *name, struct str json, struct buf *out);
MUST_CHECK int show_schedules(struct str json, struct buf *out);
/* One schedule, its fires, instants, a backfill's instants with their jobs. */
MUST_CHECK int show_schedule(const char *name, struct str json, struct buf *out);
MUST_CHECK int show_history(struct str json, struct buf *out);
MUST_CHECK int show_times(struct str json, struct buf *out);
MUST_CHECK int show_backfill(struct str json, struct buf *out);
/* Any document: its scalars, each by its path. */
MUST_CHECK int show_document(struct str json, struct buf *out);
