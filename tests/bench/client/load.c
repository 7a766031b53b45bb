/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "answer.h"
#include "base/buf.h"
#include "http/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A full accept queue drops the SYN, which the kernel sends again after one second, two, four, … */
enum { IN_SIZE = 65536, EVENTS = 256, AGAIN_US = 2000, CONNECT_MS = 10000 };

struct connection {
    int fd;
    struct str request; /* what is left of it to send */
    struct buf asking;  /* the GET for its last job */
    struct answer answer;
    char location[ANSWER_LOCATION_SIZE]; /* of the last 202 */
    int64_t sent_us;
    int64_t ask_at_us; /* 0: nothing to ask, or asked */
};

struct load {
    const struct load_options *o;
    struct buf *posts; /* one a path */
    struct connection *connections;
    struct report report;
    int epoll;
    int64_t begun_us;
    int64_t ended_us; /* of the last answer to a POST */
    int64_t sent;
    size_t busy; /* connections that wait for an answer, or will ask again */
    bool is_over;
};

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int watch(struct load *l, struct connection *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    return epoll_ctl(l->epoll, op, c->fd, &e) == 0 ? ERR_OK : ERR_IO;
}

/* It is of no use any more. */
static void drop(struct load *l, struct connection *c)
{
    (void)close(c->fd);
    c->fd = -1;
    l->report.broken++;
    l->busy--;
}

static void send_rest(struct load *l, struct connection *c)
{
    while (c->request.n > 0) {
        ssize_t n = send(c->fd, c->request.p, c->request.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            drop(l, c);
            return;
        }
        c->request.p += n;
        c->request.n -= (size_t)n;
    }
    if (watch(l, c, EPOLL_CTL_MOD, c->request.n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN) != ERR_OK) {
        drop(l, c);
    }
}

static void send_request(struct load *l, struct connection *c, struct str request)
{
    answer_begin(&c->answer);
    c->request = request;
    c->sent_us = now_us();
    send_rest(l, c);
}

static bool is_more(const struct load *l, int64_t now)
{
    const struct load_options *o = l->o;

    return o->count > 0 ? l->sent < o->count : now - l->begun_us < o->seconds * 1000000;
}

static int64_t n_paths(const struct load *l)
{
    return l->o->paths > 0 ? l->o->paths : 1;
}

static void ask(struct load *l, struct connection *c)
{
    c->ask_at_us = 0;
    send_request(l, c, buf_as_str(&c->asking));
}

/* The next request, or the question for its last job, or it is at its end. */
static void go_on(struct load *l, struct connection *c, int64_t now)
{
    if (is_more(l, now)) {
        send_request(l, c, buf_as_str(&l->posts[l->sent++ % n_paths(l)]));
        return;
    }
    if (l->o->awaits && c->location[0] != '\0') {
        buf_printf(&c->asking, "GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n", c->location,
                   l->o->headers);
        ask(l, c);
        return;
    }
    l->busy--;
}

static bool is_asking(const struct connection *c)
{
    return buf_as_str(&c->asking).n > 0;
}

static void on_answer(struct load *l, struct connection *c)
{
    int64_t now = now_us();

    if (is_asking(c)) {
        if (strstr(c->answer.body, "\"succeeded\"") != NULL) {
            l->busy--;
        } else {
            c->ask_at_us = now + AGAIN_US;
        }
        return;
    }
    if (!report_add(&l->report, c->answer.status, now - c->sent_us)) {
        l->is_over = true;
    }
    l->ended_us = now;
    if (c->answer.status == 202) {
        (void)snprintf(c->location, sizeof c->location, "%s", c->answer.location);
    }
    go_on(l, c, now);
}

static void on_readable(struct load *l, struct connection *c)
{
    static char in[IN_SIZE];
    ssize_t n = recv(c->fd, in, sizeof in, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0 || answer_feed(&c->answer, in, (size_t)n) != ERR_OK) {
        drop(l, c);
    } else if (c->answer.is_whole) {
        on_answer(l, c);
    }
}

