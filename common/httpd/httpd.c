/* SPDX-License-Identifier: Apache-2.0 */
/* The glue between MHD and the loop.
 *
 * We accept by ourselves and hand each connection to one of several MHD daemons, which have no
 * socket to listen on: so the limits, the count and the end of accepting are ours. A daemon runs
 * when its epoll descriptor is readable; what is answered later waits in shard->resuming for the
 * end of the turn, where one walk over a daemon's suspended connections resumes them all.
 *
 * MHD closes sockets, we only shut them down: it aborts the process when a descriptor has left its
 * epoll set behind its back, and when it is stopped while a connection is suspended. */
#include "base/panic.h"
#include "httpd/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ACCEPTS_A_TURN = 64,
    ACCEPT_AGAIN_MS = 100, /* after a failure that time may heal, such as no descriptors */
    RUNS_A_TURN = 8,       /* of one daemon, while it says that more is ready */
    POOL_MIN = 16384
};

/* --- MHD's callbacks -------------------------------------------------------------------------- */

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

static void conn_start(struct shard *s, struct MHD_Connection *mhd, int fd, void **ret_context)
{
    struct httpd *h = s->h;
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct conn *c = calloc(1, sizeof *c);

    if (c == NULL) {
        (void)shutdown(fd, SHUT_RDWR);
        return;
    }
    *c = (struct conn){.h = h, .shard = s, .mhd = mhd, .fd = fd, .is_new = true};
    listen_format(peer == NULL ? NULL : peer->client_addr, c->peer);
    h->n_conns++;
    s->n_conns++;
    c->is_surplus = h->n_conns > h->o.max_connections;
    *ret_context = c;
    watch_enter(c, CONN_HEAD);
    if (watch_hangup_add(c) != 0) {
        httpd_shut(c);
    }
}

static void conn_end(struct conn *c)
{
    watch_hangup_remove(c);
    watch_enter(c, CONN_CLOSED);
    c->h->n_conns--;
    c->shard->n_conns--;
    free(c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        CHECK(info != NULL);
        conn_start(cls, mhd, info->connect_fd, context);
    } else if (*context != NULL) {
        conn_end(*context);
        *context = NULL;
    }
}

/* The request line is there; what is returned comes back as on_access's *context. */
static void *on_request_line(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct conn *c = conn_of(mhd);

    (void)cls;
    if (c == NULL) {
        return NULL;
    }
    /* The head of a new connection has its deadline since it came. */
    if (!c->is_new) {
        watch_enter(c, CONN_HEAD);
    }
    c->is_new = false;
    c->req = request_new(c, target == NULL ? "" : target);
    return c->req;
}

static size_t keep_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return text == NULL ? 0 : strlen(text);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct httpd_req *r = *context;

    (void)cls;
    (void)mhd;
    (void)code;
    if (r == NULL) {
        return;
    }
    r->conn->req = NULL;
    if (r->conn->phase != CONN_CLOSED) {
        watch_enter(r->conn, CONN_IDLE);
    }
    request_free(r);
    *context = NULL;
}

/* --- a request's way -------------------------------------------------------------------------- */

static enum MHD_Result give_answer(struct httpd_req *r)
{
    struct MHD_Response *response = r->response;
    enum MHD_Result rc;

    if (response == NULL) {
        return MHD_NO; /* no memory for it: the connection closes */
    }
    r->response = NULL;
    watch_enter(r->conn, CONN_SENDING);
    rc = MHD_queue_response(r->conn->mhd, (unsigned int)r->status, response);
    MHD_destroy_response(response);
    return rc;
}

/* Answers at the head, so the connection closes after it. */
static enum MHD_Result refuse(struct httpd_req *r, int status, const char *detail)
{
    request_settle(r);
    r->state = REQ_ANSWERED;
    r->status = status;
    r->response = answer_refusal(r->conn->h, status, detail);
    linger_start(r->conn);
    return give_answer(r);
}

static bool is_surplus(struct conn *c)
{
    c->is_surplus = c->is_surplus && c->h->n_conns > c->h->o.max_connections;
    return c->is_surplus;
}

static enum MHD_Result call_on_head(struct httpd_req *r)
{
    struct httpd *h = r->conn->h;

    if (h->o.on_head != NULL) {
        r->in_handler = true;
        h->was_handler_called = true;
        h->o.on_head(r, h->o.arg);
        r->in_handler = false;
    }
    if (r->state != REQ_ANSWERED) {
        r->state = REQ_BODY;
        watch_enter(r->conn, CONN_BODY);
    } else if (r->has_body) {
        linger_start(r->conn);
        return give_answer(r);
    }
    /* An answer without a body to refuse waits for MHD's next call: given now, it would close the
     * connection. */
    return MHD_YES;
}

