/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters: list, show, redrive one or many, drop. */
#include "job.h"
#include "job/id.h"
#include "json.h"
#include "show.h"

#include <cjson/cJSON.h>

/* A redrive runs that many jobs in one request, and asks again for the rest. */
enum { STEP = 1000, COUNT_STEP = 100000, PATH_SIZE = JOB_ID_SIZE + 32 };

/* Flags that choose dead letters, as parameters of the request. */
static const struct {
    const char *flag;
    const char *parameter;
} filters[] = {{"--tenant", "tenant"}, {"--state", "state"}, {"--error", "error"},
               {"--label", "label"},   {"--after", "after"}, {"--before", "before"}};

/* --- the request ------------------------------------------------------------------------------ */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static void add_encoded(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_plain(s.p[i])) {
            buf_char(out, s.p[i]);
        } else {
            buf_printf(out, "%%%02X", (unsigned int)(unsigned char)s.p[i]);
        }
    }
}

static void add_parameter(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "%s%s=", memchr(out->p, '?', out->n) == NULL ? "?" : "&", name);
    add_encoded(out, value);
}

/* NAME=VALUE, as everywhere in this command, is NAME:VALUE there. */
static int add_label(struct buf *out, const char *label)
{
    struct str rest = str_of(label);
    struct str name = {"", 0};

    (void)str_cut(&rest, '=', &name);
    if (rest.p == NULL || rest.n == 0 || name.n == 0) {
        return ERR_INVALID;
    }
    buf_printf(out, "%slabel=", memchr(out->p, '?', out->n) == NULL ? "?" : "&");
    add_encoded(out, name);
    buf_char(out, ':');
    add_encoded(out, rest);
    return ERR_OK;
}

static bool is_state_sound(const struct args *a)
{
    const char *state = args_text(a, "--state");

    return state == NULL || strcmp(state, "failed") == 0 || strcmp(state, "in_doubt") == 0;
}

/* The path with the filters; ERR_INVALID for a label that is none. */
static int print_path(const struct args *a, const char *path, struct buf *out)
{
    int rc = ERR_OK;

    buf_text(out, path);
    for (size_t i = 0; rc == ERR_OK && i < sizeof filters / sizeof filters[0]; i++) {
        const char *value = args_text(a, filters[i].flag);
        if (value != NULL && strcmp(filters[i].flag, "--label") == 0) {
            rc = add_label(out, value);
        } else if (value != NULL) {
            add_parameter(out, filters[i].parameter, str_of(value));
        }
    }
    return rc;
}

static int ask_page(struct cli *c, const char *method, const struct buf *path, uint64_t limit,
                    struct str cursor, struct client_answer *ret)
{
    struct buf whole = {0};
    bool is_get = strcmp(method, "GET") == 0;
    int code = CLI_BROKEN;

    *ret = (struct client_answer){0};
    buf_str(&whole, buf_as_str(path));
    if (limit > 0) {
        buf_printf(&whole, "&limit=%llu", (unsigned long long)limit);
    }
    if (cursor.n > 0) {
        add_parameter(&whole, "cursor", cursor);
    }
    if (buf_failed(&whole) || buf_failed(path)) {
        cli_say(c, "out of memory");
    } else {
        struct ask order = {.base = c->ingress,
                            .method = method,
                            .path = whole.p,
                            .total_ms = ASK_LONG_MS,
                            .is_harmless = is_get};
        code = ask(c, &order, ret);
    }
    buf_fini(&whole);
    return code;
}

static int not_understood(struct cli *c)
{
    cli_say(c, "the answer of %s is not what was asked for", c->ingress);
    return CLI_UNAVAILABLE;
}

static uint64_t number(const cJSON *tree, const char *name)
{
    double n = 0;

    return json_number(tree, name, &n) && n > 0 ? (uint64_t)n : 0;
}

/* Where the answer says to go on; empty at the end. A heap copy is in `keep`. */
static struct str cursor_of(const cJSON *tree, struct buf *keep)
{
    buf_clear(keep);
    buf_str(keep, json_text(tree, "cursor"));
    return buf_as_str(keep);
}

/* --- list ------------------------------------------------------------------------------------- */

static int show_page(struct cli *c, const struct args *a, const struct client_answer *answer,
                     const cJSON *tree)
{
    int n = cJSON_GetArraySize(json_get(tree, "dead"));
    struct str cursor = json_text(tree, "cursor");
    unsigned long long total = number(tree, "total");
    struct buf text = {0};
    int code = CLI_OK;

    if (n == 0) {
        cli_say(c, "nothing on the shelf of %s fits; %llu are there in all",
                args_text(a, "--tenant"), total);
        return CLI_OK;
    }
    if (show_dead_list(buf_as_str(&answer->body), &text) != ERR_OK) {
        code = not_understood(c);
    } else {
        code = cli_put_buf(c, &text, CLI_OK);
    }
    if (cursor.n > 0) {
        cli_say(c, "%d of %llu on the shelf; the next: --cursor %.*s", n, total, STR_ARG(cursor));
    }
    buf_fini(&text);
    return code;
}

