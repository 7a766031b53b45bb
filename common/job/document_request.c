/* SPDX-License-Identifier: Apache-2.0 */
/* The member `request`: method, path, headers, and one of three bodies. */
#include "base/chars.h"
#include "job/answer.h"
#include "job/base64.h"
#include "job/document_inside.h"
#include "job/json.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

enum { METHOD_MAX = 32, PATH_MAX_BYTES = 8192, FIELD_NAME_MAX = 255, FIELD_VALUE_MAX = 8192 };

static int read_method(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = {NULL, 0};

    int rc = document_text(r, value, where, 1, METHOD_MAX, &text);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!document_is_token(text)) {
        return document_refuse(r, "%s must be an HTTP method.", where);
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] >= 'a' && text.p[i] <= 'z') {
            return document_refuse(r, "%s must be in upper case: HTTP methods are case-sensitive.",
                                   where);
        }
    }
    if (str_is(text, STR("CONNECT")) || str_is(text, STR("TRACE"))) {
        return document_refuse(r, "%s must not be CONNECT or TRACE, which are not forwarded.",
                               where);
    }
    return document_keep(text, &r->d->method);
}

static int read_path(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = {NULL, 0};

    int rc = document_text(r, value, where, 1, PATH_MAX_BYTES, &text);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!job_path_is_safe(text)) {
        return document_refuse(r,
                               "%s must begin with '/' and hold visible ASCII characters only, no "
                               "'#', and no '.' or '..' segment.",
                               where);
    }
    return document_keep(text, &r->d->path);
}

static int add_field(struct document_reader *r, struct buf *head, struct str name,
                     const cJSON *value)
{
    struct str text = str_of(value->valuestring);

    if (!cJSON_IsString(value) || text.n > FIELD_VALUE_MAX || !chars_all(text, CHARS_FIELD)) {
        (void)document_refuse(r, "request.headers.");
        document_show(r->why, name);
        buf_printf(r->why,
                   " must be a string of at most %d bytes without control characters, or an array "
                   "of such strings.",
                   FIELD_VALUE_MAX);
        return ERR_INVALID;
    }
    buf_str(head, name);
    buf_text(head, ": ");
    buf_str(head, str_trim(text));
    buf_text(head, "\r\n");
    return ERR_OK;
}

static int check_field_name(struct document_reader *r, struct str name)
{
    if (!document_is_token(name) || name.n > FIELD_NAME_MAX) {
        (void)document_refuse(r, "request.headers has the name ");
        document_show(r->why, name);
        buf_printf(r->why, ", which is not an HTTP field name of at most %d characters.",
                   FIELD_NAME_MAX);
        return ERR_INVALID;
    }
    if (str_is_nocase(name, STR("Idempotency-Key"))) {
        return document_refuse(r, "request.headers must not have Idempotency-Key: give the key as "
                                  "idempotency_key.");
    }
    if (!job_field_is_forwarded(name, (struct str){NULL, 0})) {
        (void)document_refuse(r, "request.headers must not have ");
        document_show(r->why, name);
        buf_text(r->why, ": it is not forwarded, Sluice or its HTTP client sets it.");
        return ERR_INVALID;
    }
    return ERR_OK;
}

