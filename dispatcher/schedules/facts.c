/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

#include "job/id.h"

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

enum { READ_MAX = 100 }; /* schedules in one question */

struct reading {
    struct round *round;
    char tenant[JOB_TENANT_MAX + 1];
    size_t n;
    char *names[READ_MAX]; /* owned: a schedule may be another object by the answer */
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

/* from: the first of its fields among those that were asked for. */
static void take(struct schedule_facts *f, const struct store_value *v, size_t from)
{
    take_pause(f, store_word(v, from + PAUSED));
    f->fired = store_number(v, from + RUNS);
    f->skipped = store_number(v, from + SKIPPED);
    f->last.ms = store_number(v, from + LAST);
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

static void reading_free(struct reading *one)
{
    for (size_t i = 0; i < one->n; i++) {
        free(one->names[i]);
    }
    free(one);
}

static void on_facts(int rc, const struct store_value *v, void *arg)
{
    struct reading *one = arg;
    struct round *r = one->round;

    for (size_t i = 0; rc == ERR_OK && !r->schedules->is_freed && i < one->n; i++) {
        struct schedule *s = map_get(&r->schedules->by_name, str_of(one->names[i]));
        if (s != NULL && strcmp(s->job.tenant, one->tenant) == 0) { /* it may be another's by now */
            take(&s->facts, v, i * SCHEDULE_FACTS);
            schedule_keep_pause(s, store_word(v, i * SCHEDULE_FACTS + PAUSED));
        }
    }
    reading_free(one);
    one_done(r, rc);
}

/* Asks for those of schedules of one tenant. */
static int ask(struct reading *one, struct schedule *const *list, size_t n)
{
    static const size_t head = 2;
    struct str words[2 + READ_MAX * SCHEDULE_FACTS] = {STR("HMGET")};
    char fields[READ_MAX][SCHEDULE_FACTS][SCHEDULE_FIELD_SIZE];
    char key[96];

    (void)snprintf(key, sizeof key, "{%s}:c", list[0]->job.tenant);
    (void)str_put(str_of(list[0]->job.tenant), one->tenant, sizeof one->tenant, 0);
    words[1] = str_of(key);
    for (; one->n < n; one->n++) {
        size_t i = one->n;
        one->names[i] = str_dup(str_of(list[i]->name));
        if (one->names[i] == NULL) {
            return ERR_NOMEM;
        }
        schedule_fact_fields(list[i]->name, fields[i]);
        for (size_t f = 0; f < SCHEDULE_FACTS; f++) {
            words[head + i * SCHEDULE_FACTS + f] = str_of(fields[i][f]);
        }
    }
    return store_command(one->round->schedules->dispatcher->store, words, head + n * SCHEDULE_FACTS,
                         on_facts, one);
}

static void read_some(struct schedules *s, struct schedule **list, size_t n, void *arg)
{
    struct round *r = arg;
    struct reading *one = r->rc == ERR_OK ? calloc(1, sizeof *one) : NULL;

    (void)s;
    if (one == NULL) {
        r->rc = r->rc != ERR_OK ? r->rc : ERR_NOMEM;
        return;
    }
    one->round = r;
    r->rc = ask(one, list, n);
    if (r->rc == ERR_OK) {
        r->awaited++;
    } else {
        reading_free(one);
    }
}

int schedules_read_facts(struct schedules *s, struct schedule *const *list, size_t n,
                         schedules_facts_cb cb, void *arg)
{
    struct round *r = calloc(1, sizeof *r);
    struct schedule **sorted = calloc(n + 1, sizeof *sorted);
    int rc = r == NULL || sorted == NULL ? ERR_NOMEM : n == 0 ? ERR_MISSING : ERR_OK;

    if (rc == ERR_OK) {
        memcpy(sorted, list, n * sizeof *sorted);
        *r = (struct round){.schedules = s, .cb = cb, .arg = arg};
        schedules_by_tenant(s, sorted, n, READ_MAX, read_some, r);
        rc = r->rc;
    }
    free(sorted);
    if (r == NULL || r->awaited == 0) {
        free(r);
        return rc;
    }
    /* What was sent is awaited, and says the rest. */
    s->alive++;
    return ERR_OK;
}
