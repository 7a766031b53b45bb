/* SPDX-License-Identifier: Apache-2.0 */
/* In three steps. The whole text is checked (json.c), so that what follows reads sound JSON. Then
 * the bodies are cut out as they stand, and the control part that is left, with a 0 in the place of
 * each, is small. Only that is given to cJSON, whose tree is walked with one table an object. */
#include "job/document.h"

#include "base/chars.h"
#include "base/clock.h"
#include "job/document_inside.h"
#include "job/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONTROL_MAX = 64 * 1024,
    NUMBER_MAX = 63, /* cJSON cuts longer numbers */
    SHOWN_MAX = 64,
    TENANT_MAX = 64,
    KEY_MAX = 255,
    CALLBACK_MAX = 2048,
    LABELS_MAX = 16,
    LABEL_NAME_MAX = 64,
    LABEL_VALUE_MAX = 256,
    ATTEMPTS_MAX = 100,
};

static const double year_s = 366.0 * 86400;
static const double day_s = 86400;

/* --- what the files of the decoder share ------------------------------------------------------ */

int document_refuse(struct document_reader *r, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_clear(r->why);
    buf_text(r->why, n < 0 ? "" : text);
    return ERR_INVALID;
}

void document_show(struct buf *why, struct str name)
{
    size_t n = name.n < SHOWN_MAX ? name.n : SHOWN_MAX;

    while (n < name.n && n > 0 && ((unsigned char)name.p[n] & 0xC0) == 0x80) {
        n--; /* not through a character */
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        buf_char(why, c < ' ' || c == 0x7F ? '?' : name.p[i]);
    }
    buf_text(why, n < name.n ? "..." : "");
}

static const struct document_member *find_row(const struct document_member *rows, size_t n,
                                              const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

int document_members(struct document_reader *r, const cJSON *object, const char *prefix,
                     const struct document_member *rows, size_t n)
{
    char where[64];
    const cJSON *value;

    cJSON_ArrayForEach(value, object)
    {
        const struct document_member *row = find_row(rows, n, value->string);
        if (row == NULL) {
            (void)document_refuse(r, "The member %s", prefix);
            document_show(r->why, str_of(value->string));
            buf_text(r->why, " is not known.");
            return ERR_INVALID;
        }
        (void)snprintf(where, sizeof where, "%s%s", prefix, row->name);
        int rc = row->read(r, value, where);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

int document_text(struct document_reader *r, const cJSON *value, const char *where, size_t min,
                  size_t max, struct str *ret)
{
    if (!cJSON_IsString(value)) {
        return document_refuse(r, "%s must be a string.", where);
    }
    struct str text = str_of(value->valuestring);
    if (text.n < min || text.n > max) {
        return document_refuse(r, "%s must have %zu to %zu bytes.", where, min, max);
    }
    *ret = text;
    return ERR_OK;
}

int document_keep(struct str text, char **ret)
{
    char *copy = str_dup(text);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    free(*ret);
    *ret = copy;
    return ERR_OK;
}

bool document_is_printable(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < ' ' || c == 0x7F) {
            return false;
        }
    }
    return true;
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Whether there is something, and nothing but letters, digits and `others`. */
static bool is_made_of(struct str text, const char *others)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!is_alphanumeric(c) && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return text.n > 0;
}

bool document_is_token(struct str text)
{
    return text.n > 0 && chars_all(text, CHARS_TOKEN);
}

/* --- the members ------------------------------------------------------------------------------ */

static int read_tenant(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = {NULL, 0};

    int rc = document_text(r, value, where, 1, TENANT_MAX, &text);
    if (rc != ERR_OK) {
        return rc;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
            return document_refuse(r, "%s must be made of a-z, 0-9, '_' and '-'.", where);
        }
    }
    return document_keep(text, &r->d->tenant);
}

/* The same keys as in the header Idempotency-Key, which has no spaces around it. */
static int read_idempotency_key(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = {NULL, 0};

    int rc = document_text(r, value, where, 1, KEY_MAX, &text);
    if (rc != ERR_OK) {
        return rc;
    }
    bool is_ascii = document_is_printable(text);
    for (size_t i = 0; i < text.n; i++) {
        is_ascii = is_ascii && (unsigned char)text.p[i] < 0x7F;
    }
    if (!is_ascii || text.p[0] == ' ' || text.p[text.n - 1] == ' ') {
        return document_refuse(
            r, "%s must be made of printable ASCII characters, without spaces around it.", where);
    }
    return document_keep(text, &r->d->idempotency_key);
}

