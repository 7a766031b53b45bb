/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/inside.h"

#include <stdlib.h>

struct endpoint {
    const char *path;
    void (*answer)(struct daemon *d, struct httpd_req *r);
};

static void answer_text(struct httpd_req *r, const char *type, struct str body)
{
    httpd_answer(r, &(struct httpd_answer){.status = 200, .content_type = type, .body = body});
}

static void answer_livez(struct daemon *d, struct httpd_req *r)
{
    (void)d;
    answer_text(r, "text/plain; charset=utf-8", STR("ok\n"));
}

static void answer_readyz(struct daemon *d, struct httpd_req *r)
{
    struct buf why = {0};

    if (daemon_is_draining(d)) {
        problem_answer(r, PROBLEM_DRAINING, NULL);
    } else if (d->program->is_ready != NULL && !d->program->is_ready(d->self, &why)) {
        problem_answer(r, PROBLEM_UNAVAILABLE, &(struct problem_more){.detail = why.p});
    } else {
        answer_text(r, "text/plain; charset=utf-8", STR("ready\n"));
    }
    buf_fini(&why);
}

static void answer_metrics(struct daemon *d, struct httpd_req *r)
{
    struct buf text = {0};
    size_t n = 0;

    process_scrape(d->process);
    metric_set(d->connections, NULL, (double)httpd_connections(d->httpd));
    metric_set(d->pending, NULL, (double)httpd_pending(d->httpd));
    if (d->program->on_scrape != NULL) {
        d->program->on_scrape(d->self);
    }
    metrics_print(d->metrics, &text);
    char *p = buf_take(&text, &n);
    if (p == NULL) {
        problem_answer(r, PROBLEM_INTERNAL, NULL);
        return;
    }
    httpd_answer(r,
                 &(struct httpd_answer){.status = 200,
                                        .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                        .body = {p, n},
                                        .free_body = free});
}

static const struct endpoint endpoints[] = {
    {"/livez", answer_livez},
    {"/readyz", answer_readyz},
    {"/metrics", answer_metrics},
};

static const struct endpoint *find_endpoint(const struct httpd_req *r)
{
    struct str path = httpd_path(r);

    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        if (str_is(path, str_of(endpoints[i].path))) {
            return &endpoints[i];
        }
    }
    return NULL;
}

static bool is_read(const struct httpd_req *r)
{
    return str_is(httpd_method(r), STR("GET")) || str_is(httpd_method(r), STR("HEAD"));
}

static void refuse_method(struct httpd_req *r)
{
    const struct httpd_field allow = {STR("Allow"), STR("GET, HEAD")};

    problem_answer(r, PROBLEM_METHOD, &(struct problem_more){.fields = &allow, .n_fields = 1});
}

/* Whatever arrives once the program is gone, while the last answers leave. Not `draining`, which
 * says that a job goes on. */
static bool is_too_late(const struct daemon *d, struct httpd_req *r)
{
    if (!d->is_started) {
        problem_answer(
            r, PROBLEM_UNAVAILABLE,
            &(struct problem_more){.detail = "This process is stopping. Nothing was accepted.",
                                   .retry_after_s = 1});
    }
    return !d->is_started;
}

void serve_head(struct httpd_req *r, void *arg)
{
    struct daemon *d = arg;

    if (is_too_late(d, r)) {
        return;
    }
    if (find_endpoint(r) != NULL) {
        if (!is_read(r)) {
            refuse_method(r); /* before its body comes */
        }
        return;
    }
    if (d->program->on_head != NULL) {
        d->program->on_head(r, d->self);
    }
}

void serve_request(struct httpd_req *r, void *arg)
{
    struct daemon *d = arg;

    if (is_too_late(d, r)) {
        return;
    }
    const struct endpoint *e = find_endpoint(r);
    if (e == NULL) {
        d->program->on_request(r, d->self);
    } else if (is_read(r)) {
        e->answer(d, r);
    } else {
        refuse_method(r);
    }
}

void serve_refusal(int status, const char *detail, struct httpd_answer *answer, void *arg)
{
    static const struct httpd_field retry_after = {{"Retry-After", 11}, {"1", 1}};
    struct buf body = {0};
    size_t n = 0;

    (void)arg;
    problem_print(problem_of_status(status), &(struct problem_more){.detail = detail}, &body);
    char *p = buf_take(&body, &n);
    if (p == NULL) {
        return; /* the server's own text will do */
    }
    answer->content_type = "application/problem+json";
    answer->body = (struct str){p, n};
    answer->free_body = free;
    if (status == 503) {
        answer->fields = &retry_after;
        answer->n_fields = 1;
    }
}
