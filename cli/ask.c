/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include "json.h"
#include "progress.h"
#include "reply.h"

#define AGENT "User-Agent: sluice/" SLUICE_VERSION

enum { SIGNAL_EXIT = 128 };

int ask_line(struct ask *a, const char *line)
{
    if (a->n_lines >= ASK_LINES_MAX) {
        return ERR_LIMIT;
    }
    a->lines[a->n_lines++] = line;
    return ERR_OK;
}

static void make_url(const struct ask *a, struct buf *url)
{
    struct str base = str_of(a->base);

    while (base.n > 0 && base.p[base.n - 1] == '/') {
        base.n--;
    }
    buf_str(url, base);
    buf_text(url, a->path);
}

static int exit_of(const struct ask *a, const struct client_answer *answer)
{
    if (answer->signum != 0) {
        return SIGNAL_EXIT + answer->signum;
    }
    if (answer->status != 0) {
        return answer->is_too_large ? CLI_BROKEN : CLI_OK;
    }
    return answer->may_have_left && !a->is_harmless ? CLI_IN_DOUBT : CLI_UNAVAILABLE;
}

static int client_exit(int rc)
{
    return rc == ERR_INVALID ? CLI_USAGE : CLI_BROKEN;
}

int ask_send(struct cli *c, const struct ask *a, struct client_answer *ret)
{
    const char *head[ASK_LINES_MAX + 4];
    size_t n = 0;
    struct buf key = {0};
    struct buf url = {0};
    int rc = ERR_OK;

    *ret = (struct client_answer){0};
    if (c->key != NULL) {
        /* Not Authorization: in a call that may be the tenant's own. */
        buf_printf(&key, "Sluice-Key: %s", c->key);
        head[n++] = key.p;
    }
    if (!a->is_for_tenant) {
        head[n++] = "Accept: application/json";
        head[n++] = AGENT;
    }
    for (size_t i = 0; i < a->n_lines; i++) {
        head[n++] = a->lines[i];
    }
    head[n] = NULL;
    make_url(a, &url);
    rc = buf_failed(&key) || buf_failed(&url) ? ERR_NOMEM : ERR_OK;
    if (rc == ERR_OK && c->client == NULL) {
        rc = client_new(progress_tick, c->progress, &c->client);
    }
    if (rc == ERR_OK) {
        struct client_request r = {.method = a->method,
                                   .url = url.p,
                                   .head = head,
                                   .body = a->body,
                                   .total_ms = a->total_ms > 0 ? a->total_ms : ASK_MS};
        rc = client_ask(c->client, &r, ret);
    }
    buf_fini(&key);
    buf_fini(&url);
    return rc == ERR_OK ? exit_of(a, ret) : client_exit(rc);
}

int ask_explain(struct cli *c, const struct ask *a, const struct client_answer *answer, int code)
{
    const char *word = answer->error == NULL ? "" : answer->error;

    switch (code) {
    case CLI_USAGE:
        cli_say(c,
                "cannot send this to %s: the URL, the path, the method, the key or a header "
                "holds what HTTP does not allow (spaces and '#' in a path are %%20 and %%23)",
                a->base);
        break;
    case CLI_UNAVAILABLE:
        cli_say(c, "no answer from %s (%s)", a->base, word);
        break;
    case CLI_IN_DOUBT:
        cli_say(c,
                "sent to %s, and no answer came (%s): it may have happened; repeat it only with "
                "an idempotency key, or where twice does no harm",
                a->base, word);
        break;
    case CLI_BROKEN:
        cli_say(c, "%s",
                answer->is_too_large ? "the answer is larger than 1 GiB"
                                     : "out of memory, or no event loop");
        break;
    default:
        if (answer->may_have_left && !a->is_harmless) {
            cli_say(c, "interrupted: what was sent may go on");
        }
        break;
    }
    return code;
}

int ask_refused(struct cli *c, const struct client_answer *answer)
{
    struct reply_problem p;
    struct buf text = {0};

    reply_problem_read(answer, &p);
    int code = reply_exit(p.status, p.word);
    reply_problem_print(&p, &text);
    progress_clear(c->progress);
    (void)fprintf(c->err, "sluice: %s", text.p == NULL ? "refused\n" : text.p);
    if (c->is_json && p.tree != NULL) {
        code = cli_put_json(c, buf_as_str(&answer->body), code);
    }
    buf_fini(&text);
    reply_problem_fini(&p);
    return code;
}

int ask(struct cli *c, const struct ask *a, struct client_answer *ret)
{
    int code = ask_send(c, a, ret);

    if (code != CLI_OK) {
        return ask_explain(c, a, ret, code);
    }
    return ret->status >= 400 ? ask_refused(c, ret) : CLI_OK;
}

int ask_put_answer(struct cli *c, const struct client_answer *answer, bool has_head)
{
    int code = answer->status < 400 ? CLI_OK : CLI_FAILED;
    struct buf head = {0};

    if (has_head) {
        buf_printf(&head, "HTTP/1.1 %d\r\n", answer->status);
        buf_str(&head, buf_as_str(&answer->head));
        buf_text(&head, "\r\n");
    }
    int head_code = cli_put_buf(c, &head, code);
    buf_fini(&head);
    return head_code == code ? cli_put(c, buf_as_str(&answer->body), code) : head_code;
}

int ask_put_id(struct cli *c, const struct client_answer *answer, int code)
{
    struct cJSON *job = json_parse(buf_as_str(&answer->body));
    struct str id = json_text(job, "id");
    struct buf line = {0};

    if (id.n == 0) {
        cli_say(c, "accepted, but the answer is not a job's document");
        code = CLI_IN_DOUBT;
    } else if (c->is_json) {
        code = cli_put_json(c, buf_as_str(&answer->body), code);
    } else {
        buf_printf(&line, "%.*s\n", STR_ARG(id));
        code = cli_put_buf(c, &line, code);
    }
    buf_fini(&line);
    json_free(job);
    return code;
}
