/* SPDX-License-Identifier: Apache-2.0 */
/* complete_token — with which the tenant of one attempt, and nobody else, may post its outcome
 * (POST /v1/jobs/{id}/complete). It is made of the attempt's fence and does not disclose it. */
#pragma once

#include "base/str.h"

#include <stdint.h>

enum { JOB_COMPLETE_TOKEN_SIZE = 48 };

/* "<n>.<32 hex digits>". id: the job's; fence: the attempt's token as the record has it. */
void job_complete_token(struct str id, uint32_t number, struct str fence,
                        char ret[JOB_COMPLETE_TOKEN_SIZE]);
