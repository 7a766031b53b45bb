/* SPDX-License-Identifier: Apache-2.0 */
/* Which schedules there are: what was put stands before what the file has. */
#include "base/log.h"
#include "inside.h"
#include "zones.h"

#include <stdlib.h>

enum { ALWAYS_LEASES = 3 };

void schedules_let_go(struct schedules *s)
{
    if (--s->alive == 0) {
        free(s);
    }
}

void schedule_free(struct schedule *s)
{
    if (s == NULL) {
        return;
    }
    schedule_times_fini(&s->times);
    job_document_fini(&s->job);
    free(s->name);
    free(s->cron_text);
    free(s->zone_name);
    free(s->facts.note);
    free(s);
}

void schedule_look_again(struct schedule *s, struct wall when)
{
    schedules_due_set(&s->owner->due, s, when);
}

bool schedules_are_known(const struct schedules *s)
{
    return schedules_store_was_read(s->store);
}

void schedules_look_again(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        struct schedule *one = value;
        if (!one->is_asking) {
            schedule_look_again(one, (struct wall){0});
        }
    }
}

/* The system's zones may be others than when they were read. One that can no longer be read stays
 * as it was. */
static void read_zones_again(struct schedules *s)
{
    struct map old = s->zones;
    size_t cursor = 0;
    struct str name;
    void *value;

    s->zones = (struct map){0};
    while (map_next(&s->by_name, &cursor, &name, &value)) {
        struct schedule *one = value;
        struct zone *before = one->times.zone;
        if (zones_find(&s->zones, one->zone_name, &one->times.zone) != ERR_OK) {
            one->times.zone = before;
            (void)map_remove(&old, str_of(one->zone_name));
            int rc = map_put(&s->zones, str_of(one->zone_name), before);
            (void)rc; /* without memory it is read once more by others, and never freed */
        }
    }
    zones_fini(&old);
}

/* --- loading ---------------------------------------------------------------------------------- */

static char *join(char **texts, size_t n)
{
    struct buf b = {0};

    for (size_t i = 0; i < n; i++) {
        buf_text(&b, i == 0 ? "" : "; ");
        buf_text(&b, texts[i]);
    }
    return buf_take(&b, NULL);
}

static int fill(struct schedule *s, const struct config_schedule *c, struct buf *why)
{
    struct schedules *all = s->owner;

    s->name = str_dup(str_of(c->name));
    s->cron_text = join(c->crons, c->n_crons);
    s->zone_name = str_dup(str_of(c->timezone));
    s->overlap = c->overlap;
    s->max_runs = c->max_runs;
    s->pauses_on_failure = c->pauses_on_failure;
    if (s->name == NULL || s->cron_text == NULL || s->zone_name == NULL) {
        return ERR_NOMEM;
    }
    struct zone *zone = NULL;
    int rc = zones_find(&all->zones, c->timezone, &zone);
    if (rc == ERR_OK) {
        rc = schedule_times_init(&s->times, c, zone,
                                 ALWAYS_LEASES * all->dispatcher->leader_lease_ms);
    }
    if (rc == ERR_OK) {
        rc = job_document_parse(str_of(c->job_json), clock_wall().ms, &s->job, why);
    }
    return rc;
}

static void retire(struct schedule *s)
{
    schedules_due_remove(&s->owner->due, s);
    if (s->is_asking) {
        s->is_gone = true;
    } else {
        schedule_free(s);
    }
}

static void forget_order(struct schedules *s)
{
    free(s->order);
    s->order = NULL;
}

static void drop(struct schedules *s, struct str name)
{
    struct schedule *one = map_remove(&s->by_name, name);

    if (one != NULL) {
        forget_order(s);
        retire(one);
    }
}

/* `fresh` takes the place of the definition; cursor and fires go on. */
static void redefine(struct schedule *s, struct schedule *fresh)
{
    struct schedule old = *s;

    s->cron_text = fresh->cron_text;
    s->zone_name = fresh->zone_name;
    s->times = fresh->times;
    s->job = fresh->job;
    s->overlap = fresh->overlap;
    s->max_runs = fresh->max_runs;
    s->pauses_on_failure = fresh->pauses_on_failure;
    s->is_put = fresh->is_put;
    memcpy(s->digest, fresh->digest, sizeof s->digest);
    fresh->cron_text = old.cron_text;
    fresh->zone_name = old.zone_name;
    fresh->times = old.times;
    fresh->job = old.job;
    schedule_free(fresh);
    if (!s->is_asking) {
        schedule_look_again(s, (struct wall){0});
    }
}

static int add(struct schedules *all, struct schedule *fresh)
{
    struct str name = str_of(fresh->name);
    struct schedule *before = map_get(&all->by_name, name);

    /* A tenant has cursors of its own. */
    if (before != NULL && strcmp(before->job.tenant, fresh->job.tenant) == 0) {
        redefine(before, fresh);
        return ERR_OK;
    }
    int rc = schedules_due_reserve(&all->due, all->by_name.n + 1);
    rc = rc != ERR_OK ? rc : map_put(&all->by_name, name, fresh);
    if (rc == ERR_OK) {
        forget_order(all);
        schedule_look_again(fresh, (struct wall){0});
        if (before != NULL) {
            retire(before);
        }
    }
    return rc;
}

