/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH, SELECT, ROLE, INFO, CONFIG and FUNCTION LOAD leave together; when all have been answered
 * well, the arrive script follows, with the run_id that INFO told. */
#include "base/fault.h"
#include "base/random.h"
#include "store/core.h"
#include "store/scripts.h"
#include "store/wait.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    const char *wanted;
} PERSISTENCE[] = {
    {"appendonly", "yes"},
    {"appendfsync", "always"},
    {"maxmemory-policy", "noeviction"},
};

struct str store_find_run_id(struct str info)
{
    const struct str name = STR("run_id:");
    struct str line = {NULL, 0};

    while (str_cut(&info, '\n', &line)) {
        if (str_starts(line, name)) {
            size_t n = line.n - name.n;
            n -= n > 0 && line.p[line.n - 1] == '\r' ? 1 : 0;
            return (struct str){line.p + name.n, n};
        }
    }
    return (struct str){NULL, 0};
}

static void on_arrived(struct store *s, size_t index, const struct store_value *v)
{
    char epoch[STORE_NAME_SIZE];

    (void)index;
    if (v->type == STORE_ERROR) {
        store_lost(s, "arrive: %.*s", STR_ARG(v->text));
        return;
    }
    if (v->type != STORE_ARRAY || v->n_items < 3 || v->items[0].type != STORE_TEXT ||
        v->items[1].type != STORE_INTEGER || v->items[2].type != STORE_INTEGER ||
        !str_keep(v->items[0].text, epoch, sizeof epoch)) {
        store_lost(s, "arrive: not an epoch and two generations");
        return;
    }
    if (s->epoch[0] != '\0' && !str_is(str_of(s->epoch), str_of(epoch))) {
        s->epoch_changes++;
        s->wait.confirmed = 0; /* gone with all the rest */
    } else if (s->epoch[0] != '\0' && v->items[2].integer > s->forgot) {
        s->losses++;
    }
    memcpy(s->epoch, epoch, sizeof epoch);
    s->generation = v->items[1].integer;
    s->forgot = v->items[2].integer;
    if (store_wait_is_on(s)) {
        store_wait_open(s);
    } else {
        store_arrived(s);
    }
}

static void arrive(struct store *s)
{
    char candidate[RANDOM_NAME_SIZE];
    char confirmed[24];
    char kept[24];

    random_name(candidate);
    (void)snprintf(confirmed, sizeof confirmed, "%" PRIu64, store_wait_confirmed(s));
    (void)snprintf(kept, sizeof kept, "%d", STORE_SEEN_MS);
    const struct str words[] = {STR("FCALL"),      str_of(s->functions[STORE_ARRIVE]),
                                STR("1"),          STORE_EPOCH_KEY,
                                str_of(candidate), str_of(s->run_id),
                                str_of(s->epoch),  str_of(s->wait.key),
                                str_of(confirmed), str_of(kept)};
    store_ask(s, words, sizeof words / sizeof words[0], on_arrived, 0);
}

static void step_done(struct store *s)
{
    s->steps--;
    if (s->steps == 0 && !s->is_lost) {
        arrive(s);
    }
}

static void on_selected(struct store *s, size_t index, const struct store_value *v)
{
    (void)index;
    if (v->type == STORE_ERROR) {
        store_lost(s, "%.*s", STR_ARG(v->text));
    }
    step_done(s);
}

/* Asked before all that matters: a server that is no master is not believed anything. */
static void on_role(struct store *s, size_t index, const struct store_value *v)
{
    (void)index;
    if (!RULE(master_only)) {
        /* Asked all the same: one way through. */
    } else if (v->type == STORE_ERROR) {
        store_lost(s, "ROLE: %.*s", STR_ARG(v->text));
    } else if (v->type != STORE_ARRAY || v->n_items < 1 || v->items[0].type != STORE_TEXT) {
        store_lost(s, "ROLE: not told");
    } else if (!str_is(v->items[0].text, STR("master"))) {
        store_lost(s, "%s is no master: its role is %.*s", s->server, STR_ARG(v->items[0].text));
    }
    step_done(s);
}

