/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "httpd/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 5000, LINGER_BYTES = 64 * 1024 * 1024, READS_A_TURN = 8, READ_BYTES = 16384 };

struct drain {
    struct httpd *h;
    struct list link; /* in h->lingers, oldest first */
    struct loop_fd *watch;
    int fd; /* a duplicate: MHD closes its own */
    bool is_counted;
    size_t left;
    struct mono until;
};

static void drain_free(struct drain *g)
{
    list_remove(&g->link);
    g->h->n_lingers -= g->is_counted ? 1 : 0;
    loop_fd_free(g->watch);
    if (g->fd >= 0) {
        (void)close(g->fd);
    }
    free(g);
}

/* Enough is enough. Shut down, not only closed, so that MHD hears of it if it is still there. */
static void drain_cut(struct drain *g)
{
    (void)shutdown(g->fd, SHUT_RDWR);
    drain_free(g);
}

static void on_readable(struct loop_fd *f, unsigned int events, void *arg)
{
    struct drain *g = arg;
    char drop[READ_BYTES];

    (void)f;
    (void)events;
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t n = recv(g->fd, drop, sizeof drop, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            drain_free(g);
            return;
        }
        if ((size_t)n >= g->left) {
            drain_cut(g);
            return;
        }
        g->left -= (size_t)n;
    }
}

static void on_time(struct loop_timer *t, void *arg)
{
    struct httpd *h = arg;
    struct mono now = loop_now(h->loop);

    while (!list_is_empty(&h->lingers)) {
        struct drain *g = LIST_OF(h->lingers.next, struct drain, link);
        int64_t left_ms = mono_since_ms(now, g->until);

        if (left_ms > 0) {
            loop_timer_set(t, left_ms);
            return;
        }
        (void)list_pop_front(&h->lingers);
        drain_cut(g);
    }
}

void linger_start(struct conn *c)
{
    struct httpd *h = c->h;
    struct drain *g;

    if (c->is_lingered || h->n_lingers >= MAX_LINGERS) {
        return;
    }
    g = calloc(1, sizeof *g);
    if (g == NULL) {
        return;
    }
    g->h = h;
    g->left = LINGER_BYTES;
    g->until = mono_plus_ms(loop_now(h->loop), LINGER_MS);
    g->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (g->fd < 0 || loop_fd_new(h->loop, g->fd, on_readable, g, &g->watch) != 0) {
        drain_free(g);
        return;
    }
    c->is_lingered = true;
    list_push_back(&h->lingers, &g->link);
    g->is_counted = true;
    h->n_lingers++;
    loop_fd_want(g->watch, LOOP_READ);
    if (!loop_timer_is_set(h->linger_timer)) {
        loop_timer_set(h->linger_timer, LINGER_MS);
    }
}

int linger_init(struct httpd *h)
{
    return loop_timer_new(h->loop, on_time, h, &h->linger_timer);
}

void linger_fini(struct httpd *h)
{
    struct list *link;

    while ((link = list_pop_front(&h->lingers)) != NULL) {
        drain_cut(LIST_OF(link, struct drain, link));
    }
    loop_timer_free(h->linger_timer);
}