static int read_field(struct document_reader *r, struct buf *head, const cJSON *value)
{
    struct str name = str_of(value->string);
    const cJSON *item;

    int rc = check_field_name(r, name);
    if (rc != ERR_OK || !cJSON_IsArray(value)) {
        return rc != ERR_OK ? rc : add_field(r, head, name, value);
    }
    if (value->child == NULL) {
        (void)document_refuse(r, "request.headers.");
        document_show(r->why, name);
        buf_text(r->why, " must not be an empty array.");
        return ERR_INVALID;
    }
    cJSON_ArrayForEach(item, value)
    {
        rc = add_field(r, head, name, item);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

static int keep_head(struct document_reader *r, struct buf *head)
{
    char *old = r->d->head;

    buf_text(head, ""); /* so that there is a text, if an empty one */
    r->d->head = buf_take(head, NULL);
    free(old);
    return r->d->head != NULL ? ERR_OK : ERR_NOMEM;
}

static int read_headers(struct document_reader *r, const cJSON *value, const char *where)
{
    struct buf head = {0};
    const cJSON *field;
    int rc = ERR_OK;

    if (!cJSON_IsObject(value)) {
        return document_refuse(r, "%s must be an object.", where);
    }
    cJSON_ArrayForEach(field, value)
    {
        rc = read_field(r, &head, field);
        if (rc != ERR_OK) {
            goto out;
        }
    }
    rc = keep_head(r, &head);
out:
    buf_fini(&head);
    return rc;
}

/* Its bytes were cut out before: document_bodies reads them. */
static int read_nothing(struct document_reader *r, const cJSON *value, const char *where)
{
    (void)r;
    (void)value;
    (void)where;
    return ERR_OK;
}

static bool has_content_type(struct str head)
{
    struct str name;
    struct str value;

    while (job_head_next(&head, &name, &value)) {
        if (str_is_nocase(name, STR("Content-Type"))) {
            return true;
        }
    }
    return false;
}

static int add_content_type(struct document_reader *r, const char *type)
{
    struct buf head = {0};

    if (has_content_type(str_of(r->d->head))) {
        return ERR_OK;
    }
    buf_text(&head, r->d->head);
    buf_printf(&head, "Content-Type: %s\r\n", type);
    int rc = keep_head(r, &head);
    buf_fini(&head);
    return rc;
}

static int read_base64(struct document_reader *r, struct str string, struct buf *out)
{
    struct buf text = {0};

    json_unescape(string, &text);
    int rc = buf_failed(&text) ? ERR_NOMEM : base64_decode(buf_as_str(&text), out);
    buf_fini(&text);
    return rc != ERR_SYNTAX ? rc
                            : document_refuse(r, "request.body_base64 must be base64 with padding "
                                                 "(RFC 4648, section 4).");
}

static int read_body(struct document_reader *r, struct buf *out, const char **ret_type)
{
    if (r->body.n > 0) {
        r->d->is_json_body = true;
        *ret_type = "application/json";
        buf_str(out, r->body);
        return ERR_OK;
    }
    bool is_text = r->body_text.n > 0;
    struct str string = is_text ? r->body_text : r->body_base64;
    if (string.p[0] != '"') {
        return document_refuse(r, "request.%s must be a string.",
                               is_text ? "body_text" : "body_base64");
    }
    *ret_type = is_text ? "text/plain; charset=utf-8" : "application/octet-stream";
    if (!is_text) {
        return read_base64(r, string, out);
    }
    json_unescape(string, out);
    return ERR_OK;
}

static int read_bodies(struct document_reader *r)
{
    int n_bodies = (r->body.n > 0) + (r->body_text.n > 0) + (r->body_base64.n > 0);
    struct buf bytes = {0};
    const char *type = NULL;

    if (n_bodies == 0) {
        return ERR_OK;
    }
    if (n_bodies > 1) {
        return document_refuse(r, "request must have one of body, body_text and body_base64 only.");
    }
    int rc = read_body(r, &bytes, &type);
    if (rc != ERR_OK) {
        goto out;
    }
    rc = add_content_type(r, type);
    if (rc != ERR_OK) {
        goto out;
    }
    buf_text(&bytes, ""); /* an empty body is one, too */
    r->d->body = buf_take(&bytes, &r->d->body_n);
    rc = r->d->body != NULL ? ERR_OK : ERR_NOMEM;
out:
    buf_fini(&bytes);
    return rc;
}

static int fill_in(struct document_reader *r)
{
    if (r->d->path == NULL) {
        return document_refuse(r, "request.path is required.");
    }
    if (r->d->method == NULL && document_keep(STR("POST"), &r->d->method) != ERR_OK) {
        return ERR_NOMEM;
    }
    if (r->d->head == NULL && document_keep(STR(""), &r->d->head) != ERR_OK) {
        return ERR_NOMEM;
    }
    return ERR_OK;
}

int document_request(struct document_reader *r, const cJSON *value, const char *where)
{
    static const struct document_member rows[] = {
        {"method", read_method}, {"path", read_path},         {"headers", read_headers},
        {"body", read_nothing},  {"body_text", read_nothing}, {"body_base64", read_nothing},
    };

    if (!cJSON_IsObject(value)) {
        return document_refuse(r, "%s must be an object.", where);
    }
    int rc = document_members(r, value, "request.", rows, sizeof rows / sizeof rows[0]);
    if (rc == ERR_OK) {
        rc = fill_in(r);
    }
    return rc == ERR_OK ? read_bodies(r) : rc;
}