static int read_ordering_key(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = {NULL, 0};

    int rc = document_text(r, value, where, 1, KEY_MAX, &text);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!document_is_printable(text)) {
        return document_refuse(r, "%s must not have control characters.", where);
    }
    return document_keep(text, &r->d->ordering_key);
}

static int read_priority(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = str_of(cJSON_IsString(value) ? value->valuestring : "");

    if (!str_is(text, STR("high")) && !str_is(text, STR("normal")) && !str_is(text, STR("low"))) {
        return document_refuse(r, "%s must be high, normal or low.", where);
    }
    return document_keep(text, &r->d->priority);
}

static int read_callback(struct document_reader *r, const cJSON *value, const char *where)
{
    struct str text = {NULL, 0};

    int rc = document_text(r, value, where, 1, CALLBACK_MAX, &text);
    if (rc != ERR_OK) {
        return rc;
    }
    bool is_url = str_starts(text, STR("http://")) || str_starts(text, STR("https://"));
    for (size_t i = 0; i < text.n; i++) {
        is_url = is_url && (unsigned char)text.p[i] > ' ' && (unsigned char)text.p[i] < 0x7F;
    }
    size_t host = str_starts(text, STR("https://")) ? 8 : 7;
    if (!is_url || text.n <= host || text.p[host] == '/') {
        return document_refuse(r, "%s must be an http or https URL.", where);
    }
    return document_keep(text, &r->d->callback);
}

/* --- times ------------------------------------------------------------------------------------ */

/* The least time above zero is a millisecond: zero means "none" everywhere behind this. */
static int64_t ms_of(double seconds)
{
    return (int64_t)ceil(seconds * 1000);
}

/* A number of seconds above 0, at most `max`. */
static int read_seconds(struct document_reader *r, const cJSON *value, const char *where,
                        double max, int64_t *ret_ms)
{
    if (!cJSON_IsNumber(value) || !(value->valuedouble > 0) || value->valuedouble > max) {
        return document_refuse(r, "%s must be a number of seconds above 0, at most %.0f.", where,
                               max);
    }
    *ret_ms = ms_of(value->valuedouble);
    return ERR_OK;
}

static int read_time(struct document_reader *r, const cJSON *value, const char *where,
                     struct wall *ret)
{
    struct str text = str_of(cJSON_IsString(value) ? value->valuestring : "");

    if (text.n == 0 || wall_parse(text.p, text.n, ret) != ERR_OK) {
        return document_refuse(r, "%s must be a time as in RFC 3339: 2026-03-29T01:00:00Z.", where);
    }
    return ERR_OK;
}

static int read_delay(struct document_reader *r, const cJSON *value, const char *where)
{
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0) || value->valuedouble > year_s) {
        return document_refuse(r, "%s must be a number of seconds from 0 to %.0f (366 days).",
                               where, year_s);
    }
    r->d->due_in_ms = ms_of(value->valuedouble);
    return ERR_OK;
}

/* A time that has passed is now. */
static int read_not_before(struct document_reader *r, const cJSON *value, const char *where)
{
    struct wall when = {0};

    int rc = read_time(r, value, where, &when);
    if (rc != ERR_OK) {
        return rc;
    }
    if (when.ms - r->now_ms > ms_of(year_s)) {
        return document_refuse(r, "%s must be at most 366 days ahead.", where);
    }
    r->d->due_in_ms = when.ms > r->now_ms ? when.ms - r->now_ms : 0;
    return ERR_OK;
}

static int read_ttl(struct document_reader *r, const cJSON *value, const char *where)
{
    return read_seconds(r, value, where, 10 * year_s, &r->d->ttl_ms);
}

/* A time that has passed is no mistake of the document: a repeat with the same key finds its job,
 * a new job expires at once. */
static int read_expires_at(struct document_reader *r, const cJSON *value, const char *where)
{
    struct wall when = {0};

    int rc = read_time(r, value, where, &when);
    if (rc == ERR_OK) {
        r->d->ttl_ms = when.ms > r->now_ms ? when.ms - r->now_ms : 1;
    }
    return rc;
}

static int read_timeout(struct document_reader *r, const cJSON *value, const char *where)
{
    return read_seconds(r, value, where, day_s, &r->d->timeout_ms);
}

/* --- retry ------------------------------------------------------------------------------------ */

static int check_attempts(struct document_reader *r, const cJSON *value, const char *where)
{
    double n = cJSON_IsNumber(value) ? value->valuedouble : 0;

    if (!(n >= 1 && n <= ATTEMPTS_MAX) || n != floor(n)) {
        return document_refuse(r, "%s must be a whole number from 1 to %d.", where, ATTEMPTS_MAX);
    }
    return ERR_OK;
}

