/* SPDX-License-Identifier: Apache-2.0 */
/* sockets — which descriptors curl wants watched. The sockets of connections are opened and closed
 * here, so that a resting connection keeps its watch and costs no system calls of libuv to find
 * again; others (the resolver's) are watched while curl asks for it.
 *
 * Thread: the loop's.   Memory: owns watches and opened sockets. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

struct httpc_sockets;

/* `events`: LOOP_READ and LOOP_WRITE; after an error, all that was wanted. */
typedef void (*httpc_socket_cb)(int fd, unsigned int events, void *arg);

MUST_CHECK int httpc_sockets_new(struct loop *l, httpc_socket_cb cb, void *arg,
                                 struct httpc_sockets **ret);
void httpc_sockets_free(struct httpc_sockets *s);
/* A new socket, watched for nothing yet, or -1. */
int httpc_sockets_open(struct httpc_sockets *s, int family, int type, int protocol);
/* What the other side has not acknowledged by now is never sent. */
void httpc_sockets_close(struct httpc_sockets *s, int fd);
/* Watches `fd` for `events`; 0: no more. Returns 0, ERR_NOMEM, ERR_IO. */
MUST_CHECK int httpc_sockets_want(struct httpc_sockets *s, int fd, unsigned int events);
