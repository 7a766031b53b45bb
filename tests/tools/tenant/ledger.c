/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant/ledger.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

int ledger_open(const char *path, const char *instance, struct ledger *ret)
{
    struct ledger g = {.fd = -1, .instance = instance};

    if (path != NULL) {
        g.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (g.fd < 0) {
            return ERR_IO;
        }
    }
    *ret = g;
    return ERR_OK;
}

void ledger_close(struct ledger *g)
{
    if (g->fd >= 0) {
        (void)close(g->fd);
        g->fd = -1;
    }
    buf_fini(&g->line);
}

static void text(struct buf *line, const char *name, struct str value)
{
    buf_printf(line, "\"%s\": ", name);
    if (value.n == 0) {
        buf_text(line, "null");
    } else {
        buf_json_str(line, value);
    }
    buf_text(line, ", ");
}

static void number(struct buf *line, const char *name, struct str value)
{
    uint64_t n = 0;

    if (str_to_u64(value, UINT32_MAX, &n) == 0) {
        buf_printf(line, "\"%s\": %" PRIu64 ", ", name, n);
    } else {
        text(line, name, value);
    }
}

int ledger_receipt(struct ledger *g, const struct http_request *r, struct wall now, bool is_dropped)
{
    struct buf *line = &g->line;

    if (g->fd < 0) {
        return ERR_OK;
    }
    buf_clear(line);
    buf_text(line, "{\"phase\": \"receipt\", ");
    text(line, "key", http_header(r, "Idempotency-Key"));
    text(line, "job", http_header(r, "Sluice-Job-Id"));
    number(line, "attempt", http_header(r, "Sluice-Attempt"));
    text(line, "instance", str_of(g->instance));
    buf_printf(line, "\"time\": %" PRId64 ", ", now.ms);
    text(line, "method", r->method);
    text(line, "path", r->path);
    text(line, "query", r->query);
    text(line, "schedule", http_header(r, "Sluice-Schedule"));
    text(line, "scheduled_time", http_header(r, "Sluice-Scheduled-Time"));
    if (http_header(r, "Sluice-Complete-Token").n > 0) {
        text(line, "complete_token", http_header(r, "Sluice-Complete-Token"));
    }
    buf_printf(line, "\"body_bytes\": %zu, \"dropped\": %s}\n", r->body.n,
               is_dropped ? "true" : "false");
    /* One write, so that lines of several tenants never mix. */
    bool is_kept = !buf_failed(line) && write(g->fd, line->p, line->n) == (ssize_t)line->n;
    return is_kept ? ERR_OK : ERR_IO;
}
