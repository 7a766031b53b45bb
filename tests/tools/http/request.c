/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#include <stdlib.h>

static const struct str line_end = {"\r\n", 2};

/* The next line without its end; false when no end is there. */
static bool cut_line(struct str *rest, struct str *ret)
{
    const char *end = rest->n == 0 ? NULL : memmem(rest->p, rest->n, line_end.p, line_end.n);

    if (end == NULL) {
        return false;
    }
    *ret = (struct str){rest->p, (size_t)(end - rest->p)};
    rest->n -= ret->n + line_end.n;
    rest->p = end + line_end.n;
    return true;
}

static int parse_start(struct str line, struct http_request *r)
{
    struct str rest = line;
    struct str version = {NULL, 0};

    if (!str_cut(&rest, ' ', &r->method) || !str_cut(&rest, ' ', &r->target) ||
        !str_cut(&rest, ' ', &version) || rest.n != 0 || r->method.n == 0 || r->target.n == 0) {
        return ERR_SYNTAX;
    }
    r->keeps_alive = str_is(version, STR("HTTP/1.1"));
    if (!r->keeps_alive && !str_is(version, STR("HTTP/1.0"))) {
        return ERR_SYNTAX;
    }
    struct str target = r->target;
    (void)str_cut(&target, '?', &r->path);
    r->query = target;
    return ERR_OK;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] == 127 || s.p[i] == ':') {
            return false;
        }
    }
    return s.n > 0;
}

static int parse_header(struct str line, struct http_request *r)
{
    struct str rest = line;
    struct str name = {NULL, 0};

    if (memchr(line.p, ':', line.n) == NULL || !str_cut(&rest, ':', &name) || !is_token(name)) {
        return ERR_SYNTAX;
    }
    if (r->n_headers == HTTP_HEADERS) {
        return ERR_TOO_LARGE;
    }
    r->headers[r->n_headers++] = (struct http_header){name, str_trim(rest)};
    return ERR_OK;
}

static int parse_head(struct str head, struct http_request *r)
{
    struct str line = {NULL, 0};
    int rc = cut_line(&head, &line) ? parse_start(line, r) : ERR_SYNTAX;

    while (rc == 0 && cut_line(&head, &line) && line.n > 0) {
        rc = parse_header(line, r);
    }
    if (rc == 0) {
        struct str connection = http_header(r, "Connection");
        if (str_is_nocase(connection, STR("close"))) {
            r->keeps_alive = false;
        } else if (str_is_nocase(connection, STR("keep-alive"))) {
            r->keeps_alive = true;
        }
        r->expects_continue = str_is_nocase(http_header(r, "Expect"), STR("100-continue"));
    }
    return rc;
}

/* The size that opens a chunk, in hexadecimal; extensions are passed over. */
static int chunk_size(struct str line, size_t *ret)
{
    struct str digits = {NULL, 0};
    size_t size = 0;

    if (!str_cut(&line, ';', &digits) || digits.n == 0 || digits.n > 8) {
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < digits.n; i++) {
        char c = digits.p[i];
        unsigned int value = 0;
        if (c >= '0' && c <= '9') {
            value = (unsigned int)(c - '0');
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            value = (unsigned int)((c | 32) - 'a') + 10;
        } else {
            return ERR_SYNTAX;
        }
        size = size * 16 + value;
    }
    *ret = size;
    return size > HTTP_BODY_BYTES ? ERR_TOO_LARGE : ERR_OK;
}

/* Trailers are read and forgotten. */
static int skip_trailers(struct str *rest)
{
    struct str line = {NULL, 0};

    while (cut_line(rest, &line)) {
        if (line.n == 0) {
            return ERR_OK;
        }
    }
    return ERR_MISSING;
}

