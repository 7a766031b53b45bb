/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include "call.h"
#include "dead.h"
#include "jobs.h"
#include "openapi.h"

#define JOBS "/v1/jobs"

static bool is_under_jobs(struct str path)
{
    return str_starts(path, STR(JOBS)) &&
           (path.n == sizeof JOBS - 1 || path.p[sizeof JOBS - 1] == '/');
}

static bool is_under_dead(struct str path)
{
    return str_is(path, STR("/v1/dead")) || str_starts(path, STR("/v1/dead/"));
}

/* "no tenant of that name", or "the registry is not here yet". */
static void refuse_tenant(const struct ingress *g, struct httpd_req *r)
{
    struct problem_more more = {.detail = "No dispatcher has written the registry yet.",
                                .retry_after_s = 1};

    if (registry_is_read(g->registry)) {
        problem_answer(r, PROBLEM_UNKNOWN_TENANT, NULL);
    } else {
        problem_answer(r, PROBLEM_UNAVAILABLE, &more);
    }
}

static void refuse_method(struct httpd_req *r, const char *allow)
{
    struct httpd_field f[] = {{STR("Allow"), str_of(allow)}};
    struct problem_more more = {.fields = f, .n_fields = 1};

    problem_answer(r, PROBLEM_METHOD, &more);
}

/* Everything that takes work says no early while it could not be taken. */
static bool refuse_work(struct ingress *g, struct httpd_req *r)
{
    struct problem_more more = {.retry_after_s = 1};

    if (g->is_draining) {
        more.detail = "This process is stopping. Nothing was accepted.";
    } else if (!store_is_open(g->store)) {
        more.detail = "The store does not answer. Nothing was accepted.";
    } else if (bus_link_state(g->publisher) != BUS_OPEN) {
        more.detail = "The broker does not answer, or takes nothing. Nothing was accepted.";
    } else if (!standing_is_ready(g->standing)) {
        more.detail = "The broker's queues are being declared. Nothing was accepted.";
    } else {
        return false;
    }
    metric_add(g->metrics.refused, (struct str[]){str_of(problem_type(PROBLEM_UNAVAILABLE))}, 1);
    problem_answer(r, PROBLEM_UNAVAILABLE, &more);
    return true;
}

static bool is_submit(struct httpd_req *r)
{
    return str_is(httpd_path(r), STR(JOBS));
}

void route_head(struct httpd_req *r, void *self)
{
    struct ingress *g = self;
    struct registry_entry *e;
    struct str tenant;
    struct str path;

    if (is_submit(r) || is_under_jobs(httpd_path(r)) || is_under_dead(httpd_path(r)) ||
        str_is(httpd_path(r), STR("/openapi.json"))) {
        return;
    }
    if (!call_target(g, httpd_target(r), &e, &tenant, &path)) {
        problem_answer(r, PROBLEM_NOT_FOUND, NULL);
        return;
    }
    struct keyring_pass pass = keyring_check(g->keys, r, CONFIG_SUBMIT, tenant, loop_now(g->loop));
    if (keyring_refuse(&pass, r)) {
        return;
    }
    if (e == NULL) {
        refuse_tenant(g, r);
    } else if (str_is(httpd_method(r), STR("CONNECT")) || str_is(httpd_method(r), STR("TRACE"))) {
        refuse_method(r, "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE");
    } else {
        (void)refuse_work(g, r);
    }
}

static void to_jobs(struct ingress *g, struct httpd_req *r)
{
    struct str rest = httpd_path(r);
    struct str id;
    struct str action = {"", 0};

    rest.p += sizeof JOBS;
    rest.n -= sizeof JOBS;
    (void)str_cut(&rest, '/', &id);
    if (rest.p != NULL) {
        action = rest;
    }
    if (action.n > 0 && !str_is(action, STR("result")) && !str_is(action, STR("retry")) &&
        !str_is(action, STR("resolve")) && !str_is(action, STR("why")) &&
        !str_is(action, STR("complete"))) {
        problem_answer(r, PROBLEM_NOT_FOUND, NULL);
        return;
    }
    jobs_act(g, r, id, action);
}

static void to_dead(struct ingress *g, struct httpd_req *r)
{
    struct str rest = httpd_path(r);
    struct str id;
    bool is_get = str_is(httpd_method(r), STR("GET")) || str_is(httpd_method(r), STR("HEAD"));

    if (str_is(rest, STR("/v1/dead")) && is_get) {
        dead_list(g, r);
    } else if (str_is(rest, STR("/v1/dead"))) {
        refuse_method(r, "GET, HEAD");
    } else if (str_is(rest, STR("/v1/dead/redrive")) && str_is(httpd_method(r), STR("POST"))) {
        dead_redrive(g, r);
    } else if (str_is(rest, STR("/v1/dead/redrive"))) {
        refuse_method(r, "POST");
    } else {
        rest.p += sizeof "/v1/dead/" - 1;
        rest.n -= sizeof "/v1/dead/" - 1;
        (void)str_cut(&rest, '/', &id);
        if (rest.n > 0 && !str_is(rest, STR("redrive"))) {
            problem_answer(r, PROBLEM_NOT_FOUND, NULL);
        } else {
            jobs_dead(g, r, id, rest);
        }
    }
}

static void to_submit(struct ingress *g, struct httpd_req *r)
{
    if (!str_is(httpd_method(r), STR("POST"))) {
        refuse_method(r, "POST");
    } else if (!refuse_work(g, r)) {
        jobs_submit(g, r);
    }
}

static void to_openapi(struct httpd_req *r)
{
    if (str_is(httpd_method(r), STR("GET")) || str_is(httpd_method(r), STR("HEAD"))) {
        openapi_answer(r);
    } else {
        refuse_method(r, "GET, HEAD");
    }
}

void route_request(struct httpd_req *r, void *self)
{
    struct ingress *g = self;
    struct registry_entry *e;
    struct str tenant;
    struct str path;

    if (is_submit(r)) {
        to_submit(g, r);
    } else if (is_under_jobs(httpd_path(r))) {
        to_jobs(g, r);
    } else if (is_under_dead(httpd_path(r))) {
        to_dead(g, r);
    } else if (str_is(httpd_path(r), STR("/openapi.json"))) {
        to_openapi(r);
    } else if (call_target(g, httpd_target(r), &e, &tenant, &path) && e != NULL) {
        if (!refuse_work(g, r)) {
            /* The rate was charged when the head came. */
            struct keyring_pass pass = keyring_identify(g->keys, r);
            call_start(g, r, e, path, &pass);
        }
    } else {
        refuse_tenant(g, r);
    }
}
