/* SPDX-License-Identifier: Apache-2.0 */
/* A call that is answered at once never gets an object of its own; one that sleeps, drips or is
 * paused becomes a struct call. */
#include "tenant/tenant.h"

#include "base/list.h"
#include "base/map.h"
#include "tenant/ledger.h"
#include "tenant/offload.h"
#include "tenant/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct tenant {
    struct loop *loop;
    const struct tenant_options *options;
    struct http_server *server;
    struct http_server *control;
    struct loop_timer *comeback; /* ends a refusal */
    struct ledger ledger;
    struct offload *offload;
    struct map failures; /* by key: see fails_now() */
    struct map jobs;     /* by Sluice-Job-Id: struct job, of calls that will be asked about */
    struct list calls;
    struct buf headers; /* of the answer in the making */
    struct buf body;
    int64_t limit;
    int64_t capacity;      /* calls beyond it get 503 at once; 0: none */
    int64_t status;        /* that all calls get; 0: what they ask for */
    int64_t retry_after_s; /* of such answers; 0: none */
    int64_t running;
    int64_t peak;
    uint64_t received;
    uint64_t served;
    uint64_t dropped;
    uint64_t polls;
    uint64_t asked;
    struct mono busy_since; /* while anything runs */
    int64_t busy_ns;        /* before that */
    int health;
    bool is_paused;
};

static const struct str json = {"application/json", 16};

/* What is said of it at the status path. */
struct job {
    char statuses[HTTP_VALUE_SIZE]; /* "404,202", or empty: as it is */
    struct str rest;                /* those that were not said yet */
    int last;
    bool is_done;
};

struct call {
    struct tenant *tenant;
    struct list link;
    struct http_exchange *x;
    struct loop_timer *timer;
    struct plan plan;
    size_t dripped;
    bool is_held; /* its time came while the tenant was paused */
};

static void call_free(struct call *c)
{
    list_remove(&c->link);
    loop_timer_free(c->timer);
    free(c);
}

static struct job *job_of(const struct tenant *t, const struct http_request *r)
{
    return map_get(&t->jobs, http_header(r, "Sluice-Job-Id"));
}

/* A call whose query has `asked` is remembered; a later attempt begins anew. */
static void remember(struct tenant *t, const struct http_request *r)
{
    char statuses[HTTP_VALUE_SIZE];
    struct str id = http_header(r, "Sluice-Job-Id");
    struct job *j = map_get(&t->jobs, id);

    if (id.n == 0 || r->query.n == 0 || !http_query_text(r, "asked", statuses)) {
        return;
    }
    if (j == NULL) {
        j = calloc(1, sizeof *j);
        if (j == NULL || map_put(&t->jobs, id, j) != 0) {
            free(j);
            return;
        }
        (void)snprintf(j->statuses, sizeof j->statuses, "%s", statuses);
        j->rest = str_of(j->statuses);
    }
    j->is_done = false;
}

static void answer_asked(struct tenant *t, struct http_exchange *x, struct str id)
{
    struct job *j = map_get(&t->jobs, id);
    struct str word;
    uint64_t status;

    t->asked++;
    int said = j == NULL ? 404 : j->is_done ? 200 : 202;
    if (j != NULL && j->statuses[0] != '\0') {
        if (str_cut(&j->rest, ',', &word) && str_to_u64(word, 999, &status) == 0) {
            j->last = (int)status;
        }
        said = j->last;
    }
    buf_clear(&t->body);
    buf_text(&t->body, "{\"asked about\": ");
    buf_json_str(&t->body, id);
    buf_text(&t->body, "}\n");
    http_answer(x, said, STR("X-Asked: 1\r\n"), json, buf_as_str(&t->body));
}

/* Every start and end of a call goes through these two, so that the time in which it was not idle
 * is known by its own clock. */
static void work_begins(struct tenant *t)
{
    if (t->running++ == 0) {
        t->busy_since = clock_mono();
    }
    t->peak = t->running > t->peak ? t->running : t->peak;
}

