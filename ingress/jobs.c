/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include "base/fault.h"
#include "calls.h"
#include "daemon/problem.h"
#include "dead.h"
#include "job/answer.h"
#include "job/id.h"
#include "job/record.h"
#include "prefer.h"
#include "why.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

enum { POLL_MS = 250, RECORD_FIELDS_MAX = 512, BODY_MAX = 16384 };

/* What is asked about a job; lives until it is answered or its caller left. */
enum ask_kind {
    ASK_STATUS,
    ASK_RESULT,
    ASK_CANCEL,
    ASK_RESOLVE,
    ASK_DEAD,
    ASK_DROP,
    ASK_WHY,
    ASK_COMPLETE
};

struct ask {
    struct ingress *ingress;
    struct list all;
    struct httpd_req *request; /* NULL once it is gone or answered */
    enum ask_kind kind;
    char id[JOB_ID_SIZE];
    int64_t wait_ms; /* long-poll */
    struct mono arrived;
    char etag[64]; /* the state to wait away from; "" none yet */
    struct loop_timer *timer;
    unsigned int asking;
    char attempts[24];   /* of the job whose result is asked for */
    bool is_conditional; /* If-None-Match counts */
    struct job_completion completion;
    struct registry_entry *tenant; /* of a completion; owned */
};

static void ask_free(struct ask *a)
{
    struct ingress *g = a->ingress;

    list_remove(&a->all);
    loop_timer_free(a->timer);
    job_completion_fini(&a->completion);
    registry_unref(a->tenant);
    free(a);
    g->n_asks--;
    ingress_note(g);
}

/* Ends when nothing is under way any more. */
static void release(struct ask *a)
{
    if (a->request == NULL && a->asking == 0) {
        ask_free(a);
    }
}

static void on_gone(struct httpd_req *r, void *arg)
{
    struct ask *a = httpd_data(r);

    (void)arg;
    a->request = NULL;
    release(a);
}

static void problem(struct ask *a, enum problem p, const char *detail)
{
    struct problem_more more = {.detail = detail, .job = str_of(a->id)};
    struct httpd_req *r = a->request;

    if (r != NULL) {
        a->request = NULL;
        problem_answer(r, p, &more);
    }
}

static void no_store(struct ask *a)
{
    problem(a, PROBLEM_UNAVAILABLE, "The store does not answer. Repeat later.");
}

/* rc: of a script that changes something. */
static void no_change(struct ask *a, int rc)
{
    if (rc == ERR_UNKNOWN) {
        problem(a, PROBLEM_UNAVAILABLE,
                "The store did not answer: it is not known whether this was done. Send it again.");
    } else {
        no_store(a);
    }
}

/* --- status ----------------------------------------------------------------------------------- */

struct record {
    struct job_record_field at[RECORD_FIELDS_MAX];
    size_t n;
};

static void read_record(const struct store_value *v, struct record *r)
{
    r->n = 0;
    for (size_t i = 0; i + 1 < v->n_items && r->n < RECORD_FIELDS_MAX; i += 2) {
        r->at[r->n++] = (struct job_record_field){v->items[i].text, v->items[i + 1].text};
    }
}

static void answer_record(struct ask *a, const struct record *rec, const char *etag, int status)
{
    struct buf body = {0};
    char applied[32];
    struct httpd_field f[4] = {{STR("ETag"), str_of(etag)}, {STR("Vary"), STR("Prefer")}};
    size_t n = 2;
    struct httpd_req *r = a->request;

    if (job_record_print(str_of(a->id), rec->at, rec->n, clock_wall(), &body) != ERR_OK ||
        buf_failed(&body)) {
        problem(a, PROBLEM_INTERNAL, "The record cannot be read.");
        goto out;
    }
    if (a->wait_ms > 0) {
        (void)snprintf(applied, sizeof applied, "wait=%lld", (long long)(a->wait_ms / 1000));
        f[n++] = (struct httpd_field){STR("Preference-Applied"), str_of(applied)};
    }
    if (status == 202) {
        f[n++] = (struct httpd_field){STR("Retry-After"), STR("1")};
    }
    struct httpd_answer answer = {.status = status,
                                  .content_type = "application/json",
                                  .fields = f,
                                  .n_fields = n,
                                  .body = buf_as_str(&body)};
    a->request = NULL;
    httpd_answer(r, &answer);
out:
    buf_fini(&body);
}

