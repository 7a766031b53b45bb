/* SPDX-License-Identifier: Apache-2.0 */
#include "httpc/sockets.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct watch {
    struct httpc_sockets *owner;
    struct loop_fd *poll; /* NULL after an error that could not be mended */
    int fd;
    unsigned int wanted;  /* by curl */
    unsigned int watched; /* in the loop */
    bool is_ours;         /* opened here: lives until it is closed */
};

struct httpc_sockets {
    struct loop *loop;
    httpc_socket_cb cb;
    void *arg;
    struct watch **by_fd;
    size_t room;
};

int httpc_sockets_new(struct loop *l, httpc_socket_cb cb, void *arg, struct httpc_sockets **ret)
{
    struct httpc_sockets *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->loop = l;
    s->cb = cb;
    s->arg = arg;
    *ret = s;
    return ERR_OK;
}

static struct watch *find(const struct httpc_sockets *s, int fd)
{
    return (size_t)fd < s->room ? s->by_fd[fd] : NULL;
}

static void forget(struct httpc_sockets *s, int fd)
{
    struct watch *w = find(s, fd);

    if (w != NULL) {
        loop_fd_free(w->poll);
        free(w);
        s->by_fd[fd] = NULL;
    }
}

/* The kernel goes on sending what the other side has not acknowledged, for a minute or two: a
 * request that was given up would arrive when the network is back, after the attempt that came in
 * its place. A reset takes it back. */
static void drop_unsent(int fd)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    int left = 0;

    if (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
}

void httpc_sockets_free(struct httpc_sockets *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t fd = 0; fd < s->room; fd++) {
        bool is_ours = s->by_fd[fd] != NULL && s->by_fd[fd]->is_ours;
        forget(s, (int)fd);
        if (is_ours) {
            drop_unsent((int)fd);
            (void)close((int)fd);
        }
    }
    free(s->by_fd);
    free(s);
}

static void watch(struct watch *w, unsigned int events)
{
    w->watched = events;
    if (w->poll != NULL) {
        loop_fd_want(w->poll, events);
    }
}

static void on_ready(struct loop_fd *poll, unsigned int events, void *arg)
{
    struct watch *w = arg;
    struct httpc_sockets *s = w->owner;

    (void)poll;
    if ((events & LOOP_ERROR) != 0) {
        /* The watch ended, but bytes may still wait before the error: curl finds both by reading,
         * and takes more than one turn for many. Told of an error it would not read at all. */
        events = w->wanted;
        loop_fd_free(w->poll);
        w->poll = NULL;
        if (loop_fd_new(s->loop, w->fd, on_ready, w, &w->poll) == ERR_OK) {
            watch(w, w->wanted);
        }
    }
    if (w->wanted == 0) {
        watch(w, 0); /* closed while it rests: curl finds that when it would use it */
        return;
    }
    s->cb(w->fd, events, s->arg); /* may end the watch */
}

static int make_room(struct httpc_sockets *s, int fd)
{
    size_t room = s->room == 0 ? 64 : s->room;

    while (room <= (size_t)fd) {
        room *= 2;
    }
    if (room == s->room) {
        return ERR_OK;
    }
    struct watch **grown = realloc(s->by_fd, room * sizeof(struct watch *));
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = s->room; i < room; i++) {
        grown[i] = NULL;
    }
    s->by_fd = grown;
    s->room = room;
    return ERR_OK;
}

static int add(struct httpc_sockets *s, int fd, bool is_ours, struct watch **ret)
{
    struct watch *w = NULL;
    int rc = make_room(s, fd);

    if (rc != ERR_OK) {
        return rc;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return ERR_NOMEM;
    }
    w->owner = s;
    w->fd = fd;
    w->is_ours = is_ours;
    rc = loop_fd_new(s->loop, fd, on_ready, w, &w->poll);
    if (rc != ERR_OK) {
        free(w);
        return rc;
    }
    s->by_fd[fd] = w;
    *ret = w;
    return ERR_OK;
}

int httpc_sockets_open(struct httpc_sockets *s, int family, int type, int protocol)
{
    struct watch *w;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    if (fd < 0) {
        return -1;
    }
    forget(s, fd); /* were one left behind, its number would be another socket's now */
    if (add(s, fd, /* is_ours= */ true, &w) != ERR_OK) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

void httpc_sockets_close(struct httpc_sockets *s, int fd)
{
    forget(s, fd);
    drop_unsent(fd);
    (void)close(fd);
}

int httpc_sockets_want(struct httpc_sockets *s, int fd, unsigned int events)
{
    struct watch *w = find(s, fd);
    int rc = ERR_OK;

    if (w == NULL && events != 0) {
        rc = add(s, fd, /* is_ours= */ false, &w);
    }
    if (rc != ERR_OK || w == NULL) {
        return rc;
    }
    if (events == 0 && !w->is_ours) {
        forget(s, fd);
        return ERR_OK;
    }
    w->wanted = events;
    /* curl lets go of a connection after each call, and takes it again for the next: the watch
     * stays, which spares three system calls a call. */
    if (events != 0 || w->watched != LOOP_READ) {
        watch(w, events);
    }
    return ERR_OK;
}
