/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers, each on a channel of its own with a fresh tag (RabbitMQ mixes up what is pending when
 * a tag is used again). A consumer is kept by its owner, its channel and its deliveries: `refs`.
 * `link` is NULL once the channel is gone; deliveries in hand then only free themselves. */
#include "base/fault.h"
#include "base/panic.h"
#include "base/random.h"
#include "bus/acks.h"
#include "bus/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TAG_SIZE = 8 + RANDOM_NAME_SIZE,
    NUMBER_SIZE = 24,
    KEY_SIZE = 256,
    /* A quorum queue writes its log, and waits for the disk, for each lot of acknowledgements as it
     * does for a message; and what is published meanwhile waits for that. */
    ACK_WAIT_MS = 10
};

struct bus_delivery {
    struct bus_message m; /* first: bus_delivery_message hands it out */
    struct str key;       /* the routing key */
    struct list link;     /* in the consumer's in_hand, by tag */
    struct bus_consumer *consumer;
    uint64_t tag;
    bool is_redelivered;
    size_t shares;                  /* of which nothing was said yet */
    bool is_requeued, is_forgotten; /* of any share */
    size_t body_n;                  /* when complete */
    size_t used;                    /* of bytes */
    char bytes[];                   /* texts, then the body */
};

struct bus_consumer {
    struct bus_link *link;
    uint16_t channel;
    unsigned int refs;
    bool is_freed;   /* by its owner: no callback any more */
    bool is_stopped; /* what still comes goes back */
    bool is_retired; /* frees itself with its last delivery */
    bus_delivery_cb on_delivery;
    bus_consumer_lost_cb on_lost;
    void *arg;
    char tag[TAG_SIZE];

    struct list in_hand;
    size_t n_in_hand;
    uint64_t forgotten; /* the lowest such tag, or 0 */
    uint16_t prefetch;
    struct acks acks;
    struct list dirty; /* in the link's, while acks are gathered */

    /* The delivery that is coming in. */
    bool is_header_due;
    uint64_t coming_tag;
    bool is_coming_redelivered;
    char coming_key[KEY_SIZE];
    size_t coming_key_n;
    struct bus_delivery *coming;
};

static void unref(struct bus_consumer *c)
{
    if (--c->refs == 0) {
        bus_acks_fini(&c->acks);
        free(c);
    }
}

/* --- acknowledging --------------------------------------------------------------------------- */

static void put_ack(uint64_t tag, bool is_multiple, void *arg)
{
    struct bus_consumer *c = arg;
    amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = is_multiple};

    bus_wire_put(&c->link->out, c->channel, AMQP_BASIC_ACK_METHOD, &ack);
}

static void put_requeue(struct bus_consumer *c, uint64_t tag)
{
    amqp_basic_nack_t nack = {.delivery_tag = tag, .requeue = 1};

    bus_wire_put(&c->link->out, c->channel, AMQP_BASIC_NACK_METHOD, &nack);
}

/* The lowest tag that no `multiple` may cover. Requeued ones are settled already: their nack lies
 * in the output before any acknowledgement of this turn. */
static uint64_t first_open(const struct bus_consumer *c)
{
    uint64_t first = c->forgotten;

    if (!list_is_empty(&c->in_hand)) {
        uint64_t held = LIST_OF(c->in_hand.next, struct bus_delivery, link)->tag;
        first = first == 0 || held < first ? held : first;
    }
    return first;
}

static void flush_acks(struct bus_consumer *c)
{
    list_remove(&c->dirty);
    bus_acks_flush(&c->acks, first_open(c), put_ack, c);
}

void bus_consume_flush(struct bus_link *k)
{
    k->acks_due = (struct mono){INT64_MAX};
    while (!list_is_empty(&k->dirty)) {
        struct bus_consumer *c = LIST_OF(k->dirty.next, struct bus_consumer, dirty);
        flush_acks(c);
        if (c->is_retired && c->n_in_hand == 0) {
            bus_consumer_free(c);
        }
    }
}

static void note_dirty(struct bus_consumer *c, int64_t wait_ms)
{
    struct bus_link *k = c->link;
    struct mono due = mono_plus_ms(loop_now(k->loop), wait_ms);

    if (!list_is_linked(&c->dirty)) {
        list_push_back(&k->dirty, &c->dirty);
    }
    k->acks_due = due.ns < k->acks_due.ns ? due : k->acks_due;
}