/* A record without a known state shows as accepted here; printing it is refused. */
static enum job_state state_of(const struct record *rec)
{
    enum job_state state;

    return job_record_state(rec->at, rec->n, clock_wall(), &state) == ERR_OK ? state : JOB_ACCEPTED;
}

static void etag_of(const struct record *rec, char out[64])
{
    struct str n = job_record_get(rec->at, rec->n, "n");

    (void)snprintf(out, 64, "\"%s-%.*s\"", job_state_word(state_of(rec)), STR_ARG(n));
}

static void on_record(int rc, const struct store_value *v, void *arg);

static void ask_record(struct ask *a)
{
    if (calls_record(a->ingress, str_of(a->id), on_record, a) == ERR_OK) {
        a->asking++;
    } else {
        no_store(a);
    }
}

static void on_poll(struct loop_timer *t, void *arg)
{
    struct ask *a = arg;

    (void)t;
    if (a->request != NULL && a->asking == 0) {
        ask_record(a);
        release(a);
    }
}

/* A long-poll goes on while nothing has changed and time is left. */
static bool goes_on(struct ask *a, const char *etag)
{
    struct ingress *g = a->ingress;

    if (a->wait_ms <= 0 || g->is_draining ||
        mono_since_ms(a->arrived, loop_now(g->loop)) >= a->wait_ms) {
        return false;
    }
    if (a->etag[0] == '\0') {
        (void)snprintf(a->etag, sizeof a->etag, "%s", etag);
    }
    return str_is(str_of(a->etag), str_of(etag));
}

static void answer_status(struct ask *a, const struct record *rec)
{
    char etag[64];

    etag_of(rec, etag);
    bool is_over = job_state_is_final(state_of(rec));
    if (!is_over && goes_on(a, etag)) {
        loop_timer_set(a->timer, POLL_MS);
        return;
    }
    struct str known = httpd_header(a->request, "If-None-Match");
    if (a->is_conditional && known.p != NULL && str_is(known, str_of(etag)) && a->wait_ms == 0) {
        struct httpd_field f[] = {{STR("ETag"), str_of(etag)}, {STR("Vary"), STR("Prefer")}};
        struct httpd_answer answer = {.status = 304, .fields = f, .n_fields = 2};
        struct httpd_req *r = a->request;
        a->request = NULL;
        httpd_answer(r, &answer);
        return;
    }
    answer_record(a, rec, etag, 200);
}

/* --- result ----------------------------------------------------------------------------------- */

static void answer_result(struct ask *a, const struct job_answer *answer)
{
    enum { FIELDS_MAX = 128 };
    struct httpd_field f[FIELDS_MAX] = {{STR("Sluice-Job-Id"), str_of(a->id)},
                                        {STR("Sluice-Attempts"), str_of(a->attempts)}};
    size_t n = 2;
    struct str rest = answer->head;
    struct httpd_req *r = a->request;

    while (n < FIELDS_MAX && job_head_next(&rest, &f[n].name, &f[n].value)) {
        n++;
    }
    struct httpd_answer out = {
        .status = answer->status, .fields = f, .n_fields = n, .body = answer->body};
    a->request = NULL;
    httpd_answer(r, &out);
}

