/* SPDX-License-Identifier: Apache-2.0 */
/* What MHD does not watch: deadlines for head, body and answer (it has an idle timeout only, which
 * a byte a second keeps from firing), and callers that hang up while their request waits (a
 * suspended connection is in no epoll set of MHD's). */
#include "httpd/internal.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_A_CALL = 256 };

/* --- deadlines -------------------------------------------------------------------------------- */

void watch_enter(struct conn *c, enum conn_phase phase)
{
    list_remove(&c->due);
    c->phase = phase;
    if (phase < N_TIMED) {
        c->entered = loop_now(c->h->loop);
        list_push_back(&c->h->due[phase], &c->due);
    }
}

/* A connection that is opened ahead of need and never used is closed without a word. */
static bool has_sent_anything(const struct conn *c)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
           info.tcpi_bytes_received > 0;
}

static void expire(struct conn *c)
{
    if (c->phase == CONN_BODY) {
        answer_refuse_raw(c->h, c->fd, 408, "the body did not come in time");
    } else if (c->phase == CONN_HEAD && (!c->is_new || has_sent_anything(c))) {
        answer_refuse_raw(c->h, c->fd, 408, "the header section did not come in time");
    }
    httpd_shut(c);
}

static struct conn *oldest(struct httpd *h, enum conn_phase phase, struct mono *ret_at)
{
    struct conn *c;

    if (list_is_empty(&h->due[phase])) {
        return NULL;
    }
    c = LIST_OF(h->due[phase].next, struct conn, due);
    *ret_at = mono_plus_ms(c->entered, h->timeout_ms[phase]);
    return c;
}

static void on_due(struct loop_timer *t, void *arg)
{
    struct httpd *h = arg;
    struct mono now = loop_now(h->loop);

    (void)t;
    h->due_at.ns = 0;
    for (enum conn_phase phase = CONN_HEAD; phase < N_TIMED; phase++) {
        struct mono at = {0};
        struct conn *c;

        while ((c = oldest(h, phase, &at)) != NULL && mono_since_ms(at, now) >= 0) {
            expire(c);
        }
    }
}

void watch_arm(struct httpd *h)
{
    struct mono first = {0};
    bool is_any = false;

    for (enum conn_phase phase = CONN_HEAD; phase < N_TIMED; phase++) {
        struct mono at = {0};

        if (oldest(h, phase, &at) != NULL && (!is_any || at.ns < first.ns)) {
            first = at;
            is_any = true;
        }
    }
    /* A timer that fires too early costs a turn; setting it anew for each request costs more. */
    if (is_any && (h->due_at.ns == 0 || first.ns < h->due_at.ns)) {
        h->due_at = first;
        loop_timer_set(h->due_timer, mono_since_ms(loop_now(h->loop), first) + 1);
    }
}

/* --- hang-ups --------------------------------------------------------------------------------- */

int watch_hangup_add(struct conn *c)
{
    /* Once a connection, edge-triggered: nothing to do again for each request. */
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = c};

    return epoll_ctl(c->h->hangup_epoll, EPOLL_CTL_ADD, c->fd, &event) == 0 ? ERR_OK : ERR_IO;
}

void watch_hangup_remove(struct conn *c)
{
    /* By hand: a lingering duplicate of the descriptor would keep it in the set. */
    (void)epoll_ctl(c->h->hangup_epoll, EPOLL_CTL_DEL, c->fd, NULL);
}

static void on_hangup(struct conn *c)
{
    c->is_hung_up = true;
    if (c->req != NULL && c->req->state == REQ_KEPT && c->req->is_suspended) {
        list_remove(&c->req->link);
        list_push_back(&c->h->hung, &c->req->link);
    }
}

void watch_tell_gone(struct httpd *h)
{
    struct list *link;

    while ((link = list_pop_front(&h->hung)) != NULL) {
        struct httpd_req *r = LIST_OF(link, struct httpd_req, link);

        r->state = REQ_GONE;
        request_settle(r);
        httpd_resume(r);
        if (r->gone != NULL) {
            h->was_handler_called = true;
            r->gone(r, h->o.arg);
        }
    }
}

static void on_hangups(struct loop_fd *f, unsigned int events, void *arg)
{
    struct httpd *h = arg;
    struct epoll_event ready[EVENTS_A_CALL];
    int n = epoll_wait(h->hangup_epoll, ready, EVENTS_A_CALL, 0);

    (void)f;
    (void)events;
    for (int i = 0; i < n; i++) {
        on_hangup(ready[i].data.ptr);
    }
    watch_tell_gone(h);
}

/* --- lifecycle -------------------------------------------------------------------------------- */

int watch_init(struct httpd *h)
{
    int rc;

    for (int i = 0; i < N_TIMED; i++) {
        list_init(&h->due[i]);
    }
    h->timeout_ms[CONN_HEAD] = h->o.head_timeout_ms;
    h->timeout_ms[CONN_BODY] = h->o.body_timeout_ms;
    h->timeout_ms[CONN_SENDING] = SEND_TIMEOUT_MS;
    h->timeout_ms[CONN_IDLE] = h->o.idle_timeout_ms;
    h->hangup_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->hangup_epoll < 0) {
        return ERR_IO;
    }
    rc = loop_timer_new(h->loop, on_due, h, &h->due_timer);
    if (rc == 0) {
        rc = loop_fd_new(h->loop, h->hangup_epoll, on_hangups, h, &h->hangup_watch);
    }
    if (rc == 0) {
        loop_fd_want(h->hangup_watch, LOOP_READ);
    }
    return rc;
}

void watch_fini(struct httpd *h)
{
    loop_timer_free(h->due_timer);
    loop_fd_free(h->hangup_watch);
    if (h->hangup_epoll >= 0) {
        (void)close(h->hangup_epoll);
    }
}
