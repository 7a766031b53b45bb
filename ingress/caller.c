/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include <stdio.h>
#include <stdlib.h>

#define JOBS_PATH "/v1/jobs/"

enum { FIELDS_MAX = 128, COMMON_FIELDS = 4 + QUOTA_FIELDS, JOB_ROOM = 640 };

/* Room for the fields' values. */
struct texts {
    char backoff[STR_I64_SIZE];
    char quota[QUOTA_FIELDS][QUOTA_TEXT_SIZE];
};

static struct httpd_req *take(struct caller *c)
{
    struct httpd_req *r = c->request;

    c->request = NULL;
    return r;
}

/* At most COMMON_FIELDS. */
static size_t add_common(const struct caller *c, bool is_good, struct texts *texts,
                         struct httpd_field *f)
{
    size_t n = 0;

    f[n++] = (struct httpd_field){STR("Sluice-Job-Id"), str_of(c->id)};
    f[n++] = (struct httpd_field){STR("Vary"), STR("Prefer")};
    if (c->is_replayed) {
        f[n++] = (struct httpd_field){STR("Idempotent-Replayed"), STR("true")};
    }
    if (is_good && c->backoff_s > 0) {
        f[n++] =
            (struct httpd_field){STR("Sluice-Backoff"), str_from_i64(c->backoff_s, texts->backoff)};
    }
    return n + quota_fields(&c->quota, texts->quota, f + n);
}

static void print_time(struct buf *out, const char *member, int64_t ms)
{
    char text[WALL_TEXT_SIZE];

    if (ms > 0) {
        wall_format((struct wall){ms}, text);
        buf_text(out, ",\"");
        buf_text(out, member);
        buf_text(out, "\":\"");
        buf_text(out, text);
        buf_char(out, '"');
    }
}

static void print_asked(const struct job_message *m, struct buf *out)
{
    print_time(out, "created_at", m->created_ms);
    print_time(out, "not_before", m->due_ms);
    print_time(out, "expires_at", m->expires_ms);
    buf_text(out, ",\"request\":{\"method\":");
    buf_json_str(out, m->method);
    buf_text(out, ",\"path\":");
    buf_json_str(out, m->path);
    struct str priority = job_message_priority(m);
    buf_text(out, "},\"priority\":\"");
    buf_str(out, priority.n > 0 ? priority : STR("normal"));
    buf_char(out, '"');
    if (m->key_value.n > 0) {
        buf_text(out, ",\"idempotency_key\":");
        buf_json_str(out, m->key_value);
    }
    if (m->timeout_ms > 0) {
        buf_printf(out, ",\"timeout_s\":%.3f", (double)m->timeout_ms / 1000.0);
    }
    buf_text(out, ",\"labels\":");
    buf_str(out, m->labels.n > 0 ? m->labels : STR("{}"));
}

/* The job as a document. m: NULL when only its id is known. */
static void print_job(const char *id, const char *state, struct str location,
                      const struct job_message *m, struct buf *out)
{
    struct str tenant = str_of(id);
    struct str rest = tenant;

    (void)str_cut(&rest, '.', &tenant);
    (void)buf_reserve(out, JOB_ROOM);
    buf_text(out, "{\"id\":\"");
    buf_text(out, id);
    buf_text(out, "\",\"tenant\":\"");
    buf_str(out, tenant);
    buf_text(out, "\",\"state\":\"");
    buf_text(out, state);
    buf_char(out, '"');
    if (m != NULL) {
        print_asked(m, out);
    }
    buf_text(out, ",\"links\":{\"self\":\"");
    buf_str(out, location);
    buf_text(out, "\",\"result\":\"");
    buf_str(out, location);
    buf_text(out, "/result\"}}");
}

