/* SPDX-License-Identifier: Apache-2.0 */
/* Design: one timer a link. tick() fires what is due, next_wake() says when to come again, and the
 * end-of-turn hook sends what the turn gathered and sets the timer. A failed write is only noted in
 * the hook: users' callbacks from there would make work for hooks that have already run. */
#include "bus/link.h"

#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    IN_ROOM = 2 * WIRE_FRAME_MAX, /* read at most so much a turn; holds any frame whole */
    POOL_PAGE = 8192,             /* no reason; a method and a small table fit */
    OUT_KEEP = 1 << 20,           /* an emptied output buffer above this is given back */
    SETTLED_MS = 5000,            /* open for so long: the next loss counts as the first */
    REACH_MS = 2000 /* for the TCP connect: a lost first packet is sent again after one second */
};

static bool is_before(struct mono a, struct mono b)
{
    return a.ns < b.ns;
}

static struct mono earlier(struct mono a, struct mono b)
{
    return is_before(a, b) ? a : b;
}

static bool is_open(const struct bus_link *k)
{
    return k->state == BUS_OPEN || k->state == BUS_BLOCKED;
}

static void link_move(struct bus_link *k, enum link_event event)
{
    enum bus_state to;

    if (!bus_state_next(k->state, event, &to)) {
        PANIC("bus link: %s in state %s", bus_state_event_name(event), bus_state_name(k->state));
    }
    log_event(LOG_DEBUG, "bus_state", "link=%s from=%s event=%s to=%s", k->name,
              bus_state_name(k->state), bus_state_event_name(event), bus_state_name(to));
    k->state = to;
}

int bus_link_refuse(struct bus_link *k, const char *format, ...)
{
    char text[sizeof k->why - sizeof k->node - sizeof ": "];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)snprintf(k->why, sizeof k->why, "%s: %s", k->node, text);
    return ERR_PROTOCOL;
}

size_t bus_link_waiting_bytes(const struct bus_link *k)
{
    return k->out.n - k->out_sent;
}

unsigned int bus_link_server_major(const struct bus_link *k)
{
    return k->server_major;
}

void bus_link_close_text(uint16_t code, amqp_bytes_t text, char *out, size_t room)
{
    (void)snprintf(out, room, "%u %.*s", code, (int)text.len, (const char *)text.bytes);
}

void bus_link_put_channel_open(struct bus_link *k, uint16_t channel)
{
    amqp_channel_open_t open = {0};

    bus_wire_put(&k->out, channel, AMQP_CHANNEL_OPEN_METHOD, &open);
}

void bus_link_put_channel_close(struct bus_link *k, uint16_t channel)
{
    amqp_channel_close_t closing = {.reply_code = AMQP_REPLY_SUCCESS};

    bus_wire_put(&k->out, channel, AMQP_CHANNEL_CLOSE_METHOD, &closing);
}

