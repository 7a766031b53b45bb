/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "data.h"
#include "job/id.h"
#include "json.h"
#include "order.h"
#include "wait.h"

struct submit {
    struct buf document;
    struct buf body; /* of the job's request */
    struct buf key;  /* the header line, or empty */
};

/* Flags that fill the document in, and so exclude --file. */
static const char *const filling[] = {
    "--method", "--data",    "--data-file",    "--header",       "--delay",   "--ttl",
    "--label",  "--timeout", "--max-attempts", "--ordering-key", "--priority"};

static int check_words(const struct args *a, struct buf *why)
{
    bool has_file = args_has(a, "--file");

    if (!has_file && a->n_words != 2) {
        buf_text(why, "submit takes TENANT and PATH, or --file");
        return ERR_INVALID;
    }
    if (has_file && a->n_words != 0) {
        buf_text(why, "with --file the tenant and the path stand in the document");
        return ERR_INVALID;
    }
    for (size_t i = 0; has_file && i < sizeof filling / sizeof filling[0]; i++) {
        if (args_has(a, filling[i])) {
            buf_printf(why, "with --file, %s belongs into the document", filling[i]);
            return ERR_INVALID;
        }
    }
    if (args_has(a, "--data") && args_has(a, "--data-file")) {
        buf_text(why, "--data and --data-file exclude each other");
        return ERR_INVALID;
    }
    return ERR_OK;
}

static int read_body(struct submit *s, const struct args *a, struct buf *why)
{
    const char *data = args_text(a, "--data");
    const char *file = args_text(a, "--data-file");

    if (data != NULL) {
        return data_read(data, &s->body, why);
    }
    return file != NULL ? data_read_file(file, &s->body, why) : ERR_OK;
}

static int make(struct submit *s, const struct args *a, struct buf *why)
{
    const char *key = args_text(a, "--idempotency-key");
    int rc = check_words(a, why);

    if (rc == ERR_OK && key != NULL) {
        rc = order_key_line(key, &s->key, why);
    }
    if (rc == ERR_OK && args_has(a, "--file")) {
        return data_read_file(args_text(a, "--file"), &s->document, why);
    }
    if (rc == ERR_OK) {
        rc = read_body(s, a, why);
    }
    return rc == ERR_OK ? order_document(a, a->words[0], a->words[1], buf_as_str(&s->body),
                                         &s->document, why)
                        : rc;
}

static int wait_for_it(struct cli *c, const struct args *a, const struct client_answer *answer)
{
    struct cJSON *job = json_parse(buf_as_str(&answer->body));
    struct str id = json_text(job, "id");
    struct job_id parts;
    struct buf document = {0};
    int code;

    if (!job_id_parse(id, &parts)) {
        code = ask_put_id(c, answer, CLI_IN_DOUBT);
        goto out;
    }
    if (!c->is_json) {
        /* Before the waiting: whatever happens to us, the id is known. */
        (void)ask_put_id(c, answer, CLI_OK);
    }
    code = wait_for(c, id, args_ms(a, "--wait", 0), &document);
    if (c->is_json && document.n == 0) {
        code = ask_put_id(c, answer, code);
    } else {
        code = wait_show(c, &document, code);
    }
out:
    buf_fini(&document);
    json_free(job);
    return code;
}

static int send(struct cli *c, const struct args *a, const struct submit *s)
{
    struct client_answer answer;
    struct ask order = {.base = c->ingress,
                        .method = "POST",
                        .path = "/v1/jobs",
                        .lines = {"Content-Type: application/json"},
                        .n_lines = 1,
                        .body = buf_as_str(&s->document)};

    if (s->key.n > 0) {
        order.lines[order.n_lines++] = s->key.p;
    }
    int code = ask(c, &order, &answer);
    if (code == CLI_OK) {
        if (client_field(&answer, "Idempotent-Replayed").n > 0 && c->is_terminal) {
            cli_say(c, "this key's job stands already");
        }
        code = args_has(a, "--wait") ? wait_for_it(c, a, &answer) : ask_put_id(c, &answer, CLI_OK);
    }
    client_answer_fini(&answer);
    return code;
}

int submit_run(struct cli *c, const struct args *a)
{
    struct submit s = {0};
    struct buf why = {0};
    int code;

    int rc = make(&s, a, &why);
    if (rc == ERR_NOMEM) {
        cli_say(c, "out of memory");
        code = CLI_BROKEN;
    } else if (rc != ERR_OK) {
        code = cli_misused(c, "%s", why.p != NULL ? why.p : err_text(rc));
    } else {
        code = send(c, a, &s);
    }
    buf_fini(&s.document);
    buf_fini(&s.body);
    buf_fini(&s.key);
    buf_fini(&why);
    return code;
}
