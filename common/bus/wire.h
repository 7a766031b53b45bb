/* SPDX-License-Identifier: Apache-2.0 */
/* wire — AMQP 0-9-1 frames: cutting them out of what was read, and appending them to what is to be
 * written. librabbitmq's encoder and decoder do the methods and properties. */
#pragma once

#include "base/buf.h"

/* Since its release 0.12 librabbitmq keeps its headers in a folder, and warns of the old names. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

enum {
    WIRE_FRAME_MAX = 131072, /* what we ask for; a frame with its header and end mark */
    WIRE_FRAME_MIN = 4096,   /* what the protocol guarantees */
    WIRE_OVERHEAD = 8,
    WIRE_SHORT_MAX = 255,  /* a short string of the protocol: names, keys, ids */
    WIRE_METHOD_MAX = 8192 /* room for any method of ours */
};

struct frame {
    uint8_t type;
    uint16_t channel;
    struct str payload;
};

/* Cuts the first frame out of `in`: *ret_used bytes, 0 when it is not complete yet. Returns 0 or
 * ERR_PROTOCOL (larger than frame_max, no end mark). */
MUST_CHECK int bus_wire_cut(struct str in, size_t frame_max, struct frame *ret, size_t *ret_used);

/* Decodes a method frame; what *ret points to lives in `pool` and in the payload. */
MUST_CHECK int bus_wire_method(const struct frame *f, amqp_pool_t *pool, amqp_method_t *ret);
/* Decodes a content header frame. */
MUST_CHECK int bus_wire_header(const struct frame *f, amqp_pool_t *pool, uint64_t *ret_body_size,
                               amqp_basic_properties_t **ret);

/* Appends a method frame. fields: the method's struct. Returns 0, ERR_TOO_LARGE (nothing appended);
 * memory: as buf. */
MUST_CHECK int bus_wire_put_method(struct buf *out, uint16_t channel, amqp_method_number_t id,
                                   void *fields);
/* The same for methods that always fit. */
void bus_wire_put(struct buf *out, uint16_t channel, amqp_method_number_t id, void *fields);
/* Appends a content header frame of at most `size` bytes and the body's frames. Returns 0 or
 * ERR_TOO_LARGE (nothing appended). */
MUST_CHECK int bus_wire_put_content(struct buf *out, uint16_t channel, size_t frame_max,
                                    amqp_basic_properties_t *properties, size_t header_size,
                                    struct str body);
void bus_wire_put_heartbeat(struct buf *out);

/* What the body's frames add to it. */
size_t bus_wire_body_overhead(size_t body_n, size_t frame_max);

/* librabbitmq's structs take no const; it does not write to them. */
amqp_bytes_t bus_wire_bytes(struct str s);
static inline amqp_bytes_t bus_wire_text(const char *text)
{
    return bus_wire_bytes(str_of(text));
}
static inline struct str bus_wire_str(amqp_bytes_t b)
{
    return (struct str){b.bytes, b.len};
}
