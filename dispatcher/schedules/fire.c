/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "inside.h"
#include "job/id.h"
#include "job/message.h"
#include "leader.h"
#include "outbox.h"

#include <inttypes.h>
#include <stdio.h>

enum { DAY_MS = 86400000, NONE_MS = 60000, COUNTED_MAX = 1000 };

/* --- cursors ---------------------------------------------------------------------------------- */

static void fire(struct schedule *s, struct wall instant, bool has_job, bool is_judged);

static void note_cursor(struct schedule *s, struct str text)
{
    int64_t ms;

    (void)snprintf(s->cursor_text, sizeof s->cursor_text, "%.*s", STR_ARG(text));
    s->is_cursor_known = str_to_i64(text, &ms) == ERR_OK;
    if (s->is_cursor_known) {
        s->cursor.ms = ms;
        s->owner->may_be_ahead = s->owner->may_be_ahead || ms > clock_wall().ms;
    }
}

void schedule_asked(struct schedule *s, int rc)
{
    if (rc == ERR_OK) {
        schedules_due_remove(&s->owner->due, s);
        s->is_asking = true;
        s->owner->n_asking++;
        s->owner->alive++;
    }
}

bool schedule_answered(struct schedule *s)
{
    struct schedules *all = s->owner;
    bool counts = !s->is_gone && !all->is_freed;

    s->is_asking = false;
    all->n_asking--;
    if (counts) {
        schedule_look_again(s, (struct wall){0});
    } else {
        schedule_free(s);
    }
    schedules_let_go(all);
    return counts;
}

/* "d<revision>": a schedule of that name was deleted then. Whoever has not heard of that leaves it
 * alone: it still has the schedule that was deleted. */
static bool is_deleted(const struct schedule *s, struct str text, bool *ret_is_heard)
{
    int64_t revision;
    bool is_deleted = text.n > 1 && text.p[0] == 'd' &&
                      str_to_i64((struct str){text.p + 1, text.n - 1}, &revision) == ERR_OK;

    *ret_is_heard = is_deleted && schedules_store_known(s->owner->store) >= revision;
    return is_deleted;
}

void schedule_take_cursor(struct schedule *s, struct str text)
{
    bool is_heard;

    if (text.p != NULL) {
        note_cursor(s, text);
        if (!is_deleted(s, text, &is_heard) || !is_heard) {
            return;
        }
    } else {
        s->cursor_text[0] = '\0';
    }
    /* Never seen, or seen under an earlier definition that ended: nothing before now is made up. */
    fire(s, clock_wall(), /* has_job= */ false, /* is_judged= */ false);
}

/* --- firing ----------------------------------------------------------------------------------- */

/* What comes first is counted by its name; the rest, of which there may be any number, together. No
 * schedule has that name. */
static struct str counted_as(const struct schedule *s)
{
    struct schedules *all = s->owner;
    struct str name = str_of(s->name);

    if (map_get(&all->counted, name) != NULL ||
        (all->counted.n < (size_t)TUNED(counted_max, COUNTED_MAX) &&
         map_put(&all->counted, name, all) == ERR_OK)) {
        return name;
    }
    return STR("(other)");
}

static void on_fired(int rc, const struct store_value *v, void *arg)
{
    struct schedule *s = arg;
    struct dispatcher *d = s->owner->dispatcher;
    struct str word = store_word(v, 0);

    if (!schedule_answered(s)) {
        return;
    }
    if (FAULT(dispatcher_fired)) {
        rc = ERR_UNKNOWN;
    }
    if (rc != ERR_OK || str_is(word, STR("memory"))) {
        s->is_cursor_known = false; /* perhaps it moved: read it again */
        return;
    }
    note_cursor(s, store_word(v, 1));
    if (!str_is(word, STR("moved")) && !str_is(word, STR("behind"))) {
        metric_add(d->metrics.fired, (struct str[]){counted_as(s), word}, 1);
    }
    if (str_is(word, STR("fired"))) {
        outbox_look(d->outbox, s->job.tenant);
    } else if (str_is(word, STR("skipped"))) {
        log_event(LOG_INFO, "schedule_skipped", "schedule=%s msg=\"the last job has not ended\"",
                  s->name);
    }
}

void schedule_name_job(const struct schedule *s, struct str what, char ret_name[RANDOM_NAME_SIZE])
{
    struct buf b = {0};
    unsigned char digest[32];

    buf_printf(&b, "%s\n%s\n", s->job.tenant, s->name);
    buf_str(&b, what);
    job_sha256(buf_as_str(&b), digest);
    random_name_of(digest, ret_name);
    buf_fini(&b);
}

void schedule_name_fire(const struct schedule *s, struct wall instant,
                        char ret_name[RANDOM_NAME_SIZE])
{
    char text[STR_I64_SIZE];

    (void)snprintf(text, sizeof text, "%" PRId64, instant.ms);
    schedule_name_job(s, str_of(text), ret_name);
}

/* The jobs of queue_one and queue_all stand in a line: their own, or that of the job. */
static struct str line_of(const struct schedule *s, bool is_run, struct buf *own)
{
    bool is_queue =
        s->overlap == CONFIG_OVERLAP_QUEUE_ONE || s->overlap == CONFIG_OVERLAP_QUEUE_ALL;

    if (s->job.ordering_key != NULL || is_run || !is_queue) {
        return str_of(s->job.ordering_key);
    }
    buf_printf(own, "schedule:%s", s->name);
    return buf_failed(own) ? (struct str){NULL, 0} : buf_as_str(own);
}

static void pack(const struct schedule *s, struct wall instant, const char *name,
                 struct str ordering_key, struct buf *head)
{
    char id[JOB_ID_SIZE];
    char when[WALL_TEXT_SIZE];
    char fingerprint[65];
    int64_t now_ms = clock_wall().ms;
    struct str body = {s->job.body, s->job.body_n};

