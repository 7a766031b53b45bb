/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/health.h"

#include "base/clock.h"
#include "daemon/exposure.h"

#include <errno.h>
#include <sys/time.h>
#include <unistd.h>

/* Below what HEALTHCHECK and probes are commonly given. */
enum { PATIENCE_MS = 3000 };

static const char request[] =
    "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/* As far as the code: "HTTP/1.1 200". */
enum { STATUS_N = 12, CODE_AT = 9 };

/* The wildcard is an address to listen on, none to connect to. */
static void to_loopback(struct exposure *e)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (!e->is_any) {
        return;
    }
    if (e->address.ss_family == AF_INET) {
        memcpy(&four, &e->address, sizeof four);
        four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&e->address, &four, sizeof four);
    } else {
        memcpy(&six, &e->address, sizeof six);
        six.sin6_addr = in6addr_loopback;
        memcpy(&e->address, &six, sizeof six);
    }
}

/* Gives the next call what is left of the patience; false: nothing is. */
static bool set_patience(int fd, struct mono until)
{
    int64_t left_ms = mono_since_ms(clock_mono(), until);
    struct timeval tv = {.tv_sec = left_ms / 1000, .tv_usec = (left_ms % 1000) * 1000};

    return left_ms > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0;
}

static int fault(void)
{
    /* EINPROGRESS: how a connect that ran into SO_SNDTIMEO says so. */
    return errno == EAGAIN || errno == EINPROGRESS ? ERR_TIMEOUT : ERR_IO;
}

static int read_status(int fd, struct mono until, char status[STATUS_N + 1])
{
    size_t n = 0;

    while (n < STATUS_N) {
        if (!set_patience(fd, until)) {
            return ERR_TIMEOUT;
        }
        ssize_t got = recv(fd, status + n, STATUS_N - n, 0);
        if (got == 0) {
            return ERR_IO;
        }
        if (got < 0 && errno != EINTR) {
            return fault();
        }
        n += got > 0 ? (size_t)got : 0;
    }
    status[n] = '\0';
    return ERR_OK;
}

static int exchange(int fd, const struct exposure *e, char status[STATUS_N + 1])
{
    struct mono until = mono_plus_ms(clock_mono(), PATIENCE_MS);

    if (!set_patience(fd, until)) {
        return ERR_IO;
    }
    if (connect(fd, (const struct sockaddr *)&e->address, e->address_len) != 0) {
        return fault();
    }
    /* Short enough to go into an empty send buffer whole. */
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1) {
        return fault();
    }
    return read_status(fd, until, status);
}

int health_ask(const char *listen, struct buf *why)
{
    char status[STATUS_N + 1];
    struct exposure e;
    int rc;

    rc = exposure_parse(listen, &e);
    if (rc != ERR_OK) {
        buf_printf(why, "\"%s\" is not an address and a port", listen);
        return rc;
    }
    to_loopback(&e);
    int fd = socket(e.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        buf_printf(why, "no socket: %s", strerror(errno));
        return ERR_IO;
    }
    rc = exchange(fd, &e, status);
    (void)close(fd);
    if (rc != ERR_OK) {
        buf_printf(why, "%s: %s", listen, err_text(rc));
        return rc;
    }
    if (strcmp(status + CODE_AT, "200") != 0) {
        buf_printf(why, "%s: not ready (%s)", listen, status);
        return ERR_DOWN;
    }
    return ERR_OK;
}