static void on_result(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct job_answer answer;

    a->asking--;
    if (a->request == NULL) {
        release(a);
        return;
    }
    if (rc != ERR_OK) {
        no_store(a);
    } else if (v->type != STORE_TEXT) {
        problem(a, PROBLEM_GONE, "The answer was too large to keep, or its time is over.");
    } else if (job_answer_unpack(v->text, &answer) != ERR_OK) {
        problem(a, PROBLEM_INTERNAL, "The stored answer cannot be read.");
    } else {
        answer_result(a, &answer);
    }
    release(a);
}

static void want_result(struct ask *a, const struct record *rec)
{
    enum job_state state;
    char etag[64];

    if (job_record_state(rec->at, rec->n, clock_wall(), &state) != ERR_OK) {
        problem(a, PROBLEM_INTERNAL, "The record cannot be read.");
        return;
    }
    bool has_status = job_record_get(rec->at, rec->n, "os").n > 0;
    if (state == JOB_EXPIRED) {
        problem(a, PROBLEM_EXPIRED, NULL);
    } else if (state == JOB_CANCELED) {
        problem(a, PROBLEM_CANCELED, NULL);
    } else if (state == JOB_IN_DOUBT && !has_status) {
        problem(a, PROBLEM_IN_DOUBT, NULL);
    } else if (!job_state_is_final(state) && state != JOB_IN_DOUBT) {
        etag_of(rec, etag);
        answer_record(a, rec, etag, 202);
    } else if (!has_status) {
        problem(a, PROBLEM_NO_ANSWER, NULL);
    } else if (calls_result(a->ingress, str_of(a->id), on_result, a) == ERR_OK) {
        struct str n = job_record_get(rec->at, rec->n, "n");
        (void)snprintf(a->attempts, sizeof a->attempts, "%.*s", STR_ARG(n));
        a->asking++;
    } else {
        no_store(a);
    }
}

/* --- the outcome that a tenant posts ---------------------------------------------------------- */

static void on_completed(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct str word = store_word(v, 0);

    a->asking--;
    if (a->request == NULL) {
        release(a);
        return;
    }
    if (rc != ERR_OK) {
        no_change(a, rc);
    } else if (str_is(word, STR("missing"))) {
        no_store(a);
    } else if (str_is(word, STR("ended"))) {
        a->kind = ASK_STATUS;
        ask_record(a);
    } else {
        problem(a, PROBLEM_COMPLETED, "The job has another outcome, or a newer attempt.");
    }
    release(a);
}

/* The token names an attempt; only that of the newest one can be right. */
static void want_completion(struct ask *a, const struct record *rec)
{
    struct str fence = job_record_get(rec->at, rec->n, "tk");
    struct str given = str_of(a->completion.token);
    char token[JOB_COMPLETE_TOKEN_SIZE];
    struct str number;
    uint64_t named = 0;
    uint64_t newest = 0;

    (void)str_cut(&given, '.', &number);
    int rc = str_to_u64(number, UINT32_MAX, &named);
    if (str_to_u64(job_record_get(rec->at, rec->n, "n"), UINT32_MAX, &newest) != ERR_OK) {
        newest = 0;
    }
    if (rc == ERR_OK && named > 0 && named < newest) {
        problem(a, PROBLEM_COMPLETED, "The job has a newer attempt.");
        return;
    }
    job_complete_token(str_of(a->id), (uint32_t)newest, fence, token);
    bool is_right = newest > 0 && fence.n > 0 &&
                    str_is_constant_time(str_of(token), str_of(a->completion.token));
    if (!is_right && RULE(token_completes)) {
        problem(a, PROBLEM_WRONG_TOKEN, NULL);
        return;
    }
    if (calls_complete(a->ingress, str_of(a->id), a->tenant->tenant, (uint32_t)newest, fence,
                       &a->completion, on_completed, a) == ERR_OK) {
        a->asking++;
    } else {
        no_store(a);
    }
}

