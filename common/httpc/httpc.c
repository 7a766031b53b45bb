/* SPDX-License-Identifier: Apache-2.0 */
/* A call's life is the list it stands in:
 *
 *   starting ──► running ──► ended ──► spare
 *       └───────────┴─► cut ──┘
 *
 * curl runs nothing of ours but small notes: no function of the multi interface may be called from
 * its callbacks. So starting and cutting wait for `pump`, a timer of 0, and `done` runs after curl
 * has returned. libcurl sends a request again by itself when a reused connection dies before the
 * first byte of an answer; before_request() is what stops it. */
#include "httpc/httpc.h"

#include "base/list.h"
#include "base/panic.h"
#include "httpc/answer.h"
#include "httpc/check.h"
#include "httpc/sockets.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

enum {
    SPARES_MAX = 256,       /* resting calls kept, each with its curl handle (about 6 KiB) */
    CONNECTIONS_MAX = 1024, /* resting connections; those in use are not limited here */
    KEEPALIVE_IDLE_S =
        60, /* a silent dead host is noticed long before the slowest tenant's limit */
    KEEPALIVE_STEP_S = 15,
    TEXT_KEPT = 64 << 10, /* of head lines, by a resting call */
    /* curl's own minute is long in a world of containers: one that is started anew has another
     * address, and the old one may soon be somebody else's. */
    NAMES_KEPT_S = 5
};

enum state { STARTING, RUNNING, CUT, ENDED, DONE };

struct httpc_call {
    struct list link;
    struct httpc *owner;
    enum state state;
    CURL *easy;
    CURLU *origin;            /* scheme, host and port, parsed: curl would do it for each call */
    struct buf origin_text;   /* what it was parsed from; empty when that failed */
    struct buf method;        /* that curl was told; empty when it may be another */
    struct buf text;          /* the head lines, each with its NUL */
    struct curl_slist *lines; /* an array that points into it, chained for curl */
    size_t lines_room;
    struct loop_timer *first_byte;
    struct httpc_request request;
    struct httpc_answer answer;
    struct httpc_result result;
    struct mono started;
    const char *cut_word; /* why we ended it, or NULL */
    bool is_added;        /* to the multi handle */
    bool is_sent;         /* the request may have left */
    bool is_refused;      /* may_send said no */
    bool is_malformed;
    bool had_body; /* the call before */
};

struct httpc {
    struct loop *loop;
    CURLM *multi;
    struct httpc_sockets *sockets;
    struct loop_timer *curl_timer;
    struct loop_timer *pump;
    struct list starting;
    struct list running;
    struct list cut;
    struct list ended;
    struct list spare;
    size_t running_count;
    size_t spare_count;
    int64_t idle_s;
    bool is_closing;
    bool is_in_done;
};

/* ---- What curl calls ---- */

static int before_request(void *arg, char *to_ip, char *from_ip, int to_port, int from_port)
{
    struct httpc_call *c = arg;

    (void)to_ip;
    (void)from_ip;
    (void)to_port;
    (void)from_port;
    /* A second time in one call is curl sending it again. */
    if (c->state == CUT || c->is_sent) {
        return CURL_PREREQFUNC_ABORT;
    }
    if (c->request.may_send != NULL && !c->request.may_send(c->request.arg)) {
        c->is_refused = true;
        return CURL_PREREQFUNC_ABORT;
    }
    c->is_sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_head_line(char *bytes, size_t size, size_t n, void *arg)
{
    struct httpc_call *c = arg;
    size_t length = size * n;

    if (httpc_answer_line(&c->answer, (struct str){bytes, length}) != ERR_OK) {
        c->is_malformed = true;
        return 0;
    }
    if (c->answer.status >= 200) { /* interim answers do not count */
        loop_timer_cancel(c->first_byte);
    }
    if (c->answer.is_ambiguous) {
        (void)curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
    }
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct httpc_call *c = arg;
    struct str part = {bytes, size * n};
    int rc = httpc_answer_body(&c->answer, part, c->request.max_answer_bytes);

    return rc == ERR_OK ? part.n : CURL_WRITEFUNC_ERROR;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct httpc_call *c = arg;

    (void)purpose;
    /* What was sent is not sent again: no need of another connection. */
    if (c->is_sent || c->state == CUT) {
        return CURL_SOCKET_BAD;
    }
    return httpc_sockets_open(c->owner->sockets, to->family, to->socktype, to->protocol);
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct httpc *h = arg;

    httpc_sockets_close(h->sockets, fd);
    return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct httpc *h = arg;
    unsigned int events = 0;

    (void)easy;
    (void)socket_arg;
    events |= what == CURL_POLL_IN || what == CURL_POLL_INOUT ? (unsigned int)LOOP_READ : 0;
    events |= what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? (unsigned int)LOOP_WRITE : 0;
    return httpc_sockets_want(h->sockets, fd, events) == ERR_OK ? 0 : -1;
}

static int want_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct httpc *h = arg;

    (void)multi;
    if (delay_ms < 0) {
        loop_timer_cancel(h->curl_timer);
    } else {
        loop_timer_set(h->curl_timer, delay_ms);
    }
    return 0;
}

