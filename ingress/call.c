/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include "daemon/problem.h"
#include "fair.h"
#include "job/document.h"
#include "prefer.h"
#include "submission.h"

#include <stdlib.h>

#define CALL_PREFIX "/call/"

static void split(struct str target, struct str *ret_path)
{
    struct str rest = target;

    (void)str_cut(&rest, '?', ret_path);
}

bool call_target(const struct ingress *g, struct str target, struct registry_entry **ret_entry,
                 struct str *ret_tenant, struct str *ret_path)
{
    struct str path;

    if (str_starts(target, STR(CALL_PREFIX))) {
        struct str rest = {target.p + sizeof CALL_PREFIX - 1, target.n - (sizeof CALL_PREFIX - 1)};
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') {
            n++;
        }
        *ret_tenant = (struct str){rest.p, n};
        *ret_path = (struct str){rest.p + n, rest.n - n};
        *ret_entry = registry_find(g->registry, *ret_tenant);
        return true;
    }
    split(target, &path);
    *ret_entry = registry_find_api(g->registry, path);
    *ret_path = target;
    *ret_tenant = *ret_entry != NULL ? str_of((*ret_entry)->tenant->name) : (struct str){"", 0};
    return *ret_entry != NULL;
}

/* End-to-end fields only, repeated ones separate and in order. */
static void copy_head(const struct httpd_req *r, const struct keyring_pass *pass, struct buf *head)
{
    struct str connection = httpd_header(r, "Connection");

    for (size_t i = 0; i < httpd_n_fields(r); i++) {
        struct httpd_field f = httpd_field_at(r, i);
        bool is_token =
            pass->source == KEYRING_AUTHORIZATION && str_is_nocase(f.name, STR("Authorization"));
        bool is_ours = str_is_nocase(f.name, STR("Idempotency-Key")) ||
                       str_is_nocase(f.name, STR("traceparent"));
        if (is_token || is_ours || !job_field_is_forwarded(f.name, connection)) {
            continue;
        }
        buf_str(head, f.name);
        buf_text(head, ": ");
        buf_str(head, f.value);
        buf_text(head, "\r\n");
    }
}

static struct prefer prefer_of(const struct httpd_req *r)
{
    struct prefer p = {0};

    for (size_t i = 0; i < httpd_n_fields(r); i++) {
        struct httpd_field f = httpd_field_at(r, i);
        if (str_is_nocase(f.name, STR("Prefer"))) {
            prefer_read(f.value, &p);
        }
    }
    return p;
}

static bool is_unsafe(struct str method)
{
    return !str_is(method, STR("GET")) && !str_is(method, STR("HEAD")) &&
           !str_is(method, STR("OPTIONS"));
}

/* The dedupe key of the request, if it has one. False: answered with 400. */
static bool take_key(struct httpd_req *r, const struct tenant *t, struct str *ret)
{
    struct problem_more more = {
        .detail = "Idempotency-Key must be one value of 1 to 255 printable characters."};
    size_t n = httpd_header_count(r, "Idempotency-Key");

    *ret = (struct str){NULL, 0};
    if (n == 0 && t->idempotency.is_required && is_unsafe(httpd_method(r))) {
        problem_answer(r, PROBLEM_KEY_REQUIRED, NULL);
        return false;
    }
    if (n > 1 || (n == 1 && !prefer_idempotency_key(httpd_header(r, "Idempotency-Key"), ret))) {
        problem_answer(r, PROBLEM_INVALID, &more);
        return false;
    }
    return true;
}

/* The key that puts the call into a line with others, if it has one. False: answered with 400. */
static bool take_ordering_key(struct httpd_req *r, struct str *ret)
{
    struct problem_more more = {
        .detail = "Sluice-Ordering-Key must be one value of 1 to 255 printable characters."};
    size_t n = httpd_header_count(r, "Sluice-Ordering-Key");

    *ret = (struct str){NULL, 0};
    if (n > 1 || (n == 1 && !prefer_idempotency_key(httpd_header(r, "Sluice-Ordering-Key"), ret))) {
        problem_answer(r, PROBLEM_INVALID, &more);
        return false;
    }
    return true;
}

static void set_mode(struct submission_order *o, const struct prefer *p, const struct tenant *t)
{
    if (p->is_async && !p->has_wait) {
        o->mode = CALLER_ASYNC;
    } else if (p->has_wait) {
        o->mode = CALLER_WAIT;
        o->wait_ms = p->wait_ms;
    } else {
        o->mode = CALLER_SYNC;
        o->wait_ms = t->timeouts.sync_ms;
    }
    o->is_preferred = o->mode != CALLER_SYNC;
    o->message.class = o->mode == CALLER_ASYNC ? STR("normal") : STR("sync");
}

/* The class of an asynchronous call. False: answered with 400. */
static bool take_priority(struct httpd_req *r, struct submission_order *o)
{
    struct problem_more more = {.detail = "Sluice-Priority must be high, normal or low."};
    struct str given = httpd_header(r, "Sluice-Priority");

    if (given.p == NULL) {
        return true;
    }
    if (!str_is(given, STR("high")) && !str_is(given, STR("normal")) &&
        !str_is(given, STR("low"))) {
        problem_answer(r, PROBLEM_INVALID, &more);
        return false;
    }
    /* A caller that waits is served as such. */
    o->message.class = o->mode == CALLER_ASYNC ? given : o->message.class;
    return true;
}

void call_start(struct ingress *g, struct httpd_req *r, struct registry_entry *tenant,
                struct str path, const struct keyring_pass *pass)
{
    const struct tenant *t = tenant->tenant;
    struct prefer p = prefer_of(r);
    struct submission_order o = {.tenant = str_of(t->name), .rate = pass->rate};
    struct buf head = {0};
    char key[65];
    char fingerprint[65];
    struct str key_value;
    size_t body_n = 0;

    set_mode(&o, &p, t);
    if (!take_key(r, t, &key_value) || !take_ordering_key(r, &o.message.ordering_key) ||
        !take_priority(r, &o)) {
        return;
    }
    o.message.method = httpd_method(r);
    o.message.path = path.n > 0 ? path : STR("/");
    o.message.caller = pass->caller;
    o.message.lane =
        fair_lane(t->fair_by, t->fair_by != NULL ? httpd_header(r, t->fair_by) : o.message.lane,
                  pass->caller);
    if (key_value.n > 0) {
        job_key_digest(pass->caller, key_value, key);
        job_fingerprint(o.message.method, o.message.path, httpd_body(r), fingerprint);
        o.message.key = str_of(key);
        o.message.key_value = key_value;
        o.message.fingerprint = str_of(fingerprint);
    }
    o.message.traceparent = httpd_header(r, "traceparent");
    copy_head(r, pass, &head);
    o.message.head = buf_as_str(&head);
    o.body = httpd_body_take(r, &body_n);
    o.message.body = (struct str){o.body, body_n};
    submission_start(g, r, tenant, &o);
    buf_fini(&head);
}
