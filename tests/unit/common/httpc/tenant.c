/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VISITORS_MAX = 2048 };

struct visitor {
    struct tenant *owner;
    pthread_t thread;
    int fd;
    unsigned int overall;
};

struct tenant {
    tenant_cb cb;
    void *arg;
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct visitor visitors[VISITORS_MAX];
    unsigned int visitor_count;
    unsigned int request_count;
    char *last;
    size_t last_n;
};

static void must(bool is_true, const char *what)
{
    if (!is_true) {
        perror(what);
        abort();
    }
}

bool tenant_send(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool tenant_say(int fd, const char *text)
{
    return tenant_send(fd, text, strlen(text));
}

bool tenant_wait_hangup(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;

    return poll(&p, 1, ms) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

void tenant_set_reset(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};

    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0, "linger");
}

static size_t body_size(const char *head)
{
    const char *at = strcasestr(head, "\r\ncontent-length:");

    return at == NULL ? 0 : strtoul(at + strlen("\r\ncontent-length:"), NULL, 10);
}

/* How long the request at `bytes` is, or 0 while its head has not ended. */
static size_t request_size(const char *bytes)
{
    const char *end = strstr(bytes, "\r\n\r\n");

    return end == NULL ? 0 : (size_t)(end + 4 - bytes) + body_size(bytes);
}

static void note(struct tenant *t, const char *bytes, size_t n)
{
    (void)pthread_mutex_lock(&t->lock);
    t->request_count++;
    free(t->last);
    t->last = malloc(n + 1);
    must(t->last != NULL, "malloc");
    memcpy(t->last, bytes, n);
    t->last[n] = '\0';
    t->last_n = n;
    (void)pthread_mutex_unlock(&t->lock);
}

/* False when the connection ended before a whole request. */
static bool read_request(int fd, char **bytes, size_t *ret_n)
{
    size_t room = 4096;
    size_t n = 0;
    size_t size = 0;

    *bytes = malloc(room);
    must(*bytes != NULL, "malloc");
    (*bytes)[0] = '\0';
    while (size == 0 || n < size) {
        if (room - n < 2048) {
            room *= 2;
            *bytes = realloc(*bytes, room);
            must(*bytes != NULL, "realloc");
        }
        ssize_t got = recv(fd, *bytes + n, room - n - 1, 0);
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
        (*bytes)[n] = '\0';
        size = size == 0 ? request_size(*bytes) : size;
    }
    *ret_n = n;
    return true;
}

static void *visit(void *arg)
{
    struct visitor *v = arg;
    char *bytes = NULL;
    struct tenant_visit visit = {.fd = v->fd, .overall = v->overall};

    while (read_request(v->fd, &bytes, &visit.n)) {
        note(v->owner, bytes, visit.n);
        visit.nth++;
        visit.bytes = bytes;
        if (!v->owner->cb(&visit, v->owner->arg)) {
            break;
        }
        free(bytes);
        bytes = NULL;
    }
    free(bytes);
    (void)pthread_mutex_lock(&v->owner->lock);
    (void)close(v->fd);
    v->fd = -1;
    (void)pthread_mutex_unlock(&v->owner->lock);
    return NULL;
}

static void *serve(void *arg)
{
    struct tenant *t = arg;
    int on = 1;

    for (;;) {
        int fd = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)pthread_mutex_lock(&t->lock);
        must(t->visitor_count < VISITORS_MAX, "visitors");
        struct visitor *v = &t->visitors[t->visitor_count++];
        *v = (struct visitor){.owner = t, .fd = fd, .overall = t->visitor_count};
        must(pthread_create(&v->thread, NULL, visit, v) == 0, "thread");
        (void)pthread_mutex_unlock(&t->lock);
    }
}

struct tenant *tenant_start(tenant_cb cb, void *arg)
{
    struct tenant *t = calloc(1, sizeof *t);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;

    must(t != NULL, "calloc");
    t->cb = cb;
    t->arg = arg;
    (void)pthread_mutex_init(&t->lock, NULL);
    t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(t->fd >= 0 && bind(t->fd, (struct sockaddr *)&at, n) == 0 && listen(t->fd, 1024) == 0,
         "listen");
    must(getsockname(t->fd, (struct sockaddr *)&at, &n) == 0, "getsockname");
    t->port = ntohs(at.sin_port);
    must(pthread_create(&t->thread, NULL, serve, t) == 0, "thread");
    return t;
}

void tenant_stop(struct tenant *t)
{
    if (t == NULL) {
        return;
    }
    (void)shutdown(t->fd, SHUT_RDWR);
    (void)pthread_join(t->thread, NULL);
    (void)close(t->fd);
    for (unsigned int i = 0; i < t->visitor_count; i++) {
        (void)pthread_mutex_lock(&t->lock);
        if (t->visitors[i].fd >= 0) {
            (void)shutdown(t->visitors[i].fd, SHUT_RDWR);
        }
        (void)pthread_mutex_unlock(&t->lock);
        (void)pthread_join(t->visitors[i].thread, NULL);
    }
    (void)pthread_mutex_destroy(&t->lock);
    free(t->last);
    free(t);
}

uint16_t tenant_port(const struct tenant *t)
{
    return t->port;
}

unsigned int tenant_requests(struct tenant *t)
{
    (void)pthread_mutex_lock(&t->lock);
    unsigned int n = t->request_count;
    (void)pthread_mutex_unlock(&t->lock);
    return n;
}

unsigned int tenant_connections(struct tenant *t)
{
    (void)pthread_mutex_lock(&t->lock);
    unsigned int n = t->visitor_count;
    (void)pthread_mutex_unlock(&t->lock);
    return n;
}

const char *tenant_last(struct tenant *t, size_t *ret_n)
{
    (void)pthread_mutex_lock(&t->lock);
    const char *last = t->last;
    *ret_n = t->last_n;
    (void)pthread_mutex_unlock(&t->lock);
    return last;
}