/* ---- How a call ended ---- */

static bool is_answered(const struct httpc_call *c, CURLcode code)
{
    /* Of an answer that is too large we hang up ourselves; its status and head stand. */
    bool is_enough =
        c->answer.is_too_large && (code == CURLE_WRITE_ERROR || code == CURLE_OPERATION_TIMEDOUT);

    /* curl takes a connection that closes within the head for an answer: we do not. */
    return c->answer.is_head_whole && !c->is_malformed && (code == CURLE_OK || is_enough);
}

static bool is_tls_error(CURLcode code)
{
    switch ((int)code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
        return true;
    default:
        return false;
    }
}

static const char *unsent_timeout_word(const struct httpc_call *c)
{
    curl_off_t lookup_us = 0;

    if (c->request.total_ms > 0 && c->result.took_ms >= c->request.total_ms) {
        return "timeout_total";
    }
    /* In microseconds; 0 until the name is known. Connect's limit includes the TLS handshake. */
    (void)curl_easy_getinfo(c->easy, CURLINFO_NAMELOOKUP_TIME_T, &lookup_us);
    return lookup_us == 0 ? "resolve_failed" : "connect_timeout";
}

static const char *connect_word(const struct httpc_call *c)
{
    long os_errno = 0;

    (void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_errno);
    return os_errno == ETIMEDOUT ? "connect_timeout" : "connect_refused";
}

static const char *unsent_word(const struct httpc_call *c, CURLcode code)
{
    if (c->is_refused) {
        return "not_sent";
    }
    if (is_tls_error(code)) {
        return "tls_failed";
    }
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "resolve_failed";
    case CURLE_COULDNT_CONNECT:
        return connect_word(c);
    case CURLE_OPERATION_TIMEDOUT:
        return unsent_timeout_word(c);
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: /* within the handshake: nothing else is sent or read before the request
                            */
        return "tls_failed";
    default:
        return "not_sent";
    }
}

static const char *doubt_word(const struct httpc_call *c, CURLcode code)
{
    if (c->is_malformed) {
        return "answer_malformed";
    }
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "timeout_total";
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, or a version that is none */
    case CURLE_BAD_CONTENT_ENCODING:
    case 100: /* CURLE_TOO_LARGE of curl 8.6 */
        return "answer_malformed";
    default:
        return "connection_broken";
    }
}

static void judge(struct httpc_call *c, CURLcode code)
{
    struct httpc_result *r = &c->result;

    *r = (struct httpc_result){.took_ms = mono_since_ms(c->started, loop_now(c->owner->loop))};
    if (c->cut_word != NULL) {
        r->kind = c->is_sent ? HTTPC_DOUBT : HTTPC_UNSENT;
        r->error = c->cut_word;
    } else if (is_answered(c, code)) {
        r->kind = HTTPC_ANSWERED;
        r->status = c->answer.status;
        r->head = buf_as_str(&c->answer.head);
        r->body = buf_as_str(&c->answer.body);
        r->is_too_large = c->answer.is_too_large;
        r->body_bytes = c->answer.body_bytes;
    } else if (c->is_sent) {
        r->kind = HTTPC_DOUBT;
        r->error = doubt_word(c, code);
    } else {
        r->kind = HTTPC_UNSENT;
        r->error = unsent_word(c, code);
    }
}

