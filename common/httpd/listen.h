/* SPDX-License-Identifier: Apache-2.0 */
/* listen — from "address:port" to a listening socket. */
#pragma once

#include "base/err.h"

#include <sys/socket.h>

/* "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses of both families). Numeric only: nothing
 * is resolved. Returns 0 or ERR_SYNTAX. */
MUST_CHECK int listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len);

/* A non-blocking listening socket with SO_REUSEPORT, so that several processes share the port.
 * Returns 0 or ERR_IO with errno. */
MUST_CHECK int listen_open(const struct sockaddr_storage *address, socklen_t len, int *ret_fd);

/* "127.0.0.1:40312", "[::1]:40312"; "?" for what is neither. */
enum { LISTEN_TEXT_SIZE = 64 };
void listen_format(const struct sockaddr *address, char out[LISTEN_TEXT_SIZE]);

/* The port a socket is bound to; 0 when it is not. */
int listen_port(int fd);
