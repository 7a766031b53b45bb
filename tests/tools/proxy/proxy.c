/* SPDX-License-Identifier: Apache-2.0 */
/* A pair is two sockets and two pipes between them; a pipe is a line of chunks, each with the time
 * at which it may leave, and the last one may be the end of the stream. Every event of a pair ends
 * in pair_turn(), the only place that frees it. */
#include "proxy/proxy.h"

#include "base/list.h"
#include "http/net.h"
#include "http/server.h"
#include "proxy/ramp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A pipe over its bound is not read, so that the sender feels it. */
enum { READ_BYTES = 64 * 1024, PIPE_BYTES = 4 * 1024 * 1024, ACCEPTS_A_TURN = 64 };

struct chunk {
    struct list link;
    struct mono due;
    size_t n; /* 0: the end of the stream */
    size_t sent;
    char bytes[];
};

struct end {
    struct pair *pair;
    int fd;
    struct loop_fd *watch;
    bool is_connected;
};

struct pipe {
    struct end *from;
    struct end *to;
    struct list chunks;
    struct loop_timer *timer;
    struct mono last_due; /* order holds also while the delay shrinks */
    size_t queued;
    bool is_delayed;
    bool is_read_out;  /* the sender has ended its stream */
    bool is_delivered; /* and the receiver knows */
};

struct pair {
    struct proxy *proxy;
    struct list link;
    uint64_t number;
    struct end client;
    struct end target;
    struct pipe requests;
    struct pipe answers;
    bool is_broken;
};

struct proxy {
    struct loop *loop;
    const struct proxy_options *options;
    struct ramp ramp;
    int fd; /* -1: refusing */
    struct loop_fd *watch;
    struct http_server *control;
    struct list pairs;
    struct buf body;
    uint64_t accepted;
    uint64_t request_bytes;
    uint64_t answer_bytes;
    int64_t open;
    bool is_deaf;   /* reads nothing */
    bool is_silent; /* forwards nothing */
};

static void end_close(struct end *e)
{
    loop_fd_free(e->watch);
    if (e->fd >= 0) {
        net_reset(e->fd);
    }
}

static void pipe_fini(struct pipe *p)
{
    struct list *link = NULL;

    while (p->chunks.next != NULL && (link = list_pop_front(&p->chunks)) != NULL) {
        free(LIST_OF(link, struct chunk, link));
    }
    loop_timer_free(p->timer);
}

/* Both ends see a reset, unless their streams were ended in order before. */
static void pair_free(struct pair *pair)
{
    bool is_orderly = pair->requests.is_delivered && pair->answers.is_delivered;

    if (is_orderly) {
        loop_fd_free(pair->client.watch);
        loop_fd_free(pair->target.watch);
        (void)close(pair->client.fd);
        (void)close(pair->target.fd);
    } else {
        end_close(&pair->client);
        end_close(&pair->target);
    }
    pipe_fini(&pair->requests);
    pipe_fini(&pair->answers);
    list_remove(&pair->link);
    pair->proxy->open--;
    free(pair);
}

static void say(const struct pair *pair, const char *what, size_t n)
{
    struct proxy *p = pair->proxy;

    if (p->options->logs) {
        char now[WALL_TEXT_SIZE];
        wall_format(clock_wall(), now);
        (void)fprintf(stderr, "%s connection=%" PRIu64 " %s bytes=%zu delay_ms=%" PRId64 "\n", now,
                      pair->number, what, n, ramp_delay_ms(&p->ramp, clock_mono()));
    }
}

static int queue(struct pipe *p, const struct ramp *ramp, const char *bytes, size_t n)
{
    struct chunk *c = malloc(sizeof *c + n);
    struct mono now = clock_mono();

    if (c == NULL) {
        return ERR_NOMEM;
    }
    *c = (struct chunk){.n = n};
    memcpy(c->bytes, bytes, n);
    c->due = p->is_delayed ? mono_plus_ms(now, ramp_delay_ms(ramp, now)) : now;
    if (c->due.ns < p->last_due.ns) {
        c->due = p->last_due;
    }
    p->last_due = c->due;
    p->queued += n;
    list_push_back(&p->chunks, &c->link);
    return ERR_OK;
}

static void read_into(struct pair *pair, struct pipe *p)
{
    struct proxy *proxy = pair->proxy;
    char bytes[READ_BYTES];
    ssize_t n = recv(p->from->fd, bytes, sizeof bytes, 0);

    if (n < 0) {
        pair->is_broken = errno != EAGAIN && errno != EINTR;
        return;
    }
    bool is_request = p == &pair->requests;
    *(is_request ? &proxy->request_bytes : &proxy->answer_bytes) += (uint64_t)n;
    say(pair, is_request ? "client->target" : "target->client", (size_t)n);
    p->is_read_out = n == 0;
    if (!proxy->is_silent || n == 0) {
        pair->is_broken = queue(p, &proxy->ramp, bytes, (size_t)n) != 0;
    }
}

