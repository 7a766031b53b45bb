/* SPDX-License-Identifier: Apache-2.0 */
/* record — a job's record as it is read from the store, and the document people get of it.
 * The fields' names are explained in store/lua/_common.lua. */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

enum job_state {
#define STATE(NAME, word, is_final) JOB_##NAME,
#include "job/state.def"
#undef STATE
    JOB_STATES
};

const char *job_state_word(enum job_state s);
MUST_CHECK int job_state_parse(struct str word, enum job_state *ret);
bool job_state_is_final(enum job_state s);

struct job_record_field {
    struct str name;
    struct str value;
};

/* Prints the document of GET /v1/jobs/{id} from the record's name/value pairs. A job read after its
 * due time shows queued. Returns 0, or ERR_PROTOCOL for a record without a known state. */
MUST_CHECK int job_record_print(struct str id, const struct job_record_field *fields, size_t n,
                                struct wall now, struct buf *out);

/* A single field; empty when it is not there. */
struct str job_record_get(const struct job_record_field *fields, size_t n, const char *name);
/* What shows: waiting or scheduled become queued once due. */
MUST_CHECK int job_record_state(const struct job_record_field *fields, size_t n, struct wall now,
                                enum job_state *ret);
