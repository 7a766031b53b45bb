/* SPDX-License-Identifier: Apache-2.0 */
/* tenants — the registry at run time, asked of a dispatcher. */
#include "action.h"
#include "json.h"
#include "show.h"

enum { TENANT = 1, INSTANCE = 2, URL = 3 };

/* --- documents -------------------------------------------------------------------------------- */

static int put_body(struct cli *c, const struct args *a, struct buf *out)
{
    if (args_text(a, "--file") == NULL) {
        return cli_misused(c, "name the document: tenants put %s -f FILE", a->words[TENANT]);
    }
    return action_read(c, args_text(a, "--file"), out);
}

static int add_body(struct cli *c, const struct args *a, struct buf *out)
{
    const char *priority = args_text(a, "--priority");
    const char *region = args_text(a, "--region");

    if (args_text(a, "--file") != NULL) {
        return a->n_words > URL ? cli_misused(c, "tenants add takes a URL or a file, not both")
                                : action_read(c, args_text(a, "--file"), out);
    }
    if (a->n_words <= URL) {
        return cli_misused(c, "usage: sluice tenants add TENANT INSTANCE URL");
    }
    buf_text(out, "{\"url\":");
    buf_json_str(out, str_of(a->words[URL]));
    if (args_has(a, "--concurrency")) {
        buf_printf(out, ",\"concurrency\":%llu",
                   (unsigned long long)args_count(a, "--concurrency", 0));
    }
    if (args_has(a, "--ttl")) {
        buf_printf(out, ",\"ttl_s\":%.3f", (double)args_ms(a, "--ttl", 0) / 1000);
    }
    if (args_has(a, "--weight")) {
        buf_printf(out, ",\"weight\":%llu", (unsigned long long)args_count(a, "--weight", 0));
    }
    if (priority != NULL) {
        buf_text(out, ",\"priority\":");
        buf_json_str(out, str_of(priority));
    }
    if (region != NULL) {
        buf_text(out, ",\"region\":");
        buf_json_str(out, str_of(region));
    }
    buf_char(out, '}');
    return CLI_OK;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void note_exactness(struct cli *c, const struct client_answer *answer)
{
    struct cJSON *tree = json_parse(buf_as_str(&answer->body));
    double s;

    if (json_number(tree, "exact_after_s", &s)) {
        cli_say(c, "what ran before is not counted: the new limit is exact in %g s", s);
    }
    json_free(tree);
}

static int print_tenant(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct buf text = {0};
    int code =
        action_put(c, show_tenant(a->words[TENANT], buf_as_str(&answer->body), &text), &text);

    note_exactness(c, answer);
    buf_fini(&text);
    return code;
}

static int print_instance(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct buf text = {0};
    int code =
        action_put(c, show_instance(a->words[INSTANCE], buf_as_str(&answer->body), &text), &text);

    note_exactness(c, answer);
    buf_fini(&text);
    return code;
}

static int print_document(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct buf text = {0};

    (void)a;
    int code = action_put(c, show_document(buf_as_str(&answer->body), &text), &text);
    buf_fini(&text);
    return code;
}

/* --- the command ------------------------------------------------------------------------------ */

#define AT_TENANT "/v1/tenants/*"
#define AT_INSTANCE "/v1/tenants/*/instances/*"

static const struct action actions[] = {
    {"show", "TENANT", 1, 1, "GET", AT_TENANT, NULL, print_tenant, false, NULL},
    {"put", "TENANT", 1, 1, "PUT", AT_TENANT, put_body, print_tenant, false, NULL},
    {"delete", "TENANT", 1, 1, "DELETE", AT_TENANT, NULL, print_tenant, false, NULL},
    {"pause", "TENANT", 1, 1, "POST", AT_TENANT "/pause", action_note, print_tenant, false, NULL},
    {"resume", "TENANT", 1, 1, "POST", AT_TENANT "/resume", NULL, print_tenant, false, NULL},
    {"add", "TENANT INSTANCE URL", 2, 3, "PUT", AT_INSTANCE, add_body, print_instance, false, NULL},
    {"remove", "TENANT INSTANCE", 2, 2, "DELETE", AT_INSTANCE, NULL, print_instance, false, NULL},
    {"drain", "TENANT INSTANCE", 2, 2, "POST", AT_INSTANCE "/drain", NULL, print_instance, false,
     NULL},
    {"restore", "", 0, 0, "POST", "/v1/registry/restore", NULL, print_document, false, NULL},
};

static const struct action_flag flags[] = {{"--file", "put add", NULL},
                                           {"--concurrency", "add", NULL},
                                           {"--ttl", "add", NULL},
                                           {"--priority", "add", NULL},
                                           {"--weight", "add", NULL},
                                           {"--region", "add", NULL},
                                           {"--note", "pause", NULL},
                                           {"--dry-run", "restore", "dry_run=1"},
                                           {"--discard", "restore", "discard=1"}};

static const struct action_table table = {.command = "tenants",
                                          .actions = actions,
                                          .n_actions = sizeof actions / sizeof actions[0],
                                          .flags = flags,
                                          .n_flags = sizeof flags / sizeof flags[0],
                                          .list = overview_tenants};

int tenants_run(struct cli *c, const struct args *a)
{
    if (args_has(a, "--dry-run") && args_has(a, "--discard")) {
        return cli_misused(c, "--dry-run and --discard exclude each other");
    }
    return action_run(c, &table, a);
}
