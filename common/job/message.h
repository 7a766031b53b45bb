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
    struct str class; /* "sync", "high", "normal" or "low" */
    struct str lane;  /* "0" to "7": the fair lane among its class's; or empty */
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
    struct str late;           /* "<generation> <waiter>" of one whose record follows; or empty */
    int64_t created_ms;        /* by the store's clock */
    int64_t due_ms;            /* likewise; 0: at once */
    int64_t expires_ms;        /* the job's own deadline, likewise; 0: never */
    int64_t deadline_ms;       /* a sync call's first caller's, likewise; 0: none */
    int64_t timeout_ms;        /* the job's timeout_s; 0: the tenant's */
    bool was_attempted;        /* inherited: never false again */
    uint32_t parks;            /* how often it was re-parked for want of room: doubles the wait */
    struct str body;
};

/* Reads a field into the message (borrowed). Unknown names are ignored: a newer release may write
 * them. Returns 0, or ERR_SYNTAX for a number that is none. */
MUST_CHECK int job_message_read(struct job_message *m, struct str name, struct str value);

/* Whether all that must be there is there and sound (id, method, path, class): an undecodable
 * message is poisonous, and goes to the shelf. */
MUST_CHECK int job_message_check(const struct job_message *m);

/* What scripts know of a class: "sync", or "normal" for all that nobody waits for. */
struct str job_message_kind(const struct job_message *m);
/* The priority where it is not the usual one: "high", "low", or empty. */
struct str job_message_priority(const struct job_message *m);

/* All but the body as one text ("name length\nvalue\n" runs; empty fields are left out), and back.
 * The message borrows from `head` and `body`. */
void job_message_pack(const struct job_message *m, struct buf *ret_head);
MUST_CHECK int job_message_unpack(struct str head, struct str body, struct job_message *ret);
