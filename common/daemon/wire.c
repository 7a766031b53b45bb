/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire.h"

#include "job/id.h"

/* All that is said of a job is one header: the broker takes a table apart at each publish, and puts
 * it together at each delivery, field by field. */
#define PACKED "j"

/* `packed` is what the header borrows from. */
static int lay_out(const struct job_message *m, struct buf *packed, struct bus_message *out)
{
    job_message_pack(m, packed);
    out->id = m->id;
    out->body = m->body;
    out->n_headers = 1;
    out->headers[0] = (struct bus_header){PACKED, buf_as_str(packed)};
    return buf_failed(packed) ? ERR_NOMEM : ERR_OK;
}

enum { ROUTE_SIZE = 16 };

/* The tenant's and the route's names as text; ERR_INVALID for a message without. */
static int names_of(const struct job_message *m, char tenant[JOB_TENANT_MAX + 1],
                    char route[ROUTE_SIZE])
{
    struct job_id id;

    if (!job_id_parse(m->id, &id) || m->class.n + 1 + m->lane.n >= ROUTE_SIZE) {
        return ERR_INVALID;
    }
    (void)str_put(id.tenant, tenant, JOB_TENANT_MAX + 1, 0);
    size_t n = str_put(m->class, route, ROUTE_SIZE, 0);
    if (m->lane.n > 0) {
        n = str_put(STR("."), route, ROUTE_SIZE, n);
        (void)str_put(m->lane, route, ROUTE_SIZE, n);
    }
    return ERR_OK;
}

static int publish_to(struct bus_link *k, const struct job_message *m, const char *lane,
                      int64_t delay_ms, bus_outcome_cb cb, void *arg)
{
    char tenant[JOB_TENANT_MAX + 1];
    char route[ROUTE_SIZE];
    char exchange[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];
    struct buf packed = {0};
    struct bus_message out;

    int rc = names_of(m, tenant, route);
    if (rc != ERR_OK) {
        return rc;
    }
    topology_delay(delay_ms, tenant, lane != NULL ? lane : route, exchange, key);
    rc = lay_out(m, &packed, &out);
    rc = rc != ERR_OK ? rc : bus_publish(k, exchange, key, &out, cb, arg);
    buf_fini(&packed);
    return rc;
}

int wire_publish(struct bus_link *k, const struct job_message *m, int64_t delay_ms,
                 bus_outcome_cb cb, void *arg)
{
    return publish_to(k, m, NULL, delay_ms, cb, arg);
}

int wire_publish_poll(struct bus_link *k, const struct job_message *m, int64_t delay_ms,
                      bus_outcome_cb cb, void *arg)
{
    return publish_to(k, m, TOPOLOGY_POLL, delay_ms, cb, arg);
}

int wire_publish_shelf(struct bus_link *k, const struct job_message *m, bus_outcome_cb cb,
                       void *arg)
{
    char tenant[JOB_TENANT_MAX + 1];
    char route[ROUTE_SIZE];
    struct buf packed = {0};
    struct bus_message out;

    int rc = names_of(m, tenant, route);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = lay_out(m, &packed, &out);
    rc = rc != ERR_OK ? rc : bus_publish(k, TOPOLOGY_SHELF, tenant, &out, cb, arg);
    buf_fini(&packed);
    return rc;
}

/* A header for each field: as it was before, and as it is written by hand. */
static int read_fields(const struct bus_message *in, struct job_message *m)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < in->n_headers; i++) {
        rc = job_message_read(m, str_of(in->headers[i].name), in->headers[i].value);
    }
    return rc != ERR_OK ? rc : job_message_check(m);
}

int wire_read(const struct bus_delivery *d, struct job_message *ret)
{
    const struct bus_message *in = bus_delivery_message(d);
    struct job_message m = {.id = in->id, .body = in->body};
    struct str packed = bus_delivery_header(d, PACKED);
    int rc = packed.p == NULL ? read_fields(in, &m) : job_message_unpack(packed, in->body, &m);

    if (rc == ERR_OK && !str_is(m.id, in->id)) {
        rc = ERR_PROTOCOL;
    }
    if (rc == ERR_OK) {
        *ret = m;
    }
    return rc;
}
