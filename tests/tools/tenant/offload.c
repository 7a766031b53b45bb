/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant/offload.h"

#include "base/list.h"
#include "base/map.h"
#include "tenant/post.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SIZE = 160, AGAIN_MS = 500, TRIES = 40 };

struct offload {
    struct loop *loop;
    void (*on_done)(void *arg);
    void *arg;
    struct map works; /* by name */
    struct list all;
    uint64_t polls;
    uint64_t posted;
    uint64_t refused;
    uint64_t begun;
};

/* Stays known when it is done: asked again, it says the same. */
struct work {
    struct offload *offload;
    struct list link;
    struct loop_timer *timer;
    char name[NAME_SIZE];
    char statuses[HTTP_VALUE_SIZE]; /* of the first polls, "503,429" */
    struct str rest;
    int status; /* in the end */
    int64_t poll_after_s;
    bool is_done;
    char job[NAME_SIZE];
    char token[HTTP_VALUE_SIZE];
    char attempt[16];
    uint16_t port; /* where the outcome is posted; 0: nowhere */
    struct post *post;
    int tries;
};

static void copy(char *to, size_t room, struct str from)
{
    (void)snprintf(to, room, "%.*s", STR_ARG(from));
}

static void work_free(struct work *w)
{
    list_remove(&w->link);
    loop_timer_free(w->timer);
    post_free(w->post);
    free(w);
}

static void post(struct work *w);

static void on_posted(int status, void *arg)
{
    struct work *w = arg;

    post_free(w->post);
    w->post = NULL;
    if (status == 200) {
        w->offload->posted++;
    } else if ((status == 0 || status >= 500) && ++w->tries < TRIES) {
        loop_timer_set(w->timer, AGAIN_MS);
    } else {
        w->offload->refused++;
    }
}

static void post(struct work *w)
{
    struct buf path = {0};
    struct buf body = {0};

    buf_printf(&path, "/v1/jobs/%s/complete", w->job);
    buf_printf(&body,
               "{\"token\":\"%s\",\"status\":%d,\"headers\":{\"X-Offloaded\":\"posted\"},"
               "\"body\":{\"posted\":\"%s\"}}",
               w->token, w->status, w->job);
    if (post_start(w->offload->loop, w->port, path.p, buf_as_str(&body), on_posted, w, &w->post) !=
        0) {
        loop_timer_set(w->timer, AGAIN_MS);
    }
    buf_fini(&path);
    buf_fini(&body);
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct work *w = arg;

    (void)t;
    if (!w->is_done) {
        w->is_done = true;
        w->offload->on_done(w->offload->arg);
    }
    if (w->port > 0) {
        post(w);
    }
}

int offload_new(struct loop *l, void (*on_done)(void *arg), void *arg, struct offload **ret)
{
    struct offload *o = calloc(1, sizeof *o);

    if (o == NULL) {
        return ERR_NOMEM;
    }
    o->loop = l;
    o->on_done = on_done;
    o->arg = arg;
    list_init(&o->all);
    *ret = o;
    return ERR_OK;
}

void offload_free(struct offload *o)
{
    if (o == NULL) {
        return;
    }
    while (!list_is_empty(&o->all)) {
        work_free(LIST_OF(o->all.next, struct work, link));
    }
    map_fini(&o->works);
    free(o);
}

bool offload_takes(const struct http_request *r)
{
    return r->query.n > 0 && http_query_number(r, "offload_ms", -1) >= 0;
}

static struct work *work_new(struct offload *o, const struct http_request *r)
{
    struct work *w = calloc(1, sizeof *w);

    if (w == NULL || loop_timer_new(o->loop, on_timer, w, &w->timer) != 0) {
        free(w);
        return NULL;
    }
    w->offload = o;
    list_push_back(&o->all, &w->link);
    copy(w->job, sizeof w->job, http_header(r, "Sluice-Job-Id"));
    copy(w->token, sizeof w->token, http_header(r, "Sluice-Complete-Token"));
    (void)snprintf(w->name, sizeof w->name, "%.100s-%" PRIu64, w->job, ++o->begun);
    w->status = (int)http_query_number(r, "then", 200);
    w->port = (uint16_t)http_query_number(r, "complete_at", 0);
    w->poll_after_s = http_query_number(r, "poll_after", -1);
    if (http_query_text(r, "polls", w->statuses)) {
        w->rest = str_of(w->statuses);
    }
    return w;
}

static void add_location(const struct work *w, const struct http_request *r, struct buf *head)
{
    char location[HTTP_VALUE_SIZE];

    if (w->poll_after_s >= 0) {
        buf_printf(head, "Retry-After: %" PRId64 "\r\n", w->poll_after_s);
    }
    if (!http_query_text(r, "location", location)) {
        buf_printf(head, "Location: /offload/%s\r\n", w->name);
    } else if (!str_is(str_of(location), STR("no"))) {
        buf_printf(head, "Location: %s\r\n", location);
    }
}

int offload_begin(struct offload *o, struct http_exchange *x)
{
    const struct http_request *r = http_exchange_request(x);
    struct work *w = work_new(o, r);
    struct buf head = {0};

    if (w == NULL || map_put(&o->works, str_of(w->name), w) != 0) {
        return ERR_NOMEM; /* w is in the list */
    }
    add_location(w, r, &head);
    loop_timer_set(w->timer, http_query_number(r, "offload_ms", 0));
    http_answer(x, 202, buf_as_str(&head), STR("application/json"), STR("{\"pending\": true}\n"));
    buf_fini(&head);
    return ERR_OK;
}

static const char prefix[] = "/offload/";

bool offload_is_asked(const struct http_request *r)
{
    return str_is(r->method, STR("GET")) && str_starts(r->path, str_of(prefix));
}

void offload_answer(struct offload *o, struct http_exchange *x)
{
    const struct http_request *r = http_exchange_request(x);
    size_t n = sizeof prefix - 1;
    struct work *w = map_get(&o->works, (struct str){r->path.p + n, r->path.n - n});
    struct buf head = {0};
    struct str word;
    uint64_t status = 0;

    o->polls++;
    if (w != NULL && str_cut(&w->rest, ',', &word)) {
        (void)str_to_u64(word, 999, &status);
    }
    int said = status > 0 ? (int)status : w == NULL ? 404 : w->is_done ? w->status : 202;
    if (said == 202 && w->poll_after_s >= 0) {
        buf_printf(&head, "Retry-After: %" PRId64 "\r\n", w->poll_after_s);
    }
    buf_text(&head, said == 202 ? "" : "X-Offloaded: done\r\n");
    http_answer(x, said, buf_as_str(&head), STR("application/json"),
                said == 202 ? STR("{\"pending\": true}\n") : STR("{\"polled\": true}\n"));
    buf_fini(&head);
}

uint64_t offload_polls(const struct offload *o)
{
    return o->polls;
}

uint64_t offload_posted(const struct offload *o)
{
    return o->posted;
}

uint64_t offload_refused(const struct offload *o)
{
    return o->refused;
}
