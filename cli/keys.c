/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include "base/random.h"
#include "cli.h"
#include "job/document.h"

#include <stdio.h>

#define TOKEN_PREFIX "sluice_"

enum { NAME_MAX_N = 64, SCOPES = 3 };

void keys_token(char out[KEYS_TOKEN_SIZE])
{
    char one[RANDOM_NAME_SIZE];
    char two[RANDOM_NAME_SIZE];

    random_name(one);
    random_name(two);
    (void)snprintf(out, KEYS_TOKEN_SIZE, TOKEN_PREFIX "%s%s", one, two);
}

void keys_hash(struct str token, struct buf *out)
{
    unsigned char hash[32];

    job_sha256(token, hash);
    buf_text(out, "sha256:");
    for (size_t i = 0; i < sizeof hash; i++) {
        buf_printf(out, "%02x", hash[i]);
    }
}

/* As the configuration takes them. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
            return false;
        }
    }
    return s.n >= 1 && s.n <= NAME_MAX_N;
}

static int refuse_name(const char *flag, struct str name, struct buf *why)
{
    buf_printf(why, "%s takes 1 to 64 characters of a-z, 0-9, '_' and '-', not \"%.*s\"", flag,
               STR_ARG(name));
    return ERR_INVALID;
}

static bool is_repeated(const struct args *a, struct str name, size_t before)
{
    size_t cursor = 0;
    const char *other;

    while ((other = args_next(a, "--tenant", &cursor)) != NULL && cursor < before) {
        if (str_is(str_of(other), name)) {
            return true;
        }
    }
    return false;
}

static int print_tenants(const struct args *a, struct buf *out, struct buf *why)
{
    size_t cursor = 0;
    const char *tenant;
    bool is_first = true;

    if (!args_has(a, "--tenant")) {
        return ERR_OK;
    }
    buf_text(out, ", \"tenants\": [");
    while ((tenant = args_next(a, "--tenant", &cursor)) != NULL) {
        if (!is_name(str_of(tenant))) {
            return refuse_name("--tenant", str_of(tenant), why);
        }
        if (!is_repeated(a, str_of(tenant), cursor)) {
            buf_printf(out, "%s\"%s\"", is_first ? "" : ", ", tenant);
            is_first = false;
        }
    }
    buf_char(out, ']');
    return ERR_OK;
}

static int read_scopes(struct str list, bool has[SCOPES], const struct str names[SCOPES],
                       struct buf *why)
{
    struct str word;

    while (str_cut(&list, ',', &word)) {
        size_t i = 0;
        word = str_trim(word);
        while (i < SCOPES && !str_is(word, names[i])) {
            i++;
        }
        if (i == SCOPES) {
            buf_printf(why, "--scopes takes submit, read and admin by commas, not \"%.*s\"",
                       STR_ARG(word));
            return ERR_INVALID;
        }
        has[i] = true;
    }
    return ERR_OK;
}

static int print_scopes(const struct args *a, struct buf *out, struct buf *why)
{
    static const struct str names[SCOPES] = {{"submit", 6}, {"read", 4}, {"admin", 5}};
    const char *given = args_text(a, "--scopes");
    bool has[SCOPES] = {false};
    bool is_first = true;

    int rc = read_scopes(str_of(given == NULL ? "submit,read" : given), has, names, why);
    if (rc != ERR_OK) {
        return rc;
    }
    buf_text(out, ", \"scopes\": [");
    for (size_t i = 0; i < SCOPES; i++) {
        if (has[i]) {
            buf_printf(out, "%s\"%s\"", is_first ? "" : ", ", names[i].p);
            is_first = false;
        }
    }
    buf_char(out, ']');
    return ERR_OK;
}

int keys_entry(const struct args *a, struct str token, const char *made_up, struct buf *ret,
               struct buf *why)
{
    const char *given = args_text(a, "--name");
    const char *name = given == NULL ? made_up : given;

    if (!is_name(str_of(name))) {
        return refuse_name("--name", str_of(name), why);
    }
    /* Quoted: `on`, `null` and `123` are names, too. */
    buf_printf(ret, "{\"name\": \"%s\", \"hash\": \"", name);
    keys_hash(token, ret);
    buf_char(ret, '"');
    int rc = print_tenants(a, ret, why);
    if (rc == ERR_OK) {
        rc = print_scopes(a, ret, why);
    }
    buf_char(ret, '}');
    return rc == ERR_OK && buf_failed(ret) ? ERR_NOMEM : rc;
}

static int print_new(struct cli *c, const char *token, const struct buf *entry)
{
    struct buf out = {0};

    if (c->is_json) {
        buf_printf(&out, "{\"token\": \"%s\", \"key\": %s}\n", token, entry->p);
    } else {
        buf_printf(&out,
                   "The token, shown this once. Callers send it as Authorization: Bearer or "
                   "Sluice-Key; this command reads it from SLUICE_KEY.\n\n    %s\n\n"
                   "The entry for the configuration; it holds the hash only.\n\n"
                   "keys:\n  - %s\n",
                   token, entry->p);
    }
    int code = cli_put_buf(c, &out, CLI_OK);
    buf_fini(&out);
    return code;
}

int keys_run(struct cli *c, const struct args *a)
{
    char token[KEYS_TOKEN_SIZE];
    char random[RANDOM_NAME_SIZE];
    char made_up[KEYS_NAME_SIZE];
    struct buf entry = {0};
    struct buf why = {0};
    int code = CLI_BROKEN;

    if (strcmp(a->words[0], "new") != 0) {
        return cli_misused(c, "keys knows \"new\" only, not \"%s\"", a->words[0]);
    }
    keys_token(token);
    random_name(random);
    (void)snprintf(made_up, sizeof made_up, "key-%.6s", random);
    int rc = keys_entry(a, str_of(token), made_up, &entry, &why);
    if (rc == ERR_INVALID) {
        code = cli_misused(c, "%s", why.p);
    } else if (rc == ERR_OK) {
        code = print_new(c, token, &entry);
    }
    buf_fini(&entry);
    buf_fini(&why);
    return code;
}