static enum MHD_Result on_head_there(struct httpd_req *r, const char *method, const char *version)
{
    const char *detail = NULL;
    int status;

    if (r->conn->h->is_closing) {
        return MHD_NO;
    }
    status = request_take_head(r, method, version, &detail);
    if (status < 0) {
        return MHD_NO;
    }
    if (status != 0) {
        return refuse(r, status, detail);
    }
    if (is_surplus(r->conn)) {
        return refuse(r, 503, "too many connections");
    }
    r->is_pending = true;
    r->conn->h->n_pending++;
    return call_on_head(r);
}

static enum MHD_Result on_body_bytes(struct httpd_req *r, const char *bytes, size_t n)
{
    int rc = request_add_body(r, bytes, n);

    if (rc == 0) {
        return MHD_YES;
    }
    /* MHD takes no response in the middle of a body. */
    if (rc == ERR_TOO_LARGE) {
        answer_refuse_raw(r->conn->h, r->conn->fd, 413, "the body is too large");
        linger_start(r->conn);
    }
    return MHD_NO;
}

static enum MHD_Result suspend(struct httpd_req *r)
{
    struct httpd *h = r->conn->h;

    MHD_suspend_connection(r->conn->mhd);
    r->is_suspended = true;
    list_push_back(r->conn->is_hung_up ? &h->hung : &h->kept, &r->link);
    return MHD_YES;
}

static enum MHD_Result on_whole(struct httpd_req *r)
{
    struct httpd *h = r->conn->h;

    if (h->is_closing) {
        return MHD_NO;
    }
    r->state = REQ_ASKED;
    watch_enter(r->conn, CONN_BUSY);
    r->in_handler = true;
    h->was_handler_called = true;
    h->o.on_request(r, h->o.arg);
    r->in_handler = false;
    if (r->state == REQ_ANSWERED) {
        return give_answer(r);
    }
    CHECK(r->state == REQ_KEPT); /* a handler answers or keeps */
    return suspend(r);
}

/* MHD calls for the head, for each piece of the body, at the end, and after each resume. */
static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *bytes,
                                 size_t *n, void **context)
{
    struct httpd_req *r = *context;
    size_t given = *n;

    (void)cls;
    (void)mhd;
    (void)url;
    if (r == NULL) {
        return MHD_NO; /* no memory at the request line */
    }
    switch (r->state) {
    case REQ_LINE:
        return on_head_there(r, method, version);
    case REQ_BODY:
        *n = 0;
        return given > 0 ? on_body_bytes(r, bytes, given) : on_whole(r);
    case REQ_ANSWERED:
        return give_answer(r);
    case REQ_GONE:
        return MHD_NO;
    case REQ_ASKED:
    case REQ_KEPT:
        break;
    }
    PANIC("a request that waits was called again");
}

void httpd_keep(struct httpd_req *r, httpd_gone_cb gone)
{
    CHECK(r->state == REQ_ASKED || r->state == REQ_KEPT);
    r->state = REQ_KEPT;
    r->gone = gone;
}

/* MHD would close without a word on an answer that it cannot send: an odd status, or a head that
 * does not fit into the connection's pool beside that of the request. */
static bool is_sendable(const struct httpd *h, const struct httpd_answer *a)
{
    return a->status >= 200 && a->status <= 599 && answer_head_len(a) <= h->o.max_header_bytes / 2;
}

static void build(struct httpd_req *r, const struct httpd_answer *a)
{
    struct httpd_answer instead = {.status = 500, .content_type = "text/plain"};

    if (!is_sendable(r->conn->h, a)) {
        answer_drop(a);
        instead.body = STR("the answer cannot be sent as it is\n");
        a = &instead;
    }
    r->status = a->status;
    r->response = answer_build(a, r->must_close);
}

void httpd_answer(struct httpd_req *r, const struct httpd_answer *a)
{
    bool is_at_head = r->state == REQ_LINE;

    CHECK(is_at_head || r->state == REQ_ASKED || r->state == REQ_KEPT);
    r->must_close = r->must_close || (is_at_head && r->has_body) || r->conn->h->listen_fd < 0;
    build(r, a);
    r->state = REQ_ANSWERED;
    request_settle(r);
    buf_fini(&r->body);
    if (!r->in_handler) {
        list_remove(&r->link);
        httpd_resume(r);
    }
}

/* --- turns of the loop ------------------------------------------------------------------------ */

static void kick(struct httpd *h)
{
    if (!h->is_in_hook && !loop_timer_is_set(h->kick)) {
        loop_timer_set(h->kick, 0);
    }
}

void httpd_resume(struct httpd_req *r)
{
    struct shard *s = r->conn->shard;

    list_push_back(&s->resuming, &r->link);
    s->must_run = true;
    kick(s->h);
}

