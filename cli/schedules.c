/* SPDX-License-Identifier: Apache-2.0 */
/* schedules — the schedules at run time, asked of a dispatcher. */
#include "action.h"
#include "json.h"
#include "reply.h"
#include "show.h"

#include <cjson/cJSON.h>

enum { NAME = 1, FILE_WORD = 2, EXPRESSIONS_MAX = 100, NAMES_MAX = 100 };

/* --- documents -------------------------------------------------------------------------------- */

static int put_body(struct cli *c, const struct args *a, struct buf *out)
{
    return action_read(c, a->words[FILE_WORD], out);
}

static void add_text(struct buf *out, const char *member, const char *text)
{
    buf_printf(out, ",\"%s\":", member);
    buf_json_str(out, str_of(text));
}

static int backfill_body(struct cli *c, const struct args *a, struct buf *out)
{
    const char *from = args_text(a, "--from");
    const char *until = args_text(a, "--until");

    if (from == NULL || until == NULL) {
        return cli_misused(c, "name the range: schedules backfill %s --from TIME --until TIME",
                           a->words[NAME]);
    }
    buf_text(out, "{\"from\":");
    buf_json_str(out, str_of(from));
    add_text(out, "until", until);
    buf_char(out, '}');
    return CLI_OK;
}

static void add_excludes(const struct args *a, struct buf *out)
{
    size_t cursor = 0;
    const char *text;
    const char *before = ",\"exclude\":[";

    while ((text = args_next(a, "--exclude", &cursor)) != NULL) {
        buf_text(out, before);
        buf_json_str(out, str_of(text));
        before = ",";
    }
    buf_text(out, args_has(a, "--exclude") ? "]" : "");
}

/* A word that the shell took from an expression; the server could only wonder at each. */
static bool is_piece(const char *text)
{
    return text[0] != '@' && strpbrk(text, " \t") == NULL;
}

static int preview_body(struct cli *c, const struct args *a, struct buf *out)
{
    static const char *const members[][2] = {{"--timezone", "timezone"},
                                             {"--from", "from"},
                                             {"--until", "until"},
                                             {"--start", "start"},
                                             {"--end", "end"},
                                             {"--dst-gap", "dst_gap"},
                                             {"--dst-overlap", "dst_overlap"}};

    buf_text(out, "{\"cron\":[");
    for (size_t i = 1; i < a->n_words; i++) {
        if (is_piece(a->words[i])) {
            return cli_misused(c, "\"%s\" is no expression: quote one, as '15 2 * * MON-FRI'",
                               a->words[i]);
        }
        buf_text(out, i == 1 ? "" : ",");
        buf_json_str(out, str_of(a->words[i]));
    }
    buf_char(out, ']');
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *text = args_text(a, members[i][0]);
        if (text != NULL) {
            add_text(out, members[i][1], text);
        }
    }
    if (args_has(a, "--count")) {
        buf_printf(out, ",\"count\":%llu", (unsigned long long)args_count(a, "--count", 0));
    }
    add_excludes(a, out);
    buf_char(out, '}');
    return CLI_OK;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int print_schedule(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct buf text = {0};
    int code =
        action_put(c, show_schedule(a->words[NAME], buf_as_str(&answer->body), &text), &text);

    buf_fini(&text);
    return code;
}

/* What an empty list means is said, so that it does not look like no answer. */
static int print_list(struct cli *c, const struct client_answer *answer, const char *member,
                      int (*show)(struct str json, struct buf *out), const char *when_empty)
{
    struct cJSON *tree = json_parse(buf_as_str(&answer->body));
    struct str looked = json_text(tree, "looked_until");
    struct buf text = {0};
    int code = CLI_OK;

    if (cJSON_IsArray(json_get(tree, member)) && cJSON_GetArraySize(json_get(tree, member)) == 0) {
        cli_say(c, "%s", when_empty);
    } else {
        code = action_put(c, show(buf_as_str(&answer->body), &text), &text);
    }
    if (looked.n > 0) {
        cli_say(c, "looked until %.*s; go on with --from", STR_ARG(looked));
    }
    json_free(tree);
    buf_fini(&text);
    return code;
}

static int print_times(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    (void)a;
    return print_list(c, answer, "times", show_times, "it does not fire in that time");
}

static int print_backfill(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    (void)a;
    return print_list(c, answer, "times", show_backfill, "no instant lies in that range");
}

static int print_history(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    (void)a;
    return print_list(c, answer, "fires", show_history, "it has not fired yet");
}

/* --- rewind ----------------------------------------------------------------------------------- */

/* One that does not wait for the clock is no mistake when all are asked. Adds it to `out` when it
 * was rewound. */