/* ---- A call's life ---- */

static void move(struct httpc_call *c, enum state state, struct list *to)
{
    list_remove(&c->link);
    list_push_back(to, &c->link);
    c->state = state;
}

static void end_call(struct httpc_call *c, CURLcode code)
{
    if (c->is_added) {
        (void)curl_multi_remove_handle(c->owner->multi, c->easy);
        c->is_added = false;
    }
    loop_timer_cancel(c->first_byte);
    judge(c, code);
    move(c, ENDED, &c->owner->ended);
}

static void cut_call(struct httpc_call *c, const char *word)
{
    c->cut_word = word;
    loop_timer_cancel(c->first_byte);
    move(c, CUT, &c->owner->cut);
}

static void free_call(struct httpc_call *c)
{
    if (c == NULL) {
        return;
    }
    curl_easy_cleanup(c->easy);
    curl_url_cleanup(c->origin);
    buf_fini(&c->origin_text);
    buf_fini(&c->method);
    buf_fini(&c->text);
    free(c->lines);
    loop_timer_free(c->first_byte);
    httpc_answer_fini(&c->answer);
    free(c);
}

static void rest_call(struct httpc_call *c)
{
    struct httpc *h = c->owner;

    if (h->is_closing || h->spare_count >= SPARES_MAX) {
        free_call(c);
        return;
    }
    if (c->text.room > TEXT_KEPT) {
        buf_fini(&c->text);
    }
    httpc_answer_reset(&c->answer);
    /* The one used last is taken first: its memory is still near. */
    list_push_front(&h->spare, &c->link);
    h->spare_count++;
}

static void collect_ended(struct httpc *h)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(h->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        char *arg = NULL;
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &arg);
        struct httpc_call *c = (struct httpc_call *)(void *)arg;
        if (c->state == RUNNING) {
            end_call(c, code);
        }
    }
}

static void run_done(struct httpc *h)
{
    struct list *link;

    h->is_in_done = true;
    while ((link = list_pop_front(&h->ended)) != NULL) {
        struct httpc_call *c = LIST_OF(link, struct httpc_call, link);
        c->state = DONE;
        h->running_count--;
        c->request.done(&c->result, c->request.arg);
        rest_call(c);
    }
    h->is_in_done = false;
}

/* After curl has returned, and never within it. */
static void settle(struct httpc *h)
{
    collect_ended(h);
    while (!list_is_empty(&h->cut)) {
        end_call(LIST_OF(h->cut.next, struct httpc_call, link), CURLE_ABORTED_BY_CALLBACK);
    }
    run_done(h);
}

static void on_socket(int fd, unsigned int events, void *arg)
{
    struct httpc *h = arg;
    int running;
    int mask = 0;

    mask |= (events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0;
    mask |= (events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0;
    (void)curl_multi_socket_action(h->multi, fd, mask, &running);
    settle(h);
}

static void on_curl_timer(struct loop_timer *t, void *arg)
{
    struct httpc *h = arg;
    int running;

    (void)t;
    (void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(h);
}

static void on_first_byte_timer(struct loop_timer *t, void *arg)
{
    struct httpc_call *c = arg;

    (void)t;
    cut_call(c, "timeout_first_byte");
    settle(c->owner);
}

static void begin(struct httpc_call *c)
{
    if (curl_multi_add_handle(c->owner->multi, c->easy) != CURLM_OK) {
        end_call(c, CURLE_OUT_OF_MEMORY);
        return;
    }
    c->is_added = true;
    move(c, RUNNING, &c->owner->running);
}

/* What was begun is due at once: curl is not made to wait for its timer, another turn. */
static void on_pump(struct loop_timer *t, void *arg)
{
    struct httpc *h = arg;
    int running;

    (void)t;
    while (!list_is_empty(&h->starting)) {
        begin(LIST_OF(h->starting.next, struct httpc_call, link));
    }
    (void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(h);
}

/* ---- Making a call ---- */

static long as_ms(int64_t ms)
{
    return ms <= 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

/* Whatever a handle keeps from call to call. */
static bool set_constants(struct httpc_call *c)
{
    int64_t idle_s = c->owner->idle_s;
    CURL *e = c->easy;
    unsigned int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, (void *)c);
    bad |= curl_easy_setopt(e, CURLOPT_CURLU, c->origin);
    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /* curl compares whole seconds with "more than"; 0 means "no limit" to newer versions. */
    bad |= curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, idle_s > 1 ? as_ms(idle_s - 1) : 1L);
    bad |= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* else ending a lookup waits for it */
    bad |= curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)NAMES_KEPT_S);
    bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_PROXY, ""); /* else the environment's is used */
    bad |= curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    bad |= curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    bad |= curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_STEP_S);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_request);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQDATA, (void *)c);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head_line);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, (void *)c);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, (void *)c);
    bad |= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    bad |= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, (void *)c);
    /* A connection outlives its call, hence another argument. */
    bad |= curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    bad |= curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, (void *)c->owner);
    return bad == 0;
}

