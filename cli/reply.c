/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include "cli.h"
#include "grid.h"
#include "job/record.h"
#include "json.h"

#define PREFIX "urn:sluice:problem:"

enum { SHOWN_MAX = 200 };

/* Types that say more about the job than their status does. */
static const struct {
    const char *word;
    int exit;
} words[] = {
    {"expired", CLI_FAILED},         {"canceled", CLI_FAILED},
    {"no_answer", CLI_FAILED},       {"result_too_large", CLI_FAILED},
    {"in_doubt", CLI_IN_DOUBT},      {"tenant_unreachable", CLI_FAILED},
    {"call_in_doubt", CLI_IN_DOUBT}, {"outcome_unknown", CLI_IN_DOUBT},
    {"sync_timeout", CLI_TIMEOUT},   {"draining", CLI_TIMEOUT},
};

int reply_exit(int status, struct str word)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_is(word, str_of(words[i].word))) {
            return words[i].exit;
        }
    }
    return status >= 500 ? CLI_UNAVAILABLE : CLI_REFUSED;
}

int reply_exit_of_state(struct str state_word)
{
    enum job_state state;

    if (job_state_parse(state_word, &state) != ERR_OK) {
        return CLI_TIMEOUT; /* a newer server's state: not one that we know as an end */
    }
    if (state == JOB_IN_DOUBT) {
        return CLI_IN_DOUBT;
    }
    if (!job_state_is_final(state)) {
        return CLI_TIMEOUT;
    }
    return state == JOB_SUCCEEDED ? CLI_OK : CLI_FAILED;
}

bool reply_has_ended(struct str state)
{
    return reply_exit_of_state(state) != CLI_TIMEOUT;
}

static bool is_problem_json(const struct client_answer *a)
{
    struct str type = client_field(a, "Content-Type");
    struct str media = {"", 0};

    (void)str_cut(&type, ';', &media);
    return str_is_nocase(str_trim(media), STR("application/problem+json"));
}

void reply_problem_read(const struct client_answer *a, struct reply_problem *ret)
{
    struct str prefix = STR(PREFIX);

    *ret = (struct reply_problem){.status = a->status};
    ret->tree = is_problem_json(a) ? json_parse(buf_as_str(&a->body)) : NULL;
    ret->type = json_text(ret->tree, "type");
    ret->title = json_text(ret->tree, "title");
    ret->detail = json_text(ret->tree, "detail");
    ret->job = json_text(ret->tree, "job");
    ret->retry_after = client_field(a, "Retry-After");
    if (str_starts(ret->type, prefix)) {
        ret->word = (struct str){ret->type.p + prefix.n, ret->type.n - prefix.n};
    }
    if (ret->tree == NULL) {
        struct str body = buf_as_str(&a->body);
        ret->detail = (struct str){body.p, body.n < SHOWN_MAX ? body.n : SHOWN_MAX};
    }
}

void reply_problem_fini(struct reply_problem *p)
{
    json_free(p->tree);
    *p = (struct reply_problem){0};
}

bool reply_is_problem(const struct client_answer *a)
{
    struct reply_problem p;

    /* A tenant's own answer to a call says how many attempts it took. */
    if (a->status < 400 || client_field(a, "Sluice-Attempts").n > 0) {
        return false;
    }
    reply_problem_read(a, &p);
    bool is_ours = p.word.n > 0;
    reply_problem_fini(&p);
    return is_ours;
}

static void print_line(const char *before, struct str text, const char *after, struct buf *out)
{
    if (text.n > 0) {
        buf_printf(out, "  %s", before);
        grid_clean(text, out);
        buf_printf(out, "%s\n", after);
    }
}

void reply_problem_print(const struct reply_problem *p, struct buf *out)
{
    bool says_more = !str_is(p->detail, p->title);

    if (p->title.n > 0) {
        grid_clean(p->title, out);
        buf_printf(out, " (%d ", p->status);
        grid_clean(p->word.n > 0 ? p->word : p->type, out);
        buf_text(out, ")\n");
    } else {
        buf_printf(out, "the server answered %d\n", p->status);
    }
    print_line("", says_more ? p->detail : (struct str){"", 0}, "", out);
    print_line("job: ", p->job, "", out);
    print_line("repeat after ", p->retry_after, " s", out);
}