static void work_ends(struct tenant *t)
{
    if (--t->running == 0) {
        t->busy_ns += clock_mono().ns - t->busy_since.ns;
    }
}

static void settle(struct tenant *t, const struct http_request *r)
{
    struct job *j = job_of(t, r);

    if (j != NULL) {
        j->is_done = true;
    }
    work_ends(t);
    t->served++;
}

static void describe(struct tenant *t, const struct http_request *r)
{
    struct buf *b = &t->body;

    buf_text(b, "{\"instance\": ");
    buf_json_str(b, str_of(t->options->name));
    buf_text(b, ", \"method\": ");
    buf_json_str(b, r->method);
    buf_text(b, ", \"path\": ");
    buf_json_str(b, r->path);
    buf_text(b, ", \"query\": ");
    buf_json_str(b, r->query);
    buf_text(b, ", \"job\": ");
    buf_json_str(b, http_header(r, "Sluice-Job-Id"));
    buf_text(b, ", \"attempt\": ");
    buf_json_str(b, http_header(r, "Sluice-Attempt"));
    buf_text(b, "}\n");
}

/* Pairs, so that order and repetition show. */
static void describe_headers(struct tenant *t, const struct http_request *r)
{
    struct buf *b = &t->body;

    buf_text(b, "{\"method\": ");
    buf_json_str(b, r->method);
    buf_text(b, ", \"target\": ");
    buf_json_str(b, r->target);
    buf_text(b, ", \"headers\": [");
    for (size_t i = 0; i < r->n_headers; i++) {
        buf_text(b, i == 0 ? "[" : ", [");
        buf_json_str(b, r->headers[i].name);
        buf_text(b, ", ");
        buf_json_str(b, r->headers[i].value);
        buf_text(b, "]");
    }
    buf_text(b, "]}\n");
}

static void add_filler(struct buf *b, size_t n)
{
    char *to = buf_reserve(b, n);

    if (to != NULL) {
        memset(to, 'x', n);
        b->n += n;
    }
}

static struct str answer_headers(struct tenant *t, const struct http_request *r,
                                 const struct plan *p)
{
    struct buf *b = &t->headers;
    char extra[HTTP_VALUE_SIZE];

    buf_clear(b);
    buf_printf(b, "X-Instance: %s\r\n", t->options->name);
    if (p->retry_after_s >= 0) {
        buf_printf(b, "Retry-After: %" PRId64 "\r\n", p->retry_after_s);
    }
    if (r->query.n > 0 && http_query_text(r, "header", extra)) {
        buf_printf(b, "%s\r\n", extra);
    }
    return buf_as_str(b);
}

/* Whether this call is one of the first of its key, which fail; counts it if so. */
static bool fails_now(struct tenant *t, const struct http_request *r, const struct plan *p)
{
    char text[HTTP_VALUE_SIZE];
    struct str key = http_header(r, "Idempotency-Key");

    if (p->fail_times == 0) {
        return false;
    }
    if (http_query_text(r, "key", text)) {
        key = str_of(text);
    } else if (key.n == 0) {
        key = r->target;
    }
    /* The map borrows pointers and never follows them: the value is the count, + 1. */
    uintptr_t value = (uintptr_t)map_get(&t->failures, key);
    uintptr_t failed = value == 0 ? 0 : value - 1;
    return failed < p->fail_times && map_put(&t->failures, key, (void *)(failed + 2)) == 0;
}

static void answer_bytes(struct tenant *t, struct http_exchange *x, const struct plan *p)
{
    struct str headers = answer_headers(t, http_exchange_request(x), p);

    if (p->kind == PLAN_CUT) {
        add_filler(&t->body, 100);
        http_start(x, p->status, headers, STR("text/plain"), 200);
        http_more(x, buf_as_str(&t->body));
        http_end(x, /* is_cut= */ true);
        return;
    }
    add_filler(&t->body, p->bytes);
    http_answer(x, p->status, headers, STR("text/plain"), buf_as_str(&t->body));
}

