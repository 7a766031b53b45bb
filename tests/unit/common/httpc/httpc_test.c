/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a raw server (tenant.h) over real sockets: what counts is how each call ended,
 * and how often the other side has executed it. */
#include "httpc/httpc.h"

#include "base/buf.h"
#include "base/clock.h"
#include "tenant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { FAR_MS = 20000 /* a limit that no case reaches */, HANGUP_MS = 10000 };

/* ---- A resolver that can hang (libcurl's calls of getaddrinfo end here) ---- */

static struct {
    int entered[2]; /* a pipe: a byte for each lookup of slow.test */
    sem_t go;
    sem_t left;
} resolver;

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict res)
{
    (void)service;
    (void)hints;
    (void)res;
    if (node != NULL && strcmp(node, "slow.test") == 0) {
        (void)!write(resolver.entered[1], "x", 1);
        (void)sem_wait(&resolver.go);
        (void)sem_post(&resolver.left);
    }
    return EAI_NONAME;
}

/* ---- Fixture ---- */

struct fixture {
    struct loop *loop;
    struct httpc *h;
    struct tenant *t;
    size_t pending; /* the loop stops at 0 */
};

struct outcome {
    struct fixture *f;
    struct httpc_call *call;
    unsigned int done_count;
    unsigned int asked_count; /* how often may_send was called */
    bool is_denied;           /* may_send says no */
    enum httpc_kind kind;
    const char *error;
    int status;
    struct buf head;
    struct buf body;
    bool is_too_large;
    size_t body_bytes;
    int64_t took_ms;
    /* Runs at the end of done, when set. */
    void (*after)(struct outcome *o, void *arg);
    void *after_arg;
};

static void set_up(struct fixture *f, int64_t idle_s, tenant_cb cb, void *arg)
{
    *f = (struct fixture){0};
    assert_int_equal(loop_new(&f->loop), 0);
    assert_int_equal(httpc_new(f->loop, idle_s, &f->h), 0);
    f->t = cb == NULL ? NULL : tenant_start(cb, arg);
}

static void tear_down(struct fixture *f)
{
    httpc_free(f->h);
    tenant_stop(f->t);
    loop_free(f->loop);
}

static void outcome_fini(struct outcome *o)
{
    buf_fini(&o->head);
    buf_fini(&o->body);
}

static void on_done(const struct httpc_result *r, void *arg)
{
    struct outcome *o = arg;

    o->done_count++;
    o->kind = r->kind;
    o->error = r->error;
    o->status = r->status;
    buf_add(&o->head, r->head.p, r->head.n);
    buf_add(&o->body, r->body.p, r->body.n);
    o->is_too_large = r->is_too_large;
    o->body_bytes = r->body_bytes;
    o->took_ms = r->took_ms;
    if (o->after != NULL) {
        o->after(o, o->after_arg);
    }
    if (--o->f->pending == 0) {
        loop_stop(o->f->loop);
    }
}

static bool on_may_send(void *arg)
{
    struct outcome *o = arg;

    o->asked_count++;
    return !o->is_denied;
}

static void url_of(const struct fixture *f, char out[128], const char *scheme, const char *path)
{
    (void)snprintf(out, 128, "%s://127.0.0.1:%u%s", scheme, tenant_port(f->t), path);
}

static struct httpc_request request_of(struct outcome *o, const char *url)
{
    return (struct httpc_request){.method = STR("POST"),
                                  .url = url,
                                  .body = STR("hello"),
                                  .connect_ms = FAR_MS,
                                  .total_ms = FAR_MS,
                                  .max_answer_bytes = 1 << 20,
                                  .may_send = on_may_send,
                                  .done = on_done,
                                  .arg = o};
}

static void start(struct fixture *f, struct outcome *o, const struct httpc_request *r)
{
    o->f = f;
    f->pending++;
    assert_int_equal(httpc_start(f->h, r, &o->call), 0);
    assert_int_equal(o->done_count, 0); /* never from within */
}

/* Runs one call to its end. */
static void run(struct fixture *f, struct outcome *o, const struct httpc_request *r)
{
    start(f, o, r);
    loop_run(f->loop);
    assert_int_equal(o->done_count, 1);
    assert_int_equal(httpc_running(f->h), 0);
}

static void run_simple(struct fixture *f, struct outcome *o)
{
    char url[128];

    url_of(f, url, "http", "/x");
    struct httpc_request r = request_of(o, url);
    run(f, o, &r);
}

static void expect(const struct outcome *o, enum httpc_kind kind, const char *error)
{
    if (o->kind != kind || (error == NULL) != (o->error == NULL) ||
        (error != NULL && strcmp(o->error, error) != 0)) {
        fail_msg("kind %d error %s, expected kind %d error %s", (int)o->kind,
                 o->error == NULL ? "none" : o->error, (int)kind, error == NULL ? "none" : error);
    }
}

static void expect_ok(const struct outcome *o)
{
    expect(o, HTTPC_ANSWERED, NULL);
    assert_int_equal(o->status, 200);
    assert_string_equal(o->body.p, "ok");
}

