/* SPDX-License-Identifier: Apache-2.0 */
/* message — what a job's message carries: the request, and all that accept wrote, so that a worker
 * can forward it and the record could be rebuilt from it. Headers are text; the body stays raw.
 *
 * The same pairs, joined, are the head that the shelf and the outbox keep in Redis. */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

struct job_message {
    struct str id;    /* "{tenant}.{name}" */
    struct str epoch; /* the store's, when it was accepted */
    struct str class; /* "sync" or "normal" */
    struct str method;
    struct str path;      /* with its query, as it goes out */
    struct str head;      /* "Name: value\r\n" lines for the tenant */
    struct str key;       /* the digest that names the dedupe key; empty without one */
    struct str key_value; /* what goes out as Idempotency-Key; empty: the job's id */
    struct str caller;    /* the name of the API key; empty without */
    struct str fingerprint;
    struct str labels; /* JSON object, or empty */
    struct str retry;  /* "max_attempts initial_ms factor max_ms" of the job itself, or empty */
    struct str traceparent;
    struct str ordering_key;   /* or empty */
    struct str schedule;       /* with the two below, of a fired job */
    struct str scheduled_time; /* RFC 3339 */
    struct str channel;        /* reply channel of its first waiter, or empty */
    int64_t created_ms;        /* by the store's clock */
    int64_t due_ms;            /* likewise; 0: at once */
    int64_t expires_ms;        /* the job's own deadline, likewise; 0: never */
    int64_t deadline_ms;       /* a sync call's first caller's, likewise; 0: none */
    int64_t timeout_ms;        /* the job's timeout_s; 0: the tenant's */
    bool was_attempted;        /* inherited: never false again */
    uint32_t parks;            /* how often it was re-parked for want of room: doubles the wait */
    struct str body;
};

enum { JOB_FIELDS_MAX = 32, JOB_NUMBERS_SIZE = 8 * 24 };

struct job_field {
    const char *name;
    struct str value;
};

struct job_fields {
    struct job_field at[JOB_FIELDS_MAX];
    size_t n;
    char numbers[JOB_NUMBERS_SIZE]; /* the text of numbers; `at` may point into it */
};

/* Lays the message out as header fields (all but id and body); empty ones are left out. The fields
 * borrow from the message and from `ret` itself: do not copy the struct. */
void job_message_fields(const struct job_message *m, struct job_fields *ret);

/* Reads a field into the message (borrowed). Unknown names are ignored: a newer release may write
 * them. Returns 0, or ERR_SYNTAX for a number that is none. */
MUST_CHECK int job_message_read(struct job_message *m, struct str name, struct str value);

/* Whether all that must be there is there and sound (id, method, path, class): an undecodable
 * message is poisonous, and goes to the shelf. */
MUST_CHECK int job_message_check(const struct job_message *m);

/* The same fields as one text for Redis, id included ("name length\nvalue\n" runs), and back. The
 * message borrows from `head` and `body`. */
void job_message_pack(const struct job_message *m, struct buf *ret_head);
MUST_CHECK int job_message_unpack(struct str head, struct str body, struct job_message *ret);