static void on_event(struct load *l, const struct epoll_event *e)
{
    struct connection *c = e->data.ptr;

    if (c->fd >= 0 && (e->events & EPOLLOUT) != 0 && c->request.n > 0) {
        send_rest(l, c);
    }
    if (c->fd >= 0 && (e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        on_readable(l, c);
    }
}

static void ask_again(struct load *l)
{
    int64_t now = now_us();

    for (int64_t i = 0; i < l->o->connections; i++) {
        struct connection *c = &l->connections[i];
        if (c->fd >= 0 && c->ask_at_us > 0 && c->ask_at_us <= now) {
            ask(l, c);
        }
    }
}

static int turn(struct load *l)
{
    struct epoll_event events[EVENTS];
    /* Only who asks again needs the short one. */
    int n = epoll_wait(l->epoll, events, EVENTS, l->ended_us > 0 && l->o->awaits ? 1 : 100);

    if (n < 0 && errno != EINTR) {
        return ERR_IO;
    }
    for (int i = 0; i < n; i++) {
        on_event(l, &events[i]);
    }
    if (l->o->awaits && !is_more(l, now_us())) {
        ask_again(l);
    }
    return ERR_OK;
}

static int run(struct load *l)
{
    int64_t end = l->begun_us + l->o->bound_s * 1000000;

    for (int64_t i = 0; i < l->o->connections && is_more(l, now_us()); i++) {
        l->busy++;
        go_on(l, &l->connections[i], now_us());
    }
    while (l->busy > 0 && !l->is_over) {
        int rc = turn(l);
        if (rc != ERR_OK) {
            return rc;
        }
        if (now_us() > end) {
            return ERR_TIMEOUT;
        }
    }
    return l->is_over ? ERR_NOMEM : ERR_OK;
}

static int open_one(struct load *l, struct connection *c)
{
    int rc = net_connect(l->o->address, &c->fd);

    if (rc != ERR_OK) {
        c->fd = -1;
        return rc;
    }
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    if (poll(&p, 1, CONNECT_MS) != 1 || net_error(c->fd) != 0) {
        return ERR_IO;
    }
    return watch(l, c, EPOLL_CTL_ADD, EPOLLIN);
}

static int open_all(struct load *l)
{
    const struct load_options *o = l->o;

    for (int64_t i = 0; i < o->connections; i++) {
        l->connections[i].fd = -1;
    }
    for (int64_t i = 0; i < o->connections; i++) {
        int rc = open_one(l, &l->connections[i]);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

static void make_post(const struct load_options *o, int64_t n, struct str body, struct buf *ret)
{
    const char *star = o->paths > 0 ? strchr(o->path, '*') : NULL;

    buf_text(ret, "POST ");
    if (star != NULL) {
        buf_printf(ret, "%.*s%lld%s", (int)(star - o->path), o->path, (long long)n, star + 1);
    } else {
        buf_text(ret, o->path);
    }
    buf_printf(ret, " HTTP/1.1\r\nHost: bench\r\n%sContent-Length: %zu\r\n\r\n", o->headers,
               body.n);
    buf_str(ret, body);
}

static int make_posts(struct load *l)
{
    size_t n = (size_t)l->o->body;
    char *body = malloc(n + 1);
    bool is_whole = body != NULL;

    l->posts = calloc((size_t)n_paths(l), sizeof *l->posts);
    if (!is_whole || l->posts == NULL) {
        free(body);
        return ERR_NOMEM;
    }
    memset(body, 'x', n);
    for (int64_t i = 0; i < n_paths(l); i++) {
        make_post(l->o, i, (struct str){body, n}, &l->posts[i]);
        is_whole = is_whole && !buf_failed(&l->posts[i]);
    }
    free(body);
    return is_whole ? ERR_OK : ERR_NOMEM;
}

static int begin(struct load *l)
{
    int rc = make_posts(l);

    if (rc != ERR_OK) {
        return rc;
    }
    l->connections = calloc((size_t)l->o->connections, sizeof *l->connections);
    if (l->connections == NULL) {
        return ERR_NOMEM;
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    return l->epoll < 0 ? ERR_IO : open_all(l);
}

static void finish(struct load *l)
{
    for (int64_t i = 0; l->connections != NULL && i < l->o->connections; i++) {
        if (l->connections[i].fd >= 0) {
            (void)close(l->connections[i].fd);
        }
        buf_fini(&l->connections[i].asking);
    }
    free(l->connections);
    for (int64_t i = 0; l->posts != NULL && i < n_paths(l); i++) {
        buf_fini(&l->posts[i]);
    }
    free(l->posts);
    report_fini(&l->report);
    if (l->epoll >= 0) {
        (void)close(l->epoll);
    }
}

int load_run(const struct load_options *o)
{
    struct load l = {.o = o, .epoll = -1};
    int rc = begin(&l);

    if (rc == ERR_OK) {
        l.begun_us = now_us();
        rc = run(&l);
    }
    if (rc == ERR_OK || rc == ERR_TIMEOUT) {
        report_print(&l.report, l.ended_us - l.begun_us, now_us() - l.begun_us);
    }
    finish(&l);
    return rc;
}