static bool answer_ok(const struct tenant_visit *v, void *arg)
{
    bool is_head =
        strncmp(v->bytes, "HEAD ", 5) == 0; /* a body behind it would cost the connection */

    (void)arg;
    return tenant_say(v->fd, is_head ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                                     : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

/* ---- Answers, byte by byte ---- */

enum ending { KEEP, CLOSE, RESET };

struct answer_case {
    const char *name;
    const char *method;
    const char *bytes;
    size_t n;
    enum ending ending;
    enum httpc_kind kind;
    const char *error;
    int status;
    const char *head;
    const char *body;
};

#define BYTES(literal) literal, sizeof(literal) - 1
#define WHOLE(status, head, body) HTTPC_ANSWERED, NULL, status, head, body
#define BROKEN HTTPC_DOUBT, "connection_broken", 0, "", ""
#define MALFORMED HTTPC_DOUBT, "answer_malformed", 0, "", ""

static const struct answer_case answer_cases[] = {
    {"with a length", "POST", BYTES("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nok"), KEEP,
     WHOLE(200, "A: b\r\n", "ok")},
    {"chunked", "POST",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n"),
     KEEP, WHOLE(200, "", "ok!")},
    {"chunked with trailers", "POST",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n"),
     KEEP, WHOLE(200, "", "ok")},
    {"until close", "POST", BYTES("HTTP/1.1 200 OK\r\n\r\nok"), CLOSE, WHOLE(200, "", "ok")},
    {"HTTP/1.0", "POST", BYTES("HTTP/1.0 200 OK\r\n\r\nok"), CLOSE, WHOLE(200, "", "ok")},
    {"whole, then reset", "POST", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), RESET,
     WHOLE(200, "", "ok")},
    {"204 without a body", "POST", BYTES("HTTP/1.1 204 No\r\nA: b\r\n\r\n"), KEEP,
     WHOLE(204, "A: b\r\n", "")},
    {"304", "GET", BYTES("HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n"), KEEP,
     WHOLE(304, "", "")},
    {"HEAD with a length", "HEAD", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nA: b\r\n\r\n"),
     KEEP, WHOLE(200, "A: b\r\n", "")},
    {"502 is an answer", "POST", BYTES("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"), KEEP,
     WHOLE(502, "", "")},
    {"401 is not tried again", "POST",
     BYTES("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"),
     KEEP, WHOLE(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "")},
    {"417 is not tried again", "POST", BYTES("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"), KEEP,
     WHOLE(417, "", "")},
    {"a redirect is returned", "POST",
     BYTES("HTTP/1.1 302 Go\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"), KEEP,
     WHOLE(302, "Location: file:///etc/passwd\r\n", "")},
    {"307 is returned", "POST",
     BYTES("HTTP/1.1 307 Go\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"), KEEP,
     WHOLE(307, "Location: /again\r\n", "")},
    {"interim answers", "POST",
     BYTES("HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
     KEEP, WHOLE(200, "", "ok")},
    {"repeated fields in order", "POST",
     BYTES("HTTP/1.1 200 OK\r\nSet-Cookie: b=2\r\nA: x\r\nSet-Cookie: a=1\r\n"
           "Content-Length: 0\r\n\r\n"),
     KEEP, WHOLE(200, "Set-Cookie: b=2\r\nA: x\r\nSet-Cookie: a=1\r\n", "")},
    {"hop-by-hop fields go", "POST",
     BYTES("HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
           "Proxy-Authenticate: x\r\nTE: x\r\nTrailer: x\r\nA: b\r\nContent-Length: 0\r\n\r\n"),
     KEEP, WHOLE(200, "A: b\r\n", "")},
    {"compressed bytes stay", "POST",
     BYTES("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x01z"),
     KEEP, WHOLE(200, "Content-Encoding: gzip\r\n", "\x1f\x8b\x01z")},
    {"more than the length", "POST",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"), KEEP,
     WHOLE(200, "", "ok")},
    {"closed without an answer", "POST", BYTES(""), CLOSE, BROKEN},
    {"reset without an answer", "POST", BYTES(""), RESET, BROKEN},
    {"closed within the status line", "POST", BYTES("HTTP/1.1 20"), CLOSE, HTTPC_DOUBT, NULL, 0, "",
     ""},
    {"closed after the status line", "POST", BYTES("HTTP/1.1 200 OK\r\n"), CLOSE, BROKEN},
    {"closed within the head", "POST", BYTES("HTTP/1.1 200 OK\r\nA: b\r\n"), CLOSE, BROKEN},
    {"closed within a field", "POST", BYTES("HTTP/1.1 200 OK\r\nA: b\r\nConte"), CLOSE, BROKEN},
    {"closed after an interim answer", "POST", BYTES("HTTP/1.1 100 Continue\r\n\r\n"), CLOSE,
     BROKEN},
    {"closed before the body", "POST", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), CLOSE,
     BROKEN},
    {"short of its length", "POST", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
     CLOSE, BROKEN},
    {"reset within the body", "POST", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
     RESET, BROKEN},
    {"reset of a body until close", "POST", BYTES("HTTP/1.1 200 OK\r\n\r\nhalf"), RESET, BROKEN},
    {"closed within a chunk", "POST",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"), CLOSE, BROKEN},
    {"no last chunk", "POST",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), CLOSE, BROKEN},
    {"last chunk without its end", "POST",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"), CLOSE, BROKEN},
    {"chunk size that is none", "POST",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"), KEEP,
     HTTPC_DOUBT, NULL, 0, "", ""},
    {"garbage", "POST", BYTES("\x01\x02garbage\r\n\r\n"), CLOSE, MALFORMED},
    {"HTTP/0.9", "GET", BYTES("<html>hello</html>\n"), CLOSE, MALFORMED},
    {"HTTP/3.0 on this wire", "POST", BYTES("HTTP/3.0 200 OK\r\n\r\n"), CLOSE, MALFORMED},
    {"status 999", "POST", BYTES("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), KEEP, MALFORMED},
    {"101 unasked", "POST", BYTES("HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\nraw"), KEEP, MALFORMED},
    {"a length that is none", "POST", BYTES("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
     CLOSE, MALFORMED},
    {"two lengths that differ", "POST",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"), CLOSE,
     MALFORMED},
    {"NUL in the head", "POST", BYTES("HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n"),
     KEEP, MALFORMED},
};

static bool answer_case(const struct tenant_visit *v, void *arg)
{
    const struct answer_case *k = arg;

    (void)tenant_send(v->fd, k->bytes, k->n);
    if (k->ending == RESET) {
        tenant_set_reset(v->fd);
    }
    return k->ending == KEEP;
}

static void test_answer(void **state)
{
    const struct answer_case *k = *state;
    struct fixture f;
    struct outcome o = {0};
    char url[128];

    set_up(&f, 5, answer_case, *state);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    r.method = str_of(k->method);
    r.body = strcmp(k->method, "POST") == 0 ? STR("hello") : STR("");
    run(&f, &o, &r);
    /* Without a word: which one it is depends on curl's version. */
    expect(&o, k->kind, k->kind == HTTPC_DOUBT && k->error == NULL ? o.error : k->error);
    assert_int_equal(o.status, k->status);
    assert_string_equal(o.head.p, k->head);
    assert_string_equal(o.body.p, k->body);
    assert_int_equal(o.body_bytes, strlen(k->body));
    assert_false(o.is_too_large);
    assert_int_equal(tenant_requests(f.t), 1);
    assert_int_equal(tenant_connections(f.t), 1);
    assert_int_equal(o.asked_count, 1);
    outcome_fini(&o);
    tear_down(&f);
}

/* ---- Requests, byte by byte ---- */

struct wire_case {
    const char *name;
    const char *method;
    const char *target;
    const char *head[6];
    const char *body;
    size_t body_n;
    const char *fields; /* after Host, without Content-Length */
    const char *length; /* of Content-Length, or NULL: none */
};

static const struct wire_case wire_cases[] = {
    {"GET", "GET", "/a?b=c", {NULL}, BYTES(""), "", NULL},
    {"no path", "GET", "", {NULL}, BYTES(""), "", NULL},
    {"HEAD", "HEAD", "/", {NULL}, BYTES(""), "", NULL},
    {"DELETE", "DELETE", "/", {NULL}, BYTES(""), "", NULL},
    {"POST", "POST", "/", {NULL}, BYTES("abc"), "", "3"},
    {"POST of nothing", "POST", "/", {NULL}, BYTES(""), "", "0"},
    {"PUT of nothing", "PUT", "/", {NULL}, BYTES(""), "", "0"},
    {"PATCH", "PATCH", "/", {NULL}, BYTES("x"), "", "1"},
    {"GET with a body", "GET", "/", {NULL}, BYTES("abc"), "", "3"},
    {"DELETE with a body", "DELETE", "/", {NULL}, BYTES("abc"), "", "3"},
    {"a method of its own", "X-Do.It!", "/", {NULL}, BYTES(""), "", NULL},
    {"lower case is another method", "head", "/", {NULL}, BYTES("a"), "", "1"},
    {"NUL in the body", "POST", "/", {NULL}, BYTES("a\0b\0"), "", "4"},
    {"path as it is", "GET", "/a/./../b//%2e%2E/c%2fd;e?f=/../g&h", {NULL}, BYTES(""), "", NULL},
    {"a query without a path", "GET", "?a=b", {NULL}, BYTES(""), "", NULL},
    {"bytes beyond ASCII", "GET", "/\xC3\xA4?\xC3\xB6", {NULL}, BYTES(""), "", NULL},
    {"repeated fields in order",
     "GET",
     "/",
     {"B: 2", "a: 1", "B: 1", NULL},
     BYTES(""),
     "B: 2\r\na: 1\r\nB: 1\r\n",
     NULL},
    {"the caller's own defaults",
     "POST",
     "/",
     {"Accept: x/y", "User-Agent: me", "Content-Type: t/u", NULL},
     BYTES("a"),
     "Accept: x/y\r\nUser-Agent: me\r\nContent-Type: t/u\r\n",
     "1"},
    {"empty values are sent",
     "GET",
     "/",
     {"A:", "B: ", "Accept: ", "C: ;", NULL},
     BYTES(""),
     "A:\r\nB:\r\nAccept:\r\nC: ;\r\n",
     NULL},
    {"framing and Host are ours",
     "POST",
     "/",
     {"Content-Length: 99", "Transfer-Encoding: chunked", "Host: evil", "Connection: close",
      "Expect: 100-continue", NULL},
     BYTES("a"),
     "",
     "1"},
    {"tab and beyond ASCII in a value",
     "GET",
     "/",
     {"A: b\tc \xC3\xA4", NULL},
     BYTES(""),
     "A: b\tc \xC3\xA4\r\n",
     NULL},
};

/* Takes the Content-Length line out of a request and gives its value. */
static bool take_length(struct buf *request, struct str *ret_value)
{
    static const char name[] = "Content-Length: ";
    char *at = strstr(request->p, name);

    if (at == NULL) {
        return false;
    }
    char *end = strstr(at, "\r\n");
    *ret_value =
        (struct str){str_dup((struct str){at + strlen(name), (size_t)(end - at) - strlen(name)}),
                     (size_t)(end - at) - strlen(name)};
    memmove(at, end + 2, (size_t)(request->p + request->n - end - 2));
    request->n -= (size_t)(end + 2 - at);
    return true;
}

static void test_wire(void **state)
{
    const struct wire_case *k = *state;
    struct fixture f;
    struct outcome o = {0};
    struct buf expected = {0};
    struct buf got = {0};
    struct str length = {NULL, 0};
    char url[128];
    size_t n;

    set_up(&f, 5, answer_ok, NULL);
    url_of(&f, url, "http", k->target);
    struct httpc_request r = request_of(&o, url);
    r.method = str_of(k->method);
    r.head = k->head;
    r.body = (struct str){k->body, k->body_n};
    run(&f, &o, &r);
    expect(&o, HTTPC_ANSWERED, NULL);
    const char *last = tenant_last(f.t, &n);
    buf_add(&got, last, n);
    assert_int_equal(take_length(&got, &length), k->length != NULL);
    assert_true(str_is(length, str_of(k->length)));
    buf_printf(&expected, "%s %s%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n", k->method,
               k->target[0] == '/' ? "" : "/", k->target, tenant_port(f.t), k->fields);
    buf_add(&expected, k->body, k->body_n);
    if (!str_is(buf_as_str(&got), buf_as_str(&expected))) {
        fail_msg("got %s\nexpected %s", got.p, expected.p);
    }
    free((void *)(uintptr_t)length.p);
    buf_fini(&got);
    buf_fini(&expected);
    outcome_fini(&o);
    tear_down(&f);
}

static void test_invalid(void **state)
{
    static const struct {
        const char *method;
        const char *url;
        const char *line;
        const char *body;
    } cases[] = {
        {"", "http://h/", NULL, ""},
        {"GE T", "http://h/", NULL, ""},
        {"GET\r\n", "http://h/", NULL, ""},
        {"CONNECT", "http://h/", NULL, ""},
        {"HEAD", "http://h/", NULL, "body"},
        {"GET", "", NULL, ""},
        {"GET", "ftp://h/", NULL, ""},
        {"GET", "file:///etc/passwd", NULL, ""},
        {"GET", "http:///h/", NULL, ""},
        {"GET", "http://h/a b", NULL, ""},
        {"GET", "http://h/\r\nX: y", NULL, ""},
        {"GET", "http://h/#f", NULL, ""},
        {"GET", "http://h:99999/", NULL, ""},
        {"GET", "http://h:x/", NULL, ""},
        {"GET", "http://me:secret@h/", NULL, ""},
        {"GET", "http://[::1/", NULL, ""},
        {"GET", "http://h/", "A", ""},
        {"GET", "http://h/", ": b", ""},
        {"GET", "http://h/", "A b: c", ""},
        {"GET", "http://h/", "A: b\r\nC: d", ""},
        {"GET", "http://h/", "A: b\n", ""},
        {"GET", "http://h/", "A: \x01", ""},
        {"GET", "http://h/", "A;", ""},
    };
    struct fixture f;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *head[] = {cases[i].line, NULL};
        struct outcome o = {0};
        struct httpc_call *call = NULL;
        struct httpc_request r = request_of(&o, cases[i].url);
        r.method = str_of(cases[i].method);
        r.head = head;
        r.body = str_of(cases[i].body);
        if (httpc_start(f.h, &r, &call) != ERR_INVALID || call != NULL) {
            fail_msg("case %zu", i);
        }
    }
    assert_int_equal(httpc_running(f.h), 0);
    tear_down(&f);
}

/* ---- Never left ---- */

/* A socket bound to a port of 127.0.0.1, listening when backlog >= 0. */
static int bind_port(int backlog, uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    assert_true(backlog < 0 || listen(fd, backlog) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void test_refused(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];
    uint16_t port;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    int fd = bind_port(-1, &port); /* bound, not listening: nobody else takes the port */
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    struct httpc_request r = request_of(&o, url);
    run(&f, &o, &r);
    expect(&o, HTTPC_UNSENT, "connect_refused");
    assert_int_equal(o.asked_count, 0);
    (void)close(fd);
    outcome_fini(&o);
    tear_down(&f);
}

enum { FILLERS = 8 };

/* Fills the queue of a listener; false when the kernel would not have it full. */
static bool fill_backlog(uint16_t port, int fillers[FILLERS])
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (size_t i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fillers[i] >= 0);
        (void)connect(fillers[i], (struct sockaddr *)&at, sizeof at);
    }
    struct pollfd last = {.fd = fillers[FILLERS - 1], .events = POLLOUT};
    return poll(&last, 1, 100) == 0;
}

static void test_black_hole(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    int fillers[FILLERS];
    char url[128];
    uint16_t port;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    int fd = bind_port(0, &port);
    bool is_full = fill_backlog(port, fillers);
    if (is_full) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
        struct httpc_request r = request_of(&o, url);
        r.connect_ms = 200;
        run(&f, &o, &r);
        expect(&o, HTTPC_UNSENT, "connect_timeout");
        assert_true(o.took_ms >= 199 && o.took_ms < FAR_MS / 2);
    }
    for (size_t i = 0; i < FILLERS; i++) {
        (void)close(fillers[i]);
    }
    (void)close(fd);
    outcome_fini(&o);
    tear_down(&f);
    if (!is_full) {
        skip();
    }
}

static void test_not_resolved(void **state)
{
    struct fixture f;
    struct outcome o = {0};

    (void)state;
    set_up(&f, 5, NULL, NULL);
    struct httpc_request r = request_of(&o, "http://nowhere.test/");
    run(&f, &o, &r);
    expect(&o, HTTPC_UNSENT, "resolve_failed");
    outcome_fini(&o);
    tear_down(&f);
}

/* Lets the hanging lookup go, and waits until it has. */
static void release_resolver(void)
{
    char byte;

    assert_int_equal(read(resolver.entered[0], &byte, 1), 1);
    (void)sem_post(&resolver.go);
    (void)sem_wait(&resolver.left);
}

static void on_lookup(struct loop_fd *watch, unsigned int events, void *arg)
{
    struct outcome *o = arg;

    (void)events;
    loop_fd_want(watch, 0);
    httpc_abort(o->call);
}

/* The lookup is let go only after `done`: were the loop to wait for it, the test would hang. */
static void test_abort_within_lookup(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    struct loop_fd *watch;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    struct httpc_request r = request_of(&o, "http://slow.test/");
    assert_int_equal(loop_fd_new(f.loop, resolver.entered[0], on_lookup, &o, &watch), 0);
    loop_fd_want(watch, LOOP_READ);
    run(&f, &o, &r);
    expect(&o, HTTPC_UNSENT, "aborted");
    loop_fd_free(watch);
    outcome_fini(&o);
    tear_down(&f);
    release_resolver();
}

static void test_timeout_within_lookup(void **state)
{
    struct fixture f;
    struct outcome o = {0};

    (void)state;
    set_up(&f, 5, NULL, NULL);
    struct httpc_request r = request_of(&o, "http://slow.test/");
    r.connect_ms = 100;
    run(&f, &o, &r);
    expect(&o, HTTPC_UNSENT, "resolve_failed");
    tear_down(&f);
    release_resolver();
    outcome_fini(&o);
}

/* No lookup: the resolver above knows no localhost. */
static void test_localhost(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];

    (void)state;
    set_up(&f, 5, answer_ok, NULL);
    (void)snprintf(url, sizeof url, "http://localhost:%u/", tenant_port(f.t));
    struct httpc_request r = request_of(&o, url);
    run(&f, &o, &r);
    expect_ok(&o);
    outcome_fini(&o);
    tear_down(&f);
}

static bool answer_never(const struct tenant_visit *v, void *arg)
{
    (void)arg;
    (void)tenant_wait_hangup(v->fd, HANGUP_MS);
    return false;
}

static void *speak_plainly(void *arg)
{
    int peer = accept(*(int *)arg, NULL, NULL);

    (void)tenant_say(peer, "HTTP/1.1 400 Bad\r\n\r\n");
    while (!tenant_wait_hangup(peer, HANGUP_MS)) {
    }
    (void)close(peer);
    return NULL;
}

/* The other side speaks no TLS: it answers the handshake with plain text. */
static void test_tls_refused(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];
    uint16_t port;
    pthread_t thread;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    int fd = bind_port(8, &port);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", port);
    struct httpc_request r = request_of(&o, url);
    start(&f, &o, &r);
    assert_int_equal(pthread_create(&thread, NULL, speak_plainly, &fd), 0);
    loop_run(f.loop);
    expect(&o, HTTPC_UNSENT, "tls_failed");
    assert_int_equal(o.asked_count, 0);
    (void)pthread_join(thread, NULL);
    (void)close(fd);
    outcome_fini(&o);
    tear_down(&f);
}

