/* SPDX-License-Identifier: Apache-2.0 */
/* Declares go out in waves on a channel of their own, whose answers come in order. A refused one
 * closes that channel, and the broker drops what came behind it: that goes out again over the
 * channel's successor, which costs nothing but time, for whoever repeats a declare finds it done.
 */
#include "bus/link.h"

#include <stdlib.h>

enum {
    DECLARES_MAX = 1 << 16, /* waiting; a thousand tenants' declares are ten thousand */
    WAVE = 64,              /* sent and not answered */
    ARGS_MAX = 8
};

struct declare {
    struct list link;
    amqp_method_number_t reply;
    bool is_sent;
    bool is_alone; /* a question that may well be refused: nothing goes out behind it */
    struct mono due;
    bus_declared_cb cb; /* NULL: its time ran out, and its answer is dropped */
    void *arg;
    size_t frame_n;
    char frame[]; /* as it will be sent */
};

void bus_declare_begin(struct bus_link *k)
{
    bus_link_put_channel_open(k, LINK_CHANNEL_CONTROL);
}

static struct declare *head(struct bus_link *k)
{
    return list_is_empty(&k->declares) ? NULL : LIST_OF(k->declares.next, struct declare, link);
}

/* Those that were sent are the first of the line. */
static bool may_send(const struct bus_link *k, const struct declare *d)
{
    return k->n_declares_sent < WAVE && (!d->is_alone || k->n_declares_sent == 0);
}

static void pump(struct bus_link *k)
{
    for (struct list *i = k->declares.next; k->is_control_open && i != &k->declares; i = i->next) {
        struct declare *d = LIST_OF(i, struct declare, link);
        if (!d->is_sent && !may_send(k, d)) {
            return;
        }
        if (!d->is_sent) {
            buf_add(&k->out, d->frame, d->frame_n);
            d->is_sent = true;
            k->n_declares_sent++;
        }
        if (d->is_alone) {
            return;
        }
    }
}

static void drop(struct bus_link *k, struct declare *d)
{
    list_remove(&d->link);
    k->n_declares--;
    k->n_declares_sent -= d->is_sent ? 1 : 0;
}

/* The head is answered: out it goes, and the next ones off. */
static void answer(struct bus_link *k, int rc, uint32_t ready, uint32_t consumers)
{
    struct declare *d = head(k);

    drop(k, d);
    if (d->cb != NULL) {
        d->cb(rc, ready, consumers, d->arg);
    }
    free(d);
    if (bus_link_is_up(k)) {
        pump(k);
    }
}

/* Who has waited longest; the line is in order of that, too. NULL: nobody waits. */
static struct declare *longest(const struct bus_link *k)
{
    for (struct list *i = k->declares.next; i != &k->declares; i = i->next) {
        struct declare *d = LIST_OF(i, struct declare, link);
        if (d->cb != NULL) {
            return d;
        }
    }
    return NULL;
}

struct mono bus_declare_due(const struct bus_link *k)
{
    const struct declare *d = longest(k);
    struct mono never = {INT64_MAX};

    return d == NULL ? never : d->due;
}

void bus_declare_expire(struct bus_link *k, struct mono now)
{
    struct declare *d;

    while ((d = longest(k)) != NULL && mono_since_ms(d->due, now) >= 0) {
        bus_declared_cb cb = d->cb;
        void *arg = d->arg;
        d->cb = NULL;
        if (!d->is_sent) {
            drop(k, d);
            free(d);
        }
        cb(ERR_TIMEOUT, 0, 0, arg);
    }
}

void bus_declare_fail(struct bus_link *k)
{
    /* The callbacks cannot add more: the link is down. */
    while (head(k) != NULL) {
        answer(k, ERR_DOWN, 0, 0);
    }
}

static int enqueue(struct bus_link *k, struct str frame, amqp_method_number_t reply, bool is_alone,
                   bus_declared_cb cb, void *arg)
{
    struct declare *d = malloc(sizeof *d + frame.n);

    if (d == NULL) {
        return ERR_NOMEM;
    }
    *d = (struct declare){.frame_n = frame.n,
                          .reply = reply,
                          .is_alone = is_alone,
                          .due = mono_plus_ms(loop_now(k->loop), k->o.declare_ms),
                          .cb = cb,
                          .arg = arg};
    memcpy(d->frame, frame.p, frame.n);
    list_push_back(&k->declares, &d->link);
    k->n_declares++;
    pump(k);
    return ERR_OK;
}

static int submit(struct bus_link *k, amqp_method_number_t id, void *fields,
                  amqp_method_number_t reply, bool is_alone, bus_declared_cb cb, void *arg)
{
    struct buf frame = {0};

    if (k->state != BUS_OPEN) {
        return ERR_DOWN;
    }
    if (k->n_declares >= DECLARES_MAX) {
        return ERR_LIMIT;
    }
    int rc = bus_wire_put_method(&frame, LINK_CHANNEL_CONTROL, id, fields);
    if (rc == ERR_OK) {
        /* Not `frame` itself, which has room for any method: thousands may wait. */
        rc = buf_failed(&frame) ? ERR_NOMEM
                                : enqueue(k, buf_as_str(&frame), reply, is_alone, cb, arg);
    }
    buf_fini(&frame);
    return rc;
}

static bool are_short(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i]) > WIRE_SHORT_MAX) {
            return false;
        }
    }
    return true;
}