static void on_record(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct record rec;

    a->asking--;
    if (a->request == NULL) {
        release(a);
        return;
    }
    if (rc != ERR_OK) {
        no_store(a);
    } else if (v->type != STORE_ARRAY || v->n_items == 0) {
        problem(a, PROBLEM_UNKNOWN_JOB, NULL);
    } else {
        read_record(v, &rec);
        if (a->kind == ASK_RESULT) {
            want_result(a, &rec);
        } else if (a->kind == ASK_COMPLETE) {
            want_completion(a, &rec);
        } else {
            answer_status(a, &rec);
        }
    }
    release(a);
}

/* --- cancel, retry, resolve ------------------------------------------------------------------- */

static void on_canceled(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct str word = store_word(v, 0);

    a->asking--;
    if (rc != ERR_OK) {
        no_change(a, rc);
    } else if (str_is(word, STR("missing"))) {
        problem(a, PROBLEM_UNKNOWN_JOB, NULL);
    } else if (str_is(word, STR("canceled"))) {
        a->kind = ASK_STATUS;
        ask_record(a);
    } else {
        problem(
            a, PROBLEM_NOT_CANCELABLE,
            "The job runs, is in doubt, or has ended. Only what was not started can be canceled.");
    }
    release(a);
}

static void on_resolved(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct str word = store_word(v, 0);
    char detail[160];

    a->asking--;
    if (rc != ERR_OK) {
        no_change(a, rc);
    } else if (str_is(word, STR("missing"))) {
        problem(a, PROBLEM_UNKNOWN_JOB, NULL);
    } else if (str_is(word, STR("queued")) || str_is(word, STR("settled"))) {
        a->kind = ASK_STATUS;
        ask_record(a);
    } else if (str_is(word, STR("key_taken"))) {
        struct str id = str_of(a->id);
        struct str tenant;
        (void)str_cut(&id, '.', &tenant);
        (void)snprintf(detail, sizeof detail, "Job %.*s.%.*s holds the key now.", STR_ARG(tenant),
                       STR_ARG(store_word(v, 1)));
        problem(a, PROBLEM_KEY_TAKEN, detail);
    } else {
        problem(
            a, PROBLEM_NOT_ON_SHELF,
            "Only a job that is in doubt, or failed with its attempts used up, can be run again or "
            "resolved.");
    }
    release(a);
}

static void on_dropped(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct str word = store_word(v, 0);

    a->asking--;
    if (rc != ERR_OK) {
        no_change(a, rc);
    } else if (str_is(word, STR("missing"))) {
        problem(a, PROBLEM_UNKNOWN_JOB, NULL);
    } else if (str_is(word, STR("dropped"))) {
        a->kind = ASK_STATUS;
        ask_record(a);
    } else if (str_is(word, STR("in_doubt"))) {
        problem(a, PROBLEM_IN_DOUBT,
                "It may have taken effect, so it is not dropped. Say what happened, with "
                "POST /v1/jobs/{id}/resolve: succeeded, failed, or retry.");
    } else {
        problem(a, PROBLEM_NOT_ON_SHELF, "Only a failed job that is on the shelf can be dropped.");
    }
    release(a);
}

/* rc: of what printed `body`, which is freed. */
static void answer_printed(struct ask *a, int rc, struct buf *body)
{
    struct httpd_req *r = a->request;

    if (rc != ERR_OK || buf_failed(body)) {
        problem(a, PROBLEM_INTERNAL, "The record cannot be read.");
    } else {
        a->request = NULL;
        httpd_answer(r, &(struct httpd_answer){.status = 200,
                                               .content_type = "application/json",
                                               .body = buf_as_str(body)});
    }
    buf_fini(body);
}