static void test_tls_stalls(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];
    uint16_t port;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    int fd = bind_port(8, &port); /* the kernel accepts, nobody speaks */
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", port);
    struct httpc_request r = request_of(&o, url);
    r.connect_ms = 200;
    run(&f, &o, &r);
    expect(&o, HTTPC_UNSENT, "connect_timeout");
    (void)close(fd);
    outcome_fini(&o);
    tear_down(&f);
}

static void test_may_not_send(void **state)
{
    struct fixture f;
    struct outcome o = {.is_denied = true};
    struct outcome again = {0};

    (void)state;
    set_up(&f, 5, answer_ok, NULL);
    run_simple(&f, &o);
    expect(&o, HTTPC_UNSENT, "not_sent");
    assert_int_equal(o.asked_count, 1);
    assert_int_equal(tenant_requests(f.t), 0);
    run_simple(&f, &again);
    expect_ok(&again);
    assert_int_equal(tenant_requests(f.t), 1);
    outcome_fini(&o);
    outcome_fini(&again);
    tear_down(&f);
}

/* ---- Never twice ---- */

enum { SECOND_DIES_BY_CLOSE, SECOND_DIES_BY_RESET, SECOND_DIES_IN_HEAD };

static bool answer_first_only(const struct tenant_visit *v, void *arg)
{
    int how = *(int *)arg;

    if (v->nth == 1) {
        return answer_ok(v, NULL);
    }
    if (how == SECOND_DIES_BY_RESET) {
        tenant_set_reset(v->fd);
    } else if (how == SECOND_DIES_IN_HEAD) {
        (void)tenant_say(v->fd, "HTTP/1.1 200 OK\r\n");
    }
    return false;
}