/* Pages in which nothing fits are passed over. */
static int list(struct cli *c, const struct args *a, const struct buf *path)
{
    struct buf keep = {0};
    struct str cursor = str_of(args_text(a, "--cursor"));
    bool is_over = false;
    int code = CLI_OK;

    while (!is_over) {
        struct client_answer answer;
        code = ask_page(c, "GET", path, args_count(a, "--limit", 0), cursor, &answer);
        cJSON *tree = code == CLI_OK ? json_parse(buf_as_str(&answer.body)) : NULL;
        bool is_page = cJSON_IsArray(json_get(tree, "dead"));
        cursor = cursor_of(tree, &keep);
        is_over = !is_page || c->is_json || cursor.n == 0 ||
                  cJSON_GetArraySize(json_get(tree, "dead")) > 0;
        if (code == CLI_OK && c->is_json) {
            code = cli_put_json(c, buf_as_str(&answer.body), CLI_OK);
        } else if (code == CLI_OK && !is_page) {
            code = not_understood(c);
        } else if (code == CLI_OK && is_over) {
            code = show_page(c, a, &answer, tree);
        }
        json_free(tree);
        client_answer_fini(&answer);
    }
    buf_fini(&keep);
    return code;
}

/* --- redrive many ----------------------------------------------------------------------------- */

struct counts {
    uint64_t matched;
    uint64_t redriven;
    uint64_t refused;
};

static void say_refusals(struct cli *c, const cJSON *tree)
{
    const cJSON *r;

    cJSON_ArrayForEach(r, json_get(tree, "refusals"))
    {
        struct str id = json_text(r, "id");
        struct str holder = json_text(r, "holder");
        cli_say(c, "%.*s: job %.*s holds its key", STR_ARG(id), STR_ARG(holder));
    }
}

static int put_counts(struct cli *c, const struct counts *n, bool is_dry_run, struct str cursor,
                      int code)
{
    struct buf text = {0};

    if (is_dry_run) {
        buf_printf(&text, "%llu match; nothing was changed\n", (unsigned long long)n->matched);
    } else {
        buf_printf(&text, "%llu matched, %llu run again, %llu refused\n",
                   (unsigned long long)n->matched, (unsigned long long)n->redriven,
                   (unsigned long long)n->refused);
    }
    if (code == CLI_OK && n->refused > 0) {
        code = CLI_REFUSED;
    }
    code = cli_put_buf(c, &text, code);
    if (cursor.n > 0) {
        cli_say(c, "there may be more: --cursor %.*s", STR_ARG(cursor));
    }
    if (n->redriven > 0) {
        cli_say(c, "they start within seconds; watch them with sluice tenants, one with "
                   "sluice wait ID");
    }
    buf_fini(&text);
    return code;
}

/* One request's answer into the counts; whether another is to be asked. */
static bool take_answer(struct cli *c, const cJSON *tree, struct counts *n, uint64_t limit,
                        struct buf *keep)
{
    n->matched += number(tree, "matched");
    n->redriven += number(tree, "redriven");
    n->refused += number(tree, "refused");
    say_refusals(c, tree);
    return cursor_of(tree, keep).n > 0 && (limit == 0 || n->matched < limit);
}

static int redrive_json(struct cli *c, const struct args *a, const struct buf *path)
{
    struct client_answer answer;
    int code = ask_page(c, "POST", path, args_count(a, "--limit", 0),
                        str_of(args_text(a, "--cursor")), &answer);

    if (code == CLI_OK) {
        code = cli_put_json(c, buf_as_str(&answer.body), CLI_OK);
    }
    client_answer_fini(&answer);
    return code;
}

