/* SPDX-License-Identifier: Apache-2.0 */
/* net — TCP sockets on IPv4 addresses, non-blocking, closed on exec. Test tools run on loopback and
 * name no hosts. */
#pragma once

#include "base/err.h"

/* `address` is "127.0.0.1:9001". Returns 0, ERR_SYNTAX, or ERR_IO with errno set. The caller
 * closes. */
MUST_CHECK int net_listen(const char *address, int *ret_fd);
/* Begins to connect: the descriptor turns writable when that is decided (then net_error()). */
MUST_CHECK int net_connect(const char *address, int *ret_fd);
/* The pending error of a socket (an errno), or 0. */
int net_error(int fd);
/* Answers are small and awaited: no waiting for more bytes. */
void net_no_delay(int fd);
/* Closes so that the peer sees a reset instead of an orderly end. */
void net_reset(int fd);