static void answer_text(struct tenant *t, struct http_exchange *x, const struct plan *p)
{
    const struct http_request *r = http_exchange_request(x);
    struct str headers = answer_headers(t, r, p);
    struct str type = http_header(r, "Content-Type");

    if (p->kind == PLAN_ECHO && r->body.n > 0) {
        http_answer(x, p->status, headers, type, r->body);
        return;
    }
    if (p->kind == PLAN_HEADERS) {
        describe_headers(t, r);
    } else {
        describe(t, r);
    }
    http_answer(x, p->status, headers, json, buf_as_str(&t->body));
}

/* What is due now, whole. */
static void answer(struct tenant *t, struct http_exchange *x, const struct plan *p)
{
    const struct http_request *r = http_exchange_request(x);

    buf_clear(&t->body);
    settle(t, r);
    if (fails_now(t, r, p)) {
        buf_text(&t->body, "{\"failed\": \"on demand\"}\n");
        http_answer(x, p->fail_status, answer_headers(t, r, p), json, buf_as_str(&t->body));
    } else if (p->kind == PLAN_DROP) {
        http_drop(x);
    } else if (p->kind == PLAN_BIG || p->kind == PLAN_CUT) {
        answer_bytes(t, x, p);
    } else {
        answer_text(t, x, p);
    }
}

static void drip(struct call *c)
{
    size_t left = c->plan.bytes - c->dripped;
    size_t n = c->plan.chunk < left ? c->plan.chunk : left;

    buf_clear(&c->tenant->body);
    add_filler(&c->tenant->body, n);
    http_more(c->x, buf_as_str(&c->tenant->body));
    c->dripped += n;
    if (c->dripped < c->plan.bytes && n > 0) {
        loop_timer_set(c->timer, c->plan.every_ms);
        return;
    }
    settle(c->tenant, http_exchange_request(c->x));
    http_end(c->x, /* is_cut= */ c->dripped < c->plan.bytes);
    call_free(c);
}

static void proceed(struct call *c)
{
    struct tenant *t = c->tenant;

    if (t->is_paused) {
        c->is_held = true;
        return;
    }
    if (c->plan.kind == PLAN_DRIP) {
        if (c->dripped == 0) {
            const struct http_request *r = http_exchange_request(c->x);
            http_start(c->x, c->plan.status, answer_headers(t, r, &c->plan), STR("text/plain"),
                       c->plan.bytes);
        }
        drip(c);
        return;
    }
    answer(t, c->x, &c->plan);
    call_free(c);
}

static void on_timer(struct loop_timer *timer, void *arg)
{
    (void)timer;
    proceed(arg);
}

static void begin(struct tenant *t, struct http_exchange *x, const struct plan *p)
{
    struct call *c = calloc(1, sizeof *c);

    if (c == NULL || loop_timer_new(t->loop, on_timer, c, &c->timer) != 0) {
        free(c);
        settle(t, http_exchange_request(x));
        http_drop(x);
        return;
    }
    c->tenant = t;
    c->x = x;
    c->plan = *p;
    list_push_back(&t->calls, &c->link);
    loop_timer_set(c->timer, p->sleep_ms);
}

/* What the tenant was told to answer comes before what the call asks for. */
static void impose(const struct tenant *t, struct plan *p)
{
    bool is_over = t->capacity > 0 && t->running > t->capacity;

    if (t->status == 0 && !is_over) {
        return;
    }
    *p = (struct plan){.kind = PLAN_ECHO,
                       .status = t->status > 0 ? (int)t->status : 503,
                       .retry_after_s =
                           t->status > 0 && t->retry_after_s > 0 ? t->retry_after_s : -1};
}