void httpd_shut(struct conn *c)
{
    watch_enter(c, CONN_CLOSED);
    (void)shutdown(c->fd, SHUT_RDWR);
}

static bool has_more(struct shard *s)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 1;

    return MHD_get_timeout(s->mhd, &timeout_ms) == MHD_YES && timeout_ms == 0;
}

static void run(struct shard *s)
{
    int runs = 0;

    s->must_run = false;
    do {
        (void)MHD_run(s->mhd);
        runs++;
    } while (has_more(s) && runs < RUNS_A_TURN);
    /* What was answered since the last turn's end still waits to be resumed there. */
    s->must_run = s->must_run || !list_is_empty(&s->resuming) || has_more(s);
}

static void resume_all(struct shard *s)
{
    struct list *link;

    while ((link = list_pop_front(&s->resuming)) != NULL) {
        struct httpd_req *r = LIST_OF(link, struct httpd_req, link);

        r->is_suspended = false;
        MHD_resume_connection(r->conn->mhd);
    }
}

static void on_shard_ready(struct loop_fd *f, unsigned int events, void *arg)
{
    (void)f;
    (void)events;
    run(arg);
}

static void on_kick(struct loop_timer *t, void *arg)
{
    (void)t;
    (void)arg;
}

static void on_turn_end(void *arg)
{
    struct httpd *h = arg;
    bool must_turn = false;

    h->is_in_hook = true;
    h->was_handler_called = false;
    watch_tell_gone(h);
    for (int i = 0; i < N_SHARDS; i++) {
        if (h->shards[i].must_run) {
            resume_all(&h->shards[i]);
            run(&h->shards[i]);
        }
    }
    for (int i = 0; i < N_SHARDS; i++) {
        must_turn = must_turn || h->shards[i].must_run;
    }
    h->is_in_hook = false;
    watch_arm(h);
    /* What a handler did in here may be work for hooks that have run already. */
    if (must_turn || h->was_handler_called || !list_is_empty(&h->hung)) {
        loop_timer_set(h->kick, 0);
    }
}

/* --- accepting -------------------------------------------------------------------------------- */

static void accept_pause(struct httpd *h)
{
    loop_fd_want(h->listen_watch, 0);
    loop_timer_set(h->listen_again, ACCEPT_AGAIN_MS);
}

static void on_listen_again(struct loop_timer *t, void *arg)
{
    struct httpd *h = arg;

    (void)t;
    if (h->listen_watch != NULL) {
        loop_fd_want(h->listen_watch, LOOP_READ);
    }
}

/* Some connections over the limit are taken, to be refused in words. */
static unsigned int hard_limit(const struct httpd *h)
{
    return h->o.max_connections + h->o.max_connections / 8 + 16;
}

static struct shard *pick_shard(struct httpd *h)
{
    for (int i = 0; i < N_SHARDS; i++) {
        if (h->shards[i].n_conns < SHARD_FILL) {
            return &h->shards[i];
        }
    }
    return &h->shards[h->next_shard++ % N_SHARDS];
}

static void admit(struct httpd *h, int fd, const struct sockaddr *peer, socklen_t len)
{
    const int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (h->n_conns >= hard_limit(h)) {
        answer_refuse_raw(h, fd, 503, "too many connections");
        (void)close(fd);
        return;
    }
    /* Closes fd when it fails. */
    (void)MHD_add_connection(pick_shard(h)->mhd, fd, peer, len);
}

/* False when there is none (any more). */
static bool accept_one(struct httpd *h)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    int fd = accept4(h->listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        admit(h, fd, (struct sockaddr *)&peer, len);
        return true;
    }
    if (errno == EINTR || errno == ECONNABORTED) {
        return true;
    }
    if (errno != EAGAIN) {
        accept_pause(h);
    }
    return false;
}

static void on_listen(struct loop_fd *f, unsigned int events, void *arg)
{
    struct httpd *h = arg;

    (void)f;
    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN && accept_one(h); i++) {
    }
}

static void stop_listening(struct httpd *h)
{
    loop_fd_free(h->listen_watch);
    h->listen_watch = NULL;
    if (h->listen_fd >= 0) {
        (void)close(h->listen_fd);
        h->listen_fd = -1;
    }
}

void httpd_quiesce(struct httpd *h)
{
    /* Those the kernel has accepted for us would be reset. */
    for (unsigned int i = 0; h->listen_fd >= 0 && i < hard_limit(h) && accept_one(h); i++) {
    }
    loop_timer_cancel(h->listen_again);
    stop_listening(h);
}

/* --- lifecycle -------------------------------------------------------------------------------- */