static int redrive_many(struct cli *c, const struct args *a, const struct buf *path)
{
    bool is_dry_run = args_has(a, "--dry-run");
    uint64_t step = is_dry_run ? COUNT_STEP : STEP;
    uint64_t limit = args_count(a, "--limit", 0);
    struct str first = str_of(args_text(a, "--cursor"));
    struct buf keep = {0};
    struct counts n = {0};
    bool goes_on = true;
    int code = CLI_OK;

    if (c->is_json) {
        return redrive_json(c, a, path);
    }
    buf_str(&keep, first);
    while (goes_on) {
        struct client_answer answer;
        uint64_t left = limit == 0 ? step : limit - n.matched;
        code = ask_page(c, "POST", path, left < step ? left : step, buf_as_str(&keep), &answer);
        cJSON *tree = code == CLI_OK ? json_parse(buf_as_str(&answer.body)) : NULL;
        goes_on = tree != NULL && take_answer(c, tree, &n, limit, &keep);
        if (code == CLI_OK && tree == NULL) {
            code = not_understood(c);
        }
        json_free(tree);
        client_answer_fini(&answer);
    }
    if (code == CLI_OK || n.matched > 0) {
        code = put_counts(c, &n, is_dry_run, buf_as_str(&keep), code);
    }
    buf_fini(&keep);
    return code;
}

/* --- one -------------------------------------------------------------------------------------- */

static int show(struct cli *c, const char *path)
{
    struct ask order = {.base = c->ingress, .method = "GET", .path = path, .is_harmless = true};
    struct client_answer answer;
    struct buf text = {0};
    int code = ask(c, &order, &answer);

    if (code == CLI_OK && c->is_json) {
        code = cli_put_json(c, buf_as_str(&answer.body), CLI_OK);
    } else if (code == CLI_OK) {
        code = show_dead(buf_as_str(&answer.body), &text) == ERR_OK ? cli_put_buf(c, &text, CLI_OK)
                                                                    : not_understood(c);
    }
    client_answer_fini(&answer);
    buf_fini(&text);
    return code;
}

static bool has_filter(const struct args *a)
{
    bool has = args_has(a, "--limit") || args_has(a, "--cursor") || args_has(a, "--dry-run");

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        has = has || args_has(a, filters[i].flag);
    }
    return has;
}

static int about_one(struct cli *c, const struct args *a)
{
    const char *word = a->words[0];
    bool is_redrive = strcmp(word, "redrive") == 0;
    char path[PATH_SIZE];

    if (a->n_words < 2) {
        return cli_misused(c, "dead %s takes the id of a job", word);
    }
    if (!job_is_id(c, a->words[1])) {
        return CLI_USAGE;
    }
    if (has_filter(a)) {
        return cli_misused(c, "with an id there is nothing to choose: dead %s takes no filters",
                           word);
    }
    (void)snprintf(path, sizeof path, "/v1/dead/%s%s", a->words[1], is_redrive ? "/redrive" : "");
    if (strcmp(word, "show") == 0) {
        return show(c, path);
    }
    return job_ask_and_show(
        c,
        &(struct ask){.base = c->ingress, .method = is_redrive ? "POST" : "DELETE", .path = path});
}

/* --- the command ------------------------------------------------------------------------------ */

static int about_many(struct cli *c, const struct args *a, bool is_list)
{
    struct buf path = {0};
    int code;

    if (args_text(a, "--tenant") == NULL || args_text(a, "--tenant")[0] == '\0') {
        return is_list ? cli_misused(c, "name the tenant: dead list --tenant NAME")
                       : cli_misused(c, "dead redrive takes an id, or --tenant NAME");
    }
    if (!is_state_sound(a)) {
        return cli_misused(c, "--state is failed or in_doubt: nothing else is on the shelf");
    }
    if (print_path(a, is_list ? "/v1/dead" : "/v1/dead/redrive", &path) != ERR_OK) {
        code = cli_misused(c, "--label takes NAME=VALUE");
    } else {
        if (args_has(a, "--dry-run")) {
            buf_text(&path, "&dry_run=1");
        }
        code = is_list ? list(c, a, &path) : redrive_many(c, a, &path);
    }
    buf_fini(&path);
    return code;
}

int dead_run(struct cli *c, const struct args *a)
{
    const char *word = a->words[0];
    bool has_id = a->n_words > 1;

    if (strcmp(word, "list") == 0) {
        if (has_id || args_has(a, "--dry-run")) {
            return cli_misused(c, "dead list takes no id and no --dry-run");
        }
        return about_many(c, a, /* is_list= */ true);
    }
    if (strcmp(word, "redrive") == 0 && has_id && args_has(a, "--tenant")) {
        return cli_misused(c, "dead redrive takes an id, or --tenant NAME, not both");
    }
    if (strcmp(word, "redrive") == 0 && !has_id) {
        return about_many(c, a, /* is_list= */ false);
    }
    if (strcmp(word, "show") == 0 || strcmp(word, "drop") == 0 || strcmp(word, "redrive") == 0) {
        return about_one(c, a);
    }
    return cli_misused(c, "dead takes list, show, redrive or drop, not \"%s\"", word);
}
