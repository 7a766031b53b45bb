/* SPDX-License-Identifier: Apache-2.0 */
#include "action.h"

#include "data.h"
#include "order.h"

/* --- the command line ------------------------------------------------------------------------- */

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

static const char *wrong_flag(const struct action_table *t, const struct args *a, const char *word)
{
    for (size_t i = 0; i < t->n_flags; i++) {
        if (args_has(a, t->flags[i].flag) && !has_word(t->flags[i].actions, word)) {
            return t->flags[i].flag;
        }
    }
    return NULL;
}

bool action_is_name(const char *text)
{
    bool is_path = strcmp(text, ".") == 0 || strcmp(text, "..") == 0;

    return text[0] != '\0' && !is_path && strpbrk(text, "/?#%") == NULL;
}

static int make_path(struct cli *c, const struct action_table *t, const struct action *k,
                     const struct args *a, struct buf *path)
{
    size_t word = 1;

    for (const char *p = k->path; *p != '\0'; p++) {
        if (*p != '*') {
            buf_char(path, *p);
        } else if (action_is_name(a->words[word])) {
            buf_text(path, a->words[word++]);
        } else {
            return cli_misused(c, "\"%s\" is not a name", a->words[word]);
        }
    }
    for (size_t i = 0; i < t->n_flags; i++) {
        if (t->flags[i].query != NULL && args_has(a, t->flags[i].flag)) {
            buf_printf(path, "?%s", t->flags[i].query);
        }
    }
    return CLI_OK;
}

static int refuse_word(struct cli *c, const struct action_table *t, const char *word)
{
    struct buf known = {0};

    for (size_t i = 0; i < t->n_actions; i++) {
        buf_printf(&known, "%s%s", i + 1 < t->n_actions ? ", " : " or ", t->actions[i].word);
    }
    int code = cli_misused(c, "%s takes list%s, not \"%s\"", t->command,
                           known.p == NULL ? "" : known.p, word);
    buf_fini(&known);
    return code;
}

/* --- the request ------------------------------------------------------------------------------ */

static int print(struct cli *c, const struct action *k, const struct args *a,
                 const struct client_answer *answer)
{
    if (c->is_json) {
        return answer->body.n == 0 ? CLI_OK : cli_put_json(c, buf_as_str(&answer->body), CLI_OK);
    }
    if (answer->status == 204) {
        return cli_put(c, STR("gone\n"), CLI_OK);
    }
    return k->print == NULL ? ask_put_id(c, answer, CLI_OK) : k->print(c, a, answer);
}

static int send(struct cli *c, const struct action *k, const struct args *a, const char *path,
                struct str body, const struct buf *key)
{
    struct ask order = {.base = c->dispatcher,
                        .method = k->method,
                        .path = path,
                        .body = body,
                        .is_harmless = !k->is_once || key->n > 0};
    struct client_answer answer = {0};
    int rc = body.n == 0 ? ERR_OK : ask_line(&order, "Content-Type: application/yaml");

    rc = rc == ERR_OK && key->n > 0 ? ask_line(&order, key->p) : rc;
    int code = rc == ERR_OK ? ask(c, &order, &answer) : CLI_BROKEN;
    if (code == CLI_OK) {
        code = print(c, k, a, &answer);
    }
    client_answer_fini(&answer);
    return code;
}

static int make_key(struct cli *c, const struct args *a, struct buf *line)
{
    const char *key = args_text(a, "--idempotency-key");
    struct buf why = {0};
    int rc = key == NULL ? ERR_OK : order_key_line(key, line, &why);
    int code = rc == ERR_INVALID ? cli_misused(c, "%s", why.p == NULL ? "" : why.p) : CLI_OK;

    buf_fini(&why);
    return code;
}

static int run(struct cli *c, const struct action_table *t, const struct action *k,
               const struct args *a)
{
    struct buf path = {0};
    struct buf body = {0};
    struct buf key = {0};
    int code;

    if (a->n_words < k->least_words + 1 || a->n_words > k->most_words + 1) {
        return cli_misused(c, "usage: sluice %s %s%s%s; see sluice %s --help", t->command, k->word,
                           k->words[0] == '\0' ? "" : " ", k->words, t->command);
    }
    if (k->run != NULL) {
        return k->run(c, a);
    }
    code = make_path(c, t, k, a, &path);
    if (code == CLI_OK && k->body != NULL) {
        code = k->body(c, a, &body);
    }
    if (code == CLI_OK) {
        code = make_key(c, a, &key);
    }
    if (code == CLI_OK && (buf_failed(&path) || buf_failed(&body) || buf_failed(&key))) {
        cli_say(c, "out of memory");
        code = CLI_BROKEN;
    }
    if (code == CLI_OK) {
        code = send(c, k, a, path.p, buf_as_str(&body), &key);
    }
    buf_fini(&path);
    buf_fini(&body);
    buf_fini(&key);
    return code;
}

/* --- public ----------------------------------------------------------------------------------- */

int action_run(struct cli *c, const struct action_table *t, const struct args *a)
{
    const char *word = a->n_words == 0 ? "list" : a->words[0];
    const char *wrong = wrong_flag(t, a, word);

    if (wrong != NULL) {
        return cli_misused(c, "%s %s takes no %s", t->command, word, wrong);
    }
    if (strcmp(word, "list") == 0) {
        return a->n_words > 1 ? cli_misused(c, "%s list takes no words", t->command)
                              : t->list(c, a);
    }
    for (size_t i = 0; i < t->n_actions; i++) {
        if (strcmp(word, t->actions[i].word) == 0) {
            return run(c, t, &t->actions[i], a);
        }
    }
    return refuse_word(c, t, word);
}

int action_read(struct cli *c, const char *file, struct buf *out)
{
    struct buf why = {0};
    int code = CLI_OK;

    if (data_read_file(file, out, &why) != ERR_OK) {
        code = cli_misused(c, "%s", why.p == NULL ? "cannot read the file" : why.p);
    }
    buf_fini(&why);
    return code;
}

int action_put(struct cli *c, int rc, const struct buf *text)
{
    if (rc != ERR_OK) {
        cli_say(c, "the answer of %s is not what was asked for", c->dispatcher);
        return CLI_UNAVAILABLE;
    }
    return cli_put_buf(c, text, CLI_OK);
}

int action_note(struct cli *c, const struct args *a, struct buf *out)
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