static void on_dead(int rc, const struct store_value *v, void *arg)
{
    enum { ITEMS = 5 };
    struct ask *a = arg;
    struct str word = store_word(v, 0);
    struct buf body = {0};
    char detail[160];

    a->asking--;
    if (a->request == NULL) {
        release(a);
        return;
    }
    if (rc != ERR_OK) {
        no_store(a);
    } else if (str_is(word, STR("missing"))) {
        problem(a, PROBLEM_UNKNOWN_JOB, NULL);
    } else if (str_is(word, STR("dead")) && v->n_items == ITEMS &&
               v->items[ITEMS - 1].type == STORE_ARRAY) {
        answer_printed(a, dead_print(str_of(a->id), v, &body), &body);
    } else {
        (void)snprintf(detail, sizeof detail,
                       "The job is no dead letter: it is %.*s. Ask /v1/jobs/{id}.",
                       STR_ARG(store_word(v, 1)));
        problem(a, PROBLEM_NOT_FOUND, detail);
    }
    release(a);
}

static void on_why(int rc, const struct store_value *v, void *arg)
{
    struct ask *a = arg;
    struct buf body = {0};

    a->asking--;
    if (a->request == NULL) {
        release(a);
        return;
    }
    if (rc != ERR_OK) {
        no_store(a);
    } else if (str_is(store_word(v, 0), STR("missing"))) {
        problem(a, PROBLEM_UNKNOWN_JOB, NULL);
    } else {
        answer_printed(a, why_print(v, clock_wall(), &body), &body);
    }
    release(a);
}

/* {"state": "succeeded|failed|retry", "note": "…"}; the caller deletes the tree. */
static const char *read_resolution(struct str body, cJSON **ret_tree, const char **ret_state,
                                   const char **ret_note)
{
    const char *end = NULL;

    *ret_note = "";
    if (body.n == 0 || body.n > BODY_MAX || !str_is_utf8(body) ||
        memchr(body.p, 0, body.n) != NULL) {
        return "Send {\"state\": \"succeeded|failed|retry\", \"note\": \"…\"}.";
    }
    *ret_tree = cJSON_ParseWithLengthOpts(body.p, body.n, &end, 0);
    if (*ret_tree == NULL || !cJSON_IsObject(*ret_tree) ||
        str_trim((struct str){end, (size_t)(body.p + body.n - end)}).n > 0) {
        return "The body is not one JSON object.";
    }
    *ret_state = NULL;
    const cJSON *member;
    cJSON_ArrayForEach(member, *ret_tree)
    {
        struct str name = str_of(member->string);
        if (str_is(name, STR("state")) && *ret_state == NULL && cJSON_IsString(member)) {
            *ret_state = member->valuestring;
        } else if (str_is(name, STR("note")) && cJSON_IsString(member)) {
            *ret_note = member->valuestring;
        } else {
            return "Only the text members state and note are known, once each.";
        }
    }
    struct str state = str_of(*ret_state);
    if (!str_is(state, STR("succeeded")) && !str_is(state, STR("failed")) &&
        !str_is(state, STR("retry"))) {
        return "state must be succeeded, failed or retry.";
    }
    return NULL;
}

static int resolve(struct ask *a, const struct tenant *t, bool is_retry)
{
    cJSON *tree = NULL;
    const char *state = "retry";
    const char *note = "";
    int rc = ERR_OK;

    if (!is_retry) {
        const char *why = read_resolution(httpd_body(a->request), &tree, &state, &note);
        if (why != NULL) {
            problem(a, PROBLEM_INVALID, why);
            goto out;
        }
    }
    rc = calls_resolve(a->ingress, str_of(a->id), t, state, str_of(note), on_resolved, a);
    a->asking += rc == ERR_OK ? 1u : 0u;
out:
    cJSON_Delete(tree);
    return rc;
}

/* --- the entry -------------------------------------------------------------------------------- */

static struct ask *ask_new(struct ingress *g, struct httpd_req *r, struct str id,
                           enum ask_kind kind)
{
    struct ask *a = calloc(1, sizeof *a);
    struct prefer p = {0};

