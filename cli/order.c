/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include "json.h"

enum { KEY_MAX = 255 };

bool order_header(const char *line, struct str *ret_name, struct str *ret_value)
{
    struct str rest = str_of(line);

    if (!str_cut(&rest, ':', ret_name) || rest.p == NULL || ret_name->n == 0 ||
        str_trim(*ret_name).n != ret_name->n) {
        return false;
    }
    *ret_value = str_trim(rest);
    return true;
}

static bool has_header(const struct args *a, struct str name)
{
    size_t cursor = 0;
    const char *line;
    struct str given;
    struct str value;

    while ((line = args_next(a, "--header", &cursor)) != NULL) {
        if (order_header(line, &given, &value) && str_is_nocase(given, name)) {
            return true;
        }
    }
    return false;
}

bool order_is_json(const struct args *a, struct str body)
{
    struct cJSON *tree;

    if (has_header(a, STR("Content-Type"))) {
        return false;
    }
    tree = json_parse(body);
    json_free(tree);
    return tree != NULL;
}

static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7E) {
            return false;
        }
    }
    return true;
}

int order_key_line(const char *key, struct buf *ret, struct buf *why)
{
    struct str s = str_of(key);
    bool is_quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    size_t length = is_quoted ? s.n - 2 : s.n;

    if (length == 0 || length > KEY_MAX || !is_visible(s)) {
        buf_text(why, "an idempotency key is 1 to 255 printable ASCII characters");
        return ERR_INVALID;
    }
    buf_printf(ret, is_quoted ? "Idempotency-Key: %s" : "Idempotency-Key: \"%s\"", key);
    return buf_failed(ret) ? ERR_NOMEM : ERR_OK;
}

int order_call_path(const char *tenant, const char *path, struct buf *ret, struct buf *why)
{
    if (tenant[0] == '\0' || strpbrk(tenant, "/?#%. ") != NULL) {
        buf_printf(why, "\"%s\" is not a tenant's name", tenant);
        return ERR_INVALID;
    }
    if (path[0] != '/') {
        buf_printf(why, "PATH begins with '/', as /%s", path);
        return ERR_INVALID;
    }
    buf_printf(ret, "/call/%s%s", tenant, path);
    return buf_failed(ret) ? ERR_NOMEM : ERR_OK;
}

static void print_base64(struct str s, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        unsigned int b0 = (unsigned char)s.p[i];
        unsigned int b1 = left > 1 ? (unsigned char)s.p[i + 1] : 0;
        unsigned int b2 = left > 2 ? (unsigned char)s.p[i + 2] : 0;
        unsigned int bits = b0 << 16 | b1 << 8 | b2;
        buf_char(out, digits[bits >> 18]);
        buf_char(out, digits[bits >> 12 & 63]);
        buf_char(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        buf_char(out, left > 2 ? digits[bits & 63] : '=');
    }
}

/* As text wherever that keeps every byte, else in base64. */
static void print_body(struct str body, struct buf *out)
{
    bool is_text = str_is_utf8(body) && (body.n == 0 || memchr(body.p, 0, body.n) == NULL);

    if (is_text) {
        buf_text(out, ",\"body_text\":");
        buf_json_str(out, body);
    } else {
        buf_text(out, ",\"body_base64\":\"");
        print_base64(body, out);
        buf_char(out, '"');
    }
}

static int refuse_text(const char *what, struct buf *why)
{
    buf_printf(why, "%s is not UTF-8", what);
    return ERR_INVALID;
}

static bool was_given(const struct args *a, const char *flag, size_t before, struct str name,
                      char separator, bool is_nocase)
{
    size_t cursor = 0;
    const char *text;

    while (cursor < before && (text = args_next(a, flag, &cursor)) != NULL && cursor < before) {
        struct str rest = str_of(text);
        struct str other = {"", 0};
        (void)str_cut(&rest, separator, &other);
        if (is_nocase ? str_is_nocase(other, name) : str_is(other, name)) {
            return true;
        }
    }
    return false;
}

