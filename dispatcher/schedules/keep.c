/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the journal, each by name and number:
 *   S "s name" revision, or "p name"   it was put, or paused: the text says what
 *   D "s name" | "p name"              it was deleted, or resumed
 *   L "s name", or "p name"            the store forgot it (with its pause)
 *   E epoch                            another life of the store: all that lived is lost
 *   R "" revision                      the store's ':restored': what was lost is settled
 *   T "" revision                      how far the store has come (said by a new file)
 * Here only the places of those that count are kept, by the same field. */
#include "keep.h"

#include "base/clock.h"
#include "base/log.h"
#include "compact.h"
#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "schedules.journal"

enum {
    EPOCH_SIZE = 64,
    FIELD_SIZE = 96,
    AGAIN_MS = 5000,
    WORTH = 4,                    /* a file of so many times what lives is written anew */
    WORTH_BYTES = 4 * 1024 * 1024 /* smaller ones are not worth it */
};

struct schedules_keep {
    struct journal *journal;
    schedules_written_cb cb;
    void *arg;
    struct loop_timer *timer;
    struct loop_timer *compacting;     /* its next step */
    struct schedules_compact *compact; /* NULL: it is not being written anew */
    struct map living;                 /* field → struct journal_place, owned */
    struct map lost;                   /* likewise */
    size_t n_lost_put, n_lost_paused;
    int64_t bytes;      /* of both */
    int64_t worth_from; /* a smaller file is not written anew */
    char epoch[EPOCH_SIZE];
    int64_t revision; /* the store had come at least so far */
    int64_t restored;
    bool is_awaited;    /* the timer is set to write */
    bool is_stale;      /* the disk took nothing when it was tried last */
    bool is_behind;     /* something is not even waiting to be written */
    bool is_incomplete; /* likewise, and has not been said again */
    bool is_other_life; /* the store's, and there was no room to say so */
};

/* --- fields ----------------------------------------------------------------------------------- */

static struct str field_of(char kind, struct str name, char to[FIELD_SIZE])
{
    int n = snprintf(to, FIELD_SIZE, "%c %.*s", kind, STR_ARG(name));

    return (struct str){to, (size_t)n < FIELD_SIZE ? (size_t)n : FIELD_SIZE - 1};
}

static size_t *count_of(struct schedules_keep *k, struct str field)
{
    return field.p[0] == SCHEDULES_KEEP_PUT ? &k->n_lost_put : &k->n_lost_paused;
}

static void drop_living(struct schedules_keep *k, struct str field)
{
    struct journal_place *p = map_remove(&k->living, field);

    k->bytes -= p == NULL ? 0 : p->n;
    free(p);
}

static void drop_lost(struct schedules_keep *k, struct str field)
{
    struct journal_place *p = map_remove(&k->lost, field);

    if (p != NULL) {
        k->bytes -= p->n;
        --*count_of(k, field);
        free(p);
    }
}

/* Takes `p`, which counts as bytes already, in place of what was lost of that name before. */
static int lose(struct schedules_keep *k, struct str field, struct journal_place *p)
{
    drop_lost(k, field);
    int rc = map_put(&k->lost, field, p);
    if (rc == ERR_OK) {
        ++*count_of(k, field);
    }
    return rc;
}

static void empty(struct map *m)
{
    size_t cursor = 0;
    struct str field;
    void *value;

    while (map_next(m, &cursor, &field, &value)) {
        free(value);
    }
    map_fini(m);
}

/* --- what a record means, said or read -------------------------------------------------------- */

static int lose_all(struct schedules_keep *k)
{
    size_t cursor = 0;
    struct str field;
    void *value;
    int rc = ERR_OK;

    while (rc == ERR_OK && map_next(&k->living, &cursor, &field, &value)) {
        rc = lose(k, field, value);
        if (rc == ERR_OK) {
            (void)map_remove(&k->living, field); /* it moved */
        }
    }
    return rc;
}

static void forget_lost(struct schedules_keep *k)
{
    size_t cursor = 0;
    struct str field;
    void *value;

    while (map_next(&k->lost, &cursor, &field, &value)) {
        k->bytes -= ((struct journal_place *)value)->n;
    }
    empty(&k->lost);
    k->n_lost_put = k->n_lost_paused = 0;
}