static int build(struct schedules *all, const struct config_schedule *c, bool is_put,
                 const unsigned char digest[SCHEDULE_DIGEST_SIZE], struct buf *why)
{
    struct schedule *s = calloc(1, sizeof *s);
    int rc = ERR_NOMEM;

    if (s != NULL) {
        s->owner = all;
        s->is_put = is_put;
        memcpy(s->digest, digest, sizeof s->digest);
        rc = fill(s, c, why);
        rc = rc != ERR_OK ? rc : add(all, s);
    }
    if (rc != ERR_OK) {
        schedule_free(s);
    }
    return rc;
}

/* Takes the definition, if it is another than what stands. */
static void take(struct schedules *all, const struct config_schedule *c, bool is_put)
{
    struct schedule *before = map_get(&all->by_name, str_of(c->name));
    char *json = config_schedule_to_json(c);
    unsigned char digest[SCHEDULE_DIGEST_SIZE];
    struct buf why = {0};
    int rc = json == NULL ? ERR_NOMEM : ERR_OK;

    if (rc == ERR_OK) {
        job_sha256(str_of(json), digest);
        if (before != NULL && memcmp(before->digest, digest, sizeof digest) == 0) {
            before->is_put = is_put;
        } else {
            rc = build(all, c, is_put, digest, &why);
        }
    }
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "schedule_refused", "schedule=%s err=%s msg=\"%s\"", c->name,
                  err_word(rc), why.n > 0 ? why.p : "");
        drop(all, str_of(c->name));
    }
    free(json);
    buf_fini(&why);
}

static void take_put(struct schedules *s, struct str name, struct str document)
{
    struct config_schedule *c;
    struct buf mistakes = {0};
    /* Its expressions are judged when they are taken: by zones that were read already. */
    int rc = config_schedule_decode(name, document, NULL, &c, &mistakes);

    if (rc == ERR_OK) {
        take(s, c, /* is_put= */ true);
        config_schedule_free(c);
    } else {
        /* By a dispatcher that knows more, or with another tz database. */
        log_event(LOG_ERROR, "schedule_refused", "schedule=%.*s err=%s msg=\"%s\"", STR_ARG(name),
                  err_word(rc), mistakes.n > 0 ? mistakes.p : "");
        drop(s, name);
    }
    buf_fini(&mistakes);
}

void schedules_settle(struct schedules *s, struct str name)
{
    struct str document = schedules_store_document(s->store, name, NULL);
    const struct config_schedule *of_file = map_get(&s->of_file, name);

    if (document.p != NULL) {
        take_put(s, name, document);
    } else if (of_file != NULL) {
        take(s, of_file, /* is_put= */ false);
    } else {
        drop(s, name);
    }
}

/* Those of the file that the file no longer has. */
static void drop_missing(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        struct schedule *one = value;
        if (!one->is_put && map_get(&s->of_file, name) == NULL) {
            drop(s, str_of(one->name));
        }
    }
}

void schedules_load(struct schedules *s, const struct config *c)
{
    map_fini(&s->of_file);
    for (size_t i = 0; i < c->n_schedules; i++) {
        struct config_schedule *one = &c->schedules[i];
        if (map_put(&s->of_file, str_of(one->name), one) != ERR_OK) {
            log_event(LOG_ERROR, "schedule_refused", "schedule=%s err=%s msg=\"\"", one->name,
                      err_word(ERR_NOMEM));
        }
    }
    drop_missing(s);
    read_zones_again(s);
    for (size_t i = 0; i < c->n_schedules; i++) {
        schedules_settle(s, str_of(c->schedules[i].name));
    }
    schedules_look_again(s); /* the zones may be others */
}

void schedules_print_document(const struct schedules *s, struct str name, struct buf *out)
{
    struct str document = schedules_store_document(s->store, name, NULL);
    const struct config_schedule *of_file = map_get(&s->of_file, name);
    struct config_schedule *put = NULL;

    if (document.p != NULL && config_schedule_decode(name, document, NULL, &put, NULL) != ERR_OK) {
        of_file = NULL;
    }
    const struct config_schedule *c = put != NULL ? put : of_file;
    char *json = c == NULL ? NULL : config_schedule_to_public_json(c);
    buf_text(out, json == NULL ? "null" : json);
    free(json);
    config_schedule_free(put);
}

/* --- in order --------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const struct schedule *const *left = a;
    const struct schedule *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

struct schedule **schedules_in_order(struct schedules *s)
{
    size_t cursor = 0;
    size_t n = 0;
    struct str name;
    void *value;

    if (s->order == NULL) {
        s->order = calloc(s->by_name.n + 1, sizeof *s->order);
        while (s->order != NULL && map_next(&s->by_name, &cursor, &name, &value)) {
            s->order[n++] = value;
        }
        if (n > 1) {
            qsort(s->order, n, sizeof *s->order, compare_names);
        }
    }
    return s->order;
}

void schedules_empty(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        retire(value);
    }
    map_fini(&s->by_name);
    map_fini(&s->of_file);
    zones_fini(&s->zones);
    forget_order(s);
    schedules_due_fini(&s->due);
}