/* `d` is still in hand. */
static void gather_ack(struct bus_consumer *c, const struct bus_delivery *d)
{
    if (bus_acks_add(&c->acks, d->tag) != ERR_OK) {
        put_ack(d->tag, /* is_multiple= */ false, c);
    } else if (bus_acks_are_urgent(&c->acks, c->n_in_hand - 1, c->prefetch)) {
        note_dirty(c, 0);
    } else if (!list_is_linked(&c->dirty)) {
        note_dirty(c, ACK_WAIT_MS);
    }
}

/* Frees the delivery and lets go of its consumer. */
static void drop(struct bus_delivery *d)
{
    struct bus_consumer *c = d->consumer;

    list_remove(&d->link);
    c->n_in_hand--;
    free(d);
    if (c->is_retired && c->n_in_hand == 0 && c->link != NULL) {
        note_dirty(c, 0);
    }
    unref(c);
}

static void acknowledge(struct bus_delivery *d)
{
    struct bus_consumer *c = d->consumer;

    if (c->link != NULL) {
        gather_ack(c, d);
    }
    drop(d);
}

static void requeue(struct bus_delivery *d)
{
    if (d->consumer->link != NULL) {
        put_requeue(d->consumer, d->tag);
    }
    drop(d);
}

static void forget(struct bus_delivery *d)
{
    struct bus_consumer *c = d->consumer;

    if (c->forgotten == 0 || d->tag < c->forgotten) {
        c->forgotten = d->tag;
    }
    drop(d);
}

void bus_share(struct bus_delivery *d, size_t n)
{
    CHECK(n > 0 && d->shares == 1);
    d->shares = n;
}

bool bus_delivery_is_last(const struct bus_delivery *d)
{
    return d->shares == 1;
}

/* One share less; the last one does what all have said. */
static void say(struct bus_delivery *d)
{
    CHECK(d->shares > 0);
    if (--d->shares > 0) {
        if (!RULE(whole_before_ack) && d->consumer->link != NULL && !d->is_forgotten) {
            put_ack(d->tag, /* is_multiple= */ false, d->consumer);
            d->is_forgotten = true; /* nothing more is said of it */
        }
        return;
    }
    if (d->is_forgotten) {
        forget(d);
    } else if (d->is_requeued) {
        requeue(d);
    } else {
        acknowledge(d);
    }
}

void bus_ack(struct bus_delivery *d)
{
    say(d);
}

void bus_requeue(struct bus_delivery *d)
{
    d->is_requeued = true;
    say(d);
}

void bus_forget(struct bus_delivery *d)
{
    d->is_forgotten = true;
    say(d);
}

/* --- deliveries ------------------------------------------------------------------------------ */

const struct bus_message *bus_delivery_message(const struct bus_delivery *d)
{
    return &d->m;
}

struct str bus_delivery_header(const struct bus_delivery *d, const char *name)
{
    for (size_t i = 0; i < d->m.n_headers; i++) {
        if (strcmp(d->m.headers[i].name, name) == 0) {
            return d->m.headers[i].value;
        }
    }
    return (struct str){NULL, 0};
}

struct str bus_delivery_key(const struct bus_delivery *d)
{
    return d->key;
}

bool bus_delivery_is_redelivered(const struct bus_delivery *d)
{
    return d->is_redelivered;
}

bool bus_delivery_is_live(const struct bus_delivery *d)
{
    return d->consumer->link != NULL;
}

/* Copies `s` with a NUL behind it. */
static struct str keep(struct bus_delivery *d, struct str s)
{
    char *to = d->bytes + d->used;

    if (s.n > 0) {
        memcpy(to, s.p, s.n);
    }
    to[s.n] = '\0';
    d->used += s.n + 1;
    return (struct str){to, s.n};
}

/* The value as text; numbers are written to `number`. False: of a kind that is skipped (x-death).
 */
static bool value_text(const amqp_field_value_t *v, char number[NUMBER_SIZE], struct str *ret)
{
    int64_t i = 0;

    switch (v->kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        *ret = bus_wire_str(v->value.bytes);
        return true;
    case AMQP_FIELD_KIND_I8:
        i = v->value.i8; // NOLINT(bugprone-signed-char-misuse): a signed number it is
        break;
    case AMQP_FIELD_KIND_U8:
        i = v->value.u8;
        break;
    case AMQP_FIELD_KIND_I16:
        i = v->value.i16;
        break;
    case AMQP_FIELD_KIND_U16:
        i = v->value.u16;
        break;
    case AMQP_FIELD_KIND_I32:
        i = v->value.i32;
        break;
    case AMQP_FIELD_KIND_U32:
        i = v->value.u32;
        break;
    case AMQP_FIELD_KIND_I64:
        i = v->value.i64;
        break;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        (void)snprintf(number, NUMBER_SIZE, "%" PRIu64, v->value.u64);
        *ret = str_of(number);
        return true;
    default:
        return false;
    }
    (void)snprintf(number, NUMBER_SIZE, "%" PRId64, i);
    *ret = str_of(number);
    return true;
}

