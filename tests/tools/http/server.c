/* SPDX-License-Identifier: Apache-2.0 */
/* A connection carries one exchange at a time, so the two are one object. Everything that happens
 * to it goes through turn(), which is the only place that frees it. */
#include "http/server.h"

#include "base/list.h"
#include "http/net.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A turn accepts and reads a bounded amount, so that no connection starves the others. After EMFILE
 * the listener rests: the condition lasts, and the socket would stay readable. */
enum { ACCEPTS_A_TURN = 64, READ_BYTES = 16 * 1024, REST_MS = 50, PIPELINE_BYTES = 1024 * 1024 };

struct http_server {
    struct loop *loop;
    const char *address;
    http_exchange_cb cb;
    void *arg;
    int fd; /* -1: refused */
    struct loop_fd *watch;
    struct loop_timer *rest;
    struct list connections;
};

struct http_exchange {
    struct http_server *server;
    struct list link;
    int fd;
    struct loop_fd *watch;
    struct buf in;   /* what was read and is not yet a request */
    struct buf held; /* the bytes of the current request */
    struct buf body; /* its body, if it came in chunks */
    struct buf out;
    size_t sent;
    size_t need; /* no request can be whole in fewer bytes */
    struct http_request request;
    bool is_open;    /* an exchange waits for its answer */
    bool is_turning; /* turn() is on the stack */
    bool is_over;    /* close once `out` has left and no exchange is open */
    bool is_broken;  /* close now: nothing can be sent any more */
    bool was_continued;
};

static void connection_free(struct http_exchange *x)
{
    list_remove(&x->link);
    loop_fd_free(x->watch);
    if (x->fd >= 0) {
        (void)close(x->fd);
    }
    buf_fini(&x->in);
    buf_fini(&x->held);
    buf_fini(&x->body);
    buf_fini(&x->out);
    free(x);
}

/* The caller's going is known at once; the exchange lives on until it is answered. */
static void disconnect(struct http_exchange *x)
{
    x->is_broken = true;
    loop_fd_free(x->watch);
    x->watch = NULL;
    (void)close(x->fd);
    x->fd = -1;
}

static void receive(struct http_exchange *x)
{
    char *to = buf_reserve(&x->in, READ_BYTES);
    ssize_t n = to == NULL ? 0 : recv(x->fd, to, READ_BYTES, 0);

    if (n > 0) {
        x->in.n += (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        disconnect(x);
    }
}

static void flush(struct http_exchange *x)
{
    while (!x->is_broken && x->sent < x->out.n) {
        ssize_t n = send(x->fd, x->out.p + x->sent, x->out.n - x->sent, MSG_NOSIGNAL);
        if (n >= 0) {
            x->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            disconnect(x);
        }
    }
    buf_clear(&x->out);
    x->sent = 0;
}

/* The request's bytes move to `held`, where reading on cannot move them. */
static void hold(struct http_exchange *x, size_t used)
{
    struct buf rest = x->held;

    buf_clear(&rest);
    buf_add(&rest, x->in.p + used, x->in.n - used);
    x->held = x->in;
    x->in = rest;
    x->need = 0;
    x->was_continued = false;
}

static void refuse_bytes(struct http_exchange *x, int rc)
{
    buf_printf(&x->out, "HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
               rc == ERR_TOO_LARGE ? 413 : 400);
    x->is_over = true;
}

/* Begins an exchange if a whole request is there. */
static bool begin(struct http_exchange *x)
{
    size_t used = 0;

    if (x->in.n < x->need || x->in.n == 0) {
        return false;
    }
    int rc = http_request_parse(buf_as_str(&x->in), &x->body, &x->request, &used, &x->need);
    if (rc == 0) {
        hold(x, used);
        x->is_open = true;
        x->server->cb(x, x->server->arg);
        return true;
    }
    if (rc != ERR_MISSING) {
        refuse_bytes(x, rc);
    } else if (x->request.method.n > 0 && x->request.expects_continue && !x->was_continued) {
        buf_text(&x->out, "HTTP/1.1 100 Continue\r\n\r\n");
        x->was_continued = true;
    }
    return false;
}

static void want(struct http_exchange *x)
{
    unsigned int events = 0;

    if (x->in.n < PIPELINE_BYTES || !x->is_open) {
        events |= LOOP_READ;
    }
    if (x->sent < x->out.n) {
        events |= LOOP_WRITE;
    }
    loop_fd_want(x->watch, events);
}

static void turn(struct http_exchange *x)
{
    if (x->is_turning) {
        return;
    }
    x->is_turning = true;
    while (!x->is_open && !x->is_over && !x->is_broken && begin(x)) {
    }
    flush(x);
    x->is_turning = false;
    if (!x->is_open && (x->is_broken || (x->is_over && x->out.n == 0))) {
        connection_free(x);
    } else if (!x->is_broken) {
        want(x);
    }
}

static void on_connection(struct loop_fd *f, unsigned int events, void *arg)
{
    struct http_exchange *x = arg;

    (void)f;
    if ((events & LOOP_ERROR) != 0) {
        disconnect(x);
    } else if ((events & LOOP_READ) != 0) {
        receive(x);
    }
    turn(x);
}

static int connection_new(struct http_server *s, int fd)
{
    struct http_exchange *x = calloc(1, sizeof *x);

    if (x == NULL || loop_fd_new(s->loop, fd, on_connection, x, &x->watch) != 0) {
        free(x);
        (void)close(fd);
        return ERR_NOMEM;
    }
    net_no_delay(fd);
    x->server = s;
    x->fd = fd;
    list_push_back(&s->connections, &x->link);
    loop_fd_want(x->watch, LOOP_READ);
    return ERR_OK;
}

static void on_listener(struct loop_fd *f, unsigned int events, void *arg)
{
    struct http_server *s = arg;

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)connection_new(s, fd); /* without memory the caller sees it closed */
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            loop_fd_want(f, 0);
            loop_timer_set(s->rest, REST_MS);
            return;
        }
    }
}

