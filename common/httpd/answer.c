/* SPDX-License-Identifier: Apache-2.0 */
/* Answers are built once, as responses of MHD; only refusals that come where MHD takes no response
 * (a deadline, the middle of a body) are written to the socket by ourselves. */
#include "httpd/internal.h"

#include <stdlib.h>
#include <sys/socket.h>

static const char *reason_of(int status)
{
    return MHD_get_reason_phrase_for((unsigned int)status);
}

bool answer_is_allowed(struct httpd_field f)
{
    static const struct str ours[] = {
        STR_CONST("Content-Length"), STR_CONST("Transfer-Encoding"), STR_CONST("Connection"),
        STR_CONST("Keep-Alive"),     STR_CONST("Upgrade"),           STR_CONST("Trailer"),
    };

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (str_is_nocase(f.name, ours[i])) {
            return false;
        }
    }
    return guard_is_token(f.name) && guard_is_field_value(f.value) && str_trim(f.value).n > 0;
}

static bool is_field_sent(const struct httpd_answer *a, struct httpd_field f)
{
    bool is_type = a->content_type != NULL && str_is_nocase(f.name, STR("Content-Type"));

    return !is_type && answer_is_allowed(f);
}

/* --- as a response of MHD --------------------------------------------------------------------- */

static bool add_field(struct MHD_Response *response, struct httpd_field f, struct buf *scratch)
{
    struct str value = str_trim(f.value);
    size_t value_at;

    buf_clear(scratch);
    buf_str(scratch, f.name);
    buf_char(scratch, '\0');
    value_at = scratch->n;
    buf_str(scratch, value);
    if (buf_failed(scratch)) {
        return false;
    }
    return MHD_add_response_header(response, scratch->p, scratch->p + value_at) == MHD_YES;
}

static bool add_fields(struct MHD_Response *response, const struct httpd_answer *a, bool must_close)
{
    struct buf scratch = {0};
    bool ok = true;

    if (a->content_type != NULL) {
        struct httpd_field type = {STR("Content-Type"), str_of(a->content_type)};

        ok = !answer_is_allowed(type) || add_field(response, type, &scratch);
    }
    for (size_t i = 0; ok && i < a->n_fields; i++) {
        ok = !is_field_sent(a, a->fields[i]) || add_field(response, a->fields[i], &scratch);
    }
    if (ok && must_close) {
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    }
    buf_fini(&scratch);
    return ok;
}

static ssize_t no_bytes(void *cls, uint64_t at, char *to, size_t room)
{
    (void)cls;
    (void)at;
    (void)to;
    (void)room;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

/* A 304 has no Content-Length (it would be that of the 200), and MHD leaves it out only when the
 * length is unknown. */
static struct MHD_Response *bare_body(void)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 64, no_bytes, NULL, NULL);

    if (response != NULL) {
        (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    }
    return response;
}

static char *unconst(const char *p)
{
    union {
        const char *in;
        char *out;
    } pun = {.in = p};

    return pun.out;
}

void answer_drop(const struct httpd_answer *a)
{
    if (a->free_body != NULL && a->body.p != NULL) {
        a->free_body(unconst(a->body.p));
    }
}

static struct MHD_Response *with_body(const struct httpd_answer *a)
{
    bool is_bodyless = a->status == 204 || a->status == 304;
    struct MHD_Response *response = NULL;

    if (!is_bodyless && a->free_body != NULL && a->body.n > 0) {
        response = MHD_create_response_from_buffer_with_free_callback(a->body.n, unconst(a->body.p),
                                                                      a->free_body);
        if (response == NULL) {
            a->free_body(unconst(a->body.p));
        }
        return response;
    }
    if (a->status == 304) {
        response = bare_body();
    } else if (is_bodyless || a->body.n == 0) {
        response = MHD_create_response_from_buffer(0, unconst(""), MHD_RESPMEM_PERSISTENT);
    } else {
        response =
            MHD_create_response_from_buffer(a->body.n, unconst(a->body.p), MHD_RESPMEM_MUST_COPY);
    }
    answer_drop(a);
    return response;
}

size_t answer_head_len(const struct httpd_answer *a)
{
    size_t n = a->content_type == NULL ? 0 : strlen(a->content_type);

    for (size_t i = 0; i < a->n_fields; i++) {
        n += a->fields[i].name.n + a->fields[i].value.n + sizeof ": \r\n" - 1;
    }
    return n;
}

struct MHD_Response *answer_build(const struct httpd_answer *a, bool must_close)
{
    struct MHD_Response *response = with_body(a);

    if (response != NULL && !add_fields(response, a, must_close)) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

/* --- refusals --------------------------------------------------------------------------------- */

/* `text` holds the default body. */
static struct httpd_answer refusal(const struct httpd *h, int status, const char *detail,
                                   struct buf *text)
{
    struct httpd_answer a = {.status = status, .content_type = "text/plain"};

    buf_printf(text, "%d %s: %s\n", status, reason_of(status), detail);
    a.body = buf_as_str(text);
    if (h->o.on_refusal != NULL) {
        h->o.on_refusal(status, detail, &a, h->o.arg);
    }
    a.status = status;
    return a;
}

struct MHD_Response *answer_refusal(const struct httpd *h, int status, const char *detail)
{
    struct buf text = {0};
    struct httpd_answer a = refusal(h, status, detail, &text);
    struct MHD_Response *response = answer_build(&a, /* must_close= */ true);

    buf_fini(&text);
    return response;
}

static void print(const struct httpd_answer *a, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", a->status, reason_of(a->status));
    if (a->content_type != NULL) {
        buf_printf(out, "Content-Type: %s\r\n", a->content_type);
    }
    for (size_t i = 0; i < a->n_fields; i++) {
        if (is_field_sent(a, a->fields[i])) {
            buf_str(out, a->fields[i].name);
            buf_text(out, ": ");
            buf_str(out, a->fields[i].value);
            buf_text(out, "\r\n");
        }
    }
    buf_printf(out, "Content-Length: %zu\r\nConnection: close\r\n\r\n", a->body.n);
    buf_str(out, a->body);
}

void answer_refuse_raw(const struct httpd *h, int fd, int status, const char *detail)
{
    struct buf text = {0};
    struct buf out = {0};
    struct httpd_answer a = refusal(h, status, detail, &text);

    print(&a, &out);
    answer_drop(&a);
    if (!buf_failed(&out)) {
        /* Nothing is under way on this socket, so the kernel has room for it; if not, the client
         * gets the closed connection alone. */
        (void)send(fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    buf_fini(&text);
    buf_fini(&out);
}