static void receive(struct tenant *t, struct http_exchange *x)
{
    const struct http_request *r = http_exchange_request(x);
    bool is_dropped = t->limit > 0 && t->running >= t->limit;
    struct plan p;

    if (ledger_receipt(&t->ledger, r, clock_wall(), is_dropped) != 0) {
        (void)fprintf(stderr, "the ledger cannot be written: %m; not answering\n");
        is_dropped = true;
    }
    t->received++;
    if (is_dropped) {
        t->dropped++;
        http_drop(x);
        return;
    }
    remember(t, r);
    work_begins(t);
    if (offload_takes(r) && offload_begin(t->offload, x) == ERR_OK) {
        return;
    }
    plan_of(r, &p);
    impose(t, &p);
    if (p.sleep_ms > 0 || t->is_paused || p.kind == PLAN_DRIP) {
        begin(t, x, &p);
    } else {
        answer(t, x, &p);
    }
}

static void answer_stats(struct tenant *t, struct http_exchange *x)
{
    struct mono now = clock_mono();
    int64_t busy_ns = t->busy_ns + (t->running > 0 ? now.ns - t->busy_since.ns : 0);

    buf_clear(&t->body);
    buf_printf(&t->body,
               "{\"running\": %" PRId64 ", \"peak\": %" PRId64 ", \"received\": %" PRIu64
               ", \"served\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"polls\": %" PRIu64
               ", \"asked\": %" PRIu64 ", \"offload_polls\": %" PRIu64 ", \"posted\": %" PRIu64
               ", \"post_refused\": %" PRIu64 ", \"limit\": %" PRId64 ", \"busy_us\": %" PRId64
               ", \"clock_us\": %" PRId64 ", \"health\": %d, \"paused\": %s}\n",
               t->running, t->peak, t->received, t->served, t->dropped, t->polls, t->asked,
               offload_polls(t->offload), offload_posted(t->offload), offload_refused(t->offload),
               t->limit, busy_ns / 1000, now.ns / 1000, t->health, t->is_paused ? "true" : "false");
    http_answer(x, 200, STR(""), json, buf_as_str(&t->body));
}

static void resume(struct tenant *t)
{
    for (struct list *at = t->calls.next; at != &t->calls;) {
        struct call *c = LIST_OF(at, struct call, link);
        at = at->next;
        if (c->is_held) {
            c->is_held = false;
            loop_timer_set(c->timer, 0);
        }
    }
}

/* The other connections close, this one too once it is answered. */
static void refuse(struct tenant *t, bool is_refused)
{
    if (http_server_refuse(t->server, is_refused) != 0) {
        (void)fprintf(stderr, "cannot listen on %s again: %m\n", t->options->listen);
    }
}

static void on_comeback(struct loop_timer *timer, void *arg)
{
    (void)timer;
    refuse(arg, /* is_refused= */ false);
}

static void control(struct tenant *t, struct http_exchange *x)
{
    const struct http_request *r = http_exchange_request(x);
    int64_t refuse_ms = http_query_number(r, "refuse_ms", 0);
    int64_t refused = http_query_number(r, "refuse", refuse_ms > 0 ? 1 : -1);
    int64_t paused = http_query_number(r, "pause", -1);

    t->health = (int)http_query_number(r, "health", t->health);
    t->limit = http_query_number(r, "limit", t->limit);
    t->capacity = http_query_number(r, "capacity", t->capacity);
    t->status = http_query_number(r, "status", t->status);
    t->retry_after_s = http_query_number(r, "retry_after", t->retry_after_s);
    if (http_query_number(r, "reset", 0) > 0) {
        t->peak = t->running;
        map_fini(&t->failures);
        t->failures = (struct map){0};
    }
    if (paused >= 0) {
        t->is_paused = paused > 0;
        if (!t->is_paused) {
            resume(t);
        }
    }
    if (refused >= 0) {
        loop_timer_cancel(t->comeback);
        refuse(t, refused > 0);
    }
    if (refuse_ms > 0) {
        loop_timer_set(t->comeback, refuse_ms);
    }
    answer_stats(t, x);
}