static const amqp_table_t *headers_of(const amqp_basic_properties_t *p)
{
    static const amqp_table_t none = {0};

    return (p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0 ? &p->headers : &none;
}

static struct str id_of(const amqp_basic_properties_t *p)
{
    bool is_there = (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0;

    return is_there ? bus_wire_str(p->message_id) : (struct str){"", 0};
}

/* Room for all texts with their NULs. */
static size_t texts_size(const amqp_basic_properties_t *p)
{
    const amqp_table_t *headers = headers_of(p);
    char number[NUMBER_SIZE];
    struct str value;
    size_t n = id_of(p).n + 1;

    for (int i = 0; i < headers->num_entries; i++) {
        if (value_text(&headers->entries[i].value, number, &value)) {
            n += headers->entries[i].key.len + value.n + 2;
        }
    }
    return n;
}

static void keep_texts(struct bus_delivery *d, const amqp_basic_properties_t *p)
{
    const amqp_table_t *headers = headers_of(p);
    char number[NUMBER_SIZE];
    struct str value;

    d->m.id = keep(d, id_of(p));
    for (int i = 0; i < headers->num_entries && d->m.n_headers < BUS_HEADERS_MAX; i++) {
        if (value_text(&headers->entries[i].value, number, &value)) {
            struct bus_header *h = &d->m.headers[d->m.n_headers++];
            h->name = keep(d, bus_wire_str(headers->entries[i].key)).p;
            h->value = keep(d, value);
        }
    }
}

static struct bus_delivery *delivery_new(struct bus_consumer *c, const amqp_basic_properties_t *p,
                                         size_t body_n)
{
    struct bus_delivery *d = malloc(sizeof *d + texts_size(p) + c->coming_key_n + 1 + body_n);

    if (d == NULL) {
        return NULL;
    }
    *d = (struct bus_delivery){.consumer = c,
                               .tag = c->coming_tag,
                               .is_redelivered = c->is_coming_redelivered,
                               .shares = 1,
                               .body_n = body_n};
    keep_texts(d, p);
    d->key = keep(d, (struct str){c->coming_key, c->coming_key_n});
    d->m.body.p = d->bytes + d->used;
    return d;
}

/* --- the end of a consumer ------------------------------------------------------------------- */

/* The channel is no longer ours; nothing more is said on it. Drops the channel's reference. */
static void detach(struct bus_consumer *c, enum channel_state state)
{
    c->link->channels[c->channel] = (struct channel){.state = state};
    c->link = NULL;
    list_remove(&c->dirty);
    bus_acks_fini(&c->acks);
    free(c->coming);
    c->coming = NULL;
    unref(c);
}

static void lose(struct bus_consumer *c, enum channel_state state, const char *why)
{
    if (c->is_retired && !c->is_freed) {
        c->is_freed = true; /* its owner's reference is ours now */
    } else {
        c->refs++;
    }
    detach(c, state);
    if (!c->is_freed) {
        c->on_lost(c, why, c->arg);
    }
    unref(c);
}

static void close_channel(struct bus_consumer *c)
{
    flush_acks(c);
    bus_link_put_channel_close(c->link, c->channel);
}

void bus_consume_fail(struct bus_link *k, const char *why)
{
    for (unsigned int i = LINK_CHANNEL_FIRST; i <= k->channel_max; i++) {
        struct bus_consumer *c = k->channels[i].consumer;
        k->channels[i].state = CHANNEL_FREE;
        if (c != NULL) {
            lose(c, CHANNEL_FREE, why);
        }
    }
    k->acks_due = (struct mono){INT64_MAX};
}

/* --- in -------------------------------------------------------------------------------------- */

static void complete(struct bus_consumer *c)
{
    struct bus_delivery *d = c->coming;

    c->coming = NULL;
    if (c->is_stopped) {
        put_requeue(c, d->tag);
        free(d);
        return;
    }
    c->refs++;
    c->n_in_hand++;
    list_push_back(&c->in_hand, &d->link);
    c->on_delivery(d, c->arg);
}

/* A short string: it fits. */
static void keep_key(struct bus_consumer *c, struct str key)
{
    c->coming_key_n = key.n < KEY_SIZE ? key.n : 0;
    if (c->coming_key_n > 0) {
        memcpy(c->coming_key, key.p, c->coming_key_n);
    }
}

static int on_deliver(struct bus_consumer *c, const amqp_basic_deliver_t *deliver)
{
    if (c->is_header_due || c->coming != NULL) {
        return bus_link_refuse(c->link, "a delivery within a delivery");
    }
    c->is_header_due = true;
    c->coming_tag = deliver->delivery_tag;
    c->is_coming_redelivered = deliver->redelivered;
    keep_key(c, bus_wire_str(deliver->routing_key));
    return ERR_OK;
}

static int on_header(struct bus_consumer *c, const struct frame *f)
{
    struct bus_link *k = c->link;
    amqp_basic_properties_t *p;
    uint64_t body_n;

    if (!c->is_header_due || bus_wire_header(f, &k->pool, &body_n, &p) != ERR_OK) {
        return bus_link_refuse(k, "broken content header");
    }
    c->is_header_due = false;
    if (body_n > LINK_BODY_MAX) {
        close_channel(c);
        lose(c, CHANNEL_CLOSING, "a message over 128 MiB");
        return ERR_OK;
    }
    c->coming = delivery_new(c, p, (size_t)body_n);
    if (c->coming == NULL) {
        return bus_link_refuse(k, "no memory for a delivery");
    }
    if (body_n == 0) {
        complete(c);
    }
    return ERR_OK;
}

static int on_body(struct bus_consumer *c, const struct frame *f)
{
    struct bus_delivery *d = c->coming;

    if (d == NULL || f->payload.n > d->body_n - d->m.body.n) {
        return bus_link_refuse(c->link, "unexpected body");
    }
    memcpy(d->bytes + d->used, f->payload.p, f->payload.n);
    d->used += f->payload.n;
    d->m.body.n += f->payload.n;
    if (d->m.body.n == d->body_n) {
        complete(c);
    }
    return ERR_OK;
}

static int on_method(struct bus_consumer *c, const amqp_method_t *m)
{
    char why[256];

    switch (m->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        return on_deliver(c, m->decoded);
    case AMQP_CHANNEL_OPEN_OK_METHOD:
    case AMQP_BASIC_QOS_OK_METHOD:
    case AMQP_BASIC_CONSUME_OK_METHOD:
    case AMQP_BASIC_CANCEL_OK_METHOD:
        return ERR_OK;
    case AMQP_BASIC_CANCEL_METHOD:
        close_channel(c);
        lose(c, CHANNEL_CLOSING, "cancelled by the broker: the queue is gone or moved");
        return ERR_OK;
    case AMQP_CHANNEL_CLOSE_METHOD: {
        const amqp_channel_close_t *closing = m->decoded;
        bus_link_close_text(closing->reply_code, closing->reply_text, why, sizeof why);
        bus_link_put_channel_close_ok(c->link, c->channel);
        lose(c, CHANNEL_FREE, why);
        return ERR_OK;
    }
    default:
        return bus_link_refuse(c->link, "unexpected method %s on a consumer's channel",
                               amqp_method_name(m->id));
    }
}

/* We said channel.close: all but its answer, and a channel.close that crossed it, is ignored. */
static int on_closing(struct bus_link *k, const struct frame *f)
{
    amqp_method_t m;

    if (f->type != AMQP_FRAME_METHOD) {
        return ERR_OK;
    }
    if (bus_wire_method(f, &k->pool, &m) != ERR_OK) {
        return bus_link_refuse(k, "broken method on channel %u", f->channel);
    }
    if (m.id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
        k->channels[f->channel].state = CHANNEL_FREE;
    } else if (m.id == AMQP_CHANNEL_CLOSE_METHOD) {
        bus_link_put_channel_close_ok(k, f->channel);
    }
    return ERR_OK;
}

static int on_open(struct bus_consumer *c, const struct frame *f)
{
    amqp_method_t m;

    switch (f->type) {
    case AMQP_FRAME_METHOD:
        if (bus_wire_method(f, &c->link->pool, &m) != ERR_OK) {
            return bus_link_refuse(c->link, "broken method on channel %u", f->channel);
        }
        return on_method(c, &m);
    case AMQP_FRAME_HEADER:
        return on_header(c, f);
    case AMQP_FRAME_BODY:
        return on_body(c, f);
    default:
        return bus_link_refuse(c->link, "unknown frame type %u", f->type);
    }
}

int bus_consume_frame(struct bus_link *k, const struct frame *f)
{
    if (f->channel <= k->channel_max) {
        switch (k->channels[f->channel].state) {
        case CHANNEL_OPEN:
            return on_open(k->channels[f->channel].consumer, f);
        case CHANNEL_CLOSING:
            return on_closing(k, f);
        case CHANNEL_FREE:
            break;
        }
    }
    return bus_link_refuse(k, "a frame on channel %u, which is not open", f->channel);
}

/* --- making, stopping, freeing --------------------------------------------------------------- */

/* The next free one, in turn, so that a number is not used again at once; 0 when there is none. */
static uint16_t take_channel(struct bus_link *k)
{
    unsigned int n = k->channel_max - LINK_CHANNEL_FIRST + 1U;

    for (unsigned int i = 1; i <= n; i++) {
        unsigned int at = LINK_CHANNEL_FIRST + (k->last_channel - LINK_CHANNEL_FIRST + i + n) % n;
        if (k->channels[at].state == CHANNEL_FREE) {
            k->last_channel = (uint16_t)at;
            return (uint16_t)at;
        }
    }
    return 0;
}

static void put_consume(struct bus_consumer *c, const char *queue, uint16_t prefetch)
{
    amqp_basic_qos_t qos = {.prefetch_count = prefetch};
    amqp_basic_consume_t consume = {.queue = bus_wire_text(queue),
                                    .consumer_tag = bus_wire_text(c->tag)};

    bus_link_put_channel_open(c->link, c->channel);
    bus_wire_put(&c->link->out, c->channel, AMQP_BASIC_QOS_METHOD, &qos);
    bus_wire_put(&c->link->out, c->channel, AMQP_BASIC_CONSUME_METHOD, &consume);
}

static struct bus_consumer *consumer_new(struct bus_link *k, uint16_t channel)
{
    struct bus_consumer *c = calloc(1, sizeof *c);
    char name[RANDOM_NAME_SIZE];

    if (c == NULL) {
        return NULL;
    }
    random_name(name);
    (void)snprintf(c->tag, sizeof c->tag, "sluice-%s", name);
    list_init(&c->in_hand);
    c->link = k;
    c->channel = channel;
    c->refs = 2; /* the owner's and the channel's */
    k->channels[channel] = (struct channel){.state = CHANNEL_OPEN, .consumer = c};
    return c;
}

int bus_consume(struct bus_link *k, const char *queue, uint16_t prefetch,
                bus_delivery_cb on_delivery, bus_consumer_lost_cb on_lost, void *arg,
                struct bus_consumer **ret)
{
    if (k->state != BUS_OPEN) {
        return ERR_DOWN;
    }
    if (strlen(queue) > WIRE_SHORT_MAX) {
        return ERR_TOO_LARGE;
    }
    uint16_t channel = take_channel(k);
    if (channel == 0) {
        return ERR_LIMIT;
    }
    struct bus_consumer *c = consumer_new(k, channel);
    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->on_delivery = on_delivery;
    c->on_lost = on_lost;
    c->arg = arg;
    c->prefetch = prefetch;
    put_consume(c, queue, prefetch);
    *ret = c;
    return ERR_OK;
}

void bus_consumer_stop(struct bus_consumer *c)
{
    amqp_basic_cancel_t cancel = {.consumer_tag = bus_wire_text(c->tag)};

    if (c->link != NULL && !c->is_stopped) {
        bus_wire_put(&c->link->out, c->channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
    }
    c->is_stopped = true;
}

void bus_consumer_free(struct bus_consumer *c)
{
    if (c == NULL) {
        return;
    }
    CHECK(!c->is_freed);
    c->is_freed = true;
    if (c->link != NULL) {
        close_channel(c);
        detach(c, CHANNEL_CLOSING);
    }
    unref(c);
}

void bus_consumer_retire(struct bus_consumer *c)
{
    if (c == NULL) {
        return;
    }
    if (c->link == NULL || c->n_in_hand == 0) {
        bus_consumer_free(c);
        return;
    }
    bus_consumer_stop(c);
    c->is_retired = true;
}

size_t bus_consumer_in_hand(const struct bus_consumer *c)
{
    return c->n_in_hand;
}
