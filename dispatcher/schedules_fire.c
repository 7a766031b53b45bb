/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "job/id.h"
#include "job/message.h"
#include "leader.h"
#include "outbox.h"
#include "schedules_inside.h"

#include <inttypes.h>
#include <stdio.h>

enum { NONE_MS = 60000 };

/* --- cursors ---------------------------------------------------------------------------------- */

static void fire(struct schedule *s, struct wall instant, bool has_job, bool may_skip);

static void note_cursor(struct schedule *s, struct str text)
{
    int64_t ms;

    (void)snprintf(s->cursor_text, sizeof s->cursor_text, "%.*s", STR_ARG(text));
    s->is_cursor_known = str_to_i64(text, &ms) == ERR_OK;
    if (s->is_cursor_known) {
        s->cursor.ms = ms;
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
    fire(s, clock_wall(), /* has_job= */ false, /* may_skip= */ false);
}

/* --- firing ----------------------------------------------------------------------------------- */

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
                            .class = str_of(s->job.priority != NULL ? s->job.priority : "normal"),
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

/* As the record has it: empty for the usual one. */
static struct str job_priority(const struct schedule *s)
{
    struct str given = str_of(s->job.priority);

    return str_is(given, STR("normal")) ? STR("") : given;
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
                         str_of(s->job.ordering_key),
                         STR("pr"),
                         job_priority(s)};
    schedule_asked(s, store_call_tenant(d->store, STORE_FIRE, str_of(s->job.tenant), args,
                                        sizeof args / sizeof args[0], on_fired, s));
    buf_fini(&head);
}

void schedule_turn(struct schedule *s, struct wall now)
{
    struct schedule_decision d = schedule_decide(&s->times, s->cursor, now);
    if (d.action == SCHEDULE_FIRE) {
        FAULT_HERE(dispatcher_fires);
        fire(s, d.instant, /* has_job= */ true, /* may_skip= */ !d.is_late);
    } else if (d.action == SCHEDULE_PASS) {
        fire(s, d.instant, /* has_job= */ false, /* may_skip= */ false);
    } else if (d.instant.ms > 0) {
        schedule_look_again(s, d.instant);
    } else {
        /* None, or none behind a long stretch of excluded ones. */
        schedule_look_again(s, (struct wall){now.ms + NONE_MS});
    }
}