static int check_retry_seconds(struct document_reader *r, const cJSON *value, const char *where)
{
    int64_t ms;

    return read_seconds(r, value, where, day_s, &ms);
}

static int check_factor(struct document_reader *r, const cJSON *value, const char *where)
{
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 1 && value->valuedouble <= 100)) {
        return document_refuse(r, "%s must be a number from 1 to 100.", where);
    }
    return ERR_OK;
}

/* 0 when it is not there, which a worker reads as "the tenant's". */
static double number_of(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

    return value == NULL ? 0 : value->valuedouble;
}

static int keep_retry(struct document_reader *r, const cJSON *value)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%d %lld %g %lld", (int)number_of(value, "max_attempts"),
                     (long long)ms_of(number_of(value, "initial_s")), number_of(value, "factor"),
                     (long long)ms_of(number_of(value, "max_s")));

    return document_keep((struct str){text, (size_t)n}, &r->d->retry);
}

static int read_retry(struct document_reader *r, const cJSON *value, const char *where)
{
    static const struct document_member rows[] = {
        {"max_attempts", check_attempts},
        {"initial_s", check_retry_seconds},
        {"factor", check_factor},
        {"max_s", check_retry_seconds},
    };

    if (!cJSON_IsObject(value)) {
        return document_refuse(r, "%s must be an object.", where);
    }
    int rc = document_members(r, value, "retry.", rows, sizeof rows / sizeof rows[0]);
    if (rc != ERR_OK || value->child == NULL) {
        return rc;
    }
    return keep_retry(r, value);
}

/* --- labels ----------------------------------------------------------------------------------- */

static int check_label(struct document_reader *r, const cJSON *value)
{
    struct str name = str_of(value->string);
    struct str text = str_of(cJSON_IsString(value) ? value->valuestring : NULL);

    if (name.n > LABEL_NAME_MAX || !is_made_of(name, "_.-")) {
        (void)document_refuse(r, "labels has the name ");
        document_show(r->why, name);
        buf_printf(r->why, ", which is not 1 to %d characters of A-Z, a-z, 0-9, '_', '.' and '-'.",
                   LABEL_NAME_MAX);
        return ERR_INVALID;
    }
    if (!cJSON_IsString(value) || text.n > LABEL_VALUE_MAX || !document_is_printable(text)) {
        (void)document_refuse(r, "labels.");
        document_show(r->why, name);
        buf_printf(r->why, " must be a string of at most %d bytes without control characters.",
                   LABEL_VALUE_MAX);
        return ERR_INVALID;
    }
    return ERR_OK;
}

static int keep_labels(struct document_reader *r, const cJSON *labels)
{
    struct buf text = {0};
    const cJSON *value;

    cJSON_ArrayForEach(value, labels)
    {
        buf_char(&text, text.n == 0 ? '{' : ',');
        buf_json_str(&text, str_of(value->string));
        buf_char(&text, ':');
        buf_json_str(&text, str_of(value->valuestring));
    }
    buf_char(&text, '}');
    r->d->labels = buf_take(&text, NULL);
    return r->d->labels != NULL ? ERR_OK : ERR_NOMEM;
}