void bus_link_put_channel_close_ok(struct bus_link *k, uint16_t channel)
{
    amqp_channel_close_ok_t ok = {0};

    bus_wire_put(&k->out, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
}

/* --- going down ------------------------------------------------------------------------------ */

static void drop_socket(struct bus_link *k)
{
    loop_lookup_free(k->lookup);
    k->lookup = NULL;
    loop_fd_free(k->watch);
    k->watch = NULL;
    if (k->fd >= 0) {
        (void)close(k->fd);
    }
    k->fd = -1;
    k->wanted = 0;
    k->is_full = false;
    k->write_error = 0;
    k->in_n = 0;
    k->in_at = 0;
    k->out_sent = 0;
    buf_fini(&k->out);
    k->heartbeat_ms = 0;
    k->is_alarmed = false;
    k->is_control_open = false;
    bus_publish_reset(k);
}

/* Everything that waited for this connection learns of its end. Any of the callbacks may free the
 * link, whose own round through here then leaves nothing to the outer one. */
static void fail_all(struct bus_link *k)
{
    bus_publish_fail(k);
    bus_declare_fail(k);
    bus_consume_fail(k, k->why);
}

static void link_lost(struct bus_link *k)
{
    bool was_open = is_open(k);
    struct mono now = loop_now(k->loop);
    bool has_settled = was_open && mono_since_ms(k->opened_at, now) >= SETTLED_MS;
    int64_t wait_ms = was_open ? bus_nodes_lost(&k->nodes, has_settled, random_unit())
                               : bus_nodes_failed(&k->nodes, random_unit());

    k->retry_at = mono_plus_ms(now, wait_ms);
    log_event(LOG_DEBUG, "bus_lost", "link=%s why=\"%s\"", k->name, k->why);
    drop_socket(k);
    link_move(k, LINK_LOST);
    fail_all(k);
    if (was_open && !k->is_freed && k->o.on_state != NULL) {
        k->o.on_state(k, /* is_open= */ false, k->o.arg);
    }
}

static void lost_errno(struct bus_link *k, const char *what, int error)
{
    char text[128];

    (void)bus_link_refuse(k, "%s: %s", what, strerror_r(error, text, sizeof text));
    link_lost(k);
}

/* --- coming up ------------------------------------------------------------------------------- */

void bus_link_ready(struct bus_link *k)
{
    k->login = LOGIN_DONE;
    k->opened_at = loop_now(k->loop);
    link_move(k, LINK_READY);
    if (k->is_alarmed) {
        link_move(k, LINK_BLOCK);
    }
    if (k->o.on_state != NULL) {
        k->o.on_state(k, /* is_open= */ true, k->o.arg);
    }
}

void bus_link_alarm(struct bus_link *k, bool is_alarmed)
{
    if (k->is_alarmed == is_alarmed) {
        return;
    }
    k->is_alarmed = is_alarmed;
    if (is_open(k)) {
        link_move(k, is_alarmed ? LINK_BLOCK : LINK_UNBLOCK);
    }
}

static void want(struct bus_link *k, unsigned int events)
{
    if (k->watch != NULL && k->wanted != events) {
        k->wanted = events;
        loop_fd_want(k->watch, events);
    }
}

static void on_fd(struct loop_fd *f, unsigned int events, void *arg);

/* The step begins now and may take its time, but not while others might serve us at once. */
static void bound_step(struct bus_link *k, int64_t most_ms)
{
    int64_t ms = bus_nodes_has_fresh(&k->nodes) && most_ms > BUS_FRESH_MS ? BUS_FRESH_MS : most_ms;

    k->bound_ms = ms < k->o.connect_ms ? ms : k->o.connect_ms;
    k->login_due = mono_plus_ms(loop_now(k->loop), k->bound_ms);
}

static void reach(struct bus_link *k, const struct loop_address *a)
{
    int one = 1;

    link_move(k, LINK_FOUND);
    bound_step(k, REACH_MS);
    k->fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->fd < 0) {
        lost_errno(k, "socket", errno);
        return;
    }
    /* Without it a partial last packet would wait for the peer's delayed acknowledgement. */
    (void)setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(k->fd, (const struct sockaddr *)&a->at, a->n) != 0 && errno != EINPROGRESS) {
        lost_errno(k, "connect", errno);
        return;
    }
    if (loop_fd_new(k->loop, k->fd, on_fd, k, &k->watch) != ERR_OK) {
        (void)bus_link_refuse(k, "the loop takes no more descriptors");
        link_lost(k);
        return;
    }
    want(k, LOOP_WRITE);
}

static void enter(struct bus_link *k);
static void leave(struct bus_link *k);

static void on_found(int rc, const struct loop_address *found, size_t n, void *arg)
{
    struct bus_link *k = arg;

    enter(k);
    loop_lookup_free(k->lookup);
    k->lookup = NULL;
    if (rc == ERR_OK) {
        bus_nodes_found(&k->nodes, found, n);
        reach(k, bus_nodes_address(&k->nodes));
    } else {
        (void)bus_link_refuse(k, "%s",
                              rc == ERR_MISSING ? "there is no such host"
                                                : "its address cannot be looked up now");
        link_lost(k);
    }
    leave(k);
}