    if (a == NULL || loop_timer_new(g->loop, on_poll, a, &a->timer) != ERR_OK) {
        free(a);
        problem_answer(r, PROBLEM_UNAVAILABLE, NULL);
        return NULL;
    }
    a->ingress = g;
    a->request = r;
    a->kind = kind;
    a->arrived = loop_now(g->loop);
    (void)snprintf(a->id, sizeof a->id, "%.*s", STR_ARG(id));
    a->is_conditional = kind == ASK_STATUS;
    if (kind == ASK_STATUS) {
        struct str known = httpd_header(r, "If-None-Match");
        prefer_read(httpd_header(r, "Prefer"), &p);
        a->wait_ms = p.has_wait ? p.wait_ms : 0;
        (void)snprintf(a->etag, sizeof a->etag, "%.*s", STR_ARG(known));
    }
    list_push_back(&g->asks, &a->all);
    g->n_asks++;
    httpd_set_data(r, a);
    httpd_keep(r, on_gone);
    return a;
}

static bool is_method(const struct httpd_req *r, const char *method)
{
    return str_is(httpd_method(r), str_of(method));
}

static void refuse_method(struct httpd_req *r, const char *allow)
{
    struct httpd_field f[] = {{STR("Allow"), str_of(allow)}};
    struct problem_more more = {.fields = f, .n_fields = 1};

    problem_answer(r, PROBLEM_METHOD, &more);
}

static bool is_reading(enum ask_kind kind)
{
    return kind == ASK_STATUS || kind == ASK_RESULT || kind == ASK_DEAD || kind == ASK_WHY;
}

/* "no tenant of that name, thus no job", or "the registry is not here yet". */
static void refuse_job(const struct ingress *g, struct httpd_req *r)
{
    struct problem_more more = {
        .detail = "The registry is not read yet. Nothing was changed; repeat later.",
        .retry_after_s = 1};

    if (registry_is_read(g->registry)) {
        problem_answer(r, PROBLEM_UNKNOWN_JOB, NULL);
    } else {
        problem_answer(r, PROBLEM_UNAVAILABLE, &more);
    }
}

static void begin(struct ingress *g, struct httpd_req *r, struct str id, enum ask_kind kind,
                  bool is_retry, const struct tenant *t)
{
    if (!is_reading(kind) && t == NULL) {
        refuse_job(g, r);
        return;
    }
    struct ask *a = ask_new(g, r, id, kind);
    if (a == NULL) {
        return;
    }
    int rc = ERR_OK;
    if (kind == ASK_CANCEL) {
        rc = calls_cancel(g, str_of(a->id), t, on_canceled, a);
        a->asking += rc == ERR_OK ? 1u : 0u;
    } else if (kind == ASK_RESOLVE) {
        rc = resolve(a, t, is_retry);
    } else if (kind == ASK_DROP) {
        rc = calls_drop(g, str_of(a->id), t, on_dropped, a);
        a->asking += rc == ERR_OK ? 1u : 0u;
    } else if (kind == ASK_DEAD) {
        rc = calls_dead_show(g, str_of(a->id), on_dead, a);
        a->asking += rc == ERR_OK ? 1u : 0u;
    } else if (kind == ASK_WHY) {
        rc = calls_why(g, str_of(a->id), t, on_why, a);
        a->asking += rc == ERR_OK ? 1u : 0u;
    } else {
        ask_record(a);
    }
    if (rc != ERR_OK) {
        no_store(a);
    }
    release(a);
}

/* id: of a job. */
static void check_and_begin(struct ingress *g, struct httpd_req *r, struct str id,
                            enum ask_kind kind, bool is_retry, unsigned int scope)
{
    struct job_id parts = {0};
    bool is_job = job_id_parse(id, &parts);
    struct keyring_pass pass = keyring_check(g->keys, r, scope, parts.tenant, loop_now(g->loop));

    if (!is_job || (pass.verdict == KEYRING_NOT_ALLOWED && is_reading(kind))) {
        /* Another tenant's job is none of the caller's knowledge. */
        problem_answer(r, PROBLEM_UNKNOWN_JOB, NULL);
        return;
    }
    if (keyring_refuse(&pass, r)) {
        return;
    }
    struct registry_entry *e = registry_find(g->registry, parts.tenant);
    begin(g, r, id, kind, is_retry, e == NULL ? NULL : e->tenant);
}

