/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/log.h"
#include "keep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EPOCH_SIZE = 64, HEAD = 6, ROW = 3, PAGE = 500, ARGS = 4 };

struct document {
    char *text;
    int64_t revision;
    uint64_t reading; /* the reading of all that has seen it */
};

struct schedules_store {
    struct dispatcher *dispatcher;
    struct schedules_keep *keep; /* or NULL */
    schedules_changed_cb on_change;
    void *arg;
    struct map documents; /* name → struct document, owned */
    char epoch[EPOCH_SIZE];
    int64_t generation;
    int64_t known;    /* read up to here; 0: nothing of this reading */
    int64_t restored; /* the store's, as it was read last */
    int64_t floor;    /* deletions up to it are forgotten, likewise */
    int64_t began;    /* the store's revision when all began to be read */
    uint64_t reading;
    bool is_reading_all;
    bool was_read;  /* all of it, once */
    bool is_asking; /* a turn's reading is under way */
    bool is_freed;
    unsigned int alive;
};

/* One call of the script on its way. */
struct call {
    struct schedules_store *store;
    schedules_said_cb cb;
    void *arg;
    uint64_t reading;
    int64_t known; /* as it was sent */
};

static void document_free(struct document *d)
{
    if (d != NULL) {
        free(d->text);
        free(d);
    }
}

static void let_go(struct schedules_store *t)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (--t->alive > 0) {
        return;
    }
    while (map_next(&t->documents, &cursor, &name, &value)) {
        document_free(value);
    }
    map_fini(&t->documents);
    free(t);
}

/* --- the copy --------------------------------------------------------------------------------- */

/* Nothing is forgotten before all was read: what was put goes on. */
static void begin_anew(struct schedules_store *t)
{
    t->known = 0;
    t->began = 0;
    t->reading++;
    t->is_reading_all = true;
}

static void forget(struct schedules_store *t, struct str name)
{
    document_free(map_remove(&t->documents, name));
    t->on_change(name, t->arg);
}

static int keep(struct schedules_store *t, struct str name, struct str text, int64_t revision)
{
    struct document *d = map_get(&t->documents, name);

    schedules_keep_put(t->keep, name, revision, text);
    if (d != NULL && d->revision == revision && str_is(str_of(d->text), text)) {
        d->reading = t->reading;
        return ERR_OK;
    }
    struct document *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        return ERR_NOMEM;
    }
    *fresh = (struct document){str_dup(text), revision, t->reading};
    int rc = fresh->text == NULL ? ERR_NOMEM : map_put(&t->documents, name, fresh);
    if (rc != ERR_OK) {
        document_free(fresh);
        return rc;
    }
    document_free(d);
    t->on_change(name, t->arg);
    return ERR_OK;
}

/* The reading of all has ended: what it did not see is no longer there. */
static void end_reading(struct schedules_store *t, int64_t revision)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    t->is_reading_all = false;
    t->was_read = true;
    while (map_next(&t->documents, &cursor, &name, &value)) {
        struct document *d = value;
        char *gone = d->reading != t->reading ? str_dup(name) : NULL; /* the map frees its own */
        if (gone != NULL) {
            forget(t, str_of(gone));
        }
        free(gone);
    }
    schedules_keep_only(t->keep, &t->documents, revision, t->floor);
}

static void tell_all(struct schedules_store *t)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&t->documents, &cursor, &name, &value)) {
        const struct document *d = value;
        schedules_keep_put(t->keep, name, d->revision, str_of(d->text));
    }
    schedules_keep_only(t->keep, &t->documents, t->known, t->floor);
}

/* All was read, up to the revision that the store has. */
static void caught_up(struct schedules_store *t, int64_t revision)
{
    if (t->is_reading_all) {
        end_reading(t, revision);
    }
    if (schedules_keep_wants_all(t->keep)) {
        tell_all(t);
    }
    schedules_keep_restored(t->keep, t->restored);
}

/* Answers come in the order of their calls, but several may have asked from the same revision on.
 */