static int apply_set(struct schedules_keep *k, struct str field, const struct journal_place *place)
{
    char other[FIELD_SIZE];
    struct journal_place *p = malloc(sizeof *p);
    struct str name = {field.p + 2, field.n - 2};

    if (p == NULL) {
        return ERR_NOMEM;
    }
    *p = *place;
    drop_living(k, field);
    int rc = map_put(&k->living, field, p);
    if (rc != ERR_OK) {
        free(p);
        return rc;
    }
    k->bytes += p->n;
    drop_lost(k, field);
    if (field.p[0] == SCHEDULES_KEEP_PUT) {
        drop_lost(k, field_of(SCHEDULES_KEEP_PAUSED, name, other)); /* it is another schedule */
    }
    return ERR_OK;
}

static void apply_gone(struct schedules_keep *k, struct str field)
{
    char other[FIELD_SIZE];
    struct str name = {field.p + 2, field.n - 2};

    drop_living(k, field);
    drop_lost(k, field);
    if (field.p[0] == SCHEDULES_KEEP_PUT) {
        drop_living(k, field_of(SCHEDULES_KEEP_PAUSED, name, other));
    }
}

static int apply_one_lost(struct schedules_keep *k, struct str field)
{
    struct journal_place *p = map_get(&k->living, field);
    int rc = p == NULL ? ERR_OK : lose(k, field, p);

    if (p != NULL && rc == ERR_OK) {
        (void)map_remove(&k->living, field); /* it moved */
    }
    return rc;
}

/* With its pause. */
static int apply_lost(struct schedules_keep *k, struct str field)
{
    char other[FIELD_SIZE];
    struct str name = {field.p + 2, field.n - 2};
    int rc = apply_one_lost(k, field);

    if (rc == ERR_OK && field.p[0] == SCHEDULES_KEEP_PUT) {
        rc = apply_one_lost(k, field_of(SCHEDULES_KEEP_PAUSED, name, other));
    }
    return rc;
}

static int apply_epoch(struct schedules_keep *k, struct str epoch)
{
    int rc = lose_all(k);

    if (rc == ERR_OK && !str_keep(epoch, k->epoch, sizeof k->epoch)) {
        rc = ERR_SYNTAX;
    }
    k->revision = 0;
    k->restored = 0;
    return rc;
}

/* A lower one: the store forgot it, and what is lost waits for another word. */
static void apply_restored(struct schedules_keep *k, int64_t restored)
{
    if (restored > k->restored) {
        forget_lost(k);
    }
    k->restored = restored;
}