/* A name is asked for anew each time: a container that was started anew has another address. */
static void dial(struct bus_link *k)
{
    struct loop_address numeric;
    const struct loop_address *next = bus_nodes_address(&k->nodes);

    link_move(k, LINK_DIAL);
    k->url = bus_nodes_url(&k->nodes);
    bus_nodes_name(&k->nodes, k->node);
    bound_step(k, k->o.connect_ms);
    if (next == NULL && loop_lookup_numeric(k->url->host, k->url->port, &numeric) == ERR_OK) {
        bus_nodes_found(&k->nodes, &numeric, 1);
        next = bus_nodes_address(&k->nodes);
    }
    if (next != NULL) {
        reach(k, next);
    } else if (loop_lookup_new(k->loop, k->url->host, k->url->port, on_found, k, &k->lookup) !=
               ERR_OK) {
        (void)bus_link_refuse(k, "no memory to look its address up");
        link_lost(k);
    }
}

static void on_connected(struct bus_link *k)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) {
        error = errno;
    }
    if (error != 0) {
        lost_errno(k, "connect", error);
        return;
    }
    link_move(k, LINK_REACHED);
    bound_step(k, k->o.connect_ms);
    k->last_read = loop_now(k->loop);
    k->last_sent = k->last_read;
    k->frame_max = WIRE_FRAME_MAX;
    bus_login_begin(k);
    want(k, LOOP_READ);
}

/* --- reading --------------------------------------------------------------------------------- */

static int on_frame(struct bus_link *k, const struct frame *f)
{
    amqp_method_t method;

    if (f->type == AMQP_FRAME_HEARTBEAT) {
        return ERR_OK;
    }
    if (f->channel == 0 || k->login != LOGIN_DONE) {
        if (f->type != AMQP_FRAME_METHOD || bus_wire_method(f, &k->pool, &method) != ERR_OK) {
            return bus_link_refuse(k, "broken frame of type %u", f->type);
        }
        return bus_login_method(k, f->channel, &method);
    }
    if (bus_publish_has_channel(f->channel)) {
        return bus_publish_frame(k, f);
    }
    if (f->channel == LINK_CHANNEL_CONTROL) {
        return bus_declare_frame(k, f);
    }
    return bus_consume_frame(k, f);
}

/* Moves what is not handled yet to the front. */
static void trim_in(struct bus_link *k)
{
    memmove(k->in, k->in + k->in_at, k->in_n - k->in_at);
    k->in_n -= k->in_at;
    k->in_at = 0;
}

