/* SPDX-License-Identifier: Apache-2.0 */
#include "job/completion.h"

#include "base/chars.h"
#include "job/base64.h"
#include "job/document_inside.h"
#include "job/json.h"

#include <stdio.h>

enum { STATUS_LEAST = 200, STATUS_MOST = 599, FIELD_NAME_MAX = 255, FIELD_VALUE_MAX = 8192 };

struct reader {
    struct job_completion *c;
    struct buf *why;
    const char *type; /* of the body, unless given; NULL: no body */
    bool has_type;
    bool has_token;
};

static int refuse(struct reader *r, const char *why)
{
    buf_clear(r->why);
    buf_text(r->why, why);
    return ERR_INVALID;
}

static bool is_string(struct str value)
{
    return value.n >= 2 && value.p[0] == '"';
}

static bool is_field_value(struct str value)
{
    return value.n <= FIELD_VALUE_MAX && chars_all(value, CHARS_FIELD);
}

static int read_token(struct reader *r, struct str value)
{
    struct buf text = {0};

    if (!is_string(value)) {
        return refuse(r, "token must be a string.");
    }
    json_unescape(value, &text);
    int rc = buf_failed(&text) ? ERR_NOMEM : ERR_OK;
    (void)snprintf(r->c->token, sizeof r->c->token, "%s", text.p != NULL ? text.p : "");
    r->has_token = true;
    buf_fini(&text);
    return rc;
}

static int read_status(struct reader *r, struct str value)
{
    uint64_t status;

    if (str_to_u64(value, STATUS_MOST, &status) != ERR_OK || status < STATUS_LEAST) {
        return refuse(r, "status must be a whole number from 200 to 599.");
    }
    r->c->status = (int)status;
    return ERR_OK;
}

static int add_field(struct reader *r, struct str name, struct str value)
{
    struct buf text = {0};
    int rc = ERR_OK;

    if (!is_string(value)) {
        return refuse(r, "headers must hold strings, or arrays of strings.");
    }
    json_unescape(value, &text);
    if (buf_failed(&text)) {
        rc = ERR_NOMEM;
    } else if (!is_field_value(buf_as_str(&text))) {
        rc = refuse(r, "headers must hold strings of at most 8192 bytes without control "
                       "characters.");
    } else if (job_field_is_forwarded(name, (struct str){NULL, 0})) {
        r->has_type = r->has_type || str_is_nocase(name, STR("Content-Type"));
        buf_str(&r->c->head, name);
        buf_text(&r->c->head, ": ");
        buf_str(&r->c->head, str_trim(buf_as_str(&text)));
        buf_text(&r->c->head, "\r\n");
    }
    buf_fini(&text);
    return rc;
}

/* Cuts the next item off the raw text within an array's brackets: strings only. */
static bool next_item(struct str *rest, struct str *ret)
{
    *rest = json_trim(*rest);
    if (rest->n > 0 && rest->p[0] == ',') {
        *rest = json_trim((struct str){rest->p + 1, rest->n - 1});
    }
    if (rest->n == 0) {
        return false;
    }
    size_t n = 1;
    while (n < rest->n && !(rest->p[n] == '"' && rest->p[0] == '"')) {
        n += rest->p[n] == '\\' ? 2 : 1;
    }
    n = n < rest->n ? n + 1 : rest->n;
    *ret = (struct str){rest->p, n};
    *rest = (struct str){rest->p + n, rest->n - n};
    return true;
}

static int read_field(struct reader *r, struct str name, struct str value)
{
    struct str item;
    int rc = ERR_OK;

    if (!document_is_token(name) || name.n > FIELD_NAME_MAX) {
        return refuse(r, "headers has a name which is no HTTP field name.");
    }
    if (value.n == 0 || value.p[0] != '[') {
        return add_field(r, name, value);
    }
    struct str rest = {value.p + 1, value.n - 2};
    while (rc == ERR_OK && next_item(&rest, &item)) {
        rc = add_field(r, name, item);
    }
    return rc;
}