static int parse_chunks(struct str bytes, struct buf *body, size_t *ret_used)
{
    struct str rest = bytes;
    struct str line = {NULL, 0};
    size_t size = 0;
    int rc = ERR_OK;

    buf_clear(body);
    while ((rc = cut_line(&rest, &line) ? chunk_size(line, &size) : ERR_MISSING) == 0 && size > 0) {
        if (rest.n < size + line_end.n) {
            return ERR_MISSING;
        }
        if (memcmp(rest.p + size, line_end.p, line_end.n) != 0) {
            return ERR_SYNTAX;
        }
        buf_add(body, rest.p, size);
        rest.p += size + line_end.n;
        rest.n -= size + line_end.n;
    }
    if (rc == 0) {
        rc = skip_trailers(&rest);
        *ret_used = bytes.n - rest.n;
    }
    return rc == 0 && buf_failed(body) ? ERR_NOMEM : rc;
}

static int parse_body(struct str bytes, size_t head, struct buf *body, struct http_request *r,
                      size_t *ret_used, size_t *ret_need)
{
    struct str length = http_header(r, "Content-Length");
    struct str rest = {bytes.p + head, bytes.n - head};
    uint64_t n = 0;
    size_t used = 0;

    if (str_is_nocase(http_header(r, "Transfer-Encoding"), STR("chunked"))) {
        int rc = length.n > 0 ? ERR_SYNTAX : parse_chunks(rest, body, &used);
        *ret_need = bytes.n + 1;
        *ret_used = head + used;
        r->body = buf_as_str(body);
        return rc;
    }
    if (length.n > 0) {
        int rc = str_to_u64(length, HTTP_BODY_BYTES, &n);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_need = head + n;
    *ret_used = head + n;
    r->body = (struct str){rest.p, n};
    return rest.n < n ? ERR_MISSING : ERR_OK;
}

int http_request_parse(struct str bytes, struct buf *body, struct http_request *ret,
                       size_t *ret_used, size_t *ret_need)
{
    static const char head_end[] = "\r\n\r\n";
    const char *end = bytes.n == 0 ? NULL : memmem(bytes.p, bytes.n, head_end, 4);

    ret->n_headers = 0;
    ret->method.n = 0;
    if (end == NULL) {
        *ret_need = bytes.n + 1;
        return bytes.n > HTTP_HEAD_BYTES ? ERR_TOO_LARGE : ERR_MISSING;
    }
    size_t head = (size_t)(end - bytes.p) + 4;
    int rc = parse_head((struct str){bytes.p, head}, ret);
    return rc != 0 ? rc : parse_body(bytes, head, body, ret, ret_used, ret_need);
}

struct str http_header(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        if (str_is_nocase(r->headers[i].name, str_of(name))) {
            return r->headers[i].value;
        }
    }
    return (struct str){NULL, 0};
}

bool http_query(const struct http_request *r, const char *name, struct str *ret)
{
    struct str rest = r->query;
    struct str pair = {NULL, 0};

    while (str_cut(&rest, '&', &pair)) {
        struct str key = {NULL, 0};
        (void)str_cut(&pair, '=', &key);
        if (str_is(key, str_of(name))) {
            *ret = pair;
            return true;
        }
    }
    return false;
}

int64_t http_query_number(const struct http_request *r, const char *name, int64_t otherwise)
{
    struct str text = {NULL, 0};
    uint64_t number = 0;

    if (!http_query(r, name, &text) || str_to_u64(text, INT32_MAX, &number) != 0) {
        return otherwise;
    }
    return (int64_t)number;
}

bool http_query_text(const struct http_request *r, const char *name, char ret[HTTP_VALUE_SIZE])
{
    struct str text = {NULL, 0};
    size_t n = 0;

    if (!http_query(r, name, &text)) {
        return false;
    }
    for (size_t i = 0; i < text.n && n + 1 < HTTP_VALUE_SIZE; i++) {
        char c = text.p[i];
        if (c == '%' && i + 2 < text.n) {
            char digits[3] = {text.p[i + 1], text.p[i + 2], '\0'};
            c = (char)strtoul(digits, NULL, 16);
            i += 2;
        }
        ret[n++] = c;
    }
    ret[n] = '\0';
    return true;
}