void caller_accepted(struct caller *c, const char *state, const struct job_message *m)
{
    char path[JOB_ID_SIZE + sizeof JOBS_PATH];
    char applied[32] = "respond-async";
    struct httpd_field f[COMMON_FIELDS + 2];
    struct texts texts;
    struct buf body = {0};
    size_t body_n = 0;

    if (c->request == NULL) {
        return;
    }
    size_t path_n = str_put(STR(JOBS_PATH), path, sizeof path, 0);
    struct str location = {path, str_put(str_of(c->id), path, sizeof path, path_n)};
    size_t n = add_common(c, /* is_good= */ true, &texts, f);
    f[n++] = (struct httpd_field){STR("Location"), location};
    if (c->mode == CALLER_WAIT) {
        (void)snprintf(applied, sizeof applied, "wait=%lld", (long long)(c->wait_ms / 1000));
    }
    if (c->is_preferred) {
        f[n++] = (struct httpd_field){STR("Preference-Applied"), str_of(applied)};
    }
    print_job(c->id, state, location, m, &body);
    struct httpd_answer a = {.status = 202,
                             .content_type = "application/json",
                             .fields = f,
                             .n_fields = n,
                             .free_body = free};
    a.body.p = buf_take(&body, &body_n);
    a.body.n = body_n;
    httpd_answer(take(c), &a);
}

void caller_answer(struct caller *c, const struct job_answer *answer, uint32_t attempts)
{
    struct httpd_field f[FIELDS_MAX];
    char number[STR_I64_SIZE];
    struct texts texts;
    struct str rest = answer->head;
    struct str name;
    struct str value;

    if (c->request == NULL) {
        return;
    }
    bool is_good = answer->status >= 200 && answer->status < 300;
    size_t n = add_common(c, is_good, &texts, f);
    f[n++] = (struct httpd_field){STR("Sluice-Attempts"), str_from_i64(attempts, number)};
    while (n < FIELDS_MAX && job_head_next(&rest, &name, &value)) {
        f[n++] = (struct httpd_field){name, value};
    }
    struct httpd_answer a = {
        .status = answer->status, .fields = f, .n_fields = n, .body = answer->body};
    httpd_answer(take(c), &a);
}

void caller_problem(struct caller *c, enum problem p, const char *detail, int retry_after_s)
{
    struct httpd_field f[1 + QUOTA_FIELDS] = {{STR("Vary"), STR("Prefer")}};
    char texts[QUOTA_FIELDS][QUOTA_TEXT_SIZE];
    size_t n = 1 + quota_fields(&c->quota, texts, f + 1);
    struct problem_more more = {.detail = detail,
                                .job = str_of(c->id),
                                .retry_after_s = retry_after_s,
                                .fields = f,
                                .n_fields = n};

    if (c->request != NULL) {
        problem_answer(take(c), p, &more);
    }
}

void caller_no_answer(struct caller *c, enum job_state state, struct str error)
{
    if (str_is(error, STR("result_too_large"))) {
        caller_problem(
            c, PROBLEM_RESULT_TOO_LARGE,
            "The tenant answered, but the answer is larger than max_result_bytes; ask for "
            "the job by its id.",
            0);
    } else if (state == JOB_IN_DOUBT) {
        caller_problem(
            c, PROBLEM_CALL_IN_DOUBT,
            "The request may have reached the tenant, and no complete answer came. It is "
            "not repeated; an operator can resolve the job.",
            0);
    } else if (state == JOB_CANCELED && str_is(error, STR("not_accepted"))) {
        caller_problem(c, PROBLEM_UNAVAILABLE,
                       "The job was not confirmed in time and was withdrawn. It may be repeated.",
                       1);
    } else if (state == JOB_CANCELED) {
        caller_problem(c, PROBLEM_CANCELED, "The job was canceled before it was started.", 0);
    } else if (state == JOB_EXPIRED) {
        caller_problem(c, PROBLEM_SYNC_TIMEOUT,
                       "The call was not started in time, and will not be.", 0);
    } else if (str_starts(error, STR("timeout"))) {
        caller_problem(c, PROBLEM_SYNC_TIMEOUT, "The tenant did not answer in time.", 0);
    } else {
        caller_problem(c, PROBLEM_TENANT_UNREACHABLE, "No instance of the tenant gave an answer.",
                       0);
    }
}
