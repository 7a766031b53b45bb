/* SPDX-License-Identifier: Apache-2.0 */
/* libuv closes handles asynchronously: _free marks the handle, libuv's close callback releases it.
 * Timers are not closed, but used again. */
#include "loop/loop.h"

#include "base/list.h"
#include "base/panic.h"
#include "loop/inside.h"

#include <stdlib.h>

/* Every job has a timer, and libuv takes a turn that does not wait to close one: they are kept. The
 * address sanitizer shall see one that is used after it was freed. */
#ifdef __SANITIZE_ADDRESS__
enum { SPARES_MAX = 0 };
#else
enum { SPARES_MAX = 4096 };
#endif

struct loop {
    uv_loop_t uv;
    uv_prepare_t turn_end;
    bool is_stopping;  /* loop_stop() was called: the turn's end ends the run */
    bool is_over;      /* the last turn of a run has ended: nothing is called back any more */
    bool is_firing;    /* a timer's callback runs */
    struct list later; /* timers set by such callbacks */
    struct list spare; /* timers that were freed, to be used again */
    int n_spare;
};

struct loop_timer {
    uv_timer_t uv;
    struct loop *loop;
    loop_timer_cb cb;
    void *arg;
    struct list later; /* in loop.later, or in loop.spare */
    int64_t delay_ms;  /* while in loop.later */
};

struct loop_fd {
    uv_poll_t uv;
    struct loop *loop;
    loop_fd_cb cb;
    void *arg;
    unsigned int
        wanted; /* libuv makes two system calls of a start, also of one that changes nothing */
};

struct loop_hook {
    uv_prepare_t uv;
    loop_hook_cb cb;
    void *arg;
};

struct loop_signal {
    uv_signal_t uv;
    loop_signal_cb cb;
    void *arg;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* `owner` is the block that embeds the handle; freed when libuv lets go of it. */
static void release(uv_handle_t *handle, void *owner)
{
    handle->data = owner;
    uv_close(handle, on_closed);
}

/* The last of the hooks, since it was made first.
 *
 * libuv 1.44 fires what is due until nothing is: a timer that sets itself to 0 would keep its turn
 * from ending. What timers set is therefore set at the turn's end.
 *
 * Since 1.45 libuv fires timers after it has looked at the descriptors, not before, and stops
 * without another round of hooks: what a stopped turn gathered would not leave. Its stop is
 * therefore called here only. It still polls, and may fire, once: see is_over. */
static void on_turn_end(uv_prepare_t *uv)
{
    struct loop *l = uv->data;
    struct list *link;

    while ((link = list_pop_front(&l->later)) != NULL) {
        struct loop_timer *t = LIST_OF(link, struct loop_timer, later);
        loop_timer_set(t, t->delay_ms);
    }
    if (l->is_stopping) {
        l->is_over = true;
        uv_stop(&l->uv);
    }
}

int loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return ERR_NOMEM;
    }
    if (uv_loop_init(&l->uv) != 0) {
        free(l);
        return ERR_IO;
    }
    list_init(&l->later);
    list_init(&l->spare);
    (void)uv_prepare_init(&l->uv, &l->turn_end);
    l->turn_end.data = l;
    (void)uv_prepare_start(&l->turn_end, on_turn_end);
    *ret = l;
    return ERR_OK;
}

static void count_handle(uv_handle_t *handle, void *arg)
{
    size_t *n = arg;

    (void)handle;
    (*n)++;
}

/* No handle is left, only requests. */
static bool is_alone(struct loop *l)
{
    size_t n = 0;

    uv_walk(&l->uv, count_handle, &n);
    return n == 0;
}

static void release_spares(struct loop *l)
{
    struct list *link;

    while ((link = list_pop_front(&l->spare)) != NULL) {
        struct loop_timer *t = LIST_OF(link, struct loop_timer, later);
        release((uv_handle_t *)&t->uv, t);
    }
}

bool loop_free(struct loop *l)
{
    if (l == NULL) {
        return true;
    }
    release_spares(l);
    uv_close((uv_handle_t *)&l->turn_end, NULL);
    /* Lets the close callbacks of freed handles run. */
    (void)uv_run(&l->uv, UV_RUN_NOWAIT);
    int rc = uv_loop_close(&l->uv);
    if (rc == UV_EBUSY && is_alone(l)) {
        return false; /* what the thread writes to must stay */
    }
    CHECK(rc == 0);
    free(l);
    return true;
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

void loop_run(struct loop *l)
{
    l->is_over = false;
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    l->is_stopping = false;
}

void loop_stop(struct loop *l)
{
    l->is_stopping = true;
}

struct mono loop_now(const struct loop *l)
{
    /* libuv's own clock stops in suspend; leases must not. */
    (void)l;
    return clock_mono();
}

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *t = uv->data;
    struct loop *l = t->loop;

    if (l->is_over) {
        t->delay_ms = 0;
        list_push_back(&l->later, &t->later); /* for the next run */
        return;
    }
    l->is_firing = true;
    t->cb(t, t->arg);
    l->is_firing = false;
}