static int new_call(struct httpc *h, struct httpc_call **ret)
{
    struct httpc_call *c = calloc(1, sizeof *c);
    int rc = ERR_NOMEM;

    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->owner = h;
    c->easy = curl_easy_init();
    c->origin = curl_url();
    if (c->easy == NULL || c->origin == NULL || !set_constants(c)) {
        goto out;
    }
    rc = loop_timer_new(h->loop, on_first_byte_timer, c, &c->first_byte);
    if (rc == ERR_OK) {
        *ret = c;
        c = NULL;
    }
out:
    free_call(c);
    return rc;
}

static int take_call(struct httpc *h, struct httpc_call **ret)
{
    struct list *link = list_pop_front(&h->spare);

    if (link == NULL) {
        return new_call(h, ret);
    }
    h->spare_count--;
    *ret = LIST_OF(link, struct httpc_call, link);
    return ERR_OK;
}

static void add_line(struct httpc_call *c, size_t *n, struct str line)
{
    buf_str(&c->text, line);
    buf_char(&c->text, '\0');
    ++*n;
}

/* curl takes "Name:" for the wish to send no such field; "Name;" sends it empty. */
static void add_empty_field(struct httpc_call *c, size_t *n, struct str name)
{
    buf_str(&c->text, name);
    add_line(c, n, STR(";"));
}

static int add_caller_line(struct httpc_call *c, size_t *n, struct str line)
{
    struct str name = httpc_line_name(line);

    if (name.n == 0 || !httpc_is_clean(line)) {
        return ERR_INVALID;
    }
    struct str value = {line.p + name.n + 1, line.n - name.n - 1};
    bool is_ours = httpc_is_hop_by_hop(name) || str_is_nocase(name, STR("host")) ||
                   str_is_nocase(name, STR("expect"));
    if (!is_ours && str_trim(value).n == 0) {
        add_empty_field(c, n, name);
    } else if (!is_ours) {
        add_line(c, n, line);
    }
    return ERR_OK;
}

static int make_room(struct httpc_call *c, size_t n)
{
    if (n <= c->lines_room) {
        return ERR_OK;
    }
    struct curl_slist *grown = realloc(c->lines, n * sizeof *grown);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    c->lines = grown;
    c->lines_room = n;
    return ERR_OK;
}

/* The list as curl wants it: its own functions would make two allocations a line. */
static int chain_lines(struct httpc_call *c, size_t n)
{
    char *at = c->text.p;

    if (buf_failed(&c->text) || make_room(c, n) != ERR_OK) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        c->lines[i] = (struct curl_slist){at, i + 1 < n ? &c->lines[i + 1] : NULL};
        at += strlen(at) + 1;
    }
    return curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->lines) == CURLE_OK ? ERR_OK : ERR_NOMEM;
}

static int set_lines(struct httpc_call *c, const char *const *head)
{
    size_t n = 0;

    buf_clear(&c->text);
    for (size_t i = 0; head != NULL && head[i] != NULL; i++) {
        int rc = add_caller_line(c, &n, str_of(head[i]));
        if (rc != ERR_OK) {
            return rc;
        }
    }
    /* What curl would add by itself, unless the caller gave it. Expect would stall a second. */
    add_line(c, &n, STR("Accept:"));
    add_line(c, &n, STR("Content-Type:"));
    add_line(c, &n, STR("Expect:"));
    return chain_lines(c, n);
}

