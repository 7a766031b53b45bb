/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAUSED, RUNS, SKIPPED, LAST };

/* Readings that end in one word to whoever asked. */
struct round {
    struct schedules *schedules;
    schedules_facts_cb cb;
    void *arg;
    size_t awaited;
    int rc;
};

struct reading {
    struct round *round;
    char name[]; /* the schedule may be another object by the answer */
};

void schedule_fact_fields(const char *name, char ret[SCHEDULE_FACTS][SCHEDULE_FIELD_SIZE])
{
    static const char *const suffixes[SCHEDULE_FACTS] = {
        [PAUSED] = ":paused", [RUNS] = ":runs", [SKIPPED] = ":skipped", [LAST] = ":at"};

    for (size_t i = 0; i < SCHEDULE_FACTS; i++) {
        (void)snprintf(ret[i], SCHEDULE_FIELD_SIZE, "%s%s", name, suffixes[i]);
    }
}

/* "<since> TAB <by> TAB <note>" */
static void take_pause(struct schedule_facts *f, struct str text)
{
    struct str since = {"", 0};
    struct str by = {"", 0};

    f->paused_ms = 0;
    free(f->note);
    f->note = NULL;
    if (text.n == 0 || !str_cut(&text, '\t', &since) || !str_cut(&text, '\t', &by)) {
        return;
    }
    if (str_to_i64(since, &f->paused_ms) != ERR_OK) {
        f->paused_ms = 0;
    }
    f->is_paused_by_failure = str_is(by, STR("failure"));
    f->note = str_dup(text); /* without memory: a pause without its note */
}

static void take(struct schedule_facts *f, const struct store_value *v)
{
    take_pause(f, store_word(v, PAUSED));
    f->fired = store_number(v, RUNS);
    f->skipped = store_number(v, SKIPPED);
    f->last.ms = store_number(v, LAST);
}

static void one_done(struct round *r, int rc)
{
    r->rc = r->rc != ERR_OK ? r->rc : rc;
    if (--r->awaited > 0) {
        return;
    }
    r->cb(r->rc, r->arg);
    schedules_let_go(r->schedules);
    free(r);
}

static void on_facts(int rc, const struct store_value *v, void *arg)
{
    struct reading *one = arg;
    struct round *r = one->round;
    struct schedule *s =
        r->schedules->is_freed ? NULL : map_get(&r->schedules->by_name, str_of(one->name));

    if (rc == ERR_OK && s != NULL) {
        take(&s->facts, v);
    }
    free(one);
    one_done(r, rc);
}

static int read_one(struct round *r, const struct schedule *s)
{
    size_t n = strlen(s->name) + 1;
    struct reading *one = malloc(sizeof *one + n);
    char key[96];
    char fields[SCHEDULE_FACTS][SCHEDULE_FIELD_SIZE];
    struct str words[2 + SCHEDULE_FACTS] = {STR("HMGET"), {key, 0}};

    if (one == NULL) {
        return ERR_NOMEM;
    }
    one->round = r;
    memcpy(one->name, s->name, n);
    (void)snprintf(key, sizeof key, "{%s}:c", s->job.tenant);
    words[1] = str_of(key);
    schedule_fact_fields(s->name, fields);
    for (size_t i = 0; i < SCHEDULE_FACTS; i++) {
        words[2 + i] = str_of(fields[i]);
    }
    int rc =
        store_command(r->schedules->dispatcher->store, words, 2 + SCHEDULE_FACTS, on_facts, one);
    if (rc != ERR_OK) {
        free(one);
        return rc;
    }
    r->awaited++;
    return ERR_OK;
}

int schedules_read_facts(struct schedules *s, struct schedule *const *list, size_t n,
                         schedules_facts_cb cb, void *arg)
{
    struct round *r = calloc(1, sizeof *r);
    int rc = n == 0 ? ERR_MISSING : ERR_OK;

    if (r == NULL) {
        return ERR_NOMEM;
    }
    *r = (struct round){.schedules = s, .cb = cb, .arg = arg};
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = read_one(r, list[i]);
    }
    if (r->awaited == 0) {
        free(r);
        return rc;
    }
    /* What was sent is awaited, and says the rest. */
    r->rc = rc;
    s->alive++;
    return ERR_OK;
}