static int read_headers(struct reader *r, struct str value)
{
    struct str raw;
    struct str field;
    int rc = ERR_OK;

    if (value.n == 0 || value.p[0] != '{') {
        return refuse(r, "headers must be an object.");
    }
    struct str rest = json_members(value);
    while (rc == ERR_OK && json_next(&rest, &raw, &field)) {
        struct buf name = {0};
        json_unescape(raw, &name);
        rc = buf_failed(&name) ? ERR_NOMEM : read_field(r, buf_as_str(&name), field);
        buf_fini(&name);
    }
    return rc;
}

static int read_string_body(struct reader *r, struct str value, bool is_base64)
{
    struct buf text = {0};

    if (!is_string(value)) {
        return refuse(r, "body_text and body_base64 must be strings.");
    }
    json_unescape(value, is_base64 ? &text : &r->c->body);
    int rc = ERR_OK;
    if (is_base64) {
        rc = buf_failed(&text) ? ERR_NOMEM : base64_decode(buf_as_str(&text), &r->c->body);
    }
    buf_fini(&text);
    return rc != ERR_SYNTAX ? rc : refuse(r, "body_base64 must be base64 with padding.");
}

static int read_body(struct reader *r, struct str name, struct str value)
{
    if (r->type != NULL) {
        return refuse(r, "Give one of body, body_text and body_base64 only.");
    }
    if (json_string_is(name, STR("body"))) {
        r->type = "application/json";
        buf_str(&r->c->body, value);
        return ERR_OK;
    }
    bool is_base64 = json_string_is(name, STR("body_base64"));
    r->type = is_base64 ? "application/octet-stream" : "text/plain; charset=utf-8";
    return read_string_body(r, value, is_base64);
}

static int read_member(struct reader *r, struct str name, struct str value)
{
    if (json_string_is(name, STR("token"))) {
        return read_token(r, value);
    }
    if (json_string_is(name, STR("status"))) {
        return read_status(r, value);
    }
    if (json_string_is(name, STR("headers"))) {
        return read_headers(r, value);
    }
    if (json_string_is(name, STR("body")) || json_string_is(name, STR("body_text")) ||
        json_string_is(name, STR("body_base64"))) {
        return read_body(r, name, value);
    }
    return refuse(r, "Only token, status, headers and one of body, body_text and body_base64 are "
                     "known.");
}

int job_completion_parse(struct str json, struct job_completion *ret, struct buf *why)
{
    struct reader r = {.c = ret, .why = why};
    struct json_trouble trouble;
    struct str name;
    struct str value;

    *ret = (struct job_completion){.status = 200};
    buf_text(&ret->head, "");
    int rc = json_check(json, &trouble);
    if (rc != ERR_OK) {
        return rc == ERR_NOMEM ? rc : refuse(&r, "The body is not one well-formed JSON object.");
    }
    json = json_trim(json);
    if (json.n == 0 || json.p[0] != '{') {
        return refuse(&r, "The body is not one JSON object.");
    }
    struct str rest = json_members(json);
    while (rc == ERR_OK && json_next(&rest, &name, &value)) {
        rc = read_member(&r, name, value);
    }
    if (rc == ERR_OK && !r.has_token) {
        rc = refuse(&r, "token is required.");
    }
    if (rc == ERR_OK && r.type != NULL && !r.has_type) {
        buf_printf(&ret->head, "Content-Type: %s\r\n", r.type);
    }
    return rc == ERR_OK && (buf_failed(&ret->head) || buf_failed(&ret->body)) ? ERR_NOMEM : rc;
}

void job_completion_fini(struct job_completion *c)
{
    buf_fini(&c->head);
    buf_fini(&c->body);
}

void job_completion_digest(const struct job_completion *c, char out[65])
{
    char status[16];

    (void)snprintf(status, sizeof status, "%d", c->status);
    job_fingerprint(str_of(status), buf_as_str(&c->head), buf_as_str(&c->body), out);
}
