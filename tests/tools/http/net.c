/* SPDX-License-Identifier: Apache-2.0 */
#include "http/net.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Thousands of callers may arrive at once; the kernel caps it at net.core.somaxconn. */
enum { BACKLOG = 4096, HOST_SIZE = 64 };

static int parse(const char *address, struct sockaddr_in *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[HOST_SIZE];
    uint64_t port = 0;
    const char *colon = strrchr(address, ':');

    if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
        return ERR_SYNTAX;
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (str_to_u64(str_of(colon + 1), UINT16_MAX, &port) != 0 ||
        inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        return ERR_SYNTAX;
    }
    a.sin_port = htons((uint16_t)port);
    *ret = a;
    return ERR_OK;
}

/* Keeps errno for the caller's message. */
static int fail(int fd)
{
    int saved = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    errno = saved;
    return ERR_IO;
}

int net_listen(const char *address, int *ret_fd)
{
    struct sockaddr_in a;
    int one = 1;
    int rc = parse(address, &a);

    if (rc != 0) {
        return rc;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0) {
        return fail(fd);
    }
    *ret_fd = fd;
    return ERR_OK;
}

int net_connect(const char *address, int *ret_fd)
{
    struct sockaddr_in a;
    int rc = parse(address, &a);

    if (rc != 0) {
        return rc;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, (struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS)) {
        return fail(fd);
    }
    net_no_delay(fd);
    *ret_fd = fd;
    return ERR_OK;
}

int net_error(int fd)
{
    int error = 0;
    socklen_t n = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 ? error : errno;
}

void net_no_delay(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void net_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}