static int apply(const struct journal_record *r, const struct journal_place *p, void *arg)
{
    struct schedules_keep *k = arg;
    bool is_of_field = r->kind == 'S' || r->kind == 'D' || r->kind == 'L';
    int rc = ERR_OK;

    if (is_of_field && (r->name.n < 3 || r->name.n >= FIELD_SIZE)) {
        return ERR_OK; /* nobody wrote such a thing */
    }
    switch (r->kind) {
    case 'S':
        rc = apply_set(k, r->name, p);
        k->revision = r->number > k->revision ? r->number : k->revision;
        break;
    case 'D':
        apply_gone(k, r->name);
        break;
    case 'L':
        rc = apply_lost(k, r->name);
        break;
    case 'E':
        rc = apply_epoch(k, r->name);
        break;
    case 'R':
        apply_restored(k, r->number);
        break;
    case 'T':
        k->revision = r->number;
        break;
    default:
        break;
    }
    return rc;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void await(struct schedules_keep *k)
{
    if (!k->is_awaited && !k->is_stale) {
        k->is_awaited = true;
        loop_timer_set(k->timer, 0);
    }
}

static void say(struct schedules_keep *k, char kind, struct str name, int64_t number,
                struct str text)
{
    struct journal_record r = {kind, number, name, text};
    struct journal_place p;
    int rc = journal_append(k->journal, &r, &p);

    rc = rc != ERR_OK ? rc : apply(&r, &p, k);
    if (rc != ERR_OK) {
        k->is_behind = true;
        k->is_incomplete = true;
    }
    await(k);
}

/* What could not be read is left out; if it lives, whoever has it says it again. */
static void move_all(struct schedules_keep *k, const struct map *m)
{
    size_t cursor = 0;
    struct str field;
    void *value;

    while (map_next(m, &cursor, &field, &value)) {
        char copy[FIELD_SIZE]; /* the map frees its own */
        struct journal_place *p = value;
        p->at = schedules_compact_moved(k->compact, p->at);
        if (p->at >= 0) {
            continue;
        }
        (void)str_keep(field, copy, sizeof copy);
        log_event(LOG_ERROR, "journal_unreadable",
                  "file=" FILE_NAME " record=\"%s\" msg=\"it was left out\"", copy);
        if (m == &k->living) {
            drop_living(k, str_of(copy));
            k->is_incomplete = true;
        } else {
            drop_lost(k, str_of(copy));
        }
    }
}

/* What cannot be written anew now, for want of room, say, is tried again when there is twice as
 * much: records are appended all the same. */
static void end_compact(struct schedules_keep *k, int rc)
{
    k->worth_from = rc == ERR_OK ? WORTH_BYTES : 2 * journal_size(k->journal);
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_failed",
                  "file=" FILE_NAME " err=%s msg=\"it cannot be made smaller\"", err_word(rc));
    }
    schedules_compact_free(k->compact);
    k->compact = NULL;
}

static void compact_some(struct schedules_keep *k)
{
    bool is_done;
    int rc = schedules_compact_step(k->compact, &is_done);

    if (is_done) {
        move_all(k, &k->lost);
        move_all(k, &k->living);
    }
    if (is_done || rc != ERR_OK) {
        end_compact(k, rc);
    }
}

/* A step of the new file; once it is there, of the old one's end. */
static void on_compact(struct loop_timer *t, void *arg)
{
    struct schedules_keep *k = arg;

    if (k->compact != NULL) {
        compact_some(k);
    } else {
        journal_erase_some(k->journal);
    }
    if (k->compact != NULL || journal_is_erasing(k->journal)) {
        loop_timer_set(t, 0);
    }
}

static void compact_perhaps(struct schedules_keep *k)
{
    struct schedules_compact_from from = {.epoch = k->epoch,
                                          .revision = k->revision,
                                          .restored = k->restored,
                                          .living = &k->living,
                                          .lost = &k->lost};
    int64_t size = journal_size(k->journal);

    bool is_busy = k->compact != NULL || journal_is_erasing(k->journal);
    if (is_busy || size <= k->worth_from || size / WORTH <= k->bytes) {
        return;
    }
    int rc = schedules_compact_begin(k->journal, &from, &k->compact);
    if (rc != ERR_OK) {
        end_compact(k, rc);
    } else {
        loop_timer_set(k->compacting, 0);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct schedules_keep *k = arg;

    int rc = journal_flush(k->journal);

    if (rc != ERR_OK && k->compact != NULL) {
        end_compact(k, rc); /* it may have taken the room */
        rc = journal_flush(k->journal);
    }
    k->is_awaited = false;
    k->is_stale = rc != ERR_OK;
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_failed", "file=" FILE_NAME " err=%s", err_word(rc));
        loop_timer_set(t, AGAIN_MS);
    } else {
        k->is_behind = false;
    }
    compact_perhaps(k); /* what waits is in the new file, too */
    k->cb(k->arg);
}

/* --- what is said ----------------------------------------------------------------------------- */

/* What the store says now must not stand over what it has lost. */
static bool is_deaf(struct schedules_keep *k)
{
    if (k != NULL && k->is_other_life) {
        k->is_incomplete = true;
    }
    return k == NULL || k->is_other_life;
}

