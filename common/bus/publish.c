/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing with confirms. The broker's delivery tags restart with each channel; serials go on, so
 * that what is outstanding on a lost channel is told apart from what follows. A returned message
 * names its serial in correlation_id, and its ack comes after it.
 *
 * A channel that a publish was refused on is replaced: RabbitMQ (3.10, seen) keeps in a channel
 * which node leads a quorum queue, and where that died before the channel's first publish to it,
 * refuses all that follow, for ever. There are two channels, so that nobody waits for that: what
 * comes from then on takes the other one, and the old one is closed when its last is settled. */
#include "bus/link.h"

#include "base/fault.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SERIAL_TEXT = 24,
    HEADER_FIXED = 64, /* frame, class, size, flags, delivery mode, table length, correlation_id */
    METHOD_FIXED = 32, /* frame, ids, lengths, flags */
    RENEW_MS = 1000,   /* a queue that is full refuses, too: no reason to do nothing else */
    ENTRY_OVERHEAD = 6 /* name length, kind, value length */
};

void bus_publish_reset(struct bus_link *k)
{
    k->outlets[0] = (struct outlet){.channel = LINK_CHANNEL_PUBLISH};
    k->outlets[1] = (struct outlet){.channel = LINK_CHANNEL_SPARE};
    k->outlet = &k->outlets[0];
}

static void outlet_open(struct bus_link *k, struct outlet *o)
{
    amqp_confirm_select_t select = {0};

    bus_link_put_channel_open(k, o->channel);
    bus_wire_put(&k->out, o->channel, AMQP_CONFIRM_SELECT_METHOD, &select);
    *o = (struct outlet){.channel = o->channel,
                         .state = OUTLET_OPEN,
                         .before = k->ring.next - 1,
                         .from = k->ring.next};
    k->outlet = o;
}

void bus_publish_begin(struct bus_link *k)
{
    outlet_open(k, &k->outlets[0]);
}

/* --- out ------------------------------------------------------------------------------------- */

/* Room for the content header; 0 when a name or a value is too long. */
static size_t header_size(const struct bus_message *m)
{
    size_t n = HEADER_FIXED + m->id.n;

    if (m->id.n > WIRE_SHORT_MAX || m->n_headers > BUS_HEADERS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < m->n_headers; i++) {
        size_t name_n = strlen(m->headers[i].name);
        if (name_n > WIRE_SHORT_MAX || m->headers[i].value.n > WIRE_FRAME_MAX) {
            return 0;
        }
        n += name_n + m->headers[i].value.n + ENTRY_OVERHEAD;
    }
    return n;
}

static int encode(struct bus_link *k, const struct bus_message *m, size_t header_n,
                  amqp_basic_publish_t *method, uint64_t serial)
{
    char serial_text[SERIAL_TEXT];
    amqp_table_entry_t entries[BUS_HEADERS_MAX];
    size_t mark = k->out.n;

    (void)snprintf(serial_text, sizeof serial_text, "%" PRIu64, serial);
    for (size_t i = 0; i < m->n_headers; i++) {
        entries[i] =
            (amqp_table_entry_t){.key = bus_wire_text(m->headers[i].name),
                                 .value = {.kind = AMQP_FIELD_KIND_UTF8,
                                           .value.bytes = bus_wire_bytes(m->headers[i].value)}};
    }
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG |
                                           AMQP_BASIC_MESSAGE_ID_FLAG |
                                           AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_HEADERS_FLAG,
                                 .delivery_mode = AMQP_DELIVERY_PERSISTENT,
                                 .message_id = bus_wire_bytes(m->id),
                                 .correlation_id = bus_wire_text(serial_text),
                                 .headers = {.num_entries = (int)m->n_headers, .entries = entries}};
    int rc = bus_wire_put_method(&k->out, k->outlet->channel, AMQP_BASIC_PUBLISH_METHOD, method);
    if (rc == ERR_OK) {
        rc = bus_wire_put_content(&k->out, k->outlet->channel, k->frame_max, &p, header_n, m->body);
    }
    if (rc != ERR_OK) {
        k->out.n = mark;
    }
    return rc == ERR_OK && buf_failed(&k->out) ? ERR_NOMEM : rc;
}