static struct loop_timer *take_timer(struct loop *l)
{
    struct list *link = list_pop_front(&l->spare);
    struct loop_timer *t = NULL;

    if (link != NULL) {
        l->n_spare--;
        return LIST_OF(link, struct loop_timer, later);
    }
    t = calloc(1, sizeof *t);
    if (t != NULL) {
        (void)uv_timer_init(&l->uv, &t->uv);
        t->uv.data = t;
        t->loop = l;
    }
    return t;
}

int loop_timer_new(struct loop *l, loop_timer_cb cb, void *arg, struct loop_timer **ret)
{
    struct loop_timer *t = take_timer(l);

    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->cb = cb;
    t->arg = arg;
    *ret = t;
    return ERR_OK;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
    loop_timer_cancel(t);
    if (t->loop->is_firing) {
        t->delay_ms = delay_ms;
        list_push_back(&t->loop->later, &t->later);
        return;
    }
    uv_update_time(t->uv.loop);
    (void)uv_timer_start(&t->uv, on_timer, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0);
}

void loop_timer_cancel(struct loop_timer *t)
{
    list_remove(&t->later);
    (void)uv_timer_stop(&t->uv);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
    return list_is_linked(&t->later) || uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t == NULL) {
        return;
    }
    loop_timer_cancel(t);
    if (t->loop->n_spare < SPARES_MAX) {
        t->loop->n_spare++;
        list_push_back(&t->loop->spare, &t->later);
    } else {
        release((uv_handle_t *)&t->uv, t);
    }
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct loop_fd *f = uv->data;
    unsigned int ready = 0;

    if (f->loop->is_over) {
        return; /* level-triggered: the next run sees it again */
    }
    if (status != 0) {
        (void)uv_poll_stop(uv);
        f->wanted = 0;
        f->cb(f, LOOP_ERROR, f->arg);
        return;
    }
    ready |= (events & UV_READABLE) != 0 ? (unsigned int)LOOP_READ : 0;
    ready |= (events & UV_WRITABLE) != 0 ? (unsigned int)LOOP_WRITE : 0;
    f->cb(f, ready, f->arg);
}

int loop_fd_new(struct loop *l, int fd, loop_fd_cb cb, void *arg, struct loop_fd **ret)
{
    struct loop_fd *f = calloc(1, sizeof *f);

    if (f == NULL) {
        return ERR_NOMEM;
    }
    if (uv_poll_init(&l->uv, &f->uv, fd) != 0) {
        free(f);
        return ERR_IO;
    }
    f->uv.data = f;
    f->loop = l;
    f->cb = cb;
    f->arg = arg;
    *ret = f;
    return ERR_OK;
}

void loop_fd_want(struct loop_fd *f, unsigned int events)
{
    int wanted = 0;

    if (events == f->wanted) {
        return;
    }
    f->wanted = events;
    wanted |= (events & LOOP_READ) != 0 ? UV_READABLE : 0;
    wanted |= (events & LOOP_WRITE) != 0 ? UV_WRITABLE : 0;
    if (wanted == 0) {
        (void)uv_poll_stop(&f->uv);
    } else {
        (void)uv_poll_start(&f->uv, wanted, on_poll);
    }
}

void loop_fd_free(struct loop_fd *f)
{
    if (f != NULL) {
        (void)uv_poll_stop(&f->uv);
        release((uv_handle_t *)&f->uv, f);
    }
}

static void on_prepare(uv_prepare_t *uv)
{
    struct loop_hook *h = uv->data;

    h->cb(h->arg);
}

int loop_hook_new(struct loop *l, loop_hook_cb cb, void *arg, struct loop_hook **ret)
{
    struct loop_hook *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return ERR_NOMEM;
    }
    (void)uv_prepare_init(&l->uv, &h->uv);
    h->uv.data = h;
    h->cb = cb;
    h->arg = arg;
    (void)uv_prepare_start(&h->uv, on_prepare);

    *ret = h;
    return ERR_OK;
}

void loop_hook_free(struct loop_hook *h)
{
    if (h != NULL) {
        release((uv_handle_t *)&h->uv, h);
    }
}

static void on_signal(uv_signal_t *uv, int signum)
{
    struct loop_signal *s = uv->data;

    s->cb(signum, s->arg);
}

int loop_signal_new(struct loop *l, int signum, loop_signal_cb cb, void *arg,
                    struct loop_signal **ret)
{
    struct loop_signal *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    if (uv_signal_init(&l->uv, &s->uv) != 0) {
        free(s);
        return ERR_IO;
    }
    s->uv.data = s;
    s->cb = cb;
    s->arg = arg;
    if (uv_signal_start(&s->uv, on_signal, signum) != 0) {
        loop_signal_free(s);
        return ERR_IO;
    }
    *ret = s;
    return ERR_OK;
}

void loop_signal_free(struct loop_signal *s)
{
    if (s != NULL) {
        release((uv_handle_t *)&s->uv, s);
    }
}