static int print_headers(const struct args *a, bool is_json, struct buf *out, struct buf *why)
{
    size_t cursor = 0;
    const char *line;
    struct str name;
    struct str value;

    buf_text(out, ",\"headers\":{");
    buf_text(out, is_json ? "\"content-type\":\"application/json\"" : "");
    for (bool is_first = !is_json; (line = args_next(a, "--header", &cursor)) != NULL;
         is_first = false) {
        if (!order_header(line, &name, &value)) {
            buf_printf(why, "--header takes 'NAME: VALUE', not \"%s\"", line);
            return ERR_INVALID;
        }
        if (was_given(a, "--header", cursor, name, ':', /* is_nocase= */ true)) {
            buf_printf(why, "--header %.*s is given twice; join the values by a comma",
                       STR_ARG(name));
            return ERR_INVALID;
        }
        if (!str_is_utf8(str_of(line))) {
            return refuse_text("--header", why);
        }
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, name);
        buf_char(out, ':');
        buf_json_str(out, value);
    }
    buf_char(out, '}');
    return ERR_OK;
}

static int print_labels(const struct args *a, struct buf *out, struct buf *why)
{
    size_t cursor = 0;
    const char *text;

    if (!args_has(a, "--label")) {
        return ERR_OK;
    }
    buf_text(out, ",\"labels\":{");
    for (bool is_first = true; (text = args_next(a, "--label", &cursor)) != NULL;
         is_first = false) {
        struct str rest = str_of(text);
        struct str name;
        if (!str_cut(&rest, '=', &name) || name.n == 0 || rest.p == NULL || rest.n == 0) {
            buf_printf(why, "--label takes NAME=VALUE, not \"%s\"", text);
            return ERR_INVALID;
        }
        if (was_given(a, "--label", cursor, name, '=', /* is_nocase= */ false)) {
            buf_printf(why, "--label %.*s is given twice", STR_ARG(name));
            return ERR_INVALID;
        }
        if (!str_is_utf8(str_of(text))) {
            return refuse_text("--label", why);
        }
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, name);
        buf_char(out, ':');
        buf_json_str(out, rest);
    }
    buf_char(out, '}');
    return ERR_OK;
}

static void print_seconds(const struct args *a, const char *flag, const char *member,
                          struct buf *out)
{
    int64_t ms = args_ms(a, flag, -1);

    if (ms >= 0) {
        buf_printf(out, ",\"%s\":%lld.%03lld", member, (long long)(ms / 1000),
                   (long long)(ms % 1000));
    }
}

static int print_member(const struct args *a, const char *flag, const char *member, struct buf *out,
                        struct buf *why)
{
    const char *text = args_text(a, flag);

    if (text != NULL && !str_is_utf8(str_of(text))) {
        return refuse_text(flag, why);
    }
    if (text != NULL) {
        buf_printf(out, ",\"%s\":", member);
        buf_json_str(out, str_of(text));
    }
    return ERR_OK;
}

int order_document(const struct args *a, const char *tenant, const char *path, struct str body,
                   struct buf *ret, struct buf *why)
{
    const char *method = args_text(a, "--method");
    const char *texts[] = {tenant, path, method};

    for (size_t i = 0; i < 3; i++) {
        if (!str_is_utf8(str_of(texts[i]))) {
            return refuse_text("the tenant, the path or the method", why);
        }
    }
    buf_text(ret, "{\"tenant\":");
    buf_json_str(ret, str_of(tenant));
    buf_text(ret, ",\"request\":{\"method\":");
    buf_json_str(ret, str_of(method == NULL ? "POST" : method));
    buf_text(ret, ",\"path\":");
    buf_json_str(ret, str_of(path));
    int rc = print_headers(a, body.p != NULL && order_is_json(a, body), ret, why);
    if (rc != ERR_OK) {
        return rc;
    }
    if (body.p != NULL) {
        print_body(body, ret);
    }
    buf_char(ret, '}');
    rc = print_member(a, "--ordering-key", "ordering_key", ret, why);
    rc = rc == ERR_OK ? print_member(a, "--priority", "priority", ret, why) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    print_seconds(a, "--delay", "delay_s", ret);
    print_seconds(a, "--ttl", "ttl_s", ret);
    print_seconds(a, "--timeout", "timeout_s", ret);
    if (args_has(a, "--max-attempts")) {
        buf_printf(ret, ",\"retry\":{\"max_attempts\":%llu}",
                   (unsigned long long)args_count(a, "--max-attempts", 1));
    }
    rc = print_labels(a, ret, why);
    buf_char(ret, '}');
    return rc == ERR_OK && buf_failed(ret) ? ERR_NOMEM : rc;
}
