/* SPDX-License-Identifier: Apache-2.0 */
/* tenant — a raw HTTP server in threads of its own, one a connection, that misbehaves to order.
 *
 * Reads whole requests (by Content-Length), counts each as one execution, and leaves the answer to
 * the case, byte by byte. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tenant;

struct tenant_visit {
    int fd;
    unsigned int nth;     /* request of its connection, from 1 */
    unsigned int overall; /* connection of this tenant, from 1 */
    const char *bytes;    /* the whole request, NUL-terminated */
    size_t n;
};

/* Answers; false: close the connection. Runs in the connection's thread. */
typedef bool (*tenant_cb)(const struct tenant_visit *v, void *arg);

struct tenant *tenant_start(tenant_cb cb, void *arg);
void tenant_stop(struct tenant *t);
uint16_t tenant_port(const struct tenant *t);
unsigned int tenant_requests(struct tenant *t);
unsigned int tenant_connections(struct tenant *t);
/* The last whole request; valid until the next one. */
const char *tenant_last(struct tenant *t, size_t *ret_n);

/* False when the other side is gone. */
bool tenant_send(int fd, const void *bytes, size_t n);
bool tenant_say(int fd, const char *text);
/* Until the other side closes; false when it has not within `ms`. */
bool tenant_wait_hangup(int fd, int ms);
/* The next close sends a reset. */
void tenant_set_reset(int fd);