/* Returns whether the chunk has left whole. */
static bool deliver(struct pair *pair, struct pipe *p, struct chunk *c)
{
    if (c->n == 0) {
        (void)shutdown(p->to->fd, SHUT_WR);
        p->is_delivered = true;
        return true;
    }
    ssize_t n = send(p->to->fd, c->bytes + c->sent, c->n - c->sent, MSG_NOSIGNAL);
    if (n < 0) {
        pair->is_broken = errno != EAGAIN && errno != EINTR;
        return false;
    }
    c->sent += (size_t)n;
    p->queued -= (size_t)n;
    return c->sent == c->n;
}

/* Sends what is due. Returns whether the receiver's socket is what it waits for. */
static bool pump(struct pair *pair, struct pipe *p)
{
    struct mono now = clock_mono();

    while (!pair->is_broken && p->to->is_connected && !pair->proxy->is_silent &&
           !list_is_empty(&p->chunks)) {
        struct chunk *c = LIST_OF(p->chunks.next, struct chunk, link);
        if (c->due.ns > now.ns) {
            /* Rounded up: a timer that fires too early would spin. */
            loop_timer_set(p->timer, mono_since_ms(now, c->due) + 1);
            return false;
        }
        if (!deliver(pair, p, c)) {
            return true;
        }
        list_remove(&c->link);
        free(c);
    }
    return false;
}

static void want(const struct pair *pair, struct end *e, const struct pipe *out, bool is_blocked)
{
    bool reads = !pair->proxy->is_deaf && !out->is_read_out && out->queued < PIPE_BYTES;

    if (!e->is_connected) {
        loop_fd_want(e->watch, LOOP_WRITE);
        return;
    }
    loop_fd_want(e->watch, (reads ? (unsigned int)LOOP_READ : 0) |
                               (is_blocked ? (unsigned int)LOOP_WRITE : 0));
}

static void pair_turn(struct pair *pair)
{
    bool target_blocks = pump(pair, &pair->requests);
    bool client_blocks = pump(pair, &pair->answers);

    if (pair->is_broken || (pair->requests.is_delivered && pair->answers.is_delivered)) {
        say(pair, pair->is_broken ? "cut" : "end", 0);
        pair_free(pair);
        return;
    }
    want(pair, &pair->client, &pair->requests, client_blocks);
    want(pair, &pair->target, &pair->answers, target_blocks);
}

static void on_due(struct loop_timer *t, void *arg)
{
    (void)t;
    pair_turn(arg);
}

static void on_end(struct loop_fd *f, unsigned int events, void *arg)
{
    struct end *e = arg;
    struct pair *pair = e->pair;
    struct pipe *out = e == &pair->client ? &pair->requests : &pair->answers;

    (void)f;
    if (!e->is_connected) {
        e->is_connected = net_error(e->fd) == 0;
        pair->is_broken = !e->is_connected;
    } else if ((events & LOOP_ERROR) != 0) {
        pair->is_broken = true;
    } else if ((events & LOOP_READ) != 0) {
        read_into(pair, out);
    }
    pair_turn(pair);
}

static bool delays(const struct proxy_options *o, const char *direction)
{
    return strcmp(o->direction, "both") == 0 || strcmp(o->direction, direction) == 0;
}

static int end_init(struct end *e, struct pair *pair, int fd)
{
    e->pair = pair;
    e->fd = fd;
    return loop_fd_new(pair->proxy->loop, fd, on_end, e, &e->watch);
}

static int pipe_init(struct pipe *p, struct pair *pair, struct end *from, struct end *to,
                     const char *direction)
{
    p->from = from;
    p->to = to;
    p->is_delayed = delays(pair->proxy->options, direction);
    list_init(&p->chunks);
    return loop_timer_new(pair->proxy->loop, on_due, pair, &p->timer);
}

static int pair_start(struct pair *pair, int fd)
{
    int target = -1;
    int rc = end_init(&pair->client, pair, fd);

    pair->client.is_connected = true;
    if (rc == 0) {
        rc = net_connect(pair->proxy->options->target, &target);
    }
    if (rc == 0) {
        rc = end_init(&pair->target, pair, target);
    }
    if (rc == 0) {
        rc = pipe_init(&pair->requests, pair, &pair->client, &pair->target, "requests");
    }
    if (rc == 0) {
        rc = pipe_init(&pair->answers, pair, &pair->target, &pair->client, "answers");
    }
    return rc;
}

static void pair_new(struct proxy *p, int fd)
{
    struct pair *pair = calloc(1, sizeof *pair);

    if (pair == NULL) {
        net_reset(fd);
        return;
    }
    pair->proxy = p;
    pair->client.fd = -1;
    pair->target.fd = -1;
    pair->number = ++p->accepted;
    p->open++;
    list_push_back(&p->pairs, &pair->link);
    net_no_delay(fd);
    if (pair_start(pair, fd) != 0) {
        pair_free(pair);
        return;
    }
    say(pair, "begin", 0);
    pair_turn(pair);
}