static bool answer_own(struct tenant *t, struct http_exchange *x)
{
    const struct http_request *r = http_exchange_request(x);
    struct str path = r->path;
    struct str jobs = STR("/jobs/");

    if (str_is(path, STR("/stats"))) {
        answer_stats(t, x);
    } else if (str_is(path, STR("/control"))) {
        control(t, x);
    } else if (str_is(path, STR("/health")) && !t->is_paused) {
        t->polls++;
        http_answer(x, t->health, STR(""), json, STR("{\"health\": \"as told\"}\n"));
    } else if (str_is(r->method, STR("GET")) && str_starts(path, jobs) && !t->is_paused) {
        answer_asked(t, x, (struct str){path.p + jobs.n, path.n - jobs.n});
    } else if (offload_is_asked(r) && !t->is_paused) {
        offload_answer(t->offload, x);
    } else {
        return false;
    }
    return true;
}

static void on_exchange(struct http_exchange *x, void *arg)
{
    struct tenant *t = arg;

    if (answer_own(t, x)) {
        return;
    }
    if (str_is(http_exchange_request(x)->path, STR("/health"))) {
        struct plan p = {.kind = PLAN_ECHO, .status = t->health, .retry_after_s = -1};
        work_begins(t); /* a poll of a paused tenant hangs like a call, without a receipt */
        begin(t, x, &p);
        return;
    }
    receive(t, x);
}

static void on_control(struct http_exchange *x, void *arg)
{
    if (!answer_own(arg, x)) {
        http_answer(x, 404, STR(""), json, STR("{}\n"));
    }
}

static int listen_at(struct tenant *t, const char *address, http_exchange_cb cb,
                     struct http_server **ret)
{
    int rc = http_server_new(t->loop, address, cb, t, ret);

    if (rc != 0) {
        (void)fprintf(stderr, "cannot listen on %s: %m\n", address);
    }
    return rc;
}

static void on_offloaded(void *arg)
{
    struct tenant *t = arg;

    work_ends(t);
    t->served++;
}

static int start(struct tenant *t)
{
    const struct tenant_options *o = t->options;

    if (ledger_open(o->ledger, o->name, &t->ledger) != 0) {
        (void)fprintf(stderr, "cannot open the ledger %s: %m\n", o->ledger);
        return ERR_IO;
    }
    int rc = loop_timer_new(t->loop, on_comeback, t, &t->comeback);
    if (rc == 0) {
        rc = offload_new(t->loop, on_offloaded, t, &t->offload);
    }
    if (rc == 0 && o->control != NULL) {
        rc = listen_at(t, o->control, on_control, &t->control);
    }
    return rc != 0 ? rc : listen_at(t, o->listen, on_exchange, &t->server);
}

int tenant_new(struct loop *l, const struct tenant_options *o, struct tenant **ret)
{
    struct tenant *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return ERR_NOMEM;
    }
    *t = (struct tenant){.loop = l, .options = o, .limit = o->limit, .health = 200};
    t->ledger.fd = -1;
    list_init(&t->calls);
    int rc = start(t);
    if (rc != 0) {
        tenant_free(t);
        return rc;
    }
    *ret = t;
    return ERR_OK;
}

static void forget_jobs(struct tenant *t)
{
    size_t cursor = 0;
    struct str id;
    void *j;

    while (map_next(&t->jobs, &cursor, &id, &j)) {
        free(j);
    }
    map_fini(&t->jobs);
}

void tenant_free(struct tenant *t)
{
    if (t == NULL) {
        return;
    }
    while (!list_is_empty(&t->calls)) {
        call_free(LIST_OF(t->calls.next, struct call, link));
    }
    http_server_free(t->server);
    http_server_free(t->control);
    loop_timer_free(t->comeback);
    offload_free(t->offload);
    ledger_close(&t->ledger);
    map_fini(&t->failures);
    forget_jobs(t);
    buf_fini(&t->headers);
    buf_fini(&t->body);
    free(t);
}