static int put_args(const struct bus_arg *args, size_t n_args, amqp_table_entry_t *to,
                    amqp_table_t *ret)
{
    if (n_args > ARGS_MAX) {
        return ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < n_args; i++) {
        to[i].key = bus_wire_text(args[i].name);
        if (args[i].text != NULL) {
            to[i].value.kind = AMQP_FIELD_KIND_UTF8;
            to[i].value.value.bytes = bus_wire_text(args[i].text);
        } else {
            to[i].value.kind = AMQP_FIELD_KIND_I64;
            to[i].value.value.i64 = args[i].number;
        }
    }
    *ret = (amqp_table_t){.num_entries = (int)n_args, .entries = to};
    return ERR_OK;
}

int bus_declare_queue(struct bus_link *k, const char *queue, const struct bus_arg *args,
                      size_t n_args, bus_declared_cb cb, void *arg)
{
    amqp_table_entry_t entries[ARGS_MAX] = {0};
    amqp_queue_declare_t declare = {.queue = bus_wire_text(queue), .durable = 1};
    int rc = put_args(args, n_args, entries, &declare.arguments);

    if (rc != ERR_OK || !are_short(&queue, 1)) {
        return ERR_TOO_LARGE;
    }
    return submit(k, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD,
                  /* is_alone= */ false, cb, arg);
}

int bus_inspect_queue(struct bus_link *k, const char *queue, bus_declared_cb cb, void *arg)
{
    amqp_queue_declare_t declare = {.queue = bus_wire_text(queue), .passive = 1, .durable = 1};

    if (!are_short(&queue, 1)) {
        return ERR_TOO_LARGE;
    }
    return submit(k, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD,
                  /* is_alone= */ true, cb, arg);
}

int bus_declare_exchange(struct bus_link *k, const char *exchange, const char *type,
                         const struct bus_arg *args, size_t n_args, bus_declared_cb cb, void *arg)
{
    amqp_table_entry_t entries[ARGS_MAX] = {0};
    amqp_exchange_declare_t declare = {
        .exchange = bus_wire_text(exchange), .type = bus_wire_text(type), .durable = 1};
    const char *names[] = {exchange, type};
    int rc = put_args(args, n_args, entries, &declare.arguments);

    if (rc != ERR_OK || !are_short(names, 2)) {
        return ERR_TOO_LARGE;
    }
    return submit(k, AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD,
                  /* is_alone= */ false, cb, arg);
}

int bus_bind_queue(struct bus_link *k, const char *queue, const char *exchange, const char *key,
                   bus_declared_cb cb, void *arg)
{
    amqp_queue_bind_t bind = {.queue = bus_wire_text(queue),
                              .exchange = bus_wire_text(exchange),
                              .routing_key = bus_wire_text(key)};
    const char *names[] = {queue, exchange, key};

    if (!are_short(names, 3)) {
        return ERR_TOO_LARGE;
    }
    return submit(k, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD,
                  /* is_alone= */ false, cb, arg);
}

int bus_bind_exchange(struct bus_link *k, const char *destination, const char *source,
                      const char *key, bus_declared_cb cb, void *arg)
{
    amqp_exchange_bind_t bind = {.destination = bus_wire_text(destination),
                                 .source = bus_wire_text(source),
                                 .routing_key = bus_wire_text(key)};
    const char *names[] = {destination, source, key};

    if (!are_short(names, 3)) {
        return ERR_TOO_LARGE;
    }
    return submit(k, AMQP_EXCHANGE_BIND_METHOD, &bind, AMQP_EXCHANGE_BIND_OK_METHOD,
                  /* is_alone= */ false, cb, arg);
}

/* --- in -------------------------------------------------------------------------------------- */

static int rc_of_code(uint16_t code)
{
    switch (code) {
    case AMQP_NOT_FOUND:
        return ERR_MISSING;
    case AMQP_ACCESS_REFUSED:
        return ERR_DENIED;
    case AMQP_RESOURCE_LOCKED:
        return ERR_BUSY;
    default:
        return ERR_INVALID;
    }
}

/* What the broker dropped goes out again. */
static void take_back(struct bus_link *k)
{
    for (struct list *i = k->declares.next; i != &k->declares; i = i->next) {
        LIST_OF(i, struct declare, link)->is_sent = false;
    }
    k->n_declares_sent = 0;
}

static int on_channel_closed(struct bus_link *k, const amqp_channel_close_t *closing)
{
    struct declare *d = head(k);

    bus_link_put_channel_close_ok(k, LINK_CHANNEL_CONTROL);
    bus_link_put_channel_open(k, LINK_CHANNEL_CONTROL);
    k->is_control_open = false;
    bool is_refused = d != NULL && d->is_sent;
    take_back(k);
    if (is_refused) {
        answer(k, rc_of_code(closing->reply_code), 0, 0);
    }
    return ERR_OK;
}

static int on_reply(struct bus_link *k, const amqp_method_t *m)
{
    const struct declare *d = head(k);

    if (d == NULL || !d->is_sent || m->id != d->reply) {
        return bus_link_refuse(k, "unexpected method %s on the control channel",
                               amqp_method_name(m->id));
    }
    if (m->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        const amqp_queue_declare_ok_t *ok = m->decoded;
        answer(k, ERR_OK, ok->message_count, ok->consumer_count);
    } else {
        answer(k, ERR_OK, 0, 0);
    }
    return ERR_OK;
}

int bus_declare_frame(struct bus_link *k, const struct frame *f)
{
    amqp_method_t m;

    if (f->type != AMQP_FRAME_METHOD || bus_wire_method(f, &k->pool, &m) != ERR_OK) {
        return bus_link_refuse(k, "broken frame on the control channel");
    }
    switch (m.id) {
    case AMQP_CHANNEL_CLOSE_METHOD:
        return on_channel_closed(k, m.decoded);
    case AMQP_CHANNEL_OPEN_OK_METHOD:
        k->is_control_open = true;
        pump(k);
        return ERR_OK;
    default:
        return on_reply(k, &m);
    }
}