int bus_publish(struct bus_link *k, const char *exchange, const char *routing_key,
                const struct bus_message *m, bus_outcome_cb cb, void *arg)
{
    amqp_basic_publish_t method = {.exchange = bus_wire_text(exchange),
                                   .routing_key = bus_wire_text(routing_key),
                                   .mandatory = 1};
    size_t header_n = header_size(m);

    if (k->state != BUS_OPEN) {
        return ERR_DOWN;
    }
    if (header_n == 0 || method.exchange.len > WIRE_SHORT_MAX ||
        method.routing_key.len > WIRE_SHORT_MAX || m->body.n > LINK_BODY_MAX) {
        return ERR_TOO_LARGE;
    }
    size_t waiting = bus_link_waiting_bytes(k);
    size_t size = METHOD_FIXED + method.exchange.len + method.routing_key.len + header_n +
                  m->body.n + bus_wire_body_overhead(m->body.n, k->frame_max);
    /* One message alone may be larger than the bound: else it could never be sent. */
    if (waiting > 0 && waiting + size > k->o.max_buffer_bytes) {
        return ERR_LIMIT;
    }
    int rc = bus_ring_reserve(&k->ring);
    rc = rc != ERR_OK ? rc : encode(k, m, header_n, &method, k->ring.next);
    if (rc == ERR_OK) {
        struct mono due = mono_plus_ms(loop_now(k->loop), k->o.publish_ms);
        (void)bus_ring_push(&k->ring, cb, arg, due);
    }
    return rc;
}

/* --- another channel ------------------------------------------------------------------------- */

static struct outlet *other_than(struct bus_link *k, const struct outlet *o)
{
    return &k->outlets[o == &k->outlets[0] ? 1 : 0];
}

static void note_refusal(struct bus_link *k, struct outlet *o)
{
    struct mono now = loop_now(k->loop);
    bool is_early = k->renewed.ns != 0 && mono_since_ms(k->renewed, now) < RENEW_MS;
    struct outlet *next = other_than(k, o);

    if (o->state == OUTLET_OPEN && next->state == OUTLET_SHUT && !is_early) {
        o->state = OUTLET_RETIRED;
        o->last = k->ring.next - 1;
        k->renewed = now;
        outlet_open(k, next);
    }
}

/* Nothing of it waits any more: what is outstanding came later. */
static bool is_used_up(const struct bus_link *k, const struct outlet *o)
{
    return o->state == OUTLET_RETIRED && k->ring.first > o->last;
}

static void close_retired(struct bus_link *k)
{
    for (size_t i = 0; i < 2 && bus_link_is_up(k); i++) {
        struct outlet *o = &k->outlets[i];
        if (is_used_up(k, o)) {
            o->state = OUTLET_CLOSING;
            o->due = mono_plus_ms(loop_now(k->loop), k->o.publish_ms);
            bus_link_put_channel_close(k, o->channel);
        }
    }
}

struct mono bus_publish_close_due(const struct bus_link *k)
{
    struct mono due = {INT64_MAX};

    for (size_t i = 0; i < 2; i++) {
        const struct outlet *o = &k->outlets[i];
        due = o->state == OUTLET_CLOSING && o->due.ns < due.ns ? o->due : due;
    }
    return due;
}

/* --- outcomes -------------------------------------------------------------------------------- */

static void settle(struct bus_link *k, uint64_t serial, enum bus_outcome outcome)
{
    struct ring_entry e;

    if (bus_ring_settle(&k->ring, serial, &e)) {
        bool is_returned = RULE(returned_is_refused) && outcome == BUS_CONFIRMED && e.is_returned;
        e.cb(is_returned ? BUS_RETURNED : outcome, e.arg);
    }
}

/* All from `from` up to `last`. The callbacks may publish, or free the link; the ring tells. */
static void settle_through(struct bus_link *k, uint64_t from, uint64_t last,
                           enum bus_outcome outcome)
{
    uint64_t serial = from > k->ring.first ? from : k->ring.first;

    while (serial <= last && serial < k->ring.next) {
        settle(k, serial, outcome);
        serial = serial + 1 > k->ring.first ? serial + 1 : k->ring.first;
    }
}

static void on_confirm(struct bus_link *k, struct outlet *o, uint64_t tag, bool is_multiple,
                       enum bus_outcome outcome)
{
    uint64_t from = o->from;
    uint64_t serial = tag + o->before;

    if (outcome == BUS_NACKED) {
        note_refusal(k, o);
    }
    if (is_multiple) {
        o->from = serial + 1;
        settle_through(k, from, serial, outcome);
    } else {
        settle(k, serial, outcome);
    }
    close_retired(k);
}