static void on_rested(struct loop_timer *t, void *arg)
{
    struct http_server *s = arg;

    (void)t;
    if (s->fd >= 0) {
        loop_fd_want(s->watch, LOOP_READ);
    }
}

static int open_listener(struct http_server *s)
{
    int rc = net_listen(s->address, &s->fd);

    if (rc != 0) {
        return rc;
    }
    rc = loop_fd_new(s->loop, s->fd, on_listener, s, &s->watch);
    if (rc == 0) {
        loop_fd_want(s->watch, LOOP_READ);
    }
    return rc;
}

static void close_listener(struct http_server *s)
{
    loop_fd_free(s->watch);
    s->watch = NULL;
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
}

int http_server_new(struct loop *l, const char *address, http_exchange_cb cb, void *arg,
                    struct http_server **ret)
{
    struct http_server *s = calloc(1, sizeof *s);
    int rc = ERR_NOMEM;

    if (s == NULL) {
        return rc;
    }
    *s = (struct http_server){.loop = l, .address = address, .cb = cb, .arg = arg, .fd = -1};
    list_init(&s->connections);
    rc = loop_timer_new(l, on_rested, s, &s->rest);
    if (rc == 0) {
        rc = open_listener(s);
    }
    if (rc != 0) {
        int saved = errno;
        http_server_free(s);
        errno = saved;
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void http_server_free(struct http_server *s)
{
    if (s == NULL) {
        return;
    }
    close_listener(s);
    loop_timer_free(s->rest);
    while (!list_is_empty(&s->connections)) {
        connection_free(LIST_OF(s->connections.next, struct http_exchange, link));
    }
    free(s);
}

int http_server_refuse(struct http_server *s, bool is_refused)
{
    if (!is_refused) {
        return s->fd >= 0 ? ERR_OK : open_listener(s);
    }
    close_listener(s);
    for (struct list *at = s->connections.next; at != &s->connections;) {
        struct http_exchange *x = LIST_OF(at, struct http_exchange, link);
        at = at->next;
        x->is_over = true;
        turn(x);
    }
    return ERR_OK;
}

const struct http_request *http_exchange_request(const struct http_exchange *x)
{
    return &x->request;
}

static bool has_no_body(const struct http_exchange *x, int status)
{
    return str_is(x->request.method, STR("HEAD")) || status < 200 || status == 204 || status == 304;
}

void http_start(struct http_exchange *x, int status, struct str headers, struct str content_type,
                size_t length)
{
    struct buf *out = &x->out;

    buf_printf(out, "HTTP/1.1 %d Answer\r\n", status);
    if (status != 204) {
        buf_printf(out, "Content-Length: %zu\r\n", length);
    }
    if (content_type.n > 0) {
        buf_text(out, "Content-Type: ");
        buf_str(out, content_type);
        buf_text(out, "\r\n");
    }
    buf_str(out, headers);
    if (!x->request.keeps_alive) {
        buf_text(out, "Connection: close\r\n");
        x->is_over = true;
    }
    buf_text(out, "\r\n");
    turn(x);
}

void http_more(struct http_exchange *x, struct str bytes)
{
    buf_str(&x->out, bytes);
    turn(x);
}

void http_end(struct http_exchange *x, bool is_cut)
{
    x->is_open = false;
    x->is_over = x->is_over || is_cut;
    turn(x);
}

void http_answer(struct http_exchange *x, int status, struct str headers, struct str content_type,
                 struct str body)
{
    bool was_turning = x->is_turning;

    /* One write for head and body, also when answering later: no turn in between. */
    x->is_turning = true;
    http_start(x, status, headers, content_type, body.n);
    if (!has_no_body(x, status)) {
        buf_str(&x->out, body);
    }
    x->is_turning = was_turning;
    http_end(x, /* is_cut= */ false);
}

void http_drop(struct http_exchange *x)
{
    http_end(x, /* is_cut= */ true);
}
