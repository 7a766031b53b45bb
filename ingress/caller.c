/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include <stdio.h>

enum { FIELDS_MAX = 128, COMMON_FIELDS = 4 + QUOTA_FIELDS, NUMBER_SIZE = 16 };

/* Room for the fields' values. */
struct texts {
    char backoff[NUMBER_SIZE];
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
        (void)snprintf(texts->backoff, sizeof texts->backoff, "%d", c->backoff_s);
        f[n++] = (struct httpd_field){STR("Sluice-Backoff"), str_of(texts->backoff)};
    }
    return n + quota_fields(&c->quota, texts->quota, f + n);
}

static void print_time(struct buf *out, const char *member, int64_t ms)
{
    char text[WALL_TEXT_SIZE];

    if (ms > 0) {
        wall_format((struct wall){ms}, text);
        buf_printf(out, ",\"%s\":\"%s\"", member, text);
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
    buf_printf(out, "},\"priority\":\"%.*s\"", STR_ARG(priority.n > 0 ? priority : STR("normal")));
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

void caller_accepted(struct caller *c, const char *state, const struct job_message *m)
{
    char location[JOB_ID_SIZE + 16];
    char applied[32] = "respond-async";
    struct httpd_field f[COMMON_FIELDS + 2];
    struct texts texts;
    struct buf body = {0};

    if (c->request == NULL) {
        return;
    }
    (void)snprintf(location, sizeof location, "/v1/jobs/%s", c->id);
    size_t n = add_common(c, /* is_good= */ true, &texts, f);
    f[n++] = (struct httpd_field){STR("Location"), str_of(location)};
    if (c->mode == CALLER_WAIT) {
        (void)snprintf(applied, sizeof applied, "wait=%lld", (long long)(c->wait_ms / 1000));
    }
    if (c->is_preferred) {
        f[n++] = (struct httpd_field){STR("Preference-Applied"), str_of(applied)};
    }
    struct str tenant = str_of(c->id);
    struct str rest = tenant;
    (void)str_cut(&rest, '.', &tenant);
    buf_printf(&body, "{\"id\":\"%s\",\"tenant\":\"%.*s\",\"state\":\"%s\"", c->id, STR_ARG(tenant),
               state);
    if (m != NULL) {
        print_asked(m, &body);
    }
    buf_printf(&body, ",\"links\":{\"self\":\"%s\",\"result\":\"%s/result\"}}", location, location);
    struct httpd_answer a = {.status = 202,
                             .content_type = "application/json",
                             .fields = f,
                             .n_fields = n,
                             .body = buf_as_str(&body)};
    httpd_answer(take(c), &a);
    buf_fini(&body);
}

void caller_answer(struct caller *c, const struct job_answer *answer, uint32_t attempts)
{
    struct httpd_field f[FIELDS_MAX];
    char number[NUMBER_SIZE];
    struct texts texts;
    struct str rest = answer->head;
    struct str name;
    struct str value;

    if (c->request == NULL) {
        return;
    }
    bool is_good = answer->status >= 200 && answer->status < 300;
    size_t n = add_common(c, is_good, &texts, f);
    (void)snprintf(number, sizeof number, "%u", attempts);
    f[n++] = (struct httpd_field){STR("Sluice-Attempts"), str_of(number)};
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
