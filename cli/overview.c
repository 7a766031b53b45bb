/* SPDX-License-Identifier: Apache-2.0 */
/* What the dispatcher knows of all. */
#include "action.h"
#include "json.h"
#include "reply.h"
#include "show.h"

static struct ask get(const struct cli *c, const char *path)
{
    return (struct ask){.base = c->dispatcher, .method = "GET", .path = path, .is_harmless = true};
}

int overview_tenants(struct cli *c, const struct args *a)
{
    struct ask tenants = get(c, "/v1/tenants");
    struct ask scale = get(c, "/v1/scale");
    struct client_answer all;
    struct client_answer loads = {0};
    struct buf text = {0};

    (void)a;
    int code = ask(c, &tenants, &all);
    if (code == CLI_OK && c->is_json) {
        code = cli_put_json(c, buf_as_str(&all.body), CLI_OK);
    } else if (code == CLI_OK) {
        /* Without the load the tenants are still worth showing. */
        code = ask(c, &scale, &loads);
        struct str load = code == CLI_OK ? buf_as_str(&loads.body) : (struct str){NULL, 0};
        if (code <= 128) {
            int shown = action_put(c, show_tenants(buf_as_str(&all.body), load, &text), &text);
            code = shown == CLI_OK ? code : shown;
        }
    }
    client_answer_fini(&all);
    client_answer_fini(&loads);
    buf_fini(&text);
    return code;
}

int overview_schedules(struct cli *c, const struct args *a)
{
    struct ask order = get(c, "/v1/schedules");
    struct client_answer answer;
    struct buf text = {0};

    (void)a;
    int code = ask(c, &order, &answer);
    if (code == CLI_OK) {
        code = c->is_json ? cli_put_json(c, buf_as_str(&answer.body), CLI_OK)
                          : action_put(c, show_schedules(buf_as_str(&answer.body), &text), &text);
    }
    client_answer_fini(&answer);
    buf_fini(&text);
    return code;
}

/* A dispatcher that is not well says so in its document. */
static bool is_well(const struct client_answer *answer)
{
    struct cJSON *tree = json_parse(buf_as_str(&answer->body));
    struct str status = json_text(tree, "status");
    bool is = tree != NULL && (status.n == 0 || str_is(status, STR("ok")));

    json_free(tree);
    return is;
}

int overview_health(struct cli *c, const struct args *a)
{
    struct ask order = get(c, "/health");
    struct client_answer answer;
    struct buf text = {0};

    (void)a;
    int code = ask_send(c, &order, &answer);
    if (code != CLI_OK) {
        (void)ask_explain(c, &order, &answer, code);
    } else if (answer.status >= 400 && (reply_is_problem(&answer) || answer.status < 500)) {
        code = ask_refused(c, &answer);
    } else {
        code = answer.status < 400 && is_well(&answer) ? CLI_OK : CLI_UNAVAILABLE;
        bool is_document = !c->is_json && show_document(buf_as_str(&answer.body), &text) == ERR_OK;
        code = is_document ? cli_put_buf(c, &text, code)
                           : cli_put_json(c, buf_as_str(&answer.body), code);
    }
    client_answer_fini(&answer);
    buf_fini(&text);
    return code;
}
