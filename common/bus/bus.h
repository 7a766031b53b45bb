/* SPDX-License-Identifier: Apache-2.0 */
/* bus — RabbitMQ on the loop: links that reconnect by themselves, confirmed publishing, consuming.
 *
 * librabbitmq serves as the codec only (it has no non-blocking write); sockets, buffers, heartbeats
 * and log-in are ours. A frozen broker freezes nothing: every call returns at once, every publish
 * has an outcome within its time. What one loop turn produced leaves in one write a link;
 * acknowledgements may wait for those of the next turns.
 *
 * A process has one link for publishing and, if it consumes, another for consuming: under an alarm
 * the broker stops reading a publishing connection, and acknowledgements must go on.
 *
 * Thread: the loop's. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

enum { BUS_HEADERS_MAX = 48 };

/* One message header: text both ways (numbers as decimal text). */
struct bus_header {
    const char *name; /* at most 64 bytes */
    struct str value;
};

struct bus_message {
    struct str id; /* message_id */
    struct bus_header headers[BUS_HEADERS_MAX];
    size_t n_headers;
    struct str body;
};

/* Where a link stands; the table of its moves is link.def. */
enum bus_state {
    BUS_DOWN,
    BUS_LOOKUP,
    BUS_CONNECTING,
    BUS_LOGIN,
    BUS_OPEN,
    BUS_BLOCKED,
    BUS_CLOSED
};

struct bus_link;

/* The link opened (channels ready, confirms selected): declare, consume. Or it went away: what was
 * outstanding on it was told before. An alarm (BUS_BLOCKED) is not told. */
typedef void (*bus_state_cb)(struct bus_link *k, bool is_open, void *arg);

struct bus_options {
    const char *const
        *urls;        /* of each node amqp://user:secret@host:port/vhost, vhost percent-encoded */
    size_t n_urls;    /* at least 1 */
    const char *name; /* connection_name, as people see it in the broker */
    int64_t heartbeat_s;     /* asked for; a peer silent for two of them is gone */
    int64_t connect_ms;      /* for a look-up; and from TCP connect to an open channel */
    int64_t publish_ms;      /* a publish without a confirm after this long is BUS_UNKNOWN */
    int64_t declare_ms;      /* a declare without an answer after this long is ERR_TIMEOUT */
    size_t max_outstanding;  /* unconfirmed publishes; one more is ERR_LIMIT */
    size_t max_buffer_bytes; /* bytes waiting for the socket; over it ERR_LIMIT */
    bus_state_cb on_state;
    void *arg;
};

/* Begins at one of the nodes, drawn, in the loop's next turn. A node that does not answer, or is
 * lost, is left for the next one, round and round (base/rotation.h); while there are others that
 * were not tried, each has BUS_FRESH_MS only. A host's name is looked up at each dial and all its
 * addresses are tried in turn: a name that nobody knows is a node that does not answer.
 * Returns 0, ERR_SYNTAX or ERR_INVALID (a url, or a bound that is not positive), ERR_NOMEM. TLS is
 * not spoken: "amqps" is ERR_INVALID. */
enum { BUS_FRESH_MS = 2000 };
MUST_CHECK int bus_link_new(struct loop *l, const struct bus_options *o, struct bus_link **ret);
/* Closes in good order and frees: what waits for the socket is sent and the broker's answer awaited
 * for BUS_GRACE_MS at most (the only place that blocks; acknowledgements would be lost otherwise).
 * Outstanding publishes are BUS_UNKNOWN, declares ERR_DOWN, consumers lost; those callbacks run
 * before this returns, on_state does not. May be called from within a callback of the link.
 * Consumers and deliveries outlive it. */
enum { BUS_GRACE_MS = 200 };
void bus_link_free(struct bus_link *k);
enum bus_state bus_link_state(const struct bus_link *k);
/* Bytes moved, confirm, delivery or frame last seen: what `/readyz` judges by. */
struct mono bus_link_last_read(const struct bus_link *k);
size_t bus_link_outstanding(const struct bus_link *k);
/* "host:port" of the node that the link is open to, or tries, or tried last; "" before the first
 * try. Valid until the next try. */
const char *bus_link_node(const struct bus_link *k);
/* Why the link was last lost, for people, its node first: "b1:5672: connect: No route to host",
 * "b2:5672: 403 ACCESS_REFUSED - …". "" before the first loss; valid until the next one. */
const char *bus_link_why(const struct bus_link *k);

/* --- publishing ------------------------------------------------------------------------------ */
enum bus_outcome {
    BUS_CONFIRMED, /* by the broker, and routed */
    BUS_RETURNED,  /* no queue: not stored */
    BUS_NACKED,    /* refused by the broker: treat as unknown */
    BUS_UNKNOWN    /* the link went away or the time ran out: it may be stored */
};
/* Exactly once a publish, never from within bus_publish. */
typedef void (*bus_outcome_cb)(enum bus_outcome outcome, void *arg);

/* Publishes, persistent and mandatory. The message is encoded before this returns. Returns 0,
 * ERR_DOWN (not open, or blocked by an alarm), ERR_LIMIT, ERR_TOO_LARGE (a name over 255 bytes,
 * headers over 128 KiB, a body over 128 MiB), ERR_NOMEM; then `cb` does not run. The correlation_id
 * property is ours: it matches a returned message to its publish. To an exchange that does not
 * exist: the broker closes the channel, which makes all outstanding publishes BUS_UNKNOWN; declare
 * first. */
