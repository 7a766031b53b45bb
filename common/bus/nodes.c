/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/nodes.h"

#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct backoff RECONNECT = {.initial_ms = 100, .factor = 2.0, .max_ms = 5000};

int bus_nodes_init(struct nodes *x, const char *const *urls, size_t n, double unit_node,
                   double unit_step)
{
    int rc = ERR_OK;

    *x = (struct nodes){0};
    x->urls = calloc(n, sizeof *x->urls);
    if (x->urls == NULL) {
        return ERR_NOMEM;
    }
    rotation_init(&x->rotation, n, unit_node, unit_step);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        rc = bus_url_parse(urls[i], &x->urls[i]);
    }
    if (rc != ERR_OK) {
        bus_nodes_fini(x);
    }
    return rc;
}

void bus_nodes_fini(struct nodes *x)
{
    for (size_t i = 0; x->urls != NULL && i < x->rotation.n; i++) {
        bus_url_fini(&x->urls[i]);
    }
    free(x->urls);
    *x = (struct nodes){0};
}

const struct url *bus_nodes_url(const struct nodes *x)
{
    return &x->urls[x->rotation.at];
}

void bus_nodes_name(const struct nodes *x, char out[NODES_NAME_SIZE])
{
    const struct url *u = bus_nodes_url(x);
    bool is_v6 = strchr(u->host, ':') != NULL;

    (void)snprintf(out, NODES_NAME_SIZE, "%s%s%s:%s", is_v6 ? "[" : "", u->host, is_v6 ? "]" : "",
                   u->port);
}

const struct loop_address *bus_nodes_address(struct nodes *x)
{
    return x->n_tried < x->n_found ? &x->found[x->n_tried++] : NULL;
}

static bool is_same(const struct loop_address *a, const struct loop_address *b)
{
    return a->n == b->n && memcmp(&a->at, &b->at, a->n) == 0;
}

void bus_nodes_found(struct nodes *x, const struct loop_address *found, size_t n)
{
    size_t first = 0;

    CHECK(n > 0 && n <= LOOP_ADDRESSES);
    for (size_t i = 0; i < n; i++) {
        first = is_same(&found[i], &x->lost) ? i + 1 : first;
    }
    for (size_t i = 0; i < n; i++) {
        x->found[i] = found[(first + i) % n];
    }
    x->n_found = n;
    x->n_tried = 0;
}

bool bus_nodes_has_fresh(const struct nodes *x)
{
    /* The one being tried counts among the nodes, not among the addresses that are left. */
    bool has_other = x->rotation.tried + 1 < x->rotation.n || x->n_tried < x->n_found;

    return x->rotation.rounds == 0 && has_other;
}

static void forget_addresses(struct nodes *x)
{
    x->n_found = 0;
    x->n_tried = 0;
}

int64_t bus_nodes_failed(struct nodes *x, double unit)
{
    if (x->n_tried < x->n_found) {
        return (int64_t)((double)RECONNECT.initial_ms / 2.0 * unit);
    }
    forget_addresses(x);
    return rotation_failed(&x->rotation, &RECONNECT, unit);
}

int64_t bus_nodes_lost(struct nodes *x, bool has_settled, double unit)
{
    if (x->n_tried > 0) {
        x->lost = x->found[x->n_tried - 1];
    }
    if (has_settled) {
        rotation_settled(&x->rotation);
    }
    forget_addresses(x);
    return rotation_failed(&x->rotation, &RECONNECT, unit);
}