static void on_listener(struct loop_fd *f, unsigned int events, void *arg)
{
    struct proxy *p = arg;

    (void)f;
    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        pair_new(p, fd);
    }
}

static int open_listener(struct proxy *p)
{
    int rc = p->fd >= 0 ? ERR_EXISTS : net_listen(p->options->listen, &p->fd);

    if (rc == 0) {
        rc = loop_fd_new(p->loop, p->fd, on_listener, p, &p->watch);
    }
    if (rc == 0) {
        loop_fd_want(p->watch, LOOP_READ);
    }
    return rc == ERR_EXISTS ? ERR_OK : rc;
}

static void close_listener(struct proxy *p)
{
    loop_fd_free(p->watch);
    p->watch = NULL;
    if (p->fd >= 0) {
        (void)close(p->fd);
        p->fd = -1;
    }
}

/* Every pair looks again at what it may do. */
static void turn_all(struct proxy *p, bool is_cut)
{
    for (struct list *at = p->pairs.next; at != &p->pairs;) {
        struct pair *pair = LIST_OF(at, struct pair, link);
        at = at->next;
        pair->is_broken = pair->is_broken || is_cut;
        pair_turn(pair);
    }
}

static void set(struct proxy *p, const struct http_request *r)
{
    p->ramp.base_ms = http_query_number(r, "delay_ms", p->ramp.base_ms);
    p->ramp.max_ms = http_query_number(r, "max_ms", p->ramp.max_ms);
    p->ramp.ms_per_s = http_query_number(r, "ramp_ms_per_s", p->ramp.ms_per_s);
    p->ramp.start = clock_mono();
}

/* Returns false for an unknown order. */
static bool obey(struct proxy *p, const struct http_request *r)
{
    if (str_is(r->path, STR("/set"))) {
        set(p, r);
    } else if (str_is(r->path, STR("/stop-reading"))) {
        p->is_deaf = true;
        turn_all(p, /* is_cut= */ false);
    } else if (str_is(r->path, STR("/blackhole"))) {
        p->is_silent = true;
        turn_all(p, /* is_cut= */ false);
    } else if (str_is(r->path, STR("/resume"))) {
        p->is_deaf = false;
        p->is_silent = false;
        turn_all(p, /* is_cut= */ false);
    } else if (str_is(r->path, STR("/cut"))) {
        turn_all(p, /* is_cut= */ true);
    } else if (str_is(r->path, STR("/refuse"))) {
        close_listener(p);
    } else if (str_is(r->path, STR("/accept"))) {
        return open_listener(p) == 0;
    } else {
        return str_is(r->path, STR("/stats"));
    }
    return true;
}

static void on_control(struct http_exchange *x, void *arg)
{
    struct proxy *p = arg;
    bool is_known = obey(p, http_exchange_request(x));

    buf_clear(&p->body);
    buf_printf(&p->body,
               "{\"open\": %" PRId64 ", \"accepted\": %" PRIu64 ", \"request_bytes\": %" PRIu64
               ", \"answer_bytes\": %" PRIu64 ", \"delay_ms\": %" PRId64
               ", \"stopped\": %s, \"silent\": %s, \"refusing\": %s}\n",
               p->open, p->accepted, p->request_bytes, p->answer_bytes,
               ramp_delay_ms(&p->ramp, clock_mono()), p->is_deaf ? "true" : "false",
               p->is_silent ? "true" : "false", p->fd < 0 ? "true" : "false");
    http_answer(x, is_known ? 200 : 404, STR(""), STR("application/json"), buf_as_str(&p->body));
}

static int start(struct proxy *p)
{
    const struct proxy_options *o = p->options;
    int rc =
        o->control == NULL ? 0 : http_server_new(p->loop, o->control, on_control, p, &p->control);

    if (rc != 0) {
        (void)fprintf(stderr, "cannot listen on %s: %m\n", o->control);
        return rc;
    }
    rc = open_listener(p);
    if (rc != 0) {
        (void)fprintf(stderr, "cannot listen on %s: %m\n", o->listen);
    }
    return rc;
}

int proxy_new(struct loop *l, const struct proxy_options *o, struct proxy **ret)
{
    struct proxy *p = calloc(1, sizeof *p);

    if (p == NULL) {
        return ERR_NOMEM;
    }
    *p = (struct proxy){.loop = l, .options = o, .fd = -1};
    p->ramp = (struct ramp){o->delay_ms, o->max_ms, o->ramp_ms_per_s, clock_mono()};
    list_init(&p->pairs);
    int rc = start(p);
    if (rc != 0) {
        proxy_free(p);
        return rc;
    }
    *ret = p;
    return ERR_OK;
}

void proxy_free(struct proxy *p)
{
    if (p == NULL) {
        return;
    }
    close_listener(p);
    while (!list_is_empty(&p->pairs)) {
        pair_free(LIST_OF(p->pairs.next, struct pair, link));
    }
    http_server_free(p->control);
    buf_fini(&p->body);
    free(p);
}
