/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "data.h"
#include "order.h"
#include "reply.h"

enum { WAIT_SLACK_MS = 30000 };

struct call {
    struct ask ask;
    struct buf path;
    struct buf key;
    struct buf body;
    char prefer[64];
};

static void call_fini(struct call *l)
{
    buf_fini(&l->path);
    buf_fini(&l->key);
    buf_fini(&l->body);
}

static int set_headers(struct call *l, const struct args *a, struct buf *why)
{
    struct str name;
    struct str value;
    size_t cursor = 0;
    const char *line;
    int rc = ERR_OK;

    while (rc == ERR_OK && (line = args_next(a, "--header", &cursor)) != NULL) {
        if (!order_header(line, &name, &value)) {
            buf_printf(why, "--header takes 'NAME: VALUE', not \"%s\"", line);
            return ERR_INVALID;
        }
        rc = ask_line(&l->ask, line);
    }
    if (rc == ERR_OK && args_has(a, "--data") && order_is_json(a, buf_as_str(&l->body))) {
        rc = ask_line(&l->ask, "Content-Type: application/json");
    }
    return rc;
}

static void set_prefer(struct call *l, const struct args *a)
{
    uint64_t wait_s = args_count(a, "--wait", 0);

    l->ask.total_ms = ASK_LONG_MS;
    if (wait_s > 0) {
        (void)snprintf(l->prefer, sizeof l->prefer, "Prefer: wait=%llu",
                       (unsigned long long)wait_s);
        l->ask.total_ms = (int64_t)wait_s * 1000 + WAIT_SLACK_MS;
    } else if (args_has(a, "--async")) {
        (void)snprintf(l->prefer, sizeof l->prefer, "Prefer: respond-async");
        l->ask.total_ms = ASK_MS;
    }
    l->ask.total_ms = args_ms(a, "--timeout", l->ask.total_ms);
    l->ask.total_ms = l->ask.total_ms > 0 ? l->ask.total_ms : 1;
}

static int make(struct cli *c, const struct args *a, struct call *l, struct buf *why)
{
    bool has_method = a->n_words == 3;
    const char *key = args_text(a, "--idempotency-key");
    const char *data = args_text(a, "--data");

    l->ask = (struct ask){.base = c->ingress, .is_for_tenant = true};
    l->ask.method = has_method ? a->words[1] : data != NULL ? "POST" : "GET";
    if (args_has(a, "--wait") && args_has(a, "--async")) {
        buf_text(why, "--wait and --async exclude each other");
        return ERR_INVALID;
    }
    int rc = order_call_path(a->words[0], a->words[has_method ? 2 : 1], &l->path, why);
    if (rc == ERR_OK && data != NULL) {
        rc = data_read(data, &l->body, why);
    }
    if (rc == ERR_OK && key != NULL) {
        rc = order_key_line(key, &l->key, why);
    }
    if (rc == ERR_OK) {
        rc = set_headers(l, a, why);
    }
    set_prefer(l, a);
    l->ask.path = l->path.p;
    l->ask.body = buf_as_str(&l->body);
    /* The room that is left is for these two. */
    if (rc == ERR_OK && l->key.n > 0) {
        rc = ask_line(&l->ask, l->key.p);
    }
    if (rc == ERR_OK && l->prefer[0] != '\0') {
        rc = ask_line(&l->ask, l->prefer);
    }
    return rc;
}

static void note_failure(struct cli *c, const char *tenant, const struct client_answer *answer)
{
    struct str id = client_field(answer, "Sluice-Job-Id");

    if (answer->status >= 400) {
        cli_say(c, "%s answered %d (job %.*s)", tenant, answer->status, STR_ARG(id));
    }
}

static int take_answer(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    bool is_tenants = client_field(answer, "Sluice-Attempts").n > 0;

    if (!is_tenants && answer->status == 202) {
        if (args_has(a, "--wait")) {
            cli_say(c, "no answer within %s s; the job goes on", args_text(a, "--wait"));
        }
        return ask_put_id(c, answer, args_has(a, "--wait") ? CLI_TIMEOUT : CLI_OK);
    }
    if (!is_tenants && answer->status >= 400) {
        return ask_refused(c, answer);
    }
    note_failure(c, a->words[0], answer);
    return ask_put_answer(c, answer, args_has(a, "--include"));
}

int call_run(struct cli *c, const struct args *a)
{
    struct call l = {0};
    struct buf why = {0};
    struct client_answer answer = {0};
    int code;

    int rc = make(c, a, &l, &why);
    if (rc == ERR_NOMEM) {
        cli_say(c, "out of memory");
        code = CLI_BROKEN;
    } else if (rc != ERR_OK) {
        code = cli_misused(c, "%s", why.p != NULL ? why.p : "too many headers");
    } else {
        code = ask_send(c, &l.ask, &answer);
        code = code == CLI_OK ? take_answer(c, a, &answer) : ask_explain(c, &l.ask, &answer, code);
    }
    client_answer_fini(&answer);
    call_fini(&l);
    buf_fini(&why);
    return code;
}
