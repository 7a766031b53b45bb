/* SPDX-License-Identifier: Apache-2.0 */
/* marks — the mark script, gathered: one call a tenant and loop turn for many jobs. */
#pragma once

#include "ingress.h"

/* state: as the record has it now; "" without a record; NULL when no answer came. */
typedef void (*mark_cb)(const char *state, void *arg);

MUST_CHECK int marks_new(struct ingress *g, struct marks **ret);
void marks_free(struct marks *m);
/* The broker confirmed the job. cb may be NULL; else it runs once. */
void marks_add(struct marks *m, struct str id, int64_t lost_after_ms, mark_cb cb, void *arg);
