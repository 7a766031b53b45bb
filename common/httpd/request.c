/* SPDX-License-Identifier: Apache-2.0 */
/* A request from its request line to its answer. Method, version and fields point into MHD's buffer
 * of the connection, which stays as it is until the answer is sent; the target and the body are
 * ours. */
#include "base/panic.h"
#include "httpd/internal.h"

#include <stdlib.h>

/* Bodies grow as their bytes come: a Content-Length alone costs its sender no memory of ours. */
enum { FIRST_ROOM = 65536 };

struct httpd_req *request_new(struct conn *c, const char *target)
{
    struct httpd_req *r = calloc(1, sizeof *r);

    if (r == NULL) {
        return NULL;
    }
    r->target = str_dup(str_of(target));
    if (r->target == NULL) {
        free(r);
        return NULL;
    }
    r->path_n = strcspn(target, "?");
    r->raw_at = target;
    r->conn = c;
    return r;
}

void request_free(struct httpd_req *r)
{
    if (r == NULL) {
        return;
    }
    request_settle(r);
    list_remove(&r->link);
    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }
    buf_fini(&r->body);
    free(r->fields);
    free(r->target);
    free(r);
}

void request_settle(struct httpd_req *r)
{
    if (r->is_pending) {
        r->is_pending = false;
        r->conn->h->n_pending--;
    }
}

static enum MHD_Result take_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                  size_t name_n, const char *value, size_t value_n)
{
    struct httpd_req *r = cls;

    (void)kind;
    r->fields[r->head.n_fields++] = (struct httpd_field){{name, name_n}, {value, value_n}};
    return MHD_YES;
}

static int take_fields(struct httpd_req *r)
{
    struct MHD_Connection *mhd = r->conn->mhd;
    int n = MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, NULL, NULL);

    if (n > 0) {
        r->fields = calloc((size_t)n, sizeof r->fields[0]);
        if (r->fields == NULL) {
            return ERR_NOMEM;
        }
        (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, take_field, r);
    }
    r->head.fields = r->fields;
    return ERR_OK;
}

static size_t head_len(const struct httpd_req *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return info == NULL ? 0 : info->header_size;
}

static struct guard_verdict check_head(struct httpd_req *r, size_t len)
{
    struct guard_head raw = r->head;
    struct guard_verdict v;

    raw.target.p = r->raw_at;
    if (r->conn->h->is_lax_parser && !guard_is_gapless(&raw, len)) {
        return (struct guard_verdict){.status = 400, .detail = "malformed head"};
    }
    v = guard_check(&r->head);
    if (v.status == 0 && v.body_len > r->conn->h->o.max_body_bytes) {
        v.status = 413;
        v.detail = "the body is too large";
    }
    return v;
}

int request_take_head(struct httpd_req *r, const char *method, const char *version,
                      const char **ret_detail)
{
    struct guard_verdict v;
    size_t len = head_len(r);

    r->head.method = str_of(method);
    r->head.target = str_of(r->target);
    r->head.version = str_of(version);
    if (take_fields(r) != 0) {
        return ERR_NOMEM;
    }
    if (len > r->conn->h->o.max_header_bytes) {
        *ret_detail = "the header section is too large";
        return 431;
    }
    v = check_head(r, len);
    r->has_body = v.is_chunked || v.body_len > 0;
    r->body_len = v.body_len;
    /* The lax parser takes chunk lines that others read differently: nothing may follow them. */
    r->must_close = v.is_chunked && r->conn->h->is_lax_parser;
    for (size_t i = 0; i < r->head.n_fields; i++) {
        r->fields[i].value = str_trim(r->fields[i].value);
    }
    *ret_detail = v.detail;
    return v.status;
}

int request_add_body(struct httpd_req *r, const char *bytes, size_t n)
{
    size_t max = r->conn->h->o.max_body_bytes;

    if (n > max || r->body.n > max - n) {
        return ERR_TOO_LARGE;
    }
    if (r->body.n == 0 && r->body_len > 0) {
        size_t room = r->body_len < FIRST_ROOM ? (size_t)r->body_len : FIRST_ROOM;

        (void)buf_reserve(&r->body, room);
    }
    buf_add(&r->body, bytes, n);
    return buf_failed(&r->body) ? ERR_NOMEM : ERR_OK;
}

/* --- what the handler sees -------------------------------------------------------------------- */

struct str httpd_method(const struct httpd_req *r)
{
    return r->head.method;
}

struct str httpd_target(const struct httpd_req *r)
{
    return r->head.target;
}

struct str httpd_path(const struct httpd_req *r)
{
    return (struct str){r->target, r->path_n};
}

struct str httpd_query(const struct httpd_req *r)
{
    struct str rest = r->head.target;
    struct str path = {0};

    (void)str_cut(&rest, '?', &path);
    return rest;
}

struct str httpd_header(const struct httpd_req *r, const char *name)
{
    for (size_t i = 0; i < r->head.n_fields; i++) {
        if (str_is_nocase(r->fields[i].name, str_of(name))) {
            return r->fields[i].value;
        }
    }
    return (struct str){NULL, 0};
}

size_t httpd_header_count(const struct httpd_req *r, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < r->head.n_fields; i++) {
        n += str_is_nocase(r->fields[i].name, str_of(name)) ? 1 : 0;
    }
    return n;
}

size_t httpd_n_fields(const struct httpd_req *r)
{
    return r->head.n_fields;
}

struct httpd_field httpd_field_at(const struct httpd_req *r, size_t i)
{
    CHECK(i < r->head.n_fields);
    return r->fields[i];
}

struct str httpd_body(const struct httpd_req *r)
{
    return buf_as_str(&r->body);
}

char *httpd_body_take(struct httpd_req *r, size_t *ret_n)
{
    *ret_n = 0;
    return buf_take(&r->body, ret_n);
}

void httpd_set_data(struct httpd_req *r, void *data)
{
    r->data = data;
}

void *httpd_data(const struct httpd_req *r)
{
    return r->data;
}

const char *httpd_peer(const struct httpd_req *r)
{
    return r->conn->peer;
}
