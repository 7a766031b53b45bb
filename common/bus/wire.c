/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/wire.h"

#include "base/panic.h"

enum { HEAD = 7, BASIC_CLASS = 60, HEADER_FIXED = 12, FRAME_END = 0xCE };

static uint16_t get_u16(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint16_t)(u[0] << 8 | u[1]);
}

static uint32_t get_u32(const char *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static uint64_t get_u64(const char *p)
{
    return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static void set_u16(char *p, uint16_t v)
{
    p[0] = (char)(v >> 8);
    p[1] = (char)(v & 0xFF);
}

static void set_u32(char *p, uint32_t v)
{
    set_u16(p, (uint16_t)(v >> 16));
    set_u16(p + 2, (uint16_t)(v & 0xFFFF));
}

static void set_u64(char *p, uint64_t v)
{
    set_u32(p, (uint32_t)(v >> 32));
    set_u32(p + 4, (uint32_t)(v & 0xFFFFFFFF));
}

amqp_bytes_t bus_wire_bytes(struct str s)
{
    return (amqp_bytes_t){.len = s.n, .bytes = (void *)(uintptr_t)s.p};
}

int bus_wire_cut(struct str in, size_t frame_max, struct frame *ret, size_t *ret_used)
{
    *ret_used = 0;
    if (in.n < HEAD) {
        return ERR_OK;
    }
    size_t n = get_u32(in.p + 3);
    if (n + WIRE_OVERHEAD > frame_max) {
        return ERR_PROTOCOL;
    }
    if (in.n < n + WIRE_OVERHEAD) {
        return ERR_OK;
    }
    if ((unsigned char)in.p[HEAD + n] != FRAME_END) {
        return ERR_PROTOCOL;
    }
    *ret = (struct frame){(uint8_t)in.p[0], get_u16(in.p + 1), {in.p + HEAD, n}};
    *ret_used = n + WIRE_OVERHEAD;
    return ERR_OK;
}

int bus_wire_method(const struct frame *f, amqp_pool_t *pool, amqp_method_t *ret)
{
    if (f->payload.n < 4) {
        return ERR_PROTOCOL;
    }
    struct str fields = {f->payload.p + 4, f->payload.n - 4};
    ret->id = get_u32(f->payload.p);
    return amqp_decode_method(ret->id, pool, bus_wire_bytes(fields), &ret->decoded) < 0
               ? ERR_PROTOCOL
               : ERR_OK;
}

int bus_wire_header(const struct frame *f, amqp_pool_t *pool, uint64_t *ret_body_size,
                    amqp_basic_properties_t **ret)
{
    void *decoded = NULL;

    if (f->payload.n < HEADER_FIXED || get_u16(f->payload.p) != BASIC_CLASS) {
        return ERR_PROTOCOL;
    }
    struct str properties = {f->payload.p + HEADER_FIXED, f->payload.n - HEADER_FIXED};
    if (amqp_decode_properties(BASIC_CLASS, pool, bus_wire_bytes(properties), &decoded) < 0) {
        return ERR_PROTOCOL;
    }
    *ret_body_size = get_u64(f->payload.p + 4);
    *ret = decoded;
    return ERR_OK;
}

/* Completes a frame whose payload of `n` bytes was written at HEAD behind `to`. */
static void close_frame(struct buf *out, char *to, uint8_t type, uint16_t channel, size_t n)
{
    to[0] = (char)type;
    set_u16(to + 1, channel);
    set_u32(to + 3, (uint32_t)n);
    to[HEAD + n] = (char)FRAME_END;
    out->n += n + WIRE_OVERHEAD;
}

int bus_wire_put_method(struct buf *out, uint16_t channel, amqp_method_number_t id, void *fields)
{
    char *to = buf_reserve(out, WIRE_METHOD_MAX + WIRE_OVERHEAD);

    if (to == NULL) {
        return ERR_OK; /* `out` remembers */
    }
    amqp_bytes_t room = {.len = WIRE_METHOD_MAX - 4, .bytes = to + HEAD + 4};
    int n = amqp_encode_method(id, fields, room);
    if (n < 0) {
        return ERR_TOO_LARGE;
    }
    set_u32(to + HEAD, id);
    close_frame(out, to, AMQP_FRAME_METHOD, channel, (size_t)n + 4);
    return ERR_OK;
}

void bus_wire_put(struct buf *out, uint16_t channel, amqp_method_number_t id, void *fields)
{
    int rc = bus_wire_put_method(out, channel, id, fields);

    CHECK(rc == ERR_OK);
}

static void put_body(struct buf *out, uint16_t channel, size_t frame_max, struct str body)
{
    while (body.n > 0) {
        size_t n = body.n < frame_max - WIRE_OVERHEAD ? body.n : frame_max - WIRE_OVERHEAD;
        char *to = buf_reserve(out, n + WIRE_OVERHEAD);
        if (to == NULL) {
            return;
        }
        memcpy(to + HEAD, body.p, n);
        close_frame(out, to, AMQP_FRAME_BODY, channel, n);
        body.p += n;
        body.n -= n;
    }
}

int bus_wire_put_content(struct buf *out, uint16_t channel, size_t frame_max,
                         amqp_basic_properties_t *properties, size_t header_size, struct str body)
{
    if (header_size + WIRE_OVERHEAD > frame_max) {
        return ERR_TOO_LARGE;
    }
    char *to = buf_reserve(out, header_size + WIRE_OVERHEAD);
    if (to == NULL) {
        return ERR_OK;
    }
    amqp_bytes_t room = {.len = header_size - HEADER_FIXED, .bytes = to + HEAD + HEADER_FIXED};
    int n = amqp_encode_properties(BASIC_CLASS, properties, room);
    if (n < 0) {
        return ERR_TOO_LARGE;
    }
    set_u16(to + HEAD, BASIC_CLASS);
    set_u16(to + HEAD + 2, 0);
    set_u64(to + HEAD + 4, body.n);
    close_frame(out, to, AMQP_FRAME_HEADER, channel, (size_t)n + HEADER_FIXED);
    put_body(out, channel, frame_max, body);
    return ERR_OK;
}

void bus_wire_put_heartbeat(struct buf *out)
{
    char *to = buf_reserve(out, WIRE_OVERHEAD);

    if (to != NULL) {
        close_frame(out, to, AMQP_FRAME_HEARTBEAT, 0, 0);
    }
}

size_t bus_wire_body_overhead(size_t body_n, size_t frame_max)
{
    size_t n = frame_max - WIRE_OVERHEAD;

    return (body_n / n + (body_n % n != 0)) * WIRE_OVERHEAD;
}
