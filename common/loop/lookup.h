/* SPDX-License-Identifier: Apache-2.0 */
/* lookup — a host's addresses, asked for without stopping the loop.
 *
 * A name may mean another host tomorrow (a container that was started anew has another address), so
 * a link looks it up each time that it connects. The resolver's own bounds hold (resolv.conf:
 * timeout, attempts); whoever needs a shorter one frees the lookup.
 *
 * Thread: the loop's; the resolver runs in libuv's. Memory: owned by who made it; freed at any
 * time, also from within its callback. A process whose resolver hangs ends when that gives up. */
#pragma once

#include "loop/loop.h"

#include <stddef.h>
#include <sys/socket.h>

enum { LOOP_ADDRESSES = 8 };

struct loop_address {
    struct sockaddr_storage at;
    socklen_t n;
};

struct loop_lookup;

/* rc: 0 with n > 0 addresses for stream sockets, in the resolver's order, LOOP_ADDRESSES at most;
 * else ERR_MISSING (there is no such name), ERR_DOWN (the resolver does not know now), ERR_NOMEM,
 * with n 0. `found` is borrowed until the callback returns. Once a lookup, never from the call. */
typedef void (*loop_lookup_cb)(int rc, const struct loop_address *found, size_t n, void *arg);

/* host: a name or a numeric address; port: a number. Both copied. Returns 0 or ERR_NOMEM. */
MUST_CHECK int loop_lookup_new(struct loop *l, const char *host, const char *port,
                               loop_lookup_cb cb, void *arg, struct loop_lookup **ret);
/* After it the callback does not run. NULL is accepted. */
void loop_lookup_free(struct loop_lookup *x);

/* A numeric address needs nobody to be asked. Returns 0 or ERR_MISSING (it is a name). */
MUST_CHECK int loop_lookup_numeric(const char *host, const char *port, struct loop_address *ret);

enum { LOOP_ADDRESS_TEXT_SIZE = 80 };
/* The numeric address, without its port. */
void loop_address_text(const struct loop_address *a, char out[LOOP_ADDRESS_TEXT_SIZE]);
int loop_address_port(const struct loop_address *a);
