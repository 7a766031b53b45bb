/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire.h"

#include "base/panic.h"
#include "job/id.h"

/* All that is said of a job is one header: the broker takes a table apart at each publish, and puts
 * it together at each delivery, field by field. */
#define PACKED "j"
/* Of a message with several jobs: how many. Its body has "head_n body_n\n", head and body of each.
 */
#define SEVERAL "js"

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

/* --- several at once -------------------------------------------------------------------------- */

static void put_sizes(struct buf *to, size_t head_n, size_t body_n)
{
    buf_i64(to, (int64_t)head_n);
    buf_char(to, ' ');
    buf_i64(to, (int64_t)body_n);
    buf_char(to, '\n');
}

static void put_jobs(const struct job_message *const *m, size_t n, struct buf *ret)
{
    struct buf head = {0};

    for (size_t i = 0; i < n; i++) {
        buf_clear(&head);
        job_message_pack(m[i], &head);
        put_sizes(ret, head.n, m[i]->body.n);
        buf_str(ret, buf_as_str(&head));
        buf_str(ret, m[i]->body);
        ret->is_failed = ret->is_failed || buf_failed(&head);
    }
    buf_fini(&head);
}

int wire_publish_all(struct bus_link *k, const struct job_message *const *m, size_t n,
                     bus_outcome_cb cb, void *arg)
{
    char tenant[JOB_TENANT_MAX + 1];
    char route[ROUTE_SIZE];
    char key[TOPOLOGY_KEY_SIZE];
    char count[STR_I64_SIZE];
    struct buf jobs = {0};

    if (n == 1) {
        return wire_publish(k, m[0], /* delay_ms= */ 0, cb, arg);
    }
    int rc = n > WIRE_JOBS_MAX ? ERR_INVALID : names_of(m[0], tenant, route);
    if (rc != ERR_OK) {
        return rc;
    }
    topology_work_key(tenant, route, key);
    put_jobs(m, n, &jobs);
    struct bus_message out = {.id = STR(""),
                              .headers = {{SEVERAL, str_from_i64((int64_t)n, count)}},
                              .n_headers = 1,
                              .body = buf_as_str(&jobs)};
    rc = buf_failed(&jobs) ? ERR_NOMEM : bus_publish(k, TOPOLOGY_WORK, key, &out, cb, arg);
    buf_fini(&jobs);
    return rc;
}

/* Cuts the next job off *rest. */
static bool cut_job(struct str *rest, struct str *ret_head, struct str *ret_body)
{
    struct str after = *rest;
    struct str sizes;
    struct str word;
    uint64_t head_n;
    uint64_t body_n;

    if (!str_cut(&after, '\n', &sizes) || after.p == NULL || !str_cut(&sizes, ' ', &word) ||
        str_to_u64(word, after.n, &head_n) != ERR_OK ||
        str_to_u64(sizes, after.n - head_n, &body_n) != ERR_OK) {
        return false;
    }
    *ret_head = (struct str){after.p, (size_t)head_n};
    *ret_body = (struct str){after.p + head_n, (size_t)body_n};
    *rest = (struct str){after.p + head_n + body_n, after.n - (size_t)(head_n + body_n)};
    return true;
}

static bool are_jobs(struct str all, size_t n)
{
    struct str head;
    struct str body;

    for (size_t i = 0; i < n; i++) {
        if (!cut_job(&all, &head, &body)) {
            return false;
        }
    }
    return all.n == 0;
}

void wire_open(const struct bus_delivery *d, struct wire_jobs *ret)
{
    struct str count = bus_delivery_header(d, SEVERAL);
    struct str body = bus_delivery_message(d)->body;
    uint64_t n = 0;

    *ret = (struct wire_jobs){.delivery = d, .n = 1};
    if (count.p != NULL && str_to_u64(count, WIRE_JOBS_MAX, &n) == ERR_OK && n > 0 &&
        are_jobs(body, (size_t)n)) {
        ret->rest = body;
        ret->n = (size_t)n;
    }
}

int wire_next(struct wire_jobs *j, struct job_message *ret)
{
    const struct bus_message *in = bus_delivery_message(j->delivery);
    struct str head;
    struct str body;

    CHECK(j->n > 0);
    j->n--;
    *ret = (struct job_message){.id = in->id, .body = in->body};
    if (j->rest.p == NULL) {
        return wire_read(j->delivery, ret);
    }
    CHECK(cut_job(&j->rest, &head, &body));
    int rc = job_message_unpack(head, body, ret);
    if (rc != ERR_OK) {
        *ret = (struct job_message){.id = ret->id, .body = body};
    }
    return rc;
}

/* --- in --------------------------------------------------------------------------------------- */

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
