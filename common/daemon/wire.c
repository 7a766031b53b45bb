/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire.h"

#include "job/id.h"

static void lay_out(const struct job_message *m, struct job_fields *fields, struct bus_message *out)
{
    job_message_fields(m, fields);
    out->id = m->id;
    out->body = m->body;
    out->n_headers = fields->n;
    for (size_t i = 0; i < fields->n; i++) {
        out->headers[i] = (struct bus_header){fields->at[i].name, fields->at[i].value};
    }
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
    struct job_fields fields;
    struct bus_message out;

    int rc = names_of(m, tenant, route);
    if (rc != ERR_OK) {
        return rc;
    }
    lay_out(m, &fields, &out);
    topology_delay(delay_ms, tenant, lane != NULL ? lane : route, exchange, key);
    return bus_publish(k, exchange, key, &out, cb, arg);
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
    struct job_fields fields;
    struct bus_message out;

    int rc = names_of(m, tenant, route);
    if (rc != ERR_OK) {
        return rc;
    }
    lay_out(m, &fields, &out);
    return bus_publish(k, TOPOLOGY_SHELF, tenant, &out, cb, arg);
}

int wire_read(const struct bus_delivery *d, struct job_message *ret)
{
    const struct bus_message *in = bus_delivery_message(d);
    struct job_message m = {.id = in->id, .body = in->body};

    for (size_t i = 0; i < in->n_headers; i++) {
        int rc = job_message_read(&m, str_of(in->headers[i].name), in->headers[i].value);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    *ret = m;
    return job_message_check(&m);
}