static void on_info(struct store *s, size_t index, const struct store_value *v)
{
    (void)index;
    if (v->type == STORE_ERROR) {
        store_lost(s, "INFO: %.*s", STR_ARG(v->text));
    } else if (v->type != STORE_TEXT ||
               !str_keep(store_find_run_id(v->text), s->run_id, sizeof s->run_id)) {
        store_lost(s, "INFO: no run_id");
    }
    step_done(s);
}

static void on_config(struct store *s, size_t index, const struct store_value *v)
{
    const char *name = PERSISTENCE[index].name;
    const char *wanted = PERSISTENCE[index].wanted;

    if (!s->o.is_strict || !RULE(durable_or_refused)) {
        /* Asked all the same: one way through. */
    } else if (v->type == STORE_ERROR) {
        store_lost(s, "durability cannot be verified: %.*s", STR_ARG(v->text));
    } else if (v->type != STORE_ARRAY || v->n_items < 2 || v->items[1].type != STORE_TEXT) {
        store_lost(s, "durability cannot be verified: %s is not told", name);
    } else if (!str_is(v->items[1].text, str_of(wanted))) {
        store_lost(s, "not durable: %s is %.*s, not %s", name, STR_ARG(v->items[1].text), wanted);
    }
    step_done(s);
}

/* It is there, or may be: at maxmemory Redis loads nothing, not even what it has. What is not there
 * says so when it is called. */
static bool may_be_loaded(const struct store_value *v)
{
    static const struct str there = STR("already exists");

    return v->type != STORE_ERROR || str_starts(v->text, STR("OOM")) ||
           (v->text.n > there.n &&
            str_is((struct str){v->text.p + v->text.n - there.n, there.n}, there));
}

static void on_loaded(struct store *s, size_t index, const struct store_value *v)
{
    s->is_loading[index] = false;
    if (!may_be_loaded(v)) {
        store_lost(s, "script %s: %.*s", store_script_name((enum store_script)index),
                   STR_ARG(v->text));
    }
}

static void on_first_loaded(struct store *s, size_t index, const struct store_value *v)
{
    on_loaded(s, index, v);
    step_done(s);
}

static void load(struct store *s, enum store_script script, command_step step)
{
    struct buf text = {0};

    store_script_write(script, s->functions[script], &text);
    const struct str words[] = {STR("FUNCTION"), STR("LOAD"), buf_as_str(&text)};
    s->is_loading[script] = true;
    if (buf_failed(&text)) {
        store_lost(s, "%s", err_text(ERR_NOMEM));
    } else {
        store_ask(s, words, 3, step, script);
    }
    buf_fini(&text);
}

void store_reload(struct store *s, enum store_script script)
{
    if (!s->is_loading[script]) {
        load(s, script, on_loaded);
    }
}

static void step(struct store *s, const struct str *words, size_t n_words, command_step then,
                 size_t index)
{
    s->steps++;
    store_ask(s, words, n_words, then, index);
}

size_t store_login_words(const struct store *s, struct str ret[3])
{
    size_t n = 0;

    if (s->url.password[0] == '\0') {
        return 0;
    }
    ret[n++] = STR("AUTH");
    if (s->url.user[0] != '\0') {
        ret[n++] = str_of(s->url.user);
    }
    ret[n++] = str_of(s->url.password);
    return n;
}

static void log_in(struct store *s)
{
    struct str words[3];
    size_t n = store_login_words(s, words);
    char db[16];

    if (n > 0) {
        step(s, words, n, on_selected, 0);
    }
    if (s->url.db != 0) {
        (void)snprintf(db, sizeof db, "%u", s->url.db);
        const struct str choose[] = {STR("SELECT"), str_of(db)};
        step(s, choose, 2, on_selected, 0);
    }
}

void store_opening_begin(struct store *s)
{
    const struct str role[] = {STR("ROLE")};
    const struct str info[] = {STR("INFO"), STR("server")};

    s->steps = 0;
    log_in(s);
    step(s, role, 1, on_role, 0);
    step(s, info, 2, on_info, 0);
    for (size_t i = 0; i < sizeof PERSISTENCE / sizeof PERSISTENCE[0]; i++) {
        const struct str words[] = {STR("CONFIG"), STR("GET"), str_of(PERSISTENCE[i].name)};
        step(s, words, 3, on_config, i);
    }
    for (size_t i = 0; i < STORE_SCRIPTS; i++) {
        s->steps++;
        load(s, (enum store_script)i, on_first_loaded);
    }
}
