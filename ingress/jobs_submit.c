/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include "daemon/problem.h"
#include "fair.h"
#include "job/document.h"
#include "prefer.h"
#include "submission.h"

#include <stdlib.h>

static void refuse(struct httpd_req *r, enum problem p, const char *detail)
{
    struct problem_more more = {.detail = detail};

    problem_answer(r, p, &more);
}

/* What this release does not do yet is refused, not ignored. */
static const char *not_yet(const struct job_document *d)
{
    if (d->callback != NULL) {
        return "callback is not available in this release.";
    }
    return NULL;
}

/* Header and document may both name the key; then they must agree. */
static const char *key_of(const struct httpd_req *r, const struct job_document *d, struct str *ret)
{
    struct str header = httpd_header(r, "Idempotency-Key");

    *ret = str_of(d->idempotency_key);
    if (header.p == NULL) {
        return NULL;
    }
    if (httpd_header_count(r, "Idempotency-Key") > 1 || !prefer_idempotency_key(header, &header)) {
        return "Idempotency-Key must be one value of 1 to 255 printable characters.";
    }
    if (d->idempotency_key != NULL && !str_is(header, *ret)) {
        return "The header Idempotency-Key and the member idempotency_key differ.";
    }
    *ret = header;
    return NULL;
}

static void submit(struct ingress *g, struct httpd_req *r, struct job_document *d,
                   struct registry_entry *e, struct str key_value, const struct keyring_pass *pass)
{
    char key[65];
    char fingerprint[65];
    struct str body = {d->body, d->body_n};
    const char *fair_by = e->tenant->fair_by;
    struct submission_order o = {.mode = CALLER_ASYNC,
                                 .ttl_ms = d->ttl_ms,
                                 .due_in_ms = d->due_in_ms,
                                 .tenant = str_of(e->tenant->name),
                                 .rate = pass->rate};

    o.message = (struct job_message){
        .class = str_of(d->priority != NULL ? d->priority : "normal"),
        .lane = fair_lane(fair_by, fair_value(str_of(d->head), fair_by), pass->caller),
        .method = str_of(d->method),
        .path = str_of(d->path),
        .head = str_of(d->head),
        .caller = pass->caller,
        .labels = str_of(d->labels),
        .retry = str_of(d->retry),
        .traceparent = httpd_header(r, "traceparent"),
        .ordering_key = str_of(d->ordering_key),
        .timeout_ms = d->timeout_ms,
        .body = body};
    if (key_value.n > 0) {
        job_key_digest(pass->caller, key_value, key);
        job_fingerprint(o.message.method, o.message.path, body, fingerprint);
        o.message.key = str_of(key);
        o.message.key_value = key_value;
        o.message.fingerprint = str_of(fingerprint);
    }
    o.body = d->body;
    d->body = NULL;
    submission_start(g, r, e, &o);
}

void jobs_submit(struct ingress *g, struct httpd_req *r)
{
    struct job_document d = {0};
    struct buf why = {0};
    struct keyring_pass pass;
    struct str key_value;
    const char *trouble;

    int rc = job_document_parse(httpd_body(r), clock_wall().ms, &d, &why);
    if (rc != ERR_OK) {
        refuse(r,
               rc == ERR_TOO_LARGE ? PROBLEM_BODY_TOO_LARGE
               : rc == ERR_SYNTAX  ? PROBLEM_MALFORMED
               : rc == ERR_NOMEM   ? PROBLEM_UNAVAILABLE
                                   : PROBLEM_INVALID,
               why.n > 0 ? why.p : NULL);
        goto out;
    }
    pass = keyring_check(g->keys, r, CONFIG_SUBMIT, str_of(d.tenant), loop_now(g->loop));
    if (keyring_refuse(&pass, r)) {
        goto out;
    }
    struct registry_entry *e = registry_find(g->registry, str_of(d.tenant));
    trouble = not_yet(&d);
    trouble = trouble == NULL ? key_of(r, &d, &key_value) : trouble;
    if (e == NULL && !registry_is_read(g->registry)) {
        refuse(r, PROBLEM_UNAVAILABLE, "No dispatcher has written the registry yet.");
    } else if (e == NULL) {
        problem_answer(r, PROBLEM_UNKNOWN_TENANT, NULL);
    } else if (trouble != NULL) {
        refuse(r, PROBLEM_INVALID, trouble);
    } else if (key_value.n == 0 && e->tenant->idempotency.is_required &&
               !str_is(str_of(d.method), STR("GET")) && !str_is(str_of(d.method), STR("HEAD")) &&
               !str_is(str_of(d.method), STR("OPTIONS"))) {
        problem_answer(r, PROBLEM_KEY_REQUIRED, NULL);
    } else {
        submit(g, r, &d, e, key_value, &pass);
    }
out:
    job_document_fini(&d);
    buf_fini(&why);
}
