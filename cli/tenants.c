/* SPDX-License-Identifier: Apache-2.0 */
/* tenants — the registry at run time, asked of a dispatcher. */
#include "ask.h"
#include "data.h"
#include "json.h"
#include "show.h"

enum { PATH_SIZE = 512, TENANT = 1, INSTANCE = 2, URL = 3 };

struct action {
    const char *word;
    const char *method;
    const char *after; /* what follows the tenant's or instance's path */
    size_t n_words;    /* with the action's own */
    size_t most_words;
    int (*print)(struct cli *c, const struct args *a, const struct client_answer *answer);
    int (*body)(struct cli *c, const struct args *a, struct buf *out);
    bool is_instance;
};

/* --- documents ---------------------------------------------------------------------------------
 */

static int read_file(struct cli *c, const struct args *a, struct buf *out)
{
    struct buf why = {0};
    int code = CLI_OK;

    if (data_read_file(args_text(a, "--file"), out, &why) != ERR_OK) {
        code = cli_misused(c, "%s", why.p == NULL ? "cannot read the file" : why.p);
    }
    buf_fini(&why);
    return code;
}

static int put_body(struct cli *c, const struct args *a, struct buf *out)
{
    if (args_text(a, "--file") == NULL) {
        return cli_misused(c, "name the document: tenants put %s -f FILE", a->words[TENANT]);
    }
    return read_file(c, a, out);
}

static int pause_body(struct cli *c, const struct args *a, struct buf *out)
{
    const char *note = args_text(a, "--note");

    (void)c;
    buf_text(out, "{\"note\":");
    if (note == NULL) {
        buf_text(out, "null");
    } else {
        buf_json_str(out, str_of(note));
    }
    buf_char(out, '}');
    return CLI_OK;
}

