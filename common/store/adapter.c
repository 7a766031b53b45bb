/* SPDX-License-Identifier: Apache-2.0 */
/* Why not hiredis' own libuv adapter: it ignores errors of the poll, and it writes once a command.
 *
 * hiredis frees its context itself when a connection fails; the one sign that all its versions give
 * is the `cleanup` hook, so the loss is noticed there and nowhere else. */
#include "store/adapter.h"

#include "store/objects.h"

#include <fcntl.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct redis_adapter {
    struct redis_adapter_calls calls;
    redisAsyncContext *ac; /* NULL: lost, or closed */
    struct redis_objects *objects;
    struct loop_fd *fd;
    bool is_dirty;        /* hiredis wants to write */
    bool is_waiting;      /* for the connection, or for room in the socket */
    bool is_pipe_ignored; /* SIGPIPE, by the process: as in all our daemons */
    bool is_closed;       /* to be released when the last frame of ours has returned */
    unsigned int depth;   /* frames of ours that use it */
};

static void enter(struct redis_adapter *a)
{
    a->depth++;
}

static void leave(struct redis_adapter *a)
{
    a->depth--;
    if (a->is_closed && a->depth == 0) {
        redis_objects_release(a->objects);
        free(a);
    }
}

static void on_add_write(void *arg)
{
    ((struct redis_adapter *)arg)->is_dirty = true;
}

static void on_del_write(void *arg)
{
    ((struct redis_adapter *)arg)->is_dirty = false;
}

/* hiredis is about to free its context. */
static void on_cleanup(void *arg)
{
    struct redis_adapter *a = arg;
    const char *why = a->ac->c.errstr[0] != '\0' ? a->ac->c.errstr : "connection lost";

    a->ac->data = NULL;
    a->ac = NULL;
    loop_fd_free(a->fd);
    a->fd = NULL;
    a->calls.on_lost(why, a->calls.arg);
}

static void on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
    struct redis_adapter *a = ac->data;

    (void)arg;
    if (a != NULL && reply != NULL) {
        a->calls.on_reply(reply, a->calls.arg);
    }
}

/* hiredis calls write(2), which raises SIGPIPE on a dead socket: held back, and taken away if it
 * was ours, so that the process needs no disposition for it. These are four system calls: nothing
 * for a process that writes in every turn of its loop. */
static void write_without_signal(redisAsyncContext *ac)
{
    const struct timespec now = {0, 0};
    sigset_t pipe_only;
    sigset_t pending;
    sigset_t before;

    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    redisAsyncHandleWrite(ac);
    if (sigismember(&pending, SIGPIPE) == 0) {
        (void)sigtimedwait(&pipe_only, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void write_out(struct redis_adapter *a)
{
    a->is_dirty = false;
    if (a->is_pipe_ignored) {
        redisAsyncHandleWrite(a->ac);
    } else {
        write_without_signal(a->ac);
    }
    if (a->ac == NULL) {
        return;
    }
    if (a->is_waiting != a->is_dirty) {
        a->is_waiting = a->is_dirty;
        loop_fd_want(a->fd, a->is_waiting ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    }
}

static void on_fd(struct loop_fd *f, unsigned int events, void *arg)
{
    struct redis_adapter *a = arg;

    (void)f;
    enter(a);
    if ((events & (LOOP_READ | LOOP_ERROR)) != 0) {
        redisAsyncHandleRead(a->ac);
    }
    if ((events & LOOP_WRITE) != 0 && a->ac != NULL) {
        write_out(a);
    }
    if ((events & LOOP_ERROR) != 0 && a->ac != NULL) {
        /* The read found nothing wrong; the loop watches no more. */
        redisAsyncFree(a->ac);
    }
    leave(a);
}

static bool is_pipe_ignored(void)
{
    struct sigaction now;

    return sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static int attach(struct redis_adapter *a, struct loop *l)
{
    int rc = redis_objects_new(a->ac->c.reader, &a->objects);

    if (rc == ERR_OK) {
        rc = loop_fd_new(l, a->ac->c.fd, on_fd, a, &a->fd);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    (void)fcntl(a->ac->c.fd, F_SETFD, FD_CLOEXEC);
    a->ac->data = a;
    a->ac->ev.data = a;
    a->ac->ev.addWrite = on_add_write;
    a->ac->ev.delWrite = on_del_write;
    a->ac->ev.cleanup = on_cleanup;
    a->is_waiting = true;
    loop_fd_want(a->fd, LOOP_READ | LOOP_WRITE);
    return ERR_OK;
}

int redis_adapter_open(struct loop *l, const char *address, int port,
                       const struct redis_adapter_calls *calls, struct redis_adapter **ret)
{
    struct redis_adapter *a = calloc(1, sizeof *a);
    int rc = ERR_NOMEM;

    if (a == NULL) {
        goto out;
    }
    a->calls = *calls;
    a->is_pipe_ignored = is_pipe_ignored();
    a->ac = redisAsyncConnect(address, port);
    if (a->ac == NULL) {
        goto out;
    }
    rc = a->ac->err != 0 ? ERR_DOWN : attach(a, l);
out:
    if (rc == ERR_OK) {
        *ret = a;
    } else {
        redis_adapter_close(a);
    }
    return rc;
}

void redis_adapter_close(struct redis_adapter *a)
{
    if (a == NULL) {
        return;
    }
    enter(a);
    a->is_closed = true;
    if (a->ac != NULL) {
        redisAsyncContext *ac = a->ac;
        a->ac = NULL;
        ac->data = NULL;
        ac->ev.data = NULL;
        ac->ev.addWrite = NULL;
        ac->ev.delWrite = NULL;
        ac->ev.cleanup = NULL;
        loop_fd_free(a->fd);
        a->fd = NULL;
        /* From within a callback of hiredis it is put off until that returns. */
        redisAsyncFree(ac);
    }
    leave(a);
}

int redis_adapter_send(struct redis_adapter *a, struct str wire)
{
    if (a->ac == NULL) {
        return ERR_DOWN;
    }
    int rc = redisAsyncFormattedCommand(a->ac, on_reply, NULL, wire.p, wire.n);
    return rc == REDIS_OK ? ERR_OK : ERR_DOWN;
}

size_t redis_adapter_backlog(const struct redis_adapter *a)
{
    return a->ac == NULL ? 0 : sdslen(a->ac->c.obuf);
}

void redis_adapter_flush(struct redis_adapter *a)
{
    if (a->ac == NULL || !a->is_dirty || a->is_waiting) {
        return;
    }
    enter(a);
    write_out(a);
    leave(a);
}

void redis_adapter_read(struct redis_adapter *a)
{
    if (a->ac == NULL || a->is_waiting) {
        return;
    }
    enter(a);
    redisAsyncHandleRead(a->ac);
    leave(a);
}