/* libcurl sends again by itself here, also with an empty body, unless it is stopped. */
static void test_reused_connection_dies(void **state)
{
    static const struct {
        const char *method;
        const char *body;
    } requests[] = {{"POST", "hello"}, {"POST", ""}, {"GET", ""}, {"DELETE", ""}, {"HEAD", ""}};

    (void)state;
    for (size_t i = 0; i < COUNT(requests) * 3; i++) {
        int how = (int)(i % 3);
        struct fixture f;
        struct outcome first = {0};
        struct outcome second = {0};
        struct outcome third = {0};
        char url[128];

        set_up(&f, 5, answer_first_only, &how);
        run_simple(&f, &first);
        expect_ok(&first);
        url_of(&f, url, "http", "/x");
        struct httpc_request r = request_of(&second, url);
        r.method = str_of(requests[i / 3].method);
        r.body = str_of(requests[i / 3].body);
        run(&f, &second, &r);
        expect(&second, HTTPC_DOUBT, "connection_broken");
        assert_int_equal(second.asked_count, 1);
        assert_int_equal(tenant_requests(f.t), 2);
        run_simple(&f, &third); /* the next call has a fresh connection and is well */
        expect_ok(&third);
        assert_int_equal(tenant_requests(f.t), 3);
        assert_int_equal(tenant_connections(f.t), 2);
        outcome_fini(&first);
        outcome_fini(&second);
        outcome_fini(&third);
        tear_down(&f);
    }
}