static int add_body(struct cli *c, const struct args *a, struct buf *out)
{
    const char *priority = args_text(a, "--priority");
    const char *region = args_text(a, "--region");

    if (args_text(a, "--file") != NULL) {
        return a->n_words > URL ? cli_misused(c, "tenants add takes a URL or a file, not both")
                                : read_file(c, a, out);
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

/* --- answers -----------------------------------------------------------------------------------
 */

static int put_text(struct cli *c, int rc, const struct buf *text)
{
    if (rc != ERR_OK) {
        cli_say(c, "the answer of %s is not what was asked for", c->dispatcher);
        return CLI_UNAVAILABLE;
    }
    return cli_put_buf(c, text, CLI_OK);
}

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
    int code;

    if (answer->status == 204) {
        code = cli_put(c, STR("gone\n"), CLI_OK);
    } else {
        code = put_text(c, show_tenant(a->words[TENANT], buf_as_str(&answer->body), &text), &text);
        note_exactness(c, answer);
    }
    buf_fini(&text);
    return code;
}

static int print_instance(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct buf text = {0};
    int code;

    if (answer->status == 204) {
        code = cli_put(c, STR("gone\n"), CLI_OK);
    } else {
        code =
            put_text(c, show_instance(a->words[INSTANCE], buf_as_str(&answer->body), &text), &text);
        note_exactness(c, answer);
    }
    buf_fini(&text);
    return code;
}

static int print_document(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct buf text = {0};

    (void)a;
    int code = put_text(c, show_document(buf_as_str(&answer->body), &text), &text);
    buf_fini(&text);
    return code;
}

/* --- the command -------------------------------------------------------------------------------
 */

static const struct action actions[] = {
    {"show", "GET", "", 2, 2, print_tenant, NULL, false},
    {"put", "PUT", "", 2, 2, print_tenant, put_body, false},
    {"delete", "DELETE", "", 2, 2, print_tenant, NULL, false},
    {"pause", "POST", "/pause", 2, 2, print_tenant, pause_body, false},
    {"resume", "POST", "/resume", 2, 2, print_tenant, NULL, false},
    {"add", "PUT", "", 3, 4, print_instance, add_body, true},
    {"remove", "DELETE", "", 3, 3, print_instance, NULL, true},
    {"drain", "POST", "/drain", 3, 3, print_instance, NULL, true},
    {"restore", "POST", "/v1/registry/restore", 1, 1, print_document, NULL, false},
};

/* Each flag belongs to one or two of the actions. */
static const struct {
    const char *flag;
    const char *words;
} belongs[] = {{"--file", "put add"}, {"--concurrency", "add"}, {"--ttl", "add"},
               {"--priority", "add"}, {"--weight", "add"},      {"--region", "add"},
               {"--note", "pause"},   {"--dry-run", "restore"}, {"--discard", "restore"}};

static bool has_word(const char *words, const char *word)
{
    struct str rest = str_of(words);
    struct str piece;

    while (str_cut(&rest, ' ', &piece)) {
        if (str_is(piece, str_of(word))) {
            return true;
        }
    }
    return false;
}

static const char *wrong_flag(const struct args *a, const char *word)
{
    for (size_t i = 0; i < sizeof belongs / sizeof belongs[0]; i++) {
        if (args_has(a, belongs[i].flag) && !has_word(belongs[i].words, word)) {
            return belongs[i].flag;
        }
    }
    return NULL;
}

static bool is_plain(const char *name)
{
    bool is_path = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;

    return name[0] != '\0' && !is_path && strpbrk(name, "/?#%") == NULL;
}

static int make_path(struct cli *c, const struct action *k, const struct args *a,
                     char path[PATH_SIZE])
{
    const char *more = args_has(a, "--dry-run")   ? "?dry_run=1"
                       : args_has(a, "--discard") ? "?discard=1"
                                                  : "";

    for (size_t i = 1; i < a->n_words && i < URL; i++) {
        if (!is_plain(a->words[i])) {
            return cli_misused(c, "\"%s\" is not a name", a->words[i]);
        }
    }
    int n = k->n_words == 1 ? snprintf(path, PATH_SIZE, "%s%s", k->after, more)
            : k->is_instance
                ? snprintf(path, PATH_SIZE, "/v1/tenants/%s/instances/%s%s", a->words[TENANT],
                           a->words[INSTANCE], k->after)
                : snprintf(path, PATH_SIZE, "/v1/tenants/%s%s", a->words[TENANT], k->after);
    return n < PATH_SIZE ? CLI_OK : cli_misused(c, "the name is too long");
}

static int send(struct cli *c, const struct action *k, const struct args *a, const char *path,
                struct str body)
{
    /* All of these can be sent again: they say what is to be. */
    struct ask order = {.base = c->dispatcher,
                        .method = k->method,
                        .path = path,
                        .body = body,
                        .is_harmless = true};
    struct client_answer answer = {0};
    int rc = body.n == 0 ? ERR_OK : ask_line(&order, "Content-Type: application/yaml");
    int code = rc == ERR_OK ? ask(c, &order, &answer) : CLI_BROKEN;

    if (code == CLI_OK && c->is_json) {
        code = answer.body.n == 0 ? CLI_OK : cli_put_json(c, buf_as_str(&answer.body), CLI_OK);
    } else if (code == CLI_OK) {
        code = k->print(c, a, &answer);
    }
    client_answer_fini(&answer);
    return code;
}

static int run_action(struct cli *c, const struct action *k, const struct args *a)
{
    char path[PATH_SIZE];
    struct buf body = {0};
    int code;

    if (a->n_words < k->n_words || a->n_words > k->most_words) {
        return cli_misused(c, "usage: sluice tenants %s%s%s%s; see sluice tenants --help", k->word,
                           k->n_words > 1 ? " TENANT" : "", k->is_instance ? " INSTANCE" : "",
                           k->most_words > URL ? " URL" : "");
    }
    if (args_has(a, "--dry-run") && args_has(a, "--discard")) {
        return cli_misused(c, "--dry-run and --discard exclude each other");
    }
    code = make_path(c, k, a, path);
    if (code == CLI_OK && k->body != NULL) {
        code = k->body(c, a, &body);
    }
    if (code == CLI_OK && buf_failed(&body)) {
        cli_say(c, "out of memory");
        code = CLI_BROKEN;
    }
    if (code == CLI_OK) {
        code = send(c, k, a, path, buf_as_str(&body));
    }
    buf_fini(&body);
    return code;
}

int tenants_run(struct cli *c, const struct args *a)
{
    const char *word = a->n_words == 0 ? "list" : a->words[0];
    const char *wrong = wrong_flag(a, word);

    if (wrong != NULL) {
        return cli_misused(c, "tenants %s takes no %s", word, wrong);
    }
    if (strcmp(word, "list") == 0) {
        return a->n_words > 1 ? cli_misused(c, "tenants list takes no words")
                              : overview_tenants(c, a);
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(word, actions[i].word) == 0) {
            return run_action(c, &actions[i], a);
        }
    }
    return cli_misused(c,
                       "tenants takes list, show, put, delete, pause, resume, add, remove, drain "
                       "or restore, not \"%s\"",
                       word);
}
