/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/listen.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the kernel cuts it to net.core.somaxconn */

static int parse_host(struct str host, uint16_t port, struct sockaddr_storage *ret,
                      socklen_t *ret_len)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char text[INET6_ADDRSTRLEN + 1] = {0};
    bool is_bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';

    if (is_bracketed) {
        host = (struct str){host.p + 1, host.n - 2};
    }
    if (host.n >= sizeof text) {
        return ERR_SYNTAX;
    }
    if (host.n > 0) {
        memcpy(text, host.p, host.n);
    }
    if (!is_bracketed && host.n > 0 && inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        *ret_len = sizeof v4;
        return ERR_OK;
    }
    if (host.n == 0 ? is_bracketed
                    : !is_bracketed || inet_pton(AF_INET6, text, &v6.sin6_addr) != 1) {
        return ERR_SYNTAX;
    }
    memcpy(ret, &v6, sizeof v6);
    *ret_len = sizeof v6;
    return ERR_OK;
}

int listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    struct sockaddr_storage address = {0};
    uint64_t port = 0;

    if (colon == NULL || str_to_u64(str_of(colon + 1), UINT16_MAX, &port) != 0) {
        return ERR_SYNTAX;
    }
    if (parse_host((struct str){text, (size_t)(colon - text)}, (uint16_t)port, &address, ret_len) !=
        0) {
        return ERR_SYNTAX;
    }
    *ret = address;
    return ERR_OK;
}

static int set_options(int fd, int family)
{
    const int on = 1;
    const int off = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        return ERR_IO;
    }
    /* "[::]" is both families. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) {
        return ERR_IO;
    }
    return ERR_OK;
}

static int open_at(const struct sockaddr_storage *address, socklen_t len, int *ret_fd)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0) {
        return ERR_IO;
    }
    if (set_options(fd, address->ss_family) != 0 ||
        bind(fd, (const struct sockaddr *)address, len) != 0 || listen(fd, BACKLOG) != 0) {
        saved = errno;
        (void)close(fd);
        errno = saved;
        return ERR_IO;
    }
    *ret_fd = fd;
    return ERR_OK;
}

int listen_open(const struct sockaddr_storage *address, socklen_t len, int *ret_fd)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_storage other = {0};
    struct sockaddr_in6 v6;
    int rc = open_at(address, len, ret_fd);

    if (rc == 0 || errno != EAFNOSUPPORT || address->ss_family != AF_INET6) {
        return rc;
    }
    /* A kernel without IPv6: all addresses are then the IPv4 ones. */
    memcpy(&v6, address, sizeof v6);
    if (memcmp(&v6.sin6_addr, &in6addr_any, sizeof in6addr_any) != 0) {
        errno = EAFNOSUPPORT;
        return ERR_IO;
    }
    any.sin_port = v6.sin6_port;
    memcpy(&other, &any, sizeof any);
    return open_at(&other, sizeof any, ret_fd);
}

void listen_format(const struct sockaddr *address, char out[LISTEN_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address != NULL && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        (void)snprintf(out, LISTEN_TEXT_SIZE, "%s:%u", host, (unsigned int)ntohs(v4.sin_port));
    } else if (address != NULL && address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        (void)snprintf(out, LISTEN_TEXT_SIZE, "[%s]:%u", host, (unsigned int)ntohs(v6.sin6_port));
    } else {
        (void)snprintf(out, LISTEN_TEXT_SIZE, "?");
    }
}

int listen_port(int fd)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    if (address.ss_family == AF_INET) {
        memcpy(&v4, &address, sizeof v4);
        return ntohs(v4.sin_port);
    }
    memcpy(&v6, &address, sizeof v6);
    return ntohs(v6.sin6_port);
}
