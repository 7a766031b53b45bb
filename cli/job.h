/* SPDX-License-Identifier: Apache-2.0 */
/* job — what the commands about one job share. */
#pragma once

#include "ask.h"

/* Whether it is a job's id; else says so. */
bool job_is_id(struct cli *c, const char *text);
/* Asks, and shows the job that the answer holds. */
int job_ask_and_show(struct cli *c, const struct ask *a);