/* Methods whose empty body is said to be empty: Content-Length: 0 (RFC 9110, 8.6). */
static bool has_body(const struct httpc_request *r)
{
    return r->body.n > 0 || str_is(r->method, STR("POST")) || str_is(r->method, STR("PUT")) ||
           str_is(r->method, STR("PATCH"));
}

static int set_method(struct httpc_call *c)
{
    const struct httpc_request *r = &c->request;
    CURL *e = c->easy;
    unsigned int bad = 0;

    buf_clear(&c->method);
    buf_str(&c->method, r->method);
    bad |= buf_failed(&c->method) ? 1 : 0;
    bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL);
    bad |= curl_easy_setopt(e, CURLOPT_NOBODY, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, c->method.p);
    if (str_is(r->method, STR("HEAD"))) {
        bad |= curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    }
    if (bad != 0) {
        buf_clear(&c->method);
    }
    return bad == 0 ? ERR_OK : ERR_NOMEM;
}

static int set_body(struct httpc_call *c)
{
    const struct httpc_request *r = &c->request;
    CURL *e = c->easy;
    unsigned int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_POST, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
    bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body.n > 0 ? r->body.p : "");
    return bad == 0 ? ERR_OK : ERR_NOMEM;
}

/* What the handle was told of the method for the call before stands, where this one is alike. */
static int set_method_and_body(struct httpc_call *c)
{
    bool is_alike =
        str_is(buf_as_str(&c->method), c->request.method) && c->had_body == has_body(&c->request);
    int rc = is_alike ? ERR_OK : set_method(c);

    c->had_body = has_body(&c->request);
    return rc == ERR_OK && c->had_body ? set_body(c) : rc;
}

static size_t origin_length(const char *url)
{
    const char *host = strstr(url, "://") + 3;

    return (size_t)(host - url) + strcspn(host, "/?");
}

/* As it stands in the URL: curl would encode some bytes of it. */
static int set_target(struct httpc_call *c, const char *target)
{
    if (*target != '/') {
        buf_clear(&c->text);
        buf_char(&c->text, '/');
        buf_text(&c->text, target);
        target = buf_failed(&c->text) ? NULL : c->text.p;
    }
    bool is_set =
        target != NULL && curl_easy_setopt(c->easy, CURLOPT_REQUEST_TARGET, target) == CURLE_OK;
    return is_set ? ERR_OK : ERR_NOMEM;
}

/* Host and port are checked by it, too: better now than as a failed call. */
static int set_origin(struct httpc_call *c, struct str origin)
{
    if (c->origin_text.n > 0 && str_is(buf_as_str(&c->origin_text), origin)) {
        return ERR_OK;
    }
    buf_clear(&c->origin_text);
    buf_str(&c->origin_text, origin);
    if (buf_failed(&c->origin_text)) {
        return ERR_NOMEM;
    }
    CURLUcode code = curl_url_set(c->origin, CURLUPART_URL, c->origin_text.p, CURLU_DISALLOW_USER);
    if (code != CURLUE_OK) {
        buf_clear(&c->origin_text);
    }
    return code == CURLUE_OK ? ERR_OK : code == CURLUE_OUT_OF_MEMORY ? ERR_NOMEM : ERR_INVALID;
}

static int set_url(struct httpc_call *c, const char *url)
{
    size_t n = origin_length(url);
    int rc = set_origin(c, (struct str){url, n});

    return rc == ERR_OK ? set_target(c, url + n) : rc;
}

static int set_limits(struct httpc_call *c)
{
    const struct httpc_request *r = &c->request;
    int64_t idle_s = c->owner->idle_s;
    CURL *e = c->easy;
    unsigned int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, as_ms(r->connect_ms));
    bad |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, as_ms(r->total_ms));
    /* An ambiguous answer has set it. */
    bad |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, idle_s > 0 ? 0L : 1L);
    return bad == 0 ? ERR_OK : ERR_NOMEM;
}

static int check_request(const struct httpc_request *r)
{
    bool is_head = str_is(r->method, STR("HEAD"));

    /* CONNECT is no request for a tenant; curl has no way to send HEAD with a body. */
    if (!httpc_is_token(r->method) || str_is_nocase(r->method, STR("CONNECT")) ||
        (is_head && r->body.n > 0)) {
        return ERR_INVALID;
    }
    return httpc_is_url(str_of(r->url)) ? ERR_OK : ERR_INVALID;
}

