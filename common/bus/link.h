/* SPDX-License-Identifier: Apache-2.0 */
/* link — the inside of a link, for the files of this folder: link.c (socket, states, time), login.c
 * (handshake), publish.c, declare.c, consume.c.
 *
 * Callbacks of users run only from link.c's two entry points (descriptor and timer) and from
 * bus_link_free(), never from bus_*() calls nor from the end-of-turn hook. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "bus/nodes.h"
#include "bus/ring.h"
#include "bus/state.h"
#include "bus/wire.h"

enum {
    LINK_CHANNEL_PUBLISH = 1,
    LINK_CHANNEL_CONTROL = 2, /* declares: a refused one closes its channel */
    LINK_CHANNEL_SPARE = 3,   /* the other publishing channel */
    LINK_CHANNEL_FIRST = 4,   /* of the consumers' */
    LINK_CHANNEL_MAX = 65535, /* the protocol's bound; RabbitMQ's own is 2,047 by default */
    LINK_BODY_MAX = 128 << 20 /* RabbitMQ's max_message_size */
};

enum login_step { LOGIN_START, LOGIN_TUNE, LOGIN_OPEN, LOGIN_CHANNELS, LOGIN_DONE };

enum channel_state { CHANNEL_FREE, CHANNEL_OPEN, CHANNEL_CLOSING };

struct channel {
    enum channel_state state;
    struct bus_consumer *consumer; /* while CHANNEL_OPEN */
};

enum return_step { RETURN_NONE, RETURN_HEADER, RETURN_BODY };

/* A retired one takes no publishes any more, and is closed once its last is settled. */
enum outlet_state { OUTLET_SHUT, OUTLET_OPEN, OUTLET_RETIRED, OUTLET_CLOSING };

/* One of the two publishing channels (publish.c). */
struct outlet {
    uint16_t channel;
    enum outlet_state state;
    uint64_t before; /* serial = delivery tag + this */
    uint64_t from;   /* the first serial here that may be outstanding */
    uint64_t last;   /* of one that is not open: its last serial */
    enum return_step returning;
    uint64_t return_left;
    struct mono due; /* in OUTLET_CLOSING: the broker's answer */
};

struct bus_link {
    struct loop *loop;
    struct bus_options o; /* urls and name are not used from here */
    char *name;
    struct nodes nodes;
    const struct url *url; /* of the node dialled last; in `nodes` */
    char node[NODES_NAME_SIZE];
    struct loop_lookup *lookup; /* in BUS_LOOKUP */
    enum bus_state state;
    char why[640];
    unsigned int depth; /* of entry points on the stack: memory stays until they are left */
    bool is_freed;

    /* Time. */
    struct loop_timer *timer;
    struct mono armed; /* when the timer fires, if it is set */
    struct mono retry_at;
    int64_t bound_ms; /* of the step up to `login_due`: the look-up, the connect, the log-in */
    struct mono login_due;
    struct mono opened_at;
    struct mono last_read;
    struct mono last_sent;
    int64_t heartbeat_ms; /* agreed; 0 before */

    /* Socket. */
    int fd;
    struct loop_fd *watch;
    struct loop_hook *hook;
    unsigned int wanted;
    struct buf out;
    size_t out_sent; /* bytes of `out` that left already */
    bool is_full;    /* the socket took no more */
    int write_error; /* found in the hook, acted upon in the next turn */
    char *in;
    size_t in_n;
    size_t in_at;     /* handled so far */
    amqp_pool_t pool; /* what decoding one frame needs */

    /* The connection. */
    enum login_step login;
    unsigned int login_wanted; /* replies missing in LOGIN_CHANNELS */
    size_t frame_max;
    uint16_t channel_max;
    unsigned int server_major;
    bool is_alarmed;

    /* publish.c */
    struct ring ring;
    struct outlet outlets[2];
    struct outlet *outlet; /* what is published takes this one */
    struct mono renewed;   /* when another was taken last */

    /* declare.c */
    struct list declares;
    size_t n_declares;
    size_t n_declares_sent;
    bool is_control_open;

    /* consume.c */
    struct channel *channels; /* LINK_CHANNEL_MAX + 1; beyond `channel_max` never touched */
    uint16_t last_channel;
    struct list dirty;    /* consumers with acknowledgements gathered */
    struct mono acks_due; /* when they shall leave; INT64_MAX without any */
};

/* Notes why the connection cannot go on, behind its node; returns ERR_PROTOCOL, for `return
 * bus_link_refuse(…)`. */
__attribute__((format(printf, 2, 3))) int bus_link_refuse(struct bus_link *k, const char *format,
                                                          ...);
/* The login is complete. */
void bus_link_ready(struct bus_link *k);
/* An alarm of the broker came or went. */
void bus_link_alarm(struct bus_link *k, bool is_alarmed);
/* Without waiting for the end of the turn: last words. */
void bus_link_send_now(struct bus_link *k);
size_t bus_link_waiting_bytes(const struct bus_link *k);
/* RabbitMQ's major version, as it said at log-in. */
unsigned int bus_link_server_major(const struct bus_link *k);
/* "404 NOT_FOUND - no queue 'x'" */
void bus_link_close_text(uint16_t code, amqp_bytes_t text, char *out, size_t room);
static inline bool bus_link_is_up(const struct bus_link *k)
{
    return k->fd >= 0;
}
/* Channel.open and channel.close, as several files send them. */
void bus_link_put_channel_open(struct bus_link *k, uint16_t channel);
void bus_link_put_channel_close(struct bus_link *k, uint16_t channel);
void bus_link_put_channel_close_ok(struct bus_link *k, uint16_t channel);

/* login.c: what arrives on channel 0, and everything in LOGIN_CHANNELS. 0 or bus_link_refuse(). */
void bus_login_begin(struct bus_link *k);
MUST_CHECK int bus_login_method(struct bus_link *k, uint16_t channel, const amqp_method_t *m);

/* publish.c */
/* Neither channel stands. */
void bus_publish_reset(struct bus_link *k);
void bus_publish_begin(struct bus_link *k);
static inline bool bus_publish_has_channel(uint16_t channel)
{
    return channel == LINK_CHANNEL_PUBLISH || channel == LINK_CHANNEL_SPARE;
}
MUST_CHECK int bus_publish_frame(struct bus_link *k, const struct frame *f);
void bus_publish_expire(struct bus_link *k, struct mono now);
/* By when the broker must have answered the closing of a channel; INT64_MAX: none is closing. */
struct mono bus_publish_close_due(const struct bus_link *k);
/* All that is outstanding becomes unknown. */
void bus_publish_fail(struct bus_link *k);

/* declare.c */
void bus_declare_begin(struct bus_link *k);
MUST_CHECK int bus_declare_frame(struct bus_link *k, const struct frame *f);
/* When the next one's time runs out; INT64_MAX: none waits. */
struct mono bus_declare_due(const struct bus_link *k);
void bus_declare_expire(struct bus_link *k, struct mono now);
void bus_declare_fail(struct bus_link *k);

/* consume.c */
MUST_CHECK int bus_consume_frame(struct bus_link *k, const struct frame *f);
/* Appends the acknowledgements gathered in this turn. */
void bus_consume_flush(struct bus_link *k);
void bus_consume_fail(struct bus_link *k, const char *why);
