/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake, step by step (enum login_step), and what else comes on channel 0. The channels are
 * opened in one go: RabbitMQ answers in order. */
#include "bus/link.h"

#include <stdio.h>

enum { WANT_PUBLISH_OPEN = 1, WANT_CONFIRMS = 2, WANT_CONTROL_OPEN = 4 };

static const char PROTOCOL[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

/* What we can take; without asking, the broker tells neither of alarms nor of cancelled consumers.
 */
static const char *const CAPABILITIES[] = {
    "connection.blocked", "consumer_cancel_notify",       "publisher_confirms",
    "basic.nack",         "authentication_failure_close", "exchange_exchange_bindings"};
enum { N_CAPABILITIES = sizeof CAPABILITIES / sizeof CAPABILITIES[0] };

void bus_login_begin(struct bus_link *k)
{
    k->login = LOGIN_START;
    k->login_wanted = WANT_PUBLISH_OPEN | WANT_CONFIRMS | WANT_CONTROL_OPEN;
    k->server_major = 0;
    buf_add(&k->out, PROTOCOL, sizeof PROTOCOL);
}

static void note_version(struct bus_link *k, const amqp_table_t *properties)
{
    for (int i = 0; i < properties->num_entries; i++) {
        const amqp_table_entry_t *e = &properties->entries[i];
        if (e->value.kind == AMQP_FIELD_KIND_UTF8 && str_is(bus_wire_str(e->key), STR("version"))) {
            struct str rest = bus_wire_str(e->value.value.bytes);
            struct str major;
            uint64_t n;
            if (str_cut(&rest, '.', &major) && str_to_u64(major, UINT16_MAX, &n) == ERR_OK) {
                k->server_major = (unsigned int)n;
            }
        }
    }
}

static amqp_table_entry_t text_entry(const char *key, const char *text)
{
    return (amqp_table_entry_t){
        .key = bus_wire_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bus_wire_text(text)}};
}