static int read_labels(struct document_reader *r, const cJSON *value, const char *where)
{
    const cJSON *label;

    if (!cJSON_IsObject(value) || cJSON_GetArraySize(value) > LABELS_MAX) {
        return document_refuse(r, "%s must be an object of at most %d strings.", where, LABELS_MAX);
    }
    cJSON_ArrayForEach(label, value)
    {
        int rc = check_label(r, label);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return value->child == NULL ? ERR_OK : keep_labels(r, value);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int check_one_of(struct document_reader *r, const cJSON *document, const char *one,
                        const char *other)
{
    if (cJSON_GetObjectItemCaseSensitive(document, one) == NULL ||
        cJSON_GetObjectItemCaseSensitive(document, other) == NULL) {
        return ERR_OK;
    }
    return document_refuse(r, "Give %s or %s, not both.", one, other);
}

static int read_document(struct document_reader *r, const cJSON *document)
{
    static const struct document_member rows[] = {
        {"tenant", read_tenant},
        {"request", document_request},
        {"idempotency_key", read_idempotency_key},
        {"ordering_key", read_ordering_key},
        {"priority", read_priority},
        {"not_before", read_not_before},
        {"delay_s", read_delay},
        {"expires_at", read_expires_at},
        {"ttl_s", read_ttl},
        {"timeout_s", read_timeout},
        {"retry", read_retry},
        {"callback", read_callback},
        {"labels", read_labels},
    };

    int rc = document_members(r, document, "", rows, sizeof rows / sizeof rows[0]);
    if (rc != ERR_OK) {
        return rc;
    }
    if (r->d->tenant == NULL) {
        return document_refuse(r, "tenant is required.");
    }
    if (r->d->path == NULL) {
        return document_refuse(r, "request is required.");
    }
    rc = check_one_of(r, document, "not_before", "delay_s");
    return rc == ERR_OK ? check_one_of(r, document, "expires_at", "ttl_s") : rc;
}

/* Where a member of the request is kept raw, or NULL. */
static struct str *place_of(struct document_reader *r, struct str name)
{
    if (json_string_is(name, STR("body"))) {
        return &r->body;
    }
    if (json_string_is(name, STR("body_text"))) {
        return &r->body_text;
    }
    return json_string_is(name, STR("body_base64")) ? &r->body_base64 : NULL;
}

/* Cuts the bodies out of `request`. *from is what has not been copied to `control` yet. */
static void cut_bodies(struct document_reader *r, struct str request, const char **from,
                       struct buf *control)
{
    struct str rest = json_members(request);
    struct str name;
    struct str value;

    while (json_next(&rest, &name, &value)) {
        struct str *place = place_of(r, name);
        if (place != NULL) {
            *place = value;
            buf_add(control, *from, (size_t)(value.p - *from));
            buf_char(control, '0');
            *from = value.p + value.n;
        }
    }
}

static void cut(struct document_reader *r, struct str json, struct buf *control)
{
    const char *from = json.p;
    struct str rest = json_members(json);
    struct str name;
    struct str value;

    while (json_next(&rest, &name, &value)) {
        if (json_string_is(name, STR("request")) && value.p[0] == '{') {
            cut_bodies(r, value, &from, control);
        }
    }
    buf_add(control, from, (size_t)(json.p + json.n - from));
}

/* cJSON would cut such a number and stumble over its rest. */
static bool has_long_number(struct str control)
{
    size_t n = 0;
    bool is_string = false;

    for (size_t i = 0; i < control.n; i++) {
        char c = control.p[i];
        bool is_part = !is_string && (is_alphanumeric(c) || c == '.' || c == '+' || c == '-');
        n = is_part ? n + 1 : 0;
        if (n > NUMBER_MAX) {
            return true;
        }
        if (c == '"') {
            is_string = !is_string;
        } else if (c == '\\') {
            i++;
        }
    }
    return false;
}

static int read_control(struct document_reader *r, const struct buf *control)
{
    const char *end = NULL;

    if (control->n > CONTROL_MAX) {
        (void)document_refuse(r, "The document without its body must have at most %d bytes.",
                              CONTROL_MAX);
        return ERR_TOO_LARGE;
    }
    if (has_long_number(buf_as_str(control))) {
        return document_refuse(r, "A number has more than %d characters.", NUMBER_MAX);
    }
    cJSON *document = cJSON_ParseWithLengthOpts(control->p, control->n, &end, /* whole= */ 0);
    if (document == NULL) {
        return ERR_NOMEM; /* it is sound: nothing else is left */
    }
    int rc = end == control->p + control->n ? read_document(r, document)
                                            : document_refuse(r, "The document is not JSON.");
    cJSON_Delete(document);
    return rc;
}

int job_document_parse(struct str json, int64_t now_ms, struct job_document *ret, struct buf *why)
{
    struct document_reader r = {.d = ret, .why = why, .now_ms = now_ms};
    struct json_trouble trouble;
    struct buf control = {0};

    *ret = (struct job_document){0};
    int rc = json_check(json, &trouble);
    if (rc == ERR_SYNTAX) {
        (void)document_refuse(&r, "The document is not acceptable JSON: %s, at byte %zu.",
                              trouble.what, trouble.at);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    json = json_trim(json);
    if (json.p[0] != '{') {
        return document_refuse(&r, "The document must be an object.");
    }
    cut(&r, json, &control);
    rc = buf_failed(&control) ? ERR_NOMEM : read_control(&r, &control);
    buf_fini(&control);
    return rc;
}

void job_document_fini(struct job_document *d)
{
    if (d == NULL) {
        return;
    }
    char *const owned[] = {d->tenant, d->method,          d->path,         d->head,
                           d->body,   d->idempotency_key, d->ordering_key, d->priority,
                           d->retry,  d->callback,        d->labels};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(owned[i]);
    }
    *d = (struct job_document){0};
}