/* As above, but curl finds another resting connection to send again on: it opens none. */
static void test_reused_connection_dies_beside_another(void **state)
{
    int how = SECOND_DIES_BY_CLOSE;
    struct fixture f;
    struct outcome first[3] = {{0}};
    struct outcome last = {0};
    char url[128];

    (void)state;
    set_up(&f, 5, answer_first_only, &how);
    url_of(&f, url, "http", "/x");
    for (size_t i = 0; i < COUNT(first); i++) {
        struct httpc_request r = request_of(&first[i], url);
        start(&f, &first[i], &r);
    }
    loop_run(f.loop);
    assert_int_equal(tenant_connections(f.t), 3);
    run_simple(&f, &last);
    expect(&last, HTTPC_DOUBT, "connection_broken");
    assert_int_equal(last.asked_count, 1);
    assert_int_equal(tenant_requests(f.t), 3 + 1);
    for (size_t i = 0; i < COUNT(first); i++) {
        expect_ok(&first[i]);
        outcome_fini(&first[i]);
    }
    outcome_fini(&last);
    tear_down(&f);
}

static bool answer_and_close(const struct tenant_visit *v, void *arg)
{
    (void)answer_ok(v, arg);
    return false;
}

/* A connection that was closed while it rested is found dead before it is used: no doubt. */
static void test_closed_while_resting(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, 5, answer_and_close, NULL);
    for (unsigned int i = 1; i <= 20; i++) {
        struct outcome o = {0};
        run_simple(&f, &o);
        /* The close may come after the next request was written: then it is in doubt, and was sent
         * once at most. */
        if (o.kind == HTTPC_ANSWERED) {
            expect_ok(&o);
        } else {
            expect(&o, HTTPC_DOUBT, "connection_broken");
        }
        assert_true(tenant_requests(f.t) <= i);
        outcome_fini(&o);
    }
    tear_down(&f);
}

/* ---- Time ---- */

static void test_first_byte_timeout(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];

    (void)state;
    set_up(&f, 5, answer_never, NULL);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    r.first_byte_ms = 200;
    run(&f, &o, &r);
    expect(&o, HTTPC_DOUBT, "timeout_first_byte");
    /* libuv counts whole milliseconds: its timers may be one early. */
    assert_true(o.took_ms >= 199 && o.took_ms < FAR_MS / 2);
    assert_int_equal(tenant_requests(f.t), 1);
    outcome_fini(&o);
    tear_down(&f);
}

/* A listener whose connections are never accepted until the end, and take a few kilobytes. */
static int listen_deaf(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int room = 4096;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* A request that was given up while its bytes were still under way does not arrive later. */
static void test_what_is_given_up_is_not_sent(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];
    static char body[40000];
    char got[4096];
    uint16_t port = 0;
    size_t n = 0;
    ssize_t k = 0;

    (void)state;
    set_up(&f, 5, NULL, NULL);
    int listener = listen_deaf(&port);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/x", port);
    memset(body, 'b', sizeof body);
    struct httpc_request r = request_of(&o, url);
    r.body = (struct str){body, sizeof body};
    r.first_byte_ms = 300;
    run(&f, &o, &r);
    expect(&o, HTTPC_DOUBT, "timeout_first_byte");
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    do {
        k = read(fd, got, sizeof got);
        n += k > 0 ? (size_t)k : 0;
    } while (k > 0);
    assert_true(n < sizeof body);
    (void)close(fd);
    (void)close(listener);
    outcome_fini(&o);
    tear_down(&f);
}

static void test_total_timeout(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];

    (void)state;
    set_up(&f, 5, answer_never, NULL);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    r.total_ms = 200;
    run(&f, &o, &r);
    expect(&o, HTTPC_DOUBT, "timeout_total");
    assert_true(o.took_ms >= 199 && o.took_ms < FAR_MS / 2);
    outcome_fini(&o);
    tear_down(&f);
}

struct drip {
    const char *before;
    const char *each;
};

/* `before`, then `each` every 10 ms until the other side has had enough. */
static bool answer_drip(const struct tenant_visit *v, void *arg)
{
    const struct drip *d = arg;

    (void)tenant_say(v->fd, d->before);
    while (!tenant_wait_hangup(v->fd, 10)) {
        if (!tenant_say(v->fd, d->each)) {
            break;
        }
    }
    return false;
}

static void run_drip(struct drip drip, int64_t first_byte_ms, int64_t total_ms, const char *error)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];

    set_up(&f, 5, answer_drip, &drip);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    r.first_byte_ms = first_byte_ms;
    r.total_ms = total_ms;
    run(&f, &o, &r);
    expect(&o, HTTPC_DOUBT, error);
    outcome_fini(&o);
    tear_down(&f);
}

static void test_drip(void **state)
{
    (void)state;
    run_drip((struct drip){"HTTP/1.1 200 OK\r\nA: ", "x"}, 0, 300, "timeout_total");
    run_drip((struct drip){"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", "x"}, 0, 300,
             "timeout_total");
    run_drip((struct drip){"HTTP/1.1 200 OK\r\n\r\n", "x"}, 0, 300, "timeout_total");
    /* The limit of the first byte ends with the status line... */
    run_drip((struct drip){"HTTP/1.1 200 OK\r\n", "A: b\r\n"}, 150, 400, "timeout_total");
    /* ...of the final answer, not of an interim one; */
    run_drip((struct drip){"", "HTTP/1.1 102 Processing\r\n\r\n"}, 150, FAR_MS,
             "timeout_first_byte");
    /* and bytes alone are no status line. */
    run_drip((struct drip){"HTTP/1.1 200 ", "x"}, 150, FAR_MS, "timeout_first_byte");
}

/* ---- Size ---- */

struct large {
    size_t body_n;
    bool has_length; /* else the body lasts until the close */
    bool is_cut;     /* closes 1 byte short */
    bool stalls;
};

static bool send_many(int fd, const char *chunk, size_t chunk_n, size_t total)
{
    while (total > 0) {
        size_t n = total < chunk_n ? total : chunk_n;
        if (!tenant_send(fd, chunk, n)) {
            return false;
        }
        total -= n;
    }
    return true;
}