void schedules_keep_life(struct schedules_keep *k, const char *epoch)
{
    if (k != NULL && strcmp(k->epoch, epoch) != 0) {
        say(k, 'E', str_of(epoch), 0, STR(""));
        if (k->lost.n > 0) {
            log_event(LOG_WARN, "schedules_lost",
                      "schedules=%zu pauses=%zu msg=\"the store lost "
                      "them: POST /v1/registry/restore\"",
                      k->n_lost_put, k->n_lost_paused);
        }
        k->is_other_life = strcmp(k->epoch, epoch) != 0;
    }
}

static bool is_known(const struct schedules_keep *k, const struct journal_record *r)
{
    const struct journal_place *p = map_get(&k->living, r->name);
    struct journal_place now;

    if (p == NULL) {
        return false;
    }
    journal_measure(r, &now);
    return p->n == now.n && p->checksum == now.checksum;
}

static void set(struct schedules_keep *k, struct str field, int64_t number, struct str text)
{
    struct journal_record r = {'S', number, field, text};

    if (!is_known(k, &r)) {
        say(k, 'S', field, number, text);
    }
}

void schedules_keep_put(struct schedules_keep *k, struct str name, int64_t revision,
                        struct str document)
{
    char field[FIELD_SIZE];

    if (!is_deaf(k)) {
        set(k, field_of(SCHEDULES_KEEP_PUT, name, field), revision, document);
    }
}

/* The revision of what was put; 0 when it can no longer be read. */
static int64_t revision_of(struct schedules_keep *k, const struct journal_place *p)
{
    struct buf bytes = {0};
    struct journal_record r = {.number = 0};
    int64_t revision = journal_get(k->journal, p, &bytes, &r) == ERR_OK ? r.number : 0;

    buf_fini(&bytes);
    return revision;
}

void schedules_keep_deleted(struct schedules_keep *k, struct str name, int64_t revision)
{
    char text[FIELD_SIZE];
    struct str field = field_of(SCHEDULES_KEEP_PUT, name, text);
    const struct journal_place *p = is_deaf(k) ? NULL : map_get(&k->living, field);

    if (p != NULL && revision_of(k, p) < revision) {
        say(k, 'D', field, 0, STR(""));
    }
}

void schedules_keep_only(struct schedules_keep *k, const struct map *names, int64_t revision,
                         int64_t floor)
{
    size_t cursor = 0;
    struct str field;
    void *value;

    if (is_deaf(k)) {
        return;
    }
    bool is_back = revision < k->revision;
    while (map_next(&k->living, &cursor, &field, &value)) {
        char copy[FIELD_SIZE]; /* the map frees its own */
        struct str name = {field.p + 2, field.n - 2};
        if (field.p[0] == SCHEDULES_KEEP_PUT && map_get(names, name) == NULL) {
            bool is_lost = is_back || revision_of(k, value) > floor;
            (void)str_keep(field, copy, sizeof copy);
            say(k, is_lost ? 'L' : 'D', str_of(copy), 0, STR(""));
        }
    }
    if (is_back) {
        say(k, 'T', STR(""), revision, STR(""));
    }
}

void schedules_keep_restored(struct schedules_keep *k, int64_t restored)
{
    if (!is_deaf(k) && restored != k->restored) {
        say(k, 'R', STR(""), restored, STR(""));
    }
}

void schedules_keep_paused(struct schedules_keep *k, struct str name, struct str tenant,
                           struct str text)
{
    char field[FIELD_SIZE];
    struct buf both = {0};

    buf_printf(&both, "%.*s\t%.*s", STR_ARG(tenant), STR_ARG(text));
    if (!is_deaf(k) && !buf_failed(&both)) {
        set(k, field_of(SCHEDULES_KEEP_PAUSED, name, field), 0, buf_as_str(&both));
    }
    buf_fini(&both);
}

void schedules_keep_resumed(struct schedules_keep *k, struct str name)
{
    char text[FIELD_SIZE];
    struct str field = field_of(SCHEDULES_KEEP_PAUSED, name, text);

    if (!is_deaf(k) && (map_get(&k->living, field) != NULL || map_get(&k->lost, field) != NULL)) {
        say(k, 'D', field, 0, STR(""));
    }
}

