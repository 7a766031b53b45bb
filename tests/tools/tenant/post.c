/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant/post.h"

#include "http/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct post {
    struct loop_fd *watch;
    int fd;
    struct buf out;
    struct buf in;
    post_cb cb;
    void *arg;
};

/* "HTTP/1.1 200 …" */
static int status_of(const struct buf *in)
{
    uint64_t status;

    if (in->n < 12 || str_to_u64((struct str){in->p + 9, 3}, 999, &status) != ERR_OK) {
        return 0;
    }
    return (int)status;
}

static bool fill(struct post *p)
{
    char *to = buf_reserve(&p->in, 4096);

    ssize_t n = to == NULL ? 0 : recv(p->fd, to, 4096, 0);
    if (n > 0) {
        p->in.n += (size_t)n;
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_ready(struct loop_fd *f, unsigned int events, void *arg)
{
    struct post *p = arg;

    (void)events;
    if (p->out.n > 0) {
        ssize_t n = send(p->fd, p->out.p, p->out.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            p->cb(0, p->arg);
            return;
        }
        buf_drop(&p->out, n > 0 ? (size_t)n : 0);
        if (p->out.n == 0) {
            loop_fd_want(f, LOOP_READ);
        }
        return;
    }
    bool goes_on = fill(p);
    if (!goes_on || status_of(&p->in) > 0) {
        p->cb(status_of(&p->in), p->arg);
    }
}

int post_start(struct loop *l, uint16_t port, const char *path, struct str body, post_cb cb,
               void *arg, struct post **ret)
{
    struct post *p = calloc(1, sizeof *p);
    char address[32];

    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->cb = cb;
    p->arg = arg;
    p->fd = -1;
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned int)port);
    if (net_connect(address, &p->fd) != ERR_OK ||
        loop_fd_new(l, p->fd, on_ready, p, &p->watch) != ERR_OK) {
        post_free(p);
        return ERR_IO;
    }
    buf_printf(&p->out,
               "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
               "Connection: close\r\nContent-Length: %zu\r\n\r\n",
               path, (unsigned int)port, body.n);
    buf_str(&p->out, body);
    loop_fd_want(p->watch, LOOP_WRITE);
    *ret = p;
    return ERR_OK;
}

void post_free(struct post *p)
{
    if (p == NULL) {
        return;
    }
    loop_fd_free(p->watch);
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
    buf_fini(&p->out);
    buf_fini(&p->in);
    free(p);
}