    job_id_print(str_of(s->job.tenant), name, id);
    wall_format_seconds(instant, when);
    job_fingerprint(str_of(s->job.method), str_of(s->job.path), body, fingerprint);
    struct job_message m = {.id = str_of(id),
                            .epoch = str_of(store_epoch(s->owner->dispatcher->store)),
                            .class = str_of(s->job.priority != NULL ? s->job.priority : "normal"),
                            .method = str_of(s->job.method),
                            .path = str_of(s->job.path),
                            .head = str_of(s->job.head),
                            .fingerprint = str_of(fingerprint),
                            .labels = str_of(s->job.labels),
                            .retry = str_of(s->job.retry),
                            .schedule = str_of(s->name),
                            .scheduled_time = str_of(when),
                            .ordering_key = ordering_key,
                            .created_ms = now_ms,
                            .expires_ms = s->job.ttl_ms > 0 ? now_ms + s->job.ttl_ms : 0,
                            .timeout_ms = s->job.timeout_ms};
    job_message_pack(&m, head);
}

/* As the record has it: empty for the usual one. */
static struct str job_priority(const struct schedule *s)
{
    struct str given = str_of(s->job.priority);

    return str_is(given, STR("normal")) ? STR("") : given;
}

static void add_field(struct store_args *a, const char *field, struct str value)
{
    store_args_add(a, str_of(field));
    store_args_add(a, value);
}

int schedule_add_job(const struct schedule *s, struct schedule_job *j, struct store_args *a)
{
    const struct registry_entry *e =
        registry_find(s->owner->dispatcher->registry, str_of(s->job.tenant));

    if (e == NULL) {
        return ERR_DOWN;
    }
    struct str ordering_key = line_of(s, j->is_run, &j->own_line);
    pack(s, j->instant, j->name, ordering_key, &j->head);
    if (buf_failed(&j->head) || buf_failed(&j->own_line)) {
        return ERR_NOMEM;
    }
    store_args_add(a, buf_as_str(&j->head));
    store_args_add(a, (struct str){s->job.body, s->job.body_n});
    store_args_number(a, s->job.ttl_ms);
    store_args_number(a, e->tenant->lost_after_ms);
    add_field(a, "m", str_of(s->job.method));
    add_field(a, "p", str_of(s->job.path));
    add_field(a, "sc", str_of(s->name));
    add_field(a, "lb", s->job.labels != NULL ? str_of(s->job.labels) : STR("{}"));
    add_field(a, "ok", ordering_key);
    add_field(a, "pr", job_priority(s));
    return ERR_OK;
}

void schedule_job_fini(struct schedule_job *j)
{
    buf_fini(&j->head);
    buf_fini(&j->own_line);
}

static struct str overlap_word(enum config_overlap overlap)
{
    switch (overlap) {
    case CONFIG_OVERLAP_SKIP:
        return STR("skip");
    case CONFIG_OVERLAP_ALLOW:
        return STR("allow");
    case CONFIG_OVERLAP_QUEUE_ONE:
        return STR("queue_one");
    case CONFIG_OVERLAP_QUEUE_ALL:
        return STR("queue_all");
    case CONFIG_OVERLAP_CANCEL_PREVIOUS:
        break;
    }
    return STR("cancel_previous");
}

/* What fire.lua takes before the job. */
static void add_fire(const struct schedule *s, const struct tenant *t, const struct schedule_job *j,
                     bool is_judged, struct store_args *a)
{
    store_args_add(a, str_of(s->name));
    store_args_add(a, str_of(s->cursor_text));
    store_args_number(a, j->instant.ms);
    store_args_add(a, str_of(j->name));
    store_args_add(a, is_judged ? overlap_word(s->overlap) : STR("allow"));
    store_args_number(a, (int64_t)s->max_runs);
    store_args_number(a, t->result_ttl_ms + DAY_MS);
}

/* is_judged: whether the overlap counts. */
static void fire(struct schedule *s, struct wall instant, bool has_job, bool is_judged)
{
    struct dispatcher *d = s->owner->dispatcher;
    const struct registry_entry *e = registry_find(d->registry, str_of(s->job.tenant));
    struct schedule_job j = {.instant = instant};
    struct store_args a = {.n = 0};
    int rc = ERR_OK;

    if (e == NULL) {
        return;
    }
    if (has_job) {
        schedule_name_fire(s, instant, j.name);
    }
    add_fire(s, e->tenant, &j, is_judged, &a);
    if (has_job) {
        rc = schedule_add_job(s, &j, &a);
    }
    if (has_job && s->pauses_on_failure) {
        add_field(&a, "pf", str_of(s->name));
    }
    if (rc == ERR_OK) {
        rc = store_call_tenant(d->store, STORE_FIRE, str_of(s->job.tenant), a.at, a.n, on_fired, s);
        schedule_asked(s, rc);
    }
    schedule_job_fini(&j);
}

void schedule_turn(struct schedule *s, struct wall now)
{
    struct schedule_decision d = schedule_decide(&s->times, s->cursor, now);
    if (d.action == SCHEDULE_FIRE) {
        FAULT_HERE(dispatcher_fires);
        fire(s, d.instant, /* has_job= */ true, /* is_judged= */ !d.is_late);
    } else if (d.action == SCHEDULE_PASS) {
        fire(s, d.instant, /* has_job= */ false, /* is_judged= */ false);
    } else if (d.instant.ms > 0) {
        schedule_look_again(s, d.instant);
    } else {
        /* None, or none behind a long stretch of excluded ones. */
        schedule_look_again(s, (struct wall){now.ms + NONE_MS});
    }
}
