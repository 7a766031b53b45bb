/* SPDX-License-Identifier: Apache-2.0 */
/* What the dispatcher knows of all. */
#include "action.h"
#include "json.h"
#include "reply.h"
#include "show.h"

#include <cjson/cJSON.h>

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

/* Moves the schedules of `page` to the end of those of *all, which it becomes if there is none. */
static void append(cJSON **all, cJSON *page)
{
    cJSON *to = cJSON_GetObjectItemCaseSensitive(*all, "schedules");
    cJSON *from = cJSON_GetObjectItemCaseSensitive(page, "schedules");

    if (*all == NULL) {
        *all = page;
        return;
    }
    while (to != NULL && from != NULL && from->child != NULL) {
        (void)cJSON_AddItemToArray(to, cJSON_DetachItemViaPointer(from, from->child));
    }
    cJSON_Delete(page);
}

/* One page; *at, where the next one begins, is empty behind the last. */
static int read_page(struct cli *c, struct buf *at, cJSON **all)
{
    struct buf path = {0};
    struct client_answer answer;

    buf_printf(&path, at->n > 0 ? "/v1/schedules?cursor=%.*s" : "/v1/schedules",
               STR_ARG(buf_as_str(at)));
    if (buf_failed(&path)) {
        buf_fini(&path);
        cli_say(c, "out of memory");
        return CLI_BROKEN;
    }
    struct ask order = get(c, path.p);
    int code = ask(c, &order, &answer);
    if (code == CLI_OK) {
        cJSON *page = json_parse(buf_as_str(&answer.body));
        buf_clear(at);
        buf_str(at, json_text(page, "cursor"));
        append(all, page);
    }
    client_answer_fini(&answer);
    buf_fini(&path);
    return code;
}

int overview_read_schedules(struct cli *c, cJSON **all)
{
    struct buf at = {0};
    int code;

    do {
        code = read_page(c, &at, all);
    } while (code == CLI_OK && at.n > 0);
    buf_fini(&at);
    return code;
}

int overview_schedules(struct cli *c, const struct args *a)
{
    cJSON *all = NULL;
    struct buf text = {0};

    (void)a;
    int code = overview_read_schedules(c, &all);
    if (code == CLI_OK) {
        (void)cJSON_ReplaceItemInObjectCaseSensitive(all, "cursor", cJSON_CreateNull());
        char *json = cJSON_PrintUnformatted(all);
        code = c->is_json ? cli_put_json(c, str_of(json), CLI_OK)
                          : action_put(c, show_schedules(str_of(json), &text), &text);
        cJSON_free(json);
    }
    cJSON_Delete(all);
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
