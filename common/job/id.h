/* SPDX-License-Identifier: Apache-2.0 */
/* id — a job's id: "{tenant}.{26 characters of lower-case base32}". */
#pragma once

#include "base/random.h"
#include "base/str.h"

enum { JOB_TENANT_MAX = 64, JOB_ID_SIZE = JOB_TENANT_MAX + 1 + RANDOM_NAME_SIZE };

struct job_id {
    struct str tenant;
    struct str name; /* the 26 characters */
};

/* Splits a text into its parts (borrowed). False when it is no job's id. */
bool job_id_parse(struct str text, struct job_id *ret);
void job_id_print(struct str tenant, const char *name, char out[JOB_ID_SIZE]);