MUST_CHECK int bus_publish(struct bus_link *k, const char *exchange, const char *routing_key,
                           const struct bus_message *m, bus_outcome_cb cb, void *arg);

/* --- topology -------------------------------------------------------------------------------- */
/* Called once per declare, never from within it. rc: 0, ERR_DOWN (link lost), ERR_TIMEOUT (its turn
 * did not come in time, or its answer: it may be done yet), ERR_INVALID (the broker refused:
 * another shape exists under that name), ERR_MISSING (no such queue or exchange), ERR_DENIED.
 * `ready`: messages in a declared queue. */
typedef void (*bus_declared_cb)(int rc, uint32_t ready, uint32_t consumers, void *arg);

struct bus_arg {
    const char *name;
    const char *text; /* a text value, or NULL: the number */
    int64_t number;
};
/* Durable. Declares wait in a line, go out in waves, and are answered in order. A refused one costs
 * only their channel, not the link: those behind it go out again.
 * Each returns 0, ERR_DOWN (not open), ERR_LIMIT (too many wait), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int bus_declare_queue(struct bus_link *k, const char *queue, const struct bus_arg *args,
                                 size_t n_args, bus_declared_cb cb, void *arg);
MUST_CHECK int bus_declare_exchange(struct bus_link *k, const char *exchange, const char *type,
                                    const struct bus_arg *args, size_t n_args, bus_declared_cb cb,
                                    void *arg);
MUST_CHECK int bus_bind_queue(struct bus_link *k, const char *queue, const char *exchange,
                              const char *key, bus_declared_cb cb, void *arg);
MUST_CHECK int bus_bind_exchange(struct bus_link *k, const char *destination, const char *source,
                                 const char *key, bus_declared_cb cb, void *arg);
/* How much lies ready in a queue (passive declare); rc ERR_MISSING when there is none. */
MUST_CHECK int bus_inspect_queue(struct bus_link *k, const char *queue, bus_declared_cb cb,
                                 void *arg);

/* --- consuming ------------------------------------------------------------------------------- */
struct bus_consumer;
struct bus_delivery;

/* A delivery: acknowledge, return or drop it exactly once (bus_ack, bus_requeue, bus_forget), also
 * after its channel is gone (then those only free it). Of one with shares: once a share. */
typedef void (*bus_delivery_cb)(struct bus_delivery *d, void *arg);
/* The consumer stopped: cancelled by the broker (queue deleted, moved), its channel closed, or the
 * link lost. It is not restarted by itself; bus_consumer_free it. Deliveries in hand come back to
 * the broker's queue by themselves. */
typedef void (*bus_consumer_lost_cb)(struct bus_consumer *c, const char *why, void *arg);

/* A channel and consumer tag of its own, manual acknowledgement. Returns 0, ERR_DOWN (not open),
 * ERR_LIMIT (no channel left), ERR_TOO_LARGE, ERR_NOMEM. A queue that does not exist: on_lost. */
MUST_CHECK int bus_consume(struct bus_link *k, const char *queue, uint16_t prefetch,
                           bus_delivery_cb on_delivery, bus_consumer_lost_cb on_lost, void *arg,
                           struct bus_consumer **ret);
/* Stops taking; deliveries in hand stay valid and are acknowledged as before. */
void bus_consumer_stop(struct bus_consumer *c);
/* Stops, and frees itself once nothing is in hand any more; its on_lost does not run again. */
void bus_consumer_retire(struct bus_consumer *c);
/* Stops, and returns to the queue what is still in hand. */
void bus_consumer_free(struct bus_consumer *c);
size_t bus_consumer_in_hand(const struct bus_consumer *c);

/* Valid as long as the delivery. */
const struct bus_message *bus_delivery_message(const struct bus_delivery *d);
struct str bus_delivery_header(const struct bus_delivery *d, const char *name);
/* The routing key that it was published with. */
struct str bus_delivery_key(const struct bus_delivery *d);
bool bus_delivery_is_redelivered(const struct bus_delivery *d);
/* Its channel still lives, so that an acknowledgement would count. */
bool bus_delivery_is_live(const struct bus_delivery *d);
/* It has `n` shares from now on, 1 at least. What is said of it (the three below) is said of one,
 * and done when nothing is left to be said: what was forgotten of any is forgotten, what was
 * returned of any is returned, else it is acknowledged. Once a delivery, before anything is said of
 * it. */
void bus_share(struct bus_delivery *d, size_t n);
/* What is said of it next is the last. */
bool bus_delivery_is_last(const struct bus_delivery *d);
/* Each frees the delivery. Acknowledgements leave together, the gap-free prefix of a channel as one
 * with `multiple`: within ten milliseconds, or at the end of the turn when the broker may send less
 * than half of the prefetch. */
void bus_ack(struct bus_delivery *d);
void bus_requeue(struct bus_delivery *d);
/* Without a word to the broker: it comes back to the queue when its channel ends. */
void bus_forget(struct bus_delivery *d);
