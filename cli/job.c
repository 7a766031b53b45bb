/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about one job that stands already. */
#include "job.h"

#include "job/id.h"
#include "json.h"
#include "reply.h"
#include "show.h"
#include "wait.h"

enum { PATH_SIZE = JOB_ID_SIZE + 32 };

bool job_is_id(struct cli *c, const char *text)
{
    struct job_id id;

    /* Whatever else it is, it must not become another path. */
    if (job_id_parse(str_of(text), &id)) {
        return true;
    }
    (void)cli_misused(c, "\"%s\" is not a job's id, as TENANT.26-characters", text);
    return false;
}

static void set_path(char to[PATH_SIZE], const char *id, const char *action)
{
    (void)snprintf(to, PATH_SIZE, "/v1/jobs/%s%s", id, action);
}

static int show(struct cli *c, const struct client_answer *answer)
{
    struct buf text = {0};
    int code;

    if (c->is_json) {
        return cli_put_json(c, buf_as_str(&answer->body), CLI_OK);
    }
    if (show_job(buf_as_str(&answer->body), &text) == ERR_OK) {
        code = cli_put_buf(c, &text, CLI_OK);
    } else {
        cli_say(c, "the answer is not a job's document");
        code = CLI_UNAVAILABLE;
    }
    buf_fini(&text);
    return code;
}

int job_ask_and_show(struct cli *c, const struct ask *a)
{
    struct client_answer answer;
    int code = ask(c, a, &answer);

    if (code == CLI_OK) {
        code = show(c, &answer);
    }
    client_answer_fini(&answer);
    return code;
}

int job_status(struct cli *c, const struct args *a)
{
    char path[PATH_SIZE];

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    set_path(path, a->words[0], "");
    return job_ask_and_show(
        c, &(struct ask){.base = c->ingress, .method = "GET", .path = path, .is_harmless = true});
}

int job_why(struct cli *c, const struct args *a)
{
    char path[PATH_SIZE];
    struct client_answer answer;
    struct buf text = {0};

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    set_path(path, a->words[0], "/why");
    int code = ask(
        c, &(struct ask){.base = c->ingress, .method = "GET", .path = path, .is_harmless = true},
        &answer);
    if (code == CLI_OK && c->is_json) {
        code = cli_put_json(c, buf_as_str(&answer.body), CLI_OK);
    } else if (code == CLI_OK && show_document(buf_as_str(&answer.body), &text) == ERR_OK) {
        code = cli_put_buf(c, &text, CLI_OK);
    } else if (code == CLI_OK) {
        cli_say(c, "the answer does not say why");
        code = CLI_UNAVAILABLE;
    }
    client_answer_fini(&answer);
    buf_fini(&text);
    return code;
}

int job_wait(struct cli *c, const struct args *a)
{
    struct buf document = {0};

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    int code = wait_for(c, str_of(a->words[0]), args_ms(a, "--timeout", -1), &document);
    code = wait_show(c, &document, code);
    buf_fini(&document);
    return code;
}

int job_cancel(struct cli *c, const struct args *a)
{
    char path[PATH_SIZE];

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    set_path(path, a->words[0], "");
    return job_ask_and_show(c, &(struct ask){.base = c->ingress, .method = "DELETE", .path = path});
}

int job_retry(struct cli *c, const struct args *a)
{
    char path[PATH_SIZE];

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    set_path(path, a->words[0], "/retry");
    return job_ask_and_show(c, &(struct ask){.base = c->ingress, .method = "POST", .path = path});
}

static bool is_resolution(const char *word)
{
    return strcmp(word, "succeeded") == 0 || strcmp(word, "failed") == 0 ||
           strcmp(word, "retry") == 0;
}

int job_resolve(struct cli *c, const struct args *a)
{
    const char *note = args_text(a, "--note");
    char path[PATH_SIZE];
    struct buf body = {0};

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    if (!is_resolution(a->words[1])) {
        return cli_misused(c, "resolve to succeeded, failed or retry, not \"%s\"", a->words[1]);
    }
    if (!str_is_utf8(str_of(note))) {
        return cli_misused(c, "--note is not UTF-8");
    }
    set_path(path, a->words[0], "/resolve");
    buf_printf(&body, "{\"state\":\"%s\"", a->words[1]);
    if (note != NULL) {
        buf_text(&body, ",\"note\":");
        buf_json_str(&body, str_of(note));
    }
    buf_char(&body, '}');
    struct ask order = {.base = c->ingress,
                        .method = "POST",
                        .path = path,
                        .lines = {"Content-Type: application/json"},
                        .n_lines = 1,
                        .body = buf_as_str(&body)};
    int code = buf_failed(&body) ? CLI_BROKEN : job_ask_and_show(c, &order);
    buf_fini(&body);
    return code;
}

/* --- result ----------------------------------------------------------------------------------- */

static int not_ended(struct cli *c, const struct client_answer *answer)
{
    struct cJSON *job = json_parse(buf_as_str(&answer->body));
    struct str state = json_text(job, "state");

    cli_say(c, "the job has not ended: it is %.*s", STR_ARG(state));
    json_free(job);
    return c->is_json ? cli_put_json(c, buf_as_str(&answer->body), CLI_TIMEOUT) : CLI_TIMEOUT;
}

int job_result(struct cli *c, const struct args *a)
{
    char path[PATH_SIZE];
    struct client_answer answer;

    if (!job_is_id(c, a->words[0])) {
        return CLI_USAGE;
    }
    set_path(path, a->words[0], "/result");
    struct ask order = {.base = c->ingress,
                        .method = "GET",
                        .path = path,
                        .total_ms = ASK_LONG_MS,
                        .is_harmless = true};
    int code = ask_send(c, &order, &answer);
    if (code != CLI_OK) {
        (void)ask_explain(c, &order, &answer, code);
    } else if (answer.status == 202 && client_field(&answer, "Sluice-Job-Id").n == 0) {
        /* The job's document; a tenant's own 202 comes with the job's id. */
        code = not_ended(c, &answer);
    } else if (reply_is_problem(&answer) ||
               (answer.status >= 400 && client_field(&answer, "Sluice-Job-Id").n == 0)) {
        code = ask_refused(c, &answer);
    } else {
        code = ask_put_answer(c, &answer, args_has(a, "--include"));
    }
    client_answer_fini(&answer);
    return code;
}