void schedules_keep_went_on(struct schedules_keep *k, struct str name, bool may_be_forgotten)
{
    if (!is_deaf(k) && schedules_keep_is_paused(k, name)) {
        char text[FIELD_SIZE];
        say(k, may_be_forgotten ? 'L' : 'D', field_of(SCHEDULES_KEEP_PAUSED, name, text), 0,
            STR(""));
    }
}

/* --- what is asked ---------------------------------------------------------------------------- */

bool schedules_keep_is_paused(const struct schedules_keep *k, struct str name)
{
    char text[FIELD_SIZE];

    return k != NULL && map_get(&k->living, field_of(SCHEDULES_KEEP_PAUSED, name, text)) != NULL;
}

bool schedules_keep_is_awaited(const struct schedules_keep *k)
{
    return k != NULL && k->is_awaited;
}

bool schedules_keep_is_stale(const struct schedules_keep *k)
{
    return k->is_stale || k->is_incomplete;
}

bool schedules_keep_wants_all(struct schedules_keep *k)
{
    bool wants = k != NULL && k->is_incomplete && !k->is_behind;

    if (wants) {
        k->is_incomplete = false;
    }
    return wants;
}

bool schedules_keep_next_lost(const struct schedules_keep *k, char kind, size_t *cursor,
                              struct str *ret_name)
{
    struct str field;
    void *value;

    while (map_next(&k->lost, cursor, &field, &value)) {
        if (field.p[0] == kind) {
            *ret_name = (struct str){field.p + 2, field.n - 2};
            return true;
        }
    }
    return false;
}

size_t schedules_keep_n_lost(const struct schedules_keep *k, char kind)
{
    return kind == SCHEDULES_KEEP_PUT ? k->n_lost_put : k->n_lost_paused;
}

int schedules_keep_get_lost(struct schedules_keep *k, char kind, struct str name, struct buf *bytes,
                            struct str *ret)
{
    char field[FIELD_SIZE];
    const struct journal_place *p = map_get(&k->lost, field_of(kind, name, field));
    struct journal_record r;

    if (p == NULL) {
        return ERR_MISSING;
    }
    int rc = journal_get(k->journal, p, bytes, &r);
    if (rc == ERR_OK) {
        *ret = r.text;
    }
    return rc;
}

/* --- life ------------------------------------------------------------------------------------- */

static void say_found(const struct journal_found *f)
{
    if (f->cut > 0) {
        log_event(LOG_WARN, "journal_cut",
                  "file=" FILE_NAME " bytes=%" PRId64
                  " msg=\"the last record was not written whole\"",
                  f->cut);
    }
    if (f->unreadable > 0) {
        log_event(LOG_ERROR, "journal_unreadable",
                  "file=" FILE_NAME " bytes=%" PRId64 " msg=\"moved to " FILE_NAME ".unreadable\"",
                  f->unreadable);
    }
}

int schedules_keep_open(struct loop *l, const char *dir, schedules_written_cb cb, void *arg,
                        struct schedules_keep **ret, struct buf *why)
{
    struct schedules_keep *k = calloc(1, sizeof *k);
    struct journal_found found = {0};

    if (k == NULL) {
        return ERR_NOMEM;
    }
    k->worth_from = WORTH_BYTES;
    k->cb = cb;
    k->arg = arg;
    int rc = loop_timer_new(l, on_timer, k, &k->timer);
    rc = rc != ERR_OK ? rc : loop_timer_new(l, on_compact, k, &k->compacting);
    rc = rc != ERR_OK ? rc : journal_open(dir, FILE_NAME, apply, k, &k->journal, &found, why);
    if (rc != ERR_OK) {
        schedules_keep_free(k);
        return rc;
    }
    say_found(&found);
    *ret = k;
    return ERR_OK;
}

void schedules_keep_free(struct schedules_keep *k)
{
    if (k == NULL) {
        return;
    }
    schedules_compact_free(k->compact);
    if (k->journal != NULL && journal_flush(k->journal) != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_failed", "file=" FILE_NAME " err=%s", err_word(ERR_IO));
    }
    loop_timer_free(k->timer);
    loop_timer_free(k->compacting);
    journal_close(k->journal);
    empty(&k->living);
    empty(&k->lost);
    free(k);
}