static bool answer_large(const struct tenant_visit *v, void *arg)
{
    static const char chunk[65536];
    const struct large *l = arg;
    char head[64];

    (void)tenant_say(v->fd, "HTTP/1.1 200 OK\r\nA: b\r\n");
    (void)snprintf(head, sizeof head, "Content-Length: %zu\r\n", l->body_n);
    (void)tenant_say(v->fd, l->has_length ? head : "");
    (void)tenant_say(v->fd, "\r\n");
    (void)send_many(v->fd, chunk, sizeof chunk, l->body_n - (l->is_cut ? 1 : 0));
    if (l->stalls) {
        (void)tenant_wait_hangup(v->fd, HANGUP_MS);
    }
    return !l->is_cut && !l->stalls;
}

static void run_large(struct large l, size_t max, int64_t total_ms, struct outcome *o)
{
    struct fixture f;
    char url[128];

    set_up(&f, 5, answer_large, &l);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(o, url);
    r.max_answer_bytes = max;
    r.total_ms = total_ms;
    run(&f, o, &r);
    tear_down(&f);
}

static void test_size_limit(void **state)
{
    struct outcome o = {0};

    (void)state;
    run_large((struct large){.body_n = 1000, .has_length = true}, 1000, FAR_MS, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_false(o.is_too_large);
    assert_int_equal(o.body.n, 1000);
    outcome_fini(&o);

    o = (struct outcome){0};
    run_large((struct large){.body_n = 1001, .has_length = true}, 1000, FAR_MS, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_true(o.is_too_large);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.head.p, "A: b\r\n");
    assert_int_equal(o.body.n, 0);
    assert_int_equal(o.body_bytes, 1001);
    outcome_fini(&o);

    o = (struct outcome){0};
    run_large((struct large){.body_n = 8 << 20, .has_length = true}, 1000, FAR_MS, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_true(o.is_too_large);
    assert_int_equal(o.body_bytes, 8 << 20);
    outcome_fini(&o);
}

/* Nothing allowed: only an empty body is not too large. */
static void test_size_limit_of_nothing(void **state)
{
    struct outcome o = {0};

    (void)state;
    run_large((struct large){.body_n = 0, .has_length = true}, 0, FAR_MS, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_false(o.is_too_large);
    outcome_fini(&o);

    o = (struct outcome){0};
    run_large((struct large){.body_n = 1, .has_length = true}, 0, FAR_MS, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_true(o.is_too_large);
    outcome_fini(&o);
}

static void test_too_large_and_broken(void **state)
{
    struct outcome o = {0};

    (void)state;
    run_large((struct large){.body_n = 100000, .has_length = true, .is_cut = true}, 1000, FAR_MS,
              &o);
    expect(&o, HTTPC_DOUBT, "connection_broken");
    outcome_fini(&o);
}

static void test_too_large_and_endless(void **state)
{
    struct outcome o = {0};

    (void)state;
    run_large((struct large){.body_n = (size_t)100 << 30, .has_length = true, .stalls = true}, 1000,
              FAR_MS, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_true(o.is_too_large);
    assert_true(o.body_bytes > (64 << 20) && o.body_bytes < (80 << 20));
    outcome_fini(&o);
}

static void test_too_large_and_slow(void **state)
{
    struct outcome o = {0};

    (void)state;
    run_large((struct large){.body_n = 2000, .stalls = true}, 1000, 300, &o);
    expect(&o, HTTPC_ANSWERED, NULL);
    assert_true(o.is_too_large);
    assert_int_equal(o.body_bytes, 2000);
    outcome_fini(&o);
}

struct flood {
    const char *before;
    const char *each;
    size_t times;
    const char *after;
};

static bool answer_flood(const struct tenant_visit *v, void *arg)
{
    const struct flood *l = arg;

    (void)tenant_say(v->fd, l->before);
    for (size_t i = 0; i < l->times; i++) {
        if (!tenant_say(v->fd, l->each)) {
            return false;
        }
    }
    return tenant_say(v->fd, l->after);
}

static void run_flood(struct flood flood, struct outcome *o)
{
    struct fixture f;

    set_up(&f, 5, answer_flood, &flood);
    run_simple(&f, o);
    tear_down(&f);
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void test_head_floods(void **state)
{
    struct outcome o = {0};

    (void)state;
    run_flood((struct flood){"", "HTTP/1.1 102 Processing\r\n\r\n", 3000, OK_ANSWER}, &o);
    expect_ok(&o);
    outcome_fini(&o);
    o = (struct outcome){0};
    run_flood((struct flood){"", "HTTP/1.1 102 Processing\r\n\r\n", 1000000, OK_ANSWER}, &o);
    expect(&o, HTTPC_DOUBT, "answer_malformed");
    outcome_fini(&o);
    o = (struct outcome){0};
    run_flood((struct flood){"HTTP/1.1 200 OK\r\n", "A: 0123456789\r\n", 10000, "\r\n"}, &o);
    expect(&o, HTTPC_DOUBT, "answer_malformed");
    outcome_fini(&o);
    o = (struct outcome){0};
    run_flood((struct flood){"HTTP/1.1 200 OK\r\nA: ", "0123456789", 100000, "\r\n\r\n"}, &o);
    expect(&o, HTTPC_DOUBT, o.error); /* one line of 1 MB: curl's own bound */
    outcome_fini(&o);
}

static bool answer_echo_size(const struct tenant_visit *v, void *arg)
{
    const struct str *body = arg;
    size_t head_n = (size_t)(strstr(v->bytes, "\r\n\r\n") + 4 - v->bytes);
    bool is_same = v->n - head_n == body->n && memcmp(v->bytes + head_n, body->p, body->n) == 0;

    return tenant_say(v->fd, is_same ? OK_ANSWER : "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
}

static void test_large_request(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];
    size_t n = 5 << 20;
    char *bytes = malloc(n);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    struct str body = {bytes, n};
    set_up(&f, 5, answer_echo_size, &body);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    r.body = body;
    run(&f, &o, &r);
    expect_ok(&o);
    assert_null(strstr(tenant_last(f.t, &n), "xpect")); /* the body has no such word */
    outcome_fini(&o);
    tear_down(&f);
    free(bytes);
}

/* ---- Ending calls ---- */

static void test_abort_at_once(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    char url[128];

    (void)state;
    set_up(&f, 5, answer_ok, NULL);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    start(&f, &o, &r);
    assert_int_equal(httpc_running(f.h), 1);
    httpc_abort(o.call);
    httpc_abort(o.call); /* again: nothing more */
    assert_int_equal(o.done_count, 0);
    loop_run(f.loop);
    assert_int_equal(o.done_count, 1);
    expect(&o, HTTPC_UNSENT, "aborted");
    assert_int_equal(o.asked_count, 0);
    assert_int_equal(tenant_requests(f.t), 0);
    outcome_fini(&o);
    tear_down(&f);
}

/* Tells through a pipe that the request is here, then waits for the hang-up. */
static bool answer_tell(const struct tenant_visit *v, void *arg)
{
    (void)!write(*(int *)arg, "x", 1);
    (void)tenant_wait_hangup(v->fd, HANGUP_MS);
    return false;
}

static void test_abort_in_flight(void **state)
{
    struct fixture f;
    struct outcome o = {0};
    struct loop_fd *watch;
    int told[2];
    char url[128];

    (void)state;
    assert_int_equal(pipe(told), 0);
    set_up(&f, 5, answer_tell, &told[1]);
    url_of(&f, url, "http", "/x");
    struct httpc_request r = request_of(&o, url);
    assert_int_equal(loop_fd_new(f.loop, told[0], on_lookup, &o, &watch), 0);
    loop_fd_want(watch, LOOP_READ);
    run(&f, &o, &r);
    expect(&o, HTTPC_DOUBT, "aborted");
    assert_true(o.took_ms < HANGUP_MS / 2);
    loop_fd_free(watch);
    outcome_fini(&o);
    tear_down(&f);
    (void)close(told[0]);
    (void)close(told[1]);
}

static bool answer_by_path(const struct tenant_visit *v, void *arg)
{
    (void)arg;
    return strncmp(v->bytes, "POST /never", 11) == 0 ? answer_never(v, NULL) : answer_ok(v, NULL);
}

static void abort_both(struct outcome *o, void *arg)
{
    struct outcome *other = arg;

    httpc_abort(o->call); /* has ended: nothing happens */
    httpc_abort(other->call);
    assert_int_equal(other->done_count, 0);
}

static void test_abort_another_from_done(void **state)
{
    struct fixture f;
    struct outcome never = {0};
    struct outcome o = {.after = abort_both, .after_arg = &never};
    char url[128];
    char url_never[128];

    (void)state;
    set_up(&f, 5, answer_by_path, NULL);
    url_of(&f, url, "http", "/x");
    url_of(&f, url_never, "http", "/never");
    struct httpc_request slow = request_of(&never, url_never);
    struct httpc_request r = request_of(&o, url);
    start(&f, &never, &slow);
    start(&f, &o, &r);
    loop_run(f.loop);
    expect_ok(&o);
    assert_int_equal(o.done_count, 1);
    assert_int_equal(never.done_count, 1);
    assert_string_equal(never.error, "aborted");
    outcome_fini(&o);
    outcome_fini(&never);
    tear_down(&f);
}

static void start_next(struct outcome *o, void *arg)
{
    struct httpc_request *r = arg;

    start(o->f, r->arg, r);
}

static void test_start_from_done(void **state)
{
    struct fixture f;
    struct outcome second = {0};
    char url[128];

    (void)state;
    set_up(&f, 5, answer_ok, NULL);
    url_of(&f, url, "http", "/x");
    struct httpc_request next = request_of(&second, url);
    struct outcome first = {.after = start_next, .after_arg = &next};
    struct httpc_request r = request_of(&first, url);
    start(&f, &first, &r);
    loop_run(f.loop);
    expect_ok(&first);
    expect_ok(&second);
    assert_int_equal(tenant_connections(f.t), 1);
    outcome_fini(&first);
    outcome_fini(&second);
    tear_down(&f);
}

static void start_refused(struct outcome *o, void *arg)
{
    const struct httpc_request *r = arg;
    struct httpc_call *call;

    assert_int_equal(httpc_start(o->f->h, r, &call), ERR_CLOSED);
}

static void test_free_with_running_calls(void **state)
{
    struct fixture f;
    struct outcome ok = {0};
    struct outcome in_flight = {0};
    struct outcome fresh = {0};
    char url[128];
    char url_never[128];

    (void)state;
    set_up(&f, 5, answer_by_path, NULL);
    url_of(&f, url, "http", "/x");
    url_of(&f, url_never, "http", "/never");
    struct httpc_request slow = request_of(&in_flight, url_never);
    slow.first_byte_ms = FAR_MS;
    struct httpc_request r = request_of(&ok, url);
    start(&f, &in_flight, &slow);
    f.pending = 0; /* the loop stops when `ok` has ended */
    start(&f, &ok, &r);
    loop_run(f.loop);
    f.pending = 100;
    struct httpc_request last = request_of(&fresh, url);
    fresh.after = start_refused;
    fresh.after_arg = &last;
    start(&f, &fresh, &last);
    httpc_free(f.h);
    f.h = NULL;
    assert_int_equal(in_flight.done_count, 1);
    assert_string_equal(in_flight.error, "aborted");
    assert_int_equal(fresh.done_count, 1);
    expect(&fresh, HTTPC_UNSENT, "aborted");
    outcome_fini(&ok);
    outcome_fini(&in_flight);
    outcome_fini(&fresh);
    tear_down(&f);
}

/* ---- Connections ---- */

static size_t open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n;
}

enum { PARALLEL = 200, WAVES = 5 };

static void test_parallel(void **state)
{
    size_t before = open_descriptors();
    struct outcome *all = calloc(PARALLEL, sizeof *all);
    struct fixture f;
    char url[128];

    (void)state;
    assert_non_null(all);
    set_up(&f, 30, answer_ok, NULL);
    url_of(&f, url, "http", "/x");
    for (size_t wave = 0; wave < WAVES; wave++) {
        for (size_t i = 0; i < PARALLEL; i++) {
            struct httpc_request r = request_of(&all[i], url);
            all[i] = (struct outcome){0};
            start(&f, &all[i], &r);
        }
        assert_int_equal(httpc_running(f.h), PARALLEL);
        loop_run(f.loop);
        assert_int_equal(httpc_running(f.h), 0);
        for (size_t i = 0; i < PARALLEL; i++) {
            expect_ok(&all[i]);
            assert_int_equal(all[i].done_count, 1);
            outcome_fini(&all[i]);
        }
    }
    assert_int_equal(tenant_requests(f.t), PARALLEL * WAVES);
    /* Every wave after the first finds the first one's connections. */
    assert_int_equal(tenant_connections(f.t), PARALLEL);
    tear_down(&f);
    free(all);
    assert_int_equal(open_descriptors(), before);
}

static void run_twice(struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        struct outcome o = {0};
        run_simple(f, &o);
        expect(&o, HTTPC_ANSWERED, NULL);
        outcome_fini(&o);
    }
}

static void test_no_rest_no_reuse(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, 0, answer_ok, NULL);
    run_twice(&f);
    assert_int_equal(tenant_connections(f.t), 2);
    tear_down(&f);
}

static void on_rested(struct loop_timer *t, void *arg)
{
    (void)t;
    loop_stop(arg);
}

/* Real seconds: curl reads its own clock. */
static void test_rested_too_long(void **state)
{
    struct fixture f;
    struct loop_timer *rest;

    (void)state;
    set_up(&f, 2, answer_ok, NULL);
    run_twice(&f);
    assert_int_equal(tenant_connections(f.t), 1);
    assert_int_equal(loop_timer_new(f.loop, on_rested, f.loop, &rest), 0);
    loop_timer_set(rest, 2100);
    loop_run(f.loop);
    loop_timer_free(rest);
    run_twice(&f);
    assert_int_equal(tenant_connections(f.t), 2);
    tear_down(&f);
}

static bool answer_ambiguous(const struct tenant_visit *v, void *arg)
{
    (void)arg;
    return tenant_say(v->fd, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
}

static void test_ambiguous_framing_is_not_reused(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, 5, answer_ambiguous, NULL);
    run_twice(&f);
    assert_int_equal(tenant_connections(f.t), 2);
    tear_down(&f);
}

/* What one call set must not reach the next one that gets its handle. */
static void test_handles_keep_nothing(void **state)
{
    static const char *const head[] = {"Accept: a/b", "X: y", NULL};
    struct fixture f;
    char url[128];
    char expected[256];
    size_t n;

    (void)state;
    set_up(&f, 5, answer_ok, NULL);
    const struct {
        const char *method;
        const char *target;
        const char *body;
        const char *length; /* that is said of it */
    } steps[] = {
        {"HEAD", "/x", "", ""},
        {"POST", "/x", "abc", "Content-Length: 3\r\n"},
        {"POST", "/yy", "defgh", "Content-Length: 5\r\n"},
        {"POST", "/", "", "Content-Length: 0\r\n"},
        {"GET", "/x", "", ""},
        {"GET", "/x", "ij", "Content-Length: 2\r\n"},
        {"GET", "/x?k", "", ""},
        {"GET", "/", "", ""},
        {"PUT", "/x", "", "Content-Length: 0\r\n"},
        {"HEAD", "/x", "", ""},
        {"HEAD", "/x", "", ""},
        {"GET", "/x", "", ""},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct outcome o = {0};
        url_of(&f, url, "http", steps[i].target);
        struct httpc_request r = request_of(&o, url);
        r.method = str_of(steps[i].method);
        r.body = str_of(steps[i].body);
        r.head = i % 2 == 0 ? head : NULL;
        r.may_send = NULL;
        run(&f, &o, &r);
        expect(&o, HTTPC_ANSWERED, NULL);
        assert_string_equal(o.body.p, strcmp(steps[i].method, "HEAD") == 0 ? "" : "ok");
        (void)snprintf(expected, sizeof expected,
                       "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s\r\n%s", steps[i].method,
                       steps[i].target, tenant_port(f.t),
                       i % 2 == 0 ? "Accept: a/b\r\nX: y\r\n" : "", steps[i].length, steps[i].body);
        assert_string_equal(tenant_last(f.t, &n), expected);
        outcome_fini(&o);
    }
    assert_int_equal(tenant_connections(f.t), 1);
    tear_down(&f);
}

/* A handle keeps its origin parsed: the next call may be for another, or for none. */
static void test_origins_in_turn(void **state)
{
    struct fixture f;
    struct tenant *other;
    char urls[2][128];

    (void)state;
    set_up(&f, 5, answer_ok, NULL);
    other = tenant_start(answer_ok, NULL);
    url_of(&f, urls[0], "http", "/x");
    (void)snprintf(urls[1], sizeof urls[1], "http://127.0.0.1:%u", tenant_port(other));
    for (size_t i = 0; i < 6; i++) {
        struct outcome o = {0};
        struct httpc_call *call = NULL;
        struct httpc_request r = request_of(&o, urls[i % 2]);
        run(&f, &o, &r);
        expect(&o, HTTPC_ANSWERED, NULL);
        r.url = "http://127.0.0.1:99999/x";
        assert_int_equal(httpc_start(f.h, &r, &call), ERR_INVALID);
        outcome_fini(&o);
    }
    assert_int_equal(tenant_requests(f.t), 3);
    assert_int_equal(tenant_requests(other), 3);
    tenant_stop(other);
    tear_down(&f);
}

static bool is_proxy_used(void)
{
    struct fixture f;
    struct outcome o = {0};

    set_up(&f, 5, answer_ok, NULL);
    run_simple(&f, &o);
    bool is_used = o.kind != HTTPC_ANSWERED;
    outcome_fini(&o);
    tear_down(&f);
    return is_used;
}

static void test_environment_has_no_say(void **state)
{
    (void)state;
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1);
    (void)setenv("all_proxy", "http://127.0.0.1:1", 1);
    bool is_used = is_proxy_used();
    (void)unsetenv("http_proxy");
    (void)unsetenv("all_proxy");
    assert_false(is_used);
}

static int run_answers(void)
{
    struct CMUnitTest tests[COUNT(answer_cases)];

    for (size_t i = 0; i < COUNT(answer_cases); i++) {
        tests[i] = (struct CMUnitTest){.name = answer_cases[i].name,
                                       .test_func = test_answer,
                                       .initial_state = (void *)(uintptr_t)&answer_cases[i]};
    }
    return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}

static int run_wires(void)
{
    struct CMUnitTest tests[COUNT(wire_cases)];

    for (size_t i = 0; i < COUNT(wire_cases); i++) {
        tests[i] = (struct CMUnitTest){.name = wire_cases[i].name,
                                       .test_func = test_wire,
                                       .initial_state = (void *)(uintptr_t)&wire_cases[i]};
    }
    return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_black_hole),
        cmocka_unit_test(test_not_resolved),
        cmocka_unit_test(test_abort_within_lookup),
        cmocka_unit_test(test_timeout_within_lookup),
        cmocka_unit_test(test_localhost),
        cmocka_unit_test(test_tls_refused),
        cmocka_unit_test(test_tls_stalls),
        cmocka_unit_test(test_may_not_send),
        cmocka_unit_test(test_reused_connection_dies),
        cmocka_unit_test(test_reused_connection_dies_beside_another),
        cmocka_unit_test(test_closed_while_resting),
        cmocka_unit_test(test_first_byte_timeout),
        cmocka_unit_test(test_what_is_given_up_is_not_sent),
        cmocka_unit_test(test_total_timeout),
        cmocka_unit_test(test_drip),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_size_limit_of_nothing),
        cmocka_unit_test(test_too_large_and_broken),
        cmocka_unit_test(test_too_large_and_endless),
        cmocka_unit_test(test_too_large_and_slow),
        cmocka_unit_test(test_head_floods),
        cmocka_unit_test(test_large_request),
        cmocka_unit_test(test_abort_at_once),
        cmocka_unit_test(test_abort_in_flight),
        cmocka_unit_test(test_abort_another_from_done),
        cmocka_unit_test(test_start_from_done),
        cmocka_unit_test(test_free_with_running_calls),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_no_rest_no_reuse),
        cmocka_unit_test(test_rested_too_long),
        cmocka_unit_test(test_ambiguous_framing_is_not_reused),
        cmocka_unit_test(test_handles_keep_nothing),
        cmocka_unit_test(test_origins_in_turn),
        cmocka_unit_test(test_environment_has_no_say),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    (void)!pipe(resolver.entered);
    (void)sem_init(&resolver.go, 0, 0);
    (void)sem_init(&resolver.left, 0, 0);
    int failed = run_answers();
    failed += run_wires();
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