/* Handles the whole frames of the input. Stops at once when a callback freed the link. */
static int handle_input(struct bus_link *k)
{
    size_t used;
    struct frame f;

    while (bus_link_is_up(k)) {
        struct str rest = {k->in + k->in_at, k->in_n - k->in_at};
        if (bus_wire_cut(rest, k->frame_max, &f, &used) != ERR_OK) {
            return bus_link_refuse(k, "what came is no AMQP 0-9-1 frame");
        }
        if (used == 0) {
            trim_in(k);
            break;
        }
        k->in_at += used;
        int rc = on_frame(k, &f);
        recycle_amqp_pool(&k->pool);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

static void read_some(struct bus_link *k)
{
    ssize_t n = recv(k->fd, k->in + k->in_n, IN_ROOM - k->in_n, 0);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            lost_errno(k, "read", errno);
        }
        return;
    }
    if (n == 0) {
        (void)bus_link_refuse(k, "the broker closed the connection");
        link_lost(k);
        return;
    }
    k->in_n += (size_t)n;
    k->last_read = loop_now(k->loop);
    if (handle_input(k) != ERR_OK && bus_link_is_up(k)) {
        link_lost(k);
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static void send_some(struct bus_link *k)
{
    while (bus_link_waiting_bytes(k) > 0) {
        ssize_t n = send(k->fd, k->out.p + k->out_sent, bus_link_waiting_bytes(k), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            k->is_full = errno == EAGAIN;
            k->write_error = errno == EAGAIN ? 0 : errno;
            return;
        }
        k->out_sent += (size_t)n;
        k->last_sent = loop_now(k->loop);
    }
}

void bus_link_send_now(struct bus_link *k)
{
    send_some(k);
}

/* Forgets what left, without moving the rest more often than it halves. */
static void trim_out(struct bus_link *k)
{
    if (k->out_sent == k->out.n) {
        buf_clear(&k->out);
        k->out_sent = 0;
        if (k->out.room > OUT_KEEP) {
            buf_fini(&k->out);
        }
    } else if (k->out_sent > k->out.n / 2) {
        buf_drop(&k->out, k->out_sent);
        k->out_sent = 0;
    }
}

static void flush(struct bus_link *k)
{
    if (!bus_link_is_up(k) || k->state == BUS_CONNECTING || k->write_error != 0) {
        return;
    }
    if (!is_before(loop_now(k->loop), k->acks_due)) {
        bus_consume_flush(k);
    }
    if (buf_failed(&k->out)) {
        k->write_error = ENOMEM;
        return;
    }
    if (!k->is_full) {
        send_some(k);
        trim_out(k);
    }
    want(k, k->is_full ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* --- time ------------------------------------------------------------------------------------ */

static struct mono silent_due(const struct bus_link *k)
{
    return mono_plus_ms(k->last_read, 2 * k->heartbeat_ms);
}

/* Bytes that wait for the socket make a heartbeat needless, and impossible. */
static bool is_heartbeat_wanted(const struct bus_link *k)
{
    return k->heartbeat_ms > 0 && bus_link_waiting_bytes(k) == 0;
}

static struct mono heartbeat_due(const struct bus_link *k)
{
    return mono_plus_ms(k->last_sent, k->heartbeat_ms / 2);
}

static struct mono next_wake(const struct bus_link *k, struct mono now)
{
    struct mono wake = {INT64_MAX};

    if (k->write_error != 0) {
        return now;
    }
    if (k->state == BUS_DOWN) {
        return k->retry_at;
    }
    if (!is_open(k)) {
        wake = k->login_due;
    }
    if (k->heartbeat_ms > 0) {
        wake = earlier(wake, silent_due(k));
    }
    if (is_heartbeat_wanted(k)) {
        wake = earlier(wake, heartbeat_due(k));
    }
    if (!bus_ring_is_empty(&k->ring)) {
        wake = earlier(wake, bus_ring_due(&k->ring));
    }
    wake = earlier(wake, k->acks_due);
    wake = earlier(wake, bus_declare_due(k));
    return earlier(wake, bus_publish_close_due(k));
}

/* A timer set too early only looks and is set again; so that traffic does not set it each turn. */
static void rearm(struct bus_link *k)
{
    struct mono now = loop_now(k->loop);
    struct mono wake = next_wake(k, now);

    if (loop_timer_is_set(k->timer) && !is_before(wake, k->armed)) {
        return;
    }
    int64_t left_ms = mono_since_ms(now, wake);
    k->armed = wake;
    loop_timer_set(k->timer, left_ms < 0 || k->write_error != 0 ? 0 : left_ms + 1);
}

/* Our own stall is not the peer's: what came meanwhile is read first. */
static void check_silence(struct bus_link *k)
{
    if (k->heartbeat_ms == 0 || is_before(loop_now(k->loop), silent_due(k))) {
        return;
    }
    read_some(k);
    if (bus_link_is_up(k) && !is_before(loop_now(k->loop), silent_due(k))) {
        (void)bus_link_refuse(k, "the broker was silent for two heartbeats");
        link_lost(k);
    }
}

/* A step of the way up took too long. */
static void late(struct bus_link *k)
{
    const char *what = k->state == BUS_LOOKUP       ? "no address"
                       : k->state == BUS_CONNECTING ? "no connection"
                                                    : "no log-in";

    (void)bus_link_refuse(k, "%s within %lld ms", what, (long long)k->bound_ms);
    link_lost(k);
}

static void tick(struct bus_link *k, struct mono now)
{
    if (k->state == BUS_DOWN) {
        if (!is_before(now, k->retry_at)) {
            dial(k);
        }
        return;
    }
    if (k->write_error != 0) {
        lost_errno(k, "write", k->write_error);
        return;
    }
    if (!is_open(k) && !is_before(now, k->login_due)) {
        late(k);
        return;
    }
    if (bus_link_is_up(k)) {
        check_silence(k);
    }
    if (bus_link_is_up(k) && is_heartbeat_wanted(k) && !is_before(now, heartbeat_due(k))) {
        bus_wire_put_heartbeat(&k->out);
    }
    bus_publish_expire(k, now);
    bus_declare_expire(k, now);
    if (bus_link_is_up(k) && !is_before(now, bus_publish_close_due(k))) {
        (void)bus_link_refuse(k, "the broker does not close a channel");
        link_lost(k);
    }
}

/* --- entry points ---------------------------------------------------------------------------- */

static void destroy(struct bus_link *k)
{
    loop_timer_free(k->timer);
    loop_hook_free(k->hook);
    bus_nodes_fini(&k->nodes);
    buf_fini(&k->out);
    bus_ring_fini(&k->ring);
    empty_amqp_pool(&k->pool);
    free(k->channels);
    free(k->name);
    free(k->in);
    free(k);
}

static void enter(struct bus_link *k)
{
    k->depth++;
}

static void leave(struct bus_link *k)
{
    if (--k->depth == 0 && k->is_freed) {
        destroy(k);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct bus_link *k = arg;

    (void)t;
    enter(k);
    if (!k->is_freed) {
        tick(k, loop_now(k->loop));
    }
    leave(k);
}

static void on_error(struct bus_link *k)
{
    if (k->state == BUS_CONNECTING) {
        on_connected(k);
    } else {
        read_some(k); /* the reason may still lie there */
    }
    if (bus_link_is_up(k)) {
        (void)bus_link_refuse(k, "the connection broke");
        link_lost(k);
    }
}

static void on_fd(struct loop_fd *f, unsigned int events, void *arg)
{
    struct bus_link *k = arg;

    (void)f;
    enter(k);
    if ((events & LOOP_ERROR) != 0) {
        on_error(k);
    } else if (k->state == BUS_CONNECTING) {
        on_connected(k);
    } else {
        k->is_full = k->is_full && (events & LOOP_WRITE) == 0;
        if ((events & LOOP_READ) != 0) {
            read_some(k);
        }
    }
    leave(k);
}

static void on_hook(void *arg)
{
    struct bus_link *k = arg;

    if (!k->is_freed) {
        flush(k);
        rearm(k);
    }
}

/* --- making and freeing ---------------------------------------------------------------------- */

static bool are_bounds_valid(const struct bus_options *o)
{
    return o->n_urls > 0 && o->heartbeat_s > 0 && o->heartbeat_s <= UINT16_MAX &&
           o->connect_ms > 0 && o->publish_ms > 0 && o->declare_ms > 0 && o->max_outstanding > 0 &&
           o->max_buffer_bytes > 0;
}

static bool are_names_short(const struct bus_link *k)
{
    for (size_t i = 0; i < k->nodes.rotation.n; i++) {
        const struct url *u = &k->nodes.urls[i];
        if (strlen(u->host) > WIRE_SHORT_MAX || strlen(u->user) > WIRE_SHORT_MAX ||
            strlen(u->secret) > WIRE_METHOD_MAX / 4 || strlen(u->vhost) > WIRE_SHORT_MAX) {
            return false;
        }
    }
    return strlen(k->name) <= WIRE_SHORT_MAX;
}

static int make_parts(struct bus_link *k, const struct bus_options *o)
{
    if (!are_bounds_valid(o)) {
        return ERR_INVALID;
    }
    int rc = bus_nodes_init(&k->nodes, o->urls, o->n_urls, random_unit(), random_unit());
    if (rc != ERR_OK) {
        return rc;
    }
    k->name = str_dup(str_of(o->name == NULL ? "" : o->name));
    k->in = malloc(IN_ROOM);
    k->channels = calloc(LINK_CHANNEL_MAX + 1, sizeof *k->channels);
    if (k->name == NULL || k->in == NULL || k->channels == NULL) {
        return ERR_NOMEM;
    }
    if (!are_names_short(k)) {
        return ERR_INVALID;
    }
    rc = loop_timer_new(k->loop, on_timer, k, &k->timer);
    return rc != ERR_OK ? rc : loop_hook_new(k->loop, on_hook, k, &k->hook);
}

int bus_link_new(struct loop *l, const struct bus_options *o, struct bus_link **ret)
{
    struct bus_link *k = calloc(1, sizeof *k);

    if (k == NULL) {
        return ERR_NOMEM;
    }
    k->loop = l;
    k->o = *o;
    k->fd = -1;
    k->state = BUS_DOWN;
    k->last_channel = LINK_CHANNEL_FIRST - 1;
    list_init(&k->declares);
    list_init(&k->dirty);
    k->acks_due = (struct mono){INT64_MAX};
    bus_ring_init(&k->ring, o->max_outstanding);
    bus_publish_reset(k);
    init_amqp_pool(&k->pool, POOL_PAGE);
    int rc = make_parts(k, o);
    if (rc != ERR_OK) {
        destroy(k);
        return rc;
    }
    k->retry_at = loop_now(l);
    k->armed = k->retry_at;
    loop_timer_set(k->timer, 0);
    *ret = k;
    return ERR_OK;
}

/* Whether the broker's connection.close-ok is in the input; what comes before it is dropped. */
static bool is_goodbye_answered(struct bus_link *k)
{
    size_t used = 0;
    struct frame f;
    bool is_answered = false;

    do {
        struct str rest = {k->in + k->in_at, k->in_n - k->in_at};
        amqp_method_t m = {0};
        if (bus_wire_cut(rest, k->frame_max, &f, &used) != ERR_OK) {
            return true; /* nothing to wait for any more */
        }
        k->in_at += used;
        is_answered = used > 0 && f.channel == 0 && f.type == AMQP_FRAME_METHOD &&
                      bus_wire_method(&f, &k->pool, &m) == ERR_OK &&
                      m.id == AMQP_CONNECTION_CLOSE_OK_METHOD;
        recycle_amqp_pool(&k->pool);
    } while (used > 0 && !is_answered);
    trim_in(k);
    return is_answered;
}

/* One step of the wait; false when it is over. */
static bool goodbye_step(struct bus_link *k, int64_t left_ms)
{
    struct pollfd p = {.fd = k->fd, .events = POLLIN};

    send_some(k);
    if (k->write_error != 0 || left_ms <= 0) {
        return false;
    }
    p.events = (short)(bus_link_waiting_bytes(k) > 0 ? POLLIN | POLLOUT : POLLIN);
    if (poll(&p, 1, (int)left_ms) <= 0) {
        return false;
    }
    if ((p.revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
        ssize_t n = recv(k->fd, k->in + k->in_n, IN_ROOM - k->in_n, 0);
        if (n <= 0) {
            return false;
        }
        k->in_n += (size_t)n;
        return !is_goodbye_answered(k);
    }
    return true;
}

/* A socket closed with unread input resets the connection, which can destroy what we sent last. */
static void say_goodbye(struct bus_link *k)
{
    amqp_connection_close_t closing = {.reply_code = AMQP_REPLY_SUCCESS};
    struct mono until = mono_plus_ms(loop_now(k->loop), BUS_GRACE_MS);

    bus_consume_flush(k);
    bus_wire_put(&k->out, 0, AMQP_CONNECTION_CLOSE_METHOD, &closing);
    if (buf_failed(&k->out)) {
        return;
    }
    trim_in(k); /* a callback that frees us stands in the middle of it */
    while (goodbye_step(k, mono_since_ms(loop_now(k->loop), until))) {
    }
}

void bus_link_free(struct bus_link *k)
{
    if (k == NULL) {
        return;
    }
    CHECK(!k->is_freed);
    enter(k);
    k->is_freed = true;
    if (is_open(k)) {
        say_goodbye(k);
    }
    (void)bus_link_refuse(k, "the link was closed");
    drop_socket(k);
    link_move(k, LINK_CLOSE);
    fail_all(k);
    leave(k);
}

enum bus_state bus_link_state(const struct bus_link *k)
{
    return k->state;
}

struct mono bus_link_last_read(const struct bus_link *k)
{
    return k->last_read;
}

size_t bus_link_outstanding(const struct bus_link *k)
{
    return k->ring.n_waiting;
}

const char *bus_link_why(const struct bus_link *k)
{
    return k->why;
}

const char *bus_link_node(const struct bus_link *k)
{
    return k->node;
}
