/* SPDX-License-Identifier: Apache-2.0 */
/* nodes — the brokers of a cluster, and which address of which of them to dial next. No clock, no
 * socket, no resolver: what a look-up found and what came of a try are told.
 *
 * A node's host may be a name of several addresses: all are tried, before the next node is. Thread:
 * the loop's. */
#pragma once

#include "base/rotation.h"
#include "bus/url.h"
#include "loop/lookup.h"

enum { NODES_NAME_SIZE = 272 }; /* a host of 255 bytes, its brackets, its port */

struct nodes {
    struct url *urls; /* rotation.n of them */
    struct rotation rotation;
    struct loop_address found[LOOP_ADDRESSES]; /* of the node at rotation.at */
    size_t n_found;
    size_t n_tried; /* of `found` */
    /* An open connection to it was lost: of a name's addresses this one comes last. n 0: none. */
    struct loop_address lost;
};

/* urls: n of them, at least 1, borrowed during the call. The draws: as rotation_init(). Returns 0,
 * ERR_SYNTAX, ERR_INVALID or ERR_NOMEM, as bus_url_parse(); then there is nothing to free. */
MUST_CHECK int bus_nodes_init(struct nodes *x, const char *const *urls, size_t n, double unit_node,
                              double unit_step);
void bus_nodes_fini(struct nodes *x);

/* The node to dial. */
const struct url *bus_nodes_url(const struct nodes *x);
/* "host:port", without user and secret. */
void bus_nodes_name(const struct nodes *x, char out[NODES_NAME_SIZE]);
/* The next address of the node; NULL when its host must be looked up. Each is given once. */
const struct loop_address *bus_nodes_address(struct nodes *x);
/* What the look-up found: n from 1 to LOOP_ADDRESSES. */
void bus_nodes_found(struct nodes *x, const struct loop_address *found, size_t n);
/* In the first round: there is another node, or address of this one, that was not tried yet. */
bool bus_nodes_has_fresh(const struct nodes *x);

/* The address given last, or the look-up, failed. Returns the milliseconds to wait before the next
 * try. unit: in [0, 1). */
int64_t bus_nodes_failed(struct nodes *x, double unit);
/* An open connection was lost. has_settled: it had been open for long enough. */
int64_t bus_nodes_lost(struct nodes *x, bool has_settled, double unit);