static int take(struct schedules_store *t, const struct call *k, const struct store_value *v)
{
    int64_t revision = store_number(v, 0);
    int64_t upto = store_number(v, 1);
    int64_t from = store_number(v, 2);
    int rc = ERR_OK;

    if (k->reading != t->reading) {
        return ERR_OK; /* asked before all was begun anew */
    }
    if (from < k->known) {
        begin_anew(t); /* the store says so */
    }
    if (t->known == 0) {
        t->began = revision;
    }
    t->restored = store_number(v, 4);
    t->floor = store_number(v, 5);
    schedules_keep_life(t->keep, t->epoch);
    for (size_t i = HEAD; rc == ERR_OK && i + ROW <= v->n_items; i += ROW) {
        struct str name = store_word(v, i);
        struct str text = store_word(v, i + 2);
        if (text.n > 0) {
            rc = keep(t, name, text, store_number(v, i + 1));
        } else {
            schedules_keep_deleted(t->keep, name, store_number(v, i + 1));
            if (map_get(&t->documents, name) != NULL) {
                forget(t, name);
            }
        }
    }
    if (rc == ERR_OK && upto > t->known) {
        t->known = upto;
    }
    if (rc == ERR_OK && t->known >= revision) {
        caught_up(t, revision);
    }
    return rc;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void on_answer(int rc, const struct store_value *v, void *arg)
{
    struct call *k = arg;
    struct schedules_store *t = k->store;
    enum schedules_said said = SCHEDULES_SAID;
    int64_t revision = 0;

    if (!t->is_freed && rc == ERR_OK) {
        /* Another epoch: the link notices within two seconds. */
        rc = v->type != STORE_ARRAY || store_number(v, 0) < 0 ? ERR_DOWN : take(t, k, v);
        said = str_is(store_word(v, 3), STR("raced")) ? SCHEDULES_RACED : SCHEDULES_SAID;
        revision = store_number(v, 0);
    } else if (!t->is_freed && rc == ERR_BUG) {
        log_event(LOG_ERROR, "script_failed", "script=schedules err=\"%.*s\"", STR_ARG(v->text));
    }
    if (k->cb != NULL) {
        k->cb(t->is_freed ? ERR_CLOSED : rc, said, revision, k->arg);
    }
    free(k);
    let_go(t);
}

/* A store that began anew may have lost its last second, or everything. */
static bool is_same_life(const struct schedules_store *t)
{
    const struct store *s = t->dispatcher->store;

    return store_epoch(s) != NULL && strcmp(store_epoch(s), t->epoch) == 0 &&
           store_generation(s) == t->generation;
}

/* words: what is said, behind what is asked for. */
static int send(struct schedules_store *t, const struct str *words, size_t n_words,
                schedules_said_cb cb, void *arg)
{
    struct store *s = t->dispatcher->store;
    struct str keys[] = {STR("{sluice}:sd"), STR("{sluice}:sr"), STR("{sluice}:sx"),
                         STR("{sluice}:epoch")};
    struct str *args = calloc(ARGS + n_words, sizeof *args);
    struct call *k = calloc(1, sizeof *k);
    char known[STR_I64_SIZE], safe[STR_I64_SIZE], page[STR_I64_SIZE];
    int rc = args == NULL || k == NULL ? ERR_NOMEM : store_epoch(s) == NULL ? ERR_DOWN : ERR_OK;

    if (rc != ERR_OK) {
        goto out;
    }
    if (!is_same_life(t)) {
        begin_anew(t);
        (void)snprintf(t->epoch, sizeof t->epoch, "%s", store_epoch(s));
        t->generation = store_generation(s);
    }
    *k = (struct call){t, cb, arg, t->reading, t->known};
    args[0] = str_of(t->epoch);
    args[1] = str_from_i64(t->known, known);
    args[2] = str_from_i64(t->known > t->began ? t->known : t->began, safe);
    args[3] = str_from_i64(PAGE, page);
    for (size_t i = 0; i < n_words; i++) {
        args[ARGS + i] = words[i];
    }
    rc = store_call(s, STORE_SCHEDULES, keys, 4, args, ARGS + n_words, on_answer, k);
    if (rc == ERR_OK) {
        t->alive++;
        k = NULL;
    }
out:
    free(args);
    free(k);
    return rc;
}

int schedules_store_call(struct schedules_store *t, const struct schedules_word *w,
                         schedules_said_cb cb, void *arg)
{
    char seen[STR_I64_SIZE];
    struct str words[] = {str_of(w->word), w->name, str_from_i64(w->seen, seen), w->document};

    return send(t, words, w->word == NULL ? 0 : 4, cb, arg);
}

int schedules_store_restore(struct schedules_store *t, const struct str *texts, size_t n_texts,
                            schedules_said_cb cb, void *arg)
{
    char seen[STR_I64_SIZE];
    struct str done[] = {STR("restored"), str_from_i64(t->restored, seen)};

    if (!is_same_life(t)) {
        return ERR_DOWN; /* of this one nothing was read yet */
    }
    if (n_texts == 0) {
        return send(t, done, 2, cb, arg);
    }
    struct str *words = calloc(1 + n_texts, sizeof *words);
    if (words == NULL) {
        return ERR_NOMEM;
    }
    words[0] = STR("restore");
    memcpy(words + 1, texts, n_texts * sizeof *texts);
    int rc = send(t, words, 1 + n_texts, cb, arg);
    free(words);
    return rc;
}

uint64_t schedules_store_reading(const struct schedules_store *t)
{
    return t->reading;
}

static void on_turn(int rc, enum schedules_said said, int64_t revision, void *arg)
{
    struct schedules_store *t = arg;

    (void)said;
    t->is_asking = false;
    if (rc == ERR_OK && t->known < revision) {
        schedules_store_turn(t);
    }
}

void schedules_store_turn(struct schedules_store *t)
{
    struct schedules_word nothing = {0};

    if (!t->is_asking) {
        t->is_asking = schedules_store_call(t, &nothing, on_turn, t) == ERR_OK;
    }
}

bool schedules_store_is_read(const struct schedules_store *t)
{
    return is_same_life(t) && !t->is_reading_all;
}

bool schedules_store_was_read(const struct schedules_store *t)
{
    return t->was_read;
}

int64_t schedules_store_known(const struct schedules_store *t)
{
    return t->known;
}

struct str schedules_store_document(const struct schedules_store *t, struct str name,
                                    int64_t *ret_revision)
{
    const struct document *d = map_get(&t->documents, name);

    if (ret_revision != NULL) {
        *ret_revision = d == NULL ? 0 : d->revision;
    }
    return str_of(d == NULL ? NULL : d->text);
}

/* --- life ------------------------------------------------------------------------------------- */

int schedules_store_new(struct dispatcher *d, struct schedules_keep *keep,
                        schedules_changed_cb on_change, void *arg, struct schedules_store **ret)
{
    struct schedules_store *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return ERR_NOMEM;
    }
    *t = (struct schedules_store){.dispatcher = d,
                                  .keep = keep,
                                  .on_change = on_change,
                                  .arg = arg,
                                  .is_reading_all = true,
                                  .alive = 1};
    *ret = t;
    return ERR_OK;
}

void schedules_store_free(struct schedules_store *t)
{
    if (t != NULL) {
        t->is_freed = true;
        let_go(t);
    }
}