static int put_start_ok(struct bus_link *k)
{
    struct buf secret = {0};
    amqp_table_entry_t able[N_CAPABILITIES];
    amqp_table_entry_t about[] = {text_entry("product", "Sluice"),
                                  text_entry("connection_name", k->name),
                                  {.key = bus_wire_text("capabilities")}};

    for (size_t i = 0; i < N_CAPABILITIES; i++) {
        able[i] =
            (amqp_table_entry_t){.key = bus_wire_text(CAPABILITIES[i]),
                                 .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    }
    about[2].value.kind = AMQP_FIELD_KIND_TABLE;
    about[2].value.value.table = (amqp_table_t){.num_entries = N_CAPABILITIES, .entries = able};
    buf_char(&secret, '\0');
    buf_text(&secret, k->url->user);
    buf_char(&secret, '\0');
    buf_text(&secret, k->url->secret);
    amqp_connection_start_ok_t ok = {.client_properties = {.num_entries = 3, .entries = about},
                                     .mechanism = bus_wire_text("PLAIN"),
                                     .response = bus_wire_bytes(buf_as_str(&secret)),
                                     .locale = bus_wire_text("en_US")};
    int rc = buf_failed(&secret)
                 ? ERR_NOMEM
                 : bus_wire_put_method(&k->out, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
    buf_fini(&secret);
    return rc == ERR_OK ? ERR_OK : bus_link_refuse(k, "the log-in does not fit: %s", err_text(rc));
}

static int on_start(struct bus_link *k, const amqp_connection_start_t *start)
{
    note_version(k, &start->server_properties);
    k->login = LOGIN_TUNE;
    return put_start_ok(k);
}

/* Zero means no bound of theirs. */
static uint32_t lesser(uint32_t theirs, uint32_t ours)
{
    return theirs == 0 || theirs > ours ? ours : theirs;
}

static int on_tune(struct bus_link *k, const amqp_connection_tune_t *tune)
{
    uint32_t heartbeat_s = lesser(tune->heartbeat, (uint32_t)k->o.heartbeat_s);
    uint32_t frame_max = lesser(tune->frame_max, WIRE_FRAME_MAX);

    if (frame_max < WIRE_FRAME_MIN) {
        return bus_link_refuse(k, "the broker's frame_max %u is too small", frame_max);
    }
    k->channel_max = (uint16_t)lesser(tune->channel_max, LINK_CHANNEL_MAX);
    if (k->channel_max < LINK_CHANNEL_FIRST) {
        return bus_link_refuse(k, "the broker's channel_max %u is too small", k->channel_max);
    }
    k->frame_max = frame_max;
    k->heartbeat_ms = (int64_t)heartbeat_s * 1000;
    k->login = LOGIN_OPEN;
    amqp_connection_tune_ok_t ok = {k->channel_max, frame_max, (uint16_t)heartbeat_s};
    bus_wire_put(&k->out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    amqp_connection_open_t open = {.virtual_host = bus_wire_text(k->url->vhost)};
    bus_wire_put(&k->out, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
    return ERR_OK;
}

static int on_open_ok(struct bus_link *k)
{
    k->login = LOGIN_CHANNELS;
    bus_publish_begin(k);
    bus_declare_begin(k);
    return ERR_OK;
}

static int on_closed_by_broker(struct bus_link *k, const amqp_connection_close_t *closing)
{
    char text[256];
    amqp_connection_close_ok_t ok = {0};

    bus_wire_put(&k->out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    bus_link_send_now(k);
    bus_link_close_text(closing->reply_code, closing->reply_text, text, sizeof text);
    return bus_link_refuse(k, "%s", text);
}

/* One of the three replies that end the log-in. */
static int on_channel_reply(struct bus_link *k, uint16_t channel, const amqp_method_t *m)
{
    unsigned int got = 0;

    if (channel == LINK_CHANNEL_PUBLISH && m->id == AMQP_CHANNEL_OPEN_OK_METHOD) {
        got = WANT_PUBLISH_OPEN;
    } else if (channel == LINK_CHANNEL_PUBLISH && m->id == AMQP_CONFIRM_SELECT_OK_METHOD) {
        got = WANT_CONFIRMS;
    } else if (channel == LINK_CHANNEL_CONTROL && m->id == AMQP_CHANNEL_OPEN_OK_METHOD) {
        got = WANT_CONTROL_OPEN;
    }
    if (k->login != LOGIN_CHANNELS || (k->login_wanted & got) == 0) {
        return bus_link_refuse(k, "unexpected method %s on channel %u in log-in",
                               amqp_method_name(m->id), channel);
    }
    k->login_wanted &= ~got;
    if (k->login_wanted == 0) {
        k->is_control_open = true;
        bus_link_ready(k);
    }
    return ERR_OK;
}

static int on_step(struct bus_link *k, enum login_step step, const amqp_method_t *m)
{
    if (k->login != step) {
        return bus_link_refuse(k, "%s out of turn", amqp_method_name(m->id));
    }
    switch (m->id) {
    case AMQP_CONNECTION_START_METHOD:
        return on_start(k, m->decoded);
    case AMQP_CONNECTION_TUNE_METHOD:
        return on_tune(k, m->decoded);
    default:
        return on_open_ok(k);
    }
}

int bus_login_method(struct bus_link *k, uint16_t channel, const amqp_method_t *m)
{
    if (channel != 0) {
        return on_channel_reply(k, channel, m);
    }
    switch (m->id) {
    case AMQP_CONNECTION_START_METHOD:
        return on_step(k, LOGIN_START, m);
    case AMQP_CONNECTION_TUNE_METHOD:
        return on_step(k, LOGIN_TUNE, m);
    case AMQP_CONNECTION_OPEN_OK_METHOD:
        return on_step(k, LOGIN_OPEN, m);
    case AMQP_CONNECTION_CLOSE_METHOD:
        return on_closed_by_broker(k, m->decoded);
    case AMQP_CONNECTION_BLOCKED_METHOD:
        bus_link_alarm(k, /* is_alarmed= */ true);
        return ERR_OK;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        bus_link_alarm(k, /* is_alarmed= */ false);
        return ERR_OK;
    default:
        return bus_link_refuse(k, "unexpected method %s", amqp_method_name(m->id));
    }
}