static int fill_call(struct httpc_call *c, const struct httpc_request *r)
{
    c->request = *r;
    c->cut_word = NULL;
    c->is_sent = false;
    c->is_refused = false;
    c->is_malformed = false;
    int rc = set_url(c, r->url);
    if (rc == ERR_OK) {
        rc = set_lines(c, r->head);
    }
    if (rc == ERR_OK) {
        rc = set_method_and_body(c);
    }
    return rc == ERR_OK ? set_limits(c) : rc;
}

int httpc_start(struct httpc *h, const struct httpc_request *r, struct httpc_call **ret)
{
    struct httpc_call *c = NULL;
    int rc = h->is_closing ? ERR_CLOSED : check_request(r);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = take_call(h, &c);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = fill_call(c, r);
    if (rc != ERR_OK) {
        rest_call(c);
        return rc;
    }
    c->started = loop_now(h->loop);
    c->state = STARTING;
    list_push_back(&h->starting, &c->link);
    h->running_count++;
    if (r->first_byte_ms > 0) {
        loop_timer_set(c->first_byte, r->first_byte_ms);
    }
    loop_timer_set(h->pump, 0);
    *ret = c;
    return ERR_OK;
}

void httpc_abort(struct httpc_call *c)
{
    if (c->state == STARTING || c->state == RUNNING) {
        cut_call(c, "aborted");
        loop_timer_set(c->owner->pump, 0);
    }
}

size_t httpc_running(const struct httpc *h)
{
    return h->running_count;
}

/* ---- The client ---- */

static int set_multi(struct httpc *h)
{
    unsigned int bad = 0;

    h->multi = curl_multi_init();
    if (h->multi == NULL) {
        return ERR_NOMEM;
    }
    bad |= (unsigned int)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    bad |= (unsigned int)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, (void *)h);
    bad |= (unsigned int)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    bad |= (unsigned int)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, (void *)h);
    bad |= (unsigned int)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    return bad == 0 ? ERR_OK : ERR_NOMEM;
}

static int set_up(struct httpc *h)
{
    int rc = httpc_sockets_new(h->loop, on_socket, h, &h->sockets);

    if (rc == ERR_OK) {
        rc = loop_timer_new(h->loop, on_curl_timer, h, &h->curl_timer);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(h->loop, on_pump, h, &h->pump);
    }
    return rc == ERR_OK ? set_multi(h) : rc;
}

int httpc_new(struct loop *l, int64_t idle_s, struct httpc **ret)
{
    struct httpc *h = NULL;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return ERR_NOMEM;
    }
    h = calloc(1, sizeof *h);
    if (h == NULL) {
        curl_global_cleanup();
        return ERR_NOMEM;
    }
    h->loop = l;
    h->idle_s = idle_s;
    list_init(&h->starting);
    list_init(&h->running);
    list_init(&h->cut);
    list_init(&h->ended);
    list_init(&h->spare);
    int rc = set_up(h);
    if (rc != ERR_OK) {
        httpc_free(h);
        return rc;
    }
    *ret = h;
    return ERR_OK;
}

static void cut_all(struct list *calls)
{
    while (!list_is_empty(calls)) {
        cut_call(LIST_OF(calls->next, struct httpc_call, link), "aborted");
    }
}

static void free_spares(struct httpc *h)
{
    struct list *link;

    while ((link = list_pop_front(&h->spare)) != NULL) {
        free_call(LIST_OF(link, struct httpc_call, link));
    }
}

void httpc_free(struct httpc *h)
{
    if (h == NULL) {
        return;
    }
    CHECK(!h->is_in_done);
    h->is_closing = true;
    if (h->multi != NULL) {
        cut_all(&h->starting);
        cut_all(&h->running);
        settle(h);
        free_spares(h);
        (void)curl_multi_cleanup(h->multi); /* closes the connections through close_socket() */
    }
    loop_timer_free(h->curl_timer);
    loop_timer_free(h->pump);
    httpc_sockets_free(h->sockets);
    free(h);
    curl_global_cleanup();
}
