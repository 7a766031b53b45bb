/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/problem.h"

#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETRY_AFTER_S = 1, OWN_FIELDS = 2 };

struct row {
    int status;
    const char *type;
    const char *title;
};

static const struct row rows[] = {
#define PROBLEM(NAME, status, type, title) {status, "urn:sluice:problem:" type, title},
#include "daemon/problem.def"
#undef PROBLEM
};

static const struct row *row_of(enum problem p)
{
    CHECK((unsigned int)p < PROBLEMS);
    return &rows[p];
}

int problem_status(enum problem p)
{
    return row_of(p)->status;
}

const char *problem_type(enum problem p)
{
    return row_of(p)->type;
}

const char *problem_title(enum problem p)
{
    return row_of(p)->title;
}

enum problem problem_of_status(int status)
{
    switch (status) {
    case 408:
        return PROBLEM_TIMEOUT;
    case 413:
        return PROBLEM_BODY_TOO_LARGE;
    case 431:
        return PROBLEM_HEADERS_TOO_LARGE;
    case 503:
        return PROBLEM_TOO_MANY_CONNECTIONS;
    default:
        return status >= 500 ? PROBLEM_INTERNAL : PROBLEM_MALFORMED;
    }
}

void problem_print(enum problem p, const struct problem_more *more, struct buf *out)
{
    const struct row *row = row_of(p);
    const char *detail = more == NULL || more->detail == NULL ? row->title : more->detail;

    buf_printf(out, "{\"type\":\"%s\",\"title\":", row->type);
    buf_json_str(out, str_of(row->title));
    buf_printf(out, ",\"status\":%d,\"detail\":", row->status);
    buf_json_str(out, str_of(detail));
    if (more != NULL && more->job.n > 0) {
        buf_text(out, ",\"job\":");
        buf_json_str(out, more->job);
    }
    buf_char(out, '}');
}

/* 0: none. */
static int retry_after_of(enum problem p, const struct problem_more *more)
{
    int status = problem_status(p);

    if (more != NULL && more->retry_after_s > 0) {
        return more->retry_after_s;
    }
    return status == 503 || status == 429 ? RETRY_AFTER_S : 0;
}

/* Our own fields, at most OWN_FIELDS, into `to`; `number` is room for the seconds. */
static size_t own_fields(enum problem p, const struct problem_more *more, struct httpd_field *to,
                         char *number, size_t number_size)
{
    int seconds = retry_after_of(p, more);
    size_t n = 0;

    if (seconds > 0) {
        (void)snprintf(number, number_size, "%d", seconds);
        to[n++] = (struct httpd_field){STR("Retry-After"), str_of(number)};
    }
    if (more != NULL && more->job.n > 0) {
        to[n++] = (struct httpd_field){STR("Sluice-Job-Id"), more->job};
    }
    return n;
}

void problem_answer(struct httpd_req *r, enum problem p, const struct problem_more *more)
{
    struct httpd_field own[OWN_FIELDS];
    char number[16];
    size_t n = own_fields(p, more, own, number, sizeof number);
    size_t n_more = more == NULL ? 0 : more->n_fields;
    struct httpd_field *all = n_more == 0 ? NULL : calloc(n + n_more, sizeof *all);
    struct buf body = {0};

    if (all != NULL) {
        memcpy(all, own, n * sizeof *all);
        memcpy(all + n, more->fields, n_more * sizeof *all);
        n += n_more;
    }
    problem_print(p, more, &body);
    /* Without memory the status still says what there is to say. */
    struct str text = buf_failed(&body) ? (struct str){"{}", 2} : buf_as_str(&body);
    httpd_answer(r, &(struct httpd_answer){.status = problem_status(p),
                                           .content_type = "application/problem+json",
                                           .fields = all == NULL ? own : all,
                                           .n_fields = n,
                                           .body = text});
    free(all);
    buf_fini(&body);
}

void problem_answer_mistakes(struct httpd_req *r, enum problem p, const struct buf *mistakes)
{
    struct str rest = mistakes->n == 0 ? (struct str){"", 0} : buf_as_str(mistakes);
    struct buf detail = {0};
    struct str line;

    while (str_cut(&rest, '\n', &line)) {
        if (line.n > 0) {
            buf_text(&detail, detail.n == 0 ? "" : "; ");
            buf_str(&detail, line);
        }
    }
    struct problem_more more = {.detail = buf_failed(&detail) ? NULL : detail.p};
    problem_answer(r, p, &more);
    buf_fini(&detail);
}
