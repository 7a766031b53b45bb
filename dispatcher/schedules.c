/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "job/document.h"
#include "job/id.h"
#include "job/message.h"
#include "leader.h"
#include "outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALWAYS_LEASES = 3 };

struct schedule {
    struct schedules *owner;
    char *name;
    char *cron_text;
    char *zone_name;
    struct schedule_times times;
    struct job_document job;
    bool skips; /* overlap: skip */
    bool is_cursor_known;
    struct wall cursor;   /* the last instant that was handled */
    char cursor_text[24]; /* as the store has it; "" for one never seen */
    struct wall last_fired;
    uint64_t fired;
    bool is_asking;
    bool is_gone;
};

struct schedules {
    struct dispatcher *dispatcher;
    struct map by_name;
    unsigned int alive;
    bool is_freed;
};

static void let_go(struct schedules *s)
{
    if (--s->alive == 0) {
        free(s);
    }
}

static void free_crons(struct cron **crons, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cron_free(crons[i]);
    }
    free(crons);
}

static void schedule_free(struct schedule *s)
{
    if (s == NULL) {
        return;
    }
    free_crons(s->times.crons, s->times.n_crons);
    free_crons(s->times.excludes, s->times.n_excludes);
    zone_free(s->times.zone);
    job_document_fini(&s->job);
    free(s->name);
    free(s->cron_text);
    free(s->zone_name);
    free(s);
}

/* --- loading ---------------------------------------------------------------------------------- */