static size_t pool_size(const struct httpd *h)
{
    /* The head, the list of its fields, and the answer's head share it; our own limit must be hit
     * before MHD's. */
    size_t n = h->o.max_header_bytes * 2;

    return n < POOL_MIN ? POOL_MIN : n;
}

static int shard_init(struct httpd *h, struct shard *s)
{
    const union MHD_DaemonInfo *info;
    int rc;

    s->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
        on_access, s, MHD_OPTION_CONNECTION_LIMIT, hard_limit(h) + 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_size(h), MHD_OPTION_CONNECTION_TIMEOUT, 0U,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        s, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, s, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escaped, s, MHD_OPTION_STRICT_FOR_CLIENT, h->is_lax_parser ? 0 : 1, MHD_OPTION_END);
    if (s->mhd == NULL) {
        return ERR_IO;
    }
    info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL) {
        return ERR_IO;
    }
    rc = loop_fd_new(h->loop, info->epoll_fd, on_shard_ready, s, &s->watch);
    if (rc == 0) {
        loop_fd_want(s->watch, LOOP_READ);
    }
    return rc;
}

static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_listening(struct httpd *h, const struct sockaddr_storage *address, socklen_t len)
{
    int rc = listen_open(address, len, &h->listen_fd);

    if (rc == 0) {
        h->port = listen_port(h->listen_fd);
        rc = loop_fd_new(h->loop, h->listen_fd, on_listen, h, &h->listen_watch);
    }
    if (rc == 0) {
        loop_fd_want(h->listen_watch, LOOP_READ);
    }
    return rc;
}

static int init(struct httpd *h)
{
    int rc = watch_init(h);

    rc = rc != 0 ? rc : linger_init(h);
    rc = rc != 0 ? rc : loop_timer_new(h->loop, on_kick, h, &h->kick);
    rc = rc != 0 ? rc : loop_timer_new(h->loop, on_listen_again, h, &h->listen_again);
    rc = rc != 0 ? rc : loop_hook_new(h->loop, on_turn_end, h, &h->hook);
    for (int i = 0; rc == 0 && i < N_SHARDS; i++) {
        rc = shard_init(h, &h->shards[i]);
    }
    return rc;
}

static struct httpd *alloc(struct loop *l, const struct httpd_options *o)
{
    struct httpd *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return NULL;
    }
    h->loop = l;
    h->o = *o;
    h->o.listen = NULL;
    h->listen_fd = -1;
    h->hangup_epoll = -1;
    h->is_lax_parser = strncmp(MHD_get_version(), "0.", 2) == 0;
    list_init(&h->kept);
    list_init(&h->hung);
    list_init(&h->lingers);
    for (int i = 0; i < N_SHARDS; i++) {
        h->shards[i].h = h;
        list_init(&h->shards[i].resuming);
    }
    return h;
}

int httpd_new(struct loop *l, const struct httpd_options *o, struct httpd **ret)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    struct httpd *h = NULL;
    int saved;
    int rc;

    if (listen_parse(o->listen, &address, &len) != 0) {
        errno = EINVAL;
        return ERR_IO;
    }
    h = alloc(l, o);
    if (h == NULL) {
        return ERR_NOMEM;
    }
    raise_descriptors();
    rc = init(h);
    rc = rc != 0 ? rc : start_listening(h, &address, len);
    if (rc != 0) {
        saved = errno;
        httpd_free(h);
        errno = saved;
        return rc;
    }
    *ret = h;
    return ERR_OK;
}

/* Every suspended connection goes back to MHD; those nobody answered are gone. */
static void drop_kept(struct httpd *h)
{
    struct list *link;

    while ((link = list_pop_front(&h->kept)) != NULL) {
        list_push_back(&h->hung, link);
    }
    watch_tell_gone(h);
    for (int i = 0; i < N_SHARDS; i++) {
        if (h->shards[i].mhd != NULL) {
            resume_all(&h->shards[i]);
            run(&h->shards[i]);
        }
    }
}

void httpd_free(struct httpd *h)
{
    if (h == NULL) {
        return;
    }
    h->is_closing = true;
    h->is_in_hook = true; /* no kicks any more */
    stop_listening(h);
    drop_kept(h);
    for (int i = 0; i < N_SHARDS; i++) {
        loop_fd_free(h->shards[i].watch);
        if (h->shards[i].mhd != NULL) {
            MHD_stop_daemon(h->shards[i].mhd);
        }
    }
    linger_fini(h);
    watch_fini(h);
    loop_hook_free(h->hook);
    loop_timer_free(h->kick);
    loop_timer_free(h->listen_again);
    free(h);
}

int httpd_port(const struct httpd *h)
{
    return h->port;
}

size_t httpd_pending(const struct httpd *h)
{
    return h->n_pending;
}

size_t httpd_connections(const struct httpd *h)
{
    return h->n_conns;
}
