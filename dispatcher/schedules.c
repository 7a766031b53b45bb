/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules_inside.h"

#include "base/log.h"

#include <stdio.h>
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
    zone_free(s->zone);
    job_document_fini(&s->job);
    free(s->name);
    free(s->cron_text);
    free(s->zone_name);
    free(s);
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

static int fill(struct schedule *s, const struct config_schedule *c, int64_t lease_ms,
                struct buf *why)
{
    s->name = str_dup(str_of(c->name));
    s->cron_text = join(c->crons, c->n_crons);
    s->zone_name = str_dup(str_of(c->timezone));
    s->overlap = c->overlap;
    s->max_runs = c->max_runs;
    s->pauses_on_failure = c->pauses_on_failure;
    if (s->name == NULL || s->cron_text == NULL || s->zone_name == NULL) {
        return ERR_NOMEM;
    }
    int rc = zone_load(c->timezone, &s->zone);
    if (rc == ERR_OK) {
        rc = schedule_times_init(&s->times, c, s->zone, ALWAYS_LEASES * lease_ms);
    }
    if (rc == ERR_OK) {
        rc = job_document_parse(str_of(c->job_json), clock_wall().ms, &s->job, why);
    }
    return rc;
}

static void keep_cursor(struct schedule *s, const struct schedule *before)
{
    if (before != NULL) {
        s->is_cursor_known = before->is_cursor_known;
        s->cursor = before->cursor;
        s->facts = before->facts;
        (void)snprintf(s->cursor_text, sizeof s->cursor_text, "%s", before->cursor_text);
    }
}

static void retire(struct schedule *s)
{
    if (s != NULL && s->is_asking) {
        s->is_gone = true;
    } else {
        schedule_free(s);
    }
}

static void load_one(struct schedules *all, const struct config_schedule *c, struct map *into)
{
    struct schedule *s = calloc(1, sizeof *s);
    struct buf why = {0};
    int rc = ERR_NOMEM;

    if (s != NULL) {
        s->owner = all;
        rc = fill(s, c, all->dispatcher->leader_lease_ms, &why);
    }
    if (rc == ERR_OK) {
        keep_cursor(s, map_get(&all->by_name, str_of(c->name)));
        rc = map_put(into, str_of(c->name), s);
    }
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "schedule_refused", "schedule=%s err=%s msg=\"%s\"", c->name,
                  err_word(rc), why.n > 0 ? why.p : "");
        schedule_free(s);
    }
    buf_fini(&why);
}

static void retire_all(struct map *m)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(m, &cursor, &name, &value)) {
        retire(value);
    }
    map_fini(m);
}

void schedules_load(struct schedules *s, const struct config *c)
{
    struct map fresh = {0};

    for (size_t i = 0; i < c->n_schedules; i++) {
        load_one(s, &c->schedules[i], &fresh);
    }
    retire_all(&s->by_name);
    s->by_name = fresh;
}

/* --- the turns -------------------------------------------------------------------------------- */

void schedules_turn(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        schedule_turn(value, clock_wall());
    }
}

void schedules_begin(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        ((struct schedule *)value)->is_cursor_known = false;
    }
}

int schedules_new(struct dispatcher *d, struct schedules **ret)
{
    struct schedules *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dispatcher = d;
    list_init(&s->ops);
    s->alive = 1;
    *ret = s;
    return ERR_OK;
}

void schedules_free(struct schedules *s)
{
    if (s == NULL) {
        return;
    }
    s->is_freed = true;
    schedules_control_stop(s);
    retire_all(&s->by_name);
    schedules_let_go(s);
}