static int parse_all(char **texts, size_t n, struct cron ***ret, size_t *ret_n)
{
    char why[160];
    struct cron **crons = calloc(n + 1, sizeof *crons);
    int rc = crons == NULL ? ERR_NOMEM : ERR_OK;

    *ret = crons;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = cron_parse(texts[i], &crons[i], why, sizeof why);
        *ret_n += rc == ERR_OK ? 1 : 0;
    }
    return rc;
}

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
    s->skips = c->overlap != CONFIG_OVERLAP_ALLOW;
    s->times.rules = (struct cron_rules){c->is_gap_skipped, c->is_overlap_twice};
    s->times.catch_up = c->catch_up;
    s->times.catch_up_ms = c->catch_up_ms;
    s->times.always_ms = ALWAYS_LEASES * lease_ms;
    s->times.start_ms = c->start_ms;
    s->times.end_ms = c->end_ms;
    if (s->name == NULL || s->cron_text == NULL || s->zone_name == NULL) {
        return ERR_NOMEM;
    }
    int rc = zone_load(c->timezone, &s->times.zone);
    if (rc == ERR_OK) {
        rc = parse_all(c->crons, c->n_crons, &s->times.crons, &s->times.n_crons);
    }
    if (rc == ERR_OK) {
        rc = parse_all(c->excludes, c->n_excludes, &s->times.excludes, &s->times.n_excludes);
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
        s->last_fired = before->last_fired;
        s->fired = before->fired;
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

/* --- cursors ---------------------------------------------------------------------------------- */

static void take_cursor(struct schedule *s, struct str text)
{
    int64_t ms;

    (void)snprintf(s->cursor_text, sizeof s->cursor_text, "%.*s", STR_ARG(text));
    s->is_cursor_known = str_to_i64(text, &ms) == ERR_OK;
    if (s->is_cursor_known) {
        s->cursor.ms = ms;
    }
}

/* A script or reading about this schedule has been answered; true: it still counts. */
static bool answered(struct schedule *s)
{
    struct schedules *all = s->owner;

    s->is_asking = false;
    bool counts = !s->is_gone && !all->is_freed;
    if (!counts) {
        schedule_free(s);
    }
    let_go(all);
    return counts;
}

static void fire(struct schedule *s, struct wall instant, bool has_job, bool may_skip);

static void on_cursor(int rc, const struct store_value *v, void *arg)
{
    struct schedule *s = arg;

    if (!answered(s) || rc != ERR_OK) {
        return;
    }
    if (v->type == STORE_TEXT) {
        take_cursor(s, v->text);
        return;
    }
    /* Never seen: nothing before now is made up. */
    s->cursor_text[0] = '\0';
    fire(s, clock_wall(), /* has_job= */ false, /* may_skip= */ false);
}

static void asked(struct schedule *s, int rc)
{
    if (rc == ERR_OK) {
        s->is_asking = true;
        s->owner->alive++;
    }
}

static void read_cursor(struct schedule *s)
{
    char key[96];

    (void)snprintf(key, sizeof key, "{%s}:c", s->job.tenant);
    struct str words[] = {STR("HGET"), str_of(key), str_of(s->name)};
    asked(s, store_command(s->owner->dispatcher->store, words, 3, on_cursor, s));
}

/* --- firing ----------------------------------------------------------------------------------- */

static void on_fired(int rc, const struct store_value *v, void *arg)
{
    struct schedule *s = arg;
    struct dispatcher *d = s->owner->dispatcher;
    struct str word = store_word(v, 0);

    if (!answered(s)) {
        return;
    }
    if (FAULT(dispatcher_fired)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK || str_is(word, STR("memory"))) {
        s->is_cursor_known = false; /* perhaps it moved: read it again */
        return;
    }
    take_cursor(s, store_word(v, 1));
    if (str_is(word, STR("fired"))) {
        s->last_fired = s->cursor;
        s->fired++;
        metric_add(d->metrics.fired, (struct str[]){str_of(s->name), STR("fired")}, 1);
        outbox_look(d->outbox, s->job.tenant);
    } else if (str_is(word, STR("skipped"))) {
        metric_add(d->metrics.fired, (struct str[]){str_of(s->name), STR("skipped")}, 1);
        log_event(LOG_INFO, "schedule_skipped", "schedule=%s msg=\"the last job has not ended\"",
                  s->name);
    }
}

/* The id of a fire is (tenant, name, instant): the same whoever fires it. */
static void name_of(const struct schedule *s, struct wall instant, char out[RANDOM_NAME_SIZE])
{
    struct buf b = {0};
    unsigned char digest[32];

    buf_printf(&b, "%s\n%s\n%" PRId64, s->job.tenant, s->name, instant.ms);
    job_sha256(buf_as_str(&b), digest);
    random_name_of(digest, out);
    buf_fini(&b);
}

static void pack(const struct schedule *s, struct wall instant, const char *id, struct buf *head)
{
    char when[WALL_TEXT_SIZE];
    char fingerprint[65];
    int64_t now_ms = clock_wall().ms;
    struct str body = {s->job.body, s->job.body_n};

    wall_format_seconds(instant, when);
    job_fingerprint(str_of(s->job.method), str_of(s->job.path), body, fingerprint);
    struct job_message m = {.id = str_of(id),
                            .epoch = str_of(store_epoch(s->owner->dispatcher->store)),
                            .class = STR("normal"),
                            .method = str_of(s->job.method),
                            .path = str_of(s->job.path),
                            .head = str_of(s->job.head),
                            .fingerprint = str_of(fingerprint),
                            .labels = str_of(s->job.labels),
                            .retry = str_of(s->job.retry),
                            .schedule = str_of(s->name),
                            .scheduled_time = str_of(when),
                            .ordering_key = str_of(s->job.ordering_key),
                            .created_ms = now_ms,
                            .expires_ms = s->job.ttl_ms > 0 ? now_ms + s->job.ttl_ms : 0,
                            .timeout_ms = s->job.timeout_ms};
    job_message_pack(&m, head);
}

static void fire(struct schedule *s, struct wall instant, bool has_job, bool may_skip)
{
    struct dispatcher *d = s->owner->dispatcher;
    char name[RANDOM_NAME_SIZE] = "";
    char id[JOB_ID_SIZE];
    char cursor[24];
    char ttl[24];
    char lost[24];
    struct buf head = {0};
    struct registry_entry *e = registry_find(d->registry, str_of(s->job.tenant));

    if (e == NULL) {
        return;
    }
    (void)snprintf(cursor, sizeof cursor, "%" PRId64, instant.ms);
    (void)snprintf(ttl, sizeof ttl, "%" PRId64, s->job.ttl_ms);
    (void)snprintf(lost, sizeof lost, "%" PRId64, e->tenant->lost_after_ms);
    if (has_job) {
        name_of(s, instant, name);
        job_id_print(str_of(s->job.tenant), name, id);
        pack(s, instant, id, &head);
    }
    struct str args[] = {str_of(s->name),
                         str_of(s->cursor_text),
                         str_of(cursor),
                         str_of(name),
                         may_skip && s->skips ? STR("1") : STR("0"),
                         buf_as_str(&head),
                         {s->job.body, s->job.body_n},
                         str_of(ttl),
                         str_of(lost),
                         STR("m"),
                         str_of(s->job.method),
                         STR("p"),
                         str_of(s->job.path),
                         STR("sc"),
                         str_of(s->name),
                         STR("lb"),
                         s->job.labels != NULL ? str_of(s->job.labels) : STR("{}"),
                         STR("ok"),
                         str_of(s->job.ordering_key)};
    asked(s, store_call_tenant(d->store, STORE_FIRE, str_of(s->job.tenant), args,
                               sizeof args / sizeof args[0], on_fired, s));
    buf_fini(&head);
}

static void turn(struct schedule *s, struct wall now)
{
    if (s->is_asking) {
        return;
    }
    if (!s->is_cursor_known) {
        read_cursor(s);
        return;
    }
    struct schedule_decision d = schedule_decide(&s->times, s->cursor, now);
    if (d.action == SCHEDULE_FIRE) {
        FAULT_HERE(dispatcher_fires);
        fire(s, d.instant, /* has_job= */ true, /* may_skip= */ !d.is_late);
    } else if (d.action == SCHEDULE_PASS) {
        fire(s, d.instant, /* has_job= */ false, /* may_skip= */ false);
    }
}

void schedules_turn(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        turn(value, clock_wall());
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

/* --- views ------------------------------------------------------------------------------------ */

static void print_time(struct buf *out, const char *member, struct wall when)
{
    char text[WALL_TEXT_SIZE];

    if (when.ms <= 0) {
        buf_printf(out, ",\"%s\":null", member);
        return;
    }
    wall_format_seconds(when, text);
    buf_printf(out, ",\"%s\":\"%s\"", member, text);
}

static void print_one(const struct schedule *s, struct buf *out)
{
    struct wall next = {0};

    if (schedule_next(&s->times, clock_wall(), &next) != ERR_OK) {
        next.ms = 0;
    }
    buf_text(out, "{\"cron\":");
    buf_json_str(out, str_of(s->cron_text));
    buf_text(out, ",\"timezone\":");
    buf_json_str(out, str_of(s->zone_name));
    buf_text(out, ",\"tenant\":");
    buf_json_str(out, str_of(s->job.tenant));
    buf_text(out, ",\"method\":");
    buf_json_str(out, str_of(s->job.method));
    buf_text(out, ",\"path\":");
    buf_json_str(out, str_of(s->job.path));
    print_time(out, "last", s->is_cursor_known ? s->last_fired : (struct wall){0});
    print_time(out, "next", next);
    buf_char(out, '}');
}

bool schedules_print(const struct schedules *s, struct str name, struct buf *out)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    bool is_first = true;

    if (name.n > 0) {
        const struct schedule *one = map_get(&s->by_name, name);
        if (one != NULL) {
            print_one(one, out);
        }
        return one != NULL;
    }
    buf_char(out, '{');
    while (map_next(&s->by_name, &cursor, &key, &value)) {
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, key);
        buf_char(out, ':');
        print_one(value, out);
        is_first = false;
    }
    buf_char(out, '}');
    return true;
}

int schedules_new(struct dispatcher *d, struct schedules **ret)
{
    struct schedules *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dispatcher = d;
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
    retire_all(&s->by_name);
    let_go(s);
}