static int rewind_one(struct cli *c, const char *name, bool is_of_all, struct buf *out)
{
    struct buf path = {0};
    struct client_answer answer = {0};
    struct reply_problem problem = {0};

    buf_printf(&path, "/v1/schedules/%s/rewind", name);
    struct ask order = {.base = c->dispatcher,
                        .method = "POST",
                        .path = buf_failed(&path) ? "" : path.p,
                        .is_harmless = true};
    int code = ask_send(c, &order, &answer);
    if (code != CLI_OK) {
        (void)ask_explain(c, &order, &answer, code);
    } else if (answer.status < 400) {
        buf_text(out, out->n > 0 ? "\n" : "");
        buf_text(out, name);
    } else {
        reply_problem_read(&answer, &problem);
        bool is_none = str_is(problem.word, STR("not_ahead")) ||
                       str_is(problem.word, STR("not_found")); /* deleted meanwhile */
        if (!is_of_all || !is_none) {
            code = ask_refused(c, &answer);
        }
        reply_problem_fini(&problem);
    }
    client_answer_fini(&answer);
    buf_fini(&path);
    return code;
}

static int rewind_named(struct cli *c, const struct args *a, struct buf *out)
{
    int code = CLI_OK;

    for (size_t i = 1; i < a->n_words; i++) {
        int one = action_is_name(a->words[i])
                      ? rewind_one(c, a->words[i], /* is_of_all= */ false, out)
                      : cli_misused(c, "\"%s\" is not a name", a->words[i]);
        code = code == CLI_OK ? one : code;
    }
    return code;
}

static int rewind_all(struct cli *c, struct buf *out)
{
    struct cJSON *all = NULL;
    const cJSON *one;
    int code = overview_read_schedules(c, &all);

    cJSON_ArrayForEach(one, json_get(all, "schedules"))
    {
        code = code == CLI_OK ? rewind_one(c, one->string, /* is_of_all= */ true, out) : code;
    }
    json_free(all);
    return code;
}

/* {"rewound": […]}, or a name a line. */
static int put_rewound(struct cli *c, const struct buf *names, int code)
{
    struct str rest = buf_as_str(names);
    struct buf out = {0};
    struct str name;

    buf_text(&out, c->is_json ? "{\"rewound\":[" : "");
    for (size_t i = 0; rest.n > 0 && str_cut(&rest, '\n', &name); i++) {
        if (c->is_json) {
            buf_text(&out, i == 0 ? "" : ",");
            buf_json_str(&out, name);
        } else {
            buf_printf(&out, "%.*s rewound\n", STR_ARG(name));
        }
    }
    buf_text(&out, c->is_json ? "]}\n" : "");
    code = cli_put_buf(c, &out, code);
    buf_fini(&out);
    return code;
}

static int run_rewind(struct cli *c, const struct args *a)
{
    bool is_of_all = args_has(a, "--all-ahead");
    struct buf names = {0};

    if (is_of_all != (a->n_words == 1)) {
        return cli_misused(c, "name the schedules, or say --all-ahead");
    }
    int code = is_of_all ? rewind_all(c, &names) : rewind_named(c, a, &names);
    if (is_of_all && code == CLI_OK && names.n == 0 && !c->is_json) {
        cli_say(c, "no schedule waits for the clock");
    }
    code = code == CLI_OK || names.n > 0 ? put_rewound(c, &names, code) : code;
    buf_fini(&names);
    return code;
}

/* --- the command ------------------------------------------------------------------------------ */

#define AT "/v1/schedules/*"

static const struct action actions[] = {
    {"show", "NAME", 1, 1, "GET", AT, NULL, print_schedule, false, NULL},
    {"put", "NAME FILE", 2, 2, "PUT", AT, put_body, print_schedule, false, NULL},
    {"delete", "NAME", 1, 1, "DELETE", AT, NULL, print_schedule, false, NULL},
    {"pause", "NAME", 1, 1, "POST", AT "/pause", action_note, print_schedule, false, NULL},
    {"resume", "NAME", 1, 1, "POST", AT "/resume", NULL, print_schedule, false, NULL},
    {"rewind", "NAME… | --all-ahead", 0, NAMES_MAX, NULL, NULL, NULL, NULL, false, run_rewind},
    {"run", "NAME", 1, 1, "POST", AT "/run", NULL, NULL, true, NULL},
    {"backfill", "NAME --from TIME --until TIME", 1, 1, "POST", AT "/backfill", backfill_body,
     print_backfill, false, NULL},
    {"history", "NAME", 1, 1, "GET", AT "/history", NULL, print_history, false, NULL},
    {"preview", "EXPRESSION…", 1, EXPRESSIONS_MAX, "POST", "/v1/schedules/preview", preview_body,
     print_times, false, NULL},
};

static const struct action_flag flags[] = {{"--note", "pause", NULL},
                                           {"--idempotency-key", "run", NULL},
                                           {"--all-ahead", "rewind", NULL},
                                           {"--from", "backfill preview", NULL},
                                           {"--until", "backfill preview", NULL},
                                           {"--timezone", "preview", NULL},
                                           {"--count", "preview", NULL},
                                           {"--dst-gap", "preview", NULL},
                                           {"--dst-overlap", "preview", NULL},
                                           {"--exclude", "preview", NULL},
                                           {"--start", "preview", NULL},
                                           {"--end", "preview", NULL}};

static const struct action_table table = {.command = "schedules",
                                          .actions = actions,
                                          .n_actions = sizeof actions / sizeof actions[0],
                                          .flags = flags,
                                          .n_flags = sizeof flags / sizeof flags[0],
                                          .list = overview_schedules};

int schedules_run(struct cli *c, const struct args *a)
{
    return action_run(c, &table, a);
}