void bus_publish_fail(struct bus_link *k)
{
    settle_through(k, k->ring.first, k->ring.next - 1, BUS_UNKNOWN);
}

void bus_publish_expire(struct bus_link *k, struct mono now)
{
    while (!bus_ring_is_empty(&k->ring) && bus_ring_due(&k->ring).ns <= now.ns) {
        settle(k, k->ring.first, BUS_UNKNOWN);
    }
    close_retired(k);
}

/* --- in -------------------------------------------------------------------------------------- */

/* The new channel is asked for before anyone is told, so that they may publish at once. */
static void on_channel_closed(struct bus_link *k, struct outlet *o)
{
    uint64_t from = o->from;
    uint64_t last = o->state == OUTLET_OPEN ? k->ring.next - 1 : o->last;

    bus_link_put_channel_close_ok(k, o->channel);
    if (o->state == OUTLET_CLOSING) {
        return; /* our own closing crossed it, and is answered, too */
    }
    if (o->state == OUTLET_OPEN) {
        outlet_open(k, o);
    } else {
        o->state = OUTLET_SHUT;
    }
    settle_through(k, from, last, BUS_UNKNOWN);
}

static int on_method(struct bus_link *k, struct outlet *o, const amqp_method_t *m)
{
    switch (m->id) {
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = m->decoded;
        on_confirm(k, o, ack->delivery_tag, ack->multiple, BUS_CONFIRMED);
        return ERR_OK;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = m->decoded;
        on_confirm(k, o, nack->delivery_tag, nack->multiple, BUS_NACKED);
        return ERR_OK;
    }
    case AMQP_BASIC_RETURN_METHOD:
        o->returning = RETURN_HEADER;
        return ERR_OK;
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_channel_closed(k, o);
        return ERR_OK;
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
        if (o->state != OUTLET_CLOSING) {
            return bus_link_refuse(k, "a publishing channel closed unasked");
        }
        o->state = OUTLET_SHUT;
        return ERR_OK;
    case AMQP_CHANNEL_OPEN_OK_METHOD:
    case AMQP_CONFIRM_SELECT_OK_METHOD:
        return ERR_OK;
    default:
        return bus_link_refuse(k, "unexpected method %s on a publishing channel",
                               amqp_method_name(m->id));
    }
}

static int on_return_header(struct bus_link *k, struct outlet *o, const struct frame *f)
{
    amqp_basic_properties_t *p;
    uint64_t serial;

    if (o->returning != RETURN_HEADER ||
        bus_wire_header(f, &k->pool, &o->return_left, &p) != ERR_OK) {
        return bus_link_refuse(k, "broken content header on the publishing channel");
    }
    if ((p->_flags & AMQP_BASIC_CORRELATION_ID_FLAG) == 0 ||
        str_to_u64(bus_wire_str(p->correlation_id), UINT64_MAX, &serial) != ERR_OK) {
        return bus_link_refuse(k, "a returned message that is none of ours");
    }
    bus_ring_mark_returned(&k->ring, serial);
    o->returning = o->return_left > 0 ? RETURN_BODY : RETURN_NONE;
    return ERR_OK;
}

static int on_return_body(struct bus_link *k, struct outlet *o, const struct frame *f)
{
    if (o->returning != RETURN_BODY || f->payload.n > o->return_left) {
        return bus_link_refuse(k, "unexpected body on the publishing channel");
    }
    o->return_left -= f->payload.n;
    o->returning = o->return_left > 0 ? RETURN_BODY : RETURN_NONE;
    return ERR_OK;
}

int bus_publish_frame(struct bus_link *k, const struct frame *f)
{
    struct outlet *o = &k->outlets[f->channel == LINK_CHANNEL_PUBLISH ? 0 : 1];
    amqp_method_t m;

    if (o->state == OUTLET_SHUT) {
        return bus_link_refuse(k, "a frame on channel %u, which is not open", f->channel);
    }
    switch (f->type) {
    case AMQP_FRAME_METHOD:
        if (bus_wire_method(f, &k->pool, &m) != ERR_OK) {
            return bus_link_refuse(k, "broken method on the publishing channel");
        }
        return on_method(k, o, &m);
    case AMQP_FRAME_HEADER:
        return on_return_header(k, o, f);
    case AMQP_FRAME_BODY:
        return on_return_body(k, o, f);
    default:
        return bus_link_refuse(k, "unknown frame type %u", f->type);
    }
}