/* For the tenant: it has the attempt's token, and needs no key. */
static void begin_completion(struct ingress *g, struct httpd_req *r, struct str id)
{
    struct job_id parts = {0};
    struct buf why = {0};
    struct registry_entry *e =
        job_id_parse(id, &parts) ? registry_find(g->registry, parts.tenant) : NULL;

    if (e == NULL) {
        refuse_job(g, r);
        return;
    }
    struct ask *a = ask_new(g, r, id, ASK_COMPLETE);
    if (a == NULL) {
        return;
    }
    a->tenant = registry_ref(e);
    int rc = job_completion_parse(httpd_body(r), &a->completion, &why);
    if (rc == ERR_INVALID) {
        problem(a, PROBLEM_INVALID, why.p);
    } else if (rc != ERR_OK) {
        no_store(a);
    } else {
        ask_record(a);
    }
    buf_fini(&why);
    release(a);
}

void jobs_act(struct ingress *g, struct httpd_req *r, struct str id, struct str action)
{
    struct job_id parts;
    bool is_get = is_method(r, "GET") || is_method(r, "HEAD");
    bool is_why = str_is(action, STR("why"));
    bool is_read = action.n == 0 || is_why || str_is(action, STR("result"));
    const char *allow = action.n == 0 ? "GET, HEAD, DELETE" : is_read ? "GET, HEAD" : "POST";
    bool is_allowed =
        is_read ? is_get || (action.n == 0 && is_method(r, "DELETE")) : is_method(r, "POST");

    if (!job_id_parse(id, &parts)) {
        problem_answer(r, PROBLEM_UNKNOWN_JOB, NULL);
        return;
    }
    if (!is_allowed) {
        refuse_method(r, allow);
        return;
    }
    if (str_is(action, STR("complete"))) {
        begin_completion(g, r, id);
        return;
    }
    bool is_cancel = is_method(r, "DELETE");
    enum ask_kind kind = str_is(action, STR("result")) ? ASK_RESULT
                         : is_why                      ? ASK_WHY
                         : is_cancel                   ? ASK_CANCEL
                         : action.n > 0                ? ASK_RESOLVE
                                                       : ASK_STATUS;
    check_and_begin(g, r, id, kind, str_is(action, STR("retry")),
                    is_get      ? CONFIG_READ
                    : is_cancel ? CONFIG_SUBMIT
                                : CONFIG_ADMIN);
}

void jobs_dead(struct ingress *g, struct httpd_req *r, struct str id, struct str action)
{
    struct job_id parts;
    bool is_get = is_method(r, "GET") || is_method(r, "HEAD");
    bool is_drop = is_method(r, "DELETE");
    bool is_allowed = action.n == 0 ? is_get || is_drop : is_method(r, "POST");

    if (!is_allowed) {
        refuse_method(r, action.n == 0 ? "GET, HEAD, DELETE" : "POST");
    } else if (!job_id_parse(id, &parts)) {
        problem_answer(r, PROBLEM_UNKNOWN_JOB, NULL);
    } else {
        check_and_begin(g, r, id,
                        is_get    ? ASK_DEAD
                        : is_drop ? ASK_DROP
                                  : ASK_RESOLVE,
                        /* is_retry= */ true, is_get ? CONFIG_READ : CONFIG_ADMIN);
    }
}

void jobs_drain(struct ingress *g)
{
    for (struct list *l = g->asks.next; l != &g->asks; l = l->next) {
        loop_timer_set(LIST_OF(l, struct ask, all)->timer, 0);
    }
}

void jobs_free(struct ingress *g)
{
    while (!list_is_empty(&g->asks)) {
        struct ask *a = LIST_OF(g->asks.next, struct ask, all);
        no_store(a);
        ask_free(a);
    }
}
