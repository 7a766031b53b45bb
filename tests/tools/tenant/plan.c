/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant/plan.h"

enum { BIG_BYTES = 1024 * 1024, DRIP_BYTES = 100, STATUS_LEAST = 200, STATUS_MOST = 999 };

static const struct {
    const char *path;
    enum plan_kind kind;
} paths[] = {
    {"/headers", PLAN_HEADERS},    {"/big", PLAN_BIG},   {"/drip", PLAN_DRIP},
    {"/close-mid-body", PLAN_CUT}, {"/drop", PLAN_DROP},
};

static int status_or(int64_t status, int otherwise)
{
    return status >= STATUS_LEAST && status <= STATUS_MOST ? (int)status : otherwise;
}

static void from_path(struct str path, struct plan *p)
{
    struct str prefix = STR("/status/");
    uint64_t status = 0;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (str_is(path, str_of(paths[i].path))) {
            p->kind = paths[i].kind;
        }
    }
    if (str_starts(path, prefix) &&
        str_to_u64((struct str){path.p + prefix.n, path.n - prefix.n}, STATUS_MOST, &status) == 0) {
        p->status = status_or((int64_t)status, p->status);
    }
}

static size_t size_of(const struct http_request *r, const char *name, size_t otherwise)
{
    int64_t n = http_query_number(r, name, (int64_t)otherwise);

    return n > HTTP_BODY_BYTES ? HTTP_BODY_BYTES : (size_t)n;
}

void plan_of(const struct http_request *r, struct plan *ret)
{
    bool is_fail = str_is(r->path, STR("/fail"));
    struct plan p = {.kind = PLAN_ECHO, .status = 200, .retry_after_s = -1, .fail_status = 503};

    from_path(r->path, &p);
    if (r->query.n > 0) {
        p.sleep_ms = http_query_number(r, "sleep_ms", http_query_number(r, "ms", 0));
        p.retry_after_s = http_query_number(r, "retry_after", -1);
        if (http_query_number(r, "drop", 0) > 0) {
            p.kind = PLAN_DROP;
        } else if (http_query_number(r, "cut", 0) > 0) {
            p.kind = PLAN_CUT;
        }
        p.fail_times = (uint64_t)http_query_number(r, "fail_times",
                                                   is_fail ? http_query_number(r, "times", 1) : 0);
        int *status = p.fail_times > 0 ? &p.fail_status : &p.status;
        *status = status_or(http_query_number(r, "status", 0), *status);
    } else if (is_fail) {
        p.fail_times = 1;
    }
    p.bytes = size_of(r, "bytes", p.kind == PLAN_DRIP ? DRIP_BYTES : BIG_BYTES);
    p.chunk = size_of(r, "chunk", 1);
    p.every_ms = http_query_number(r, "every_ms", 100);
    *ret = p;
}
