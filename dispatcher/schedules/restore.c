/* SPDX-License-Identifier: Apache-2.0 */
#include "restore.h"

#include "base/log.h"
#include "inside.h"
#include "keep.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE = 250,          /* of either kind in one go */
    PAGE_BYTES = 1000000 /* documents beyond it wait for the next */
};

/* One request on its way, in steps: pages of pauses, pages of documents, the word that it is done.
 */
struct restore {
    struct schedules *owner;
    schedules_restored_cb cb;
    void *arg;
    uint64_t reading; /* the store's: what is put back belongs into one life */
    char **names[2];  /* owned: pauses, documents; what is lost changes meanwhile */
    size_t n[2];
    size_t at[2];
    size_t awaited; /* pauses on their way */
    int rc;         /* of the first that failed */
};

enum { PAUSES, DOCUMENTS };

static const char kinds[2] = {SCHEDULES_KEEP_PAUSED, SCHEDULES_KEEP_PUT};

struct schedules_losses schedules_losses(const struct schedules *s)
{
    if (s->keep == NULL) {
        return (struct schedules_losses){0};
    }
    return (struct schedules_losses){schedules_keep_n_lost(s->keep, SCHEDULES_KEEP_PUT),
                                     schedules_keep_n_lost(s->keep, SCHEDULES_KEEP_PAUSED),
                                     schedules_keep_is_stale(s->keep)};
}

static void print_names(const struct schedules *s, char kind, const char *member, struct buf *out)
{
    size_t cursor = 0;
    struct str name;
    bool is_first = true;

    buf_printf(out, "\"%s\":[", member);
    while (s->keep != NULL && schedules_keep_next_lost(s->keep, kind, &cursor, &name)) {
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, name);
        is_first = false;
    }
    buf_text(out, "],");
}

void schedules_print_lost(const struct schedules *s, struct buf *out)
{
    print_names(s, SCHEDULES_KEEP_PUT, "schedules", out);
    print_names(s, SCHEDULES_KEEP_PAUSED, "paused_schedules", out);
}

/* --- an op ------------------------------------------------------------------------------------ */

static void restore_free(struct restore *r)
{
    for (size_t kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < r->n[kind]; i++) {
            free(r->names[kind][i]);
        }
        free(r->names[kind]);
    }
    free(r);
}

static struct restore *restore_new(struct schedules *s, schedules_restored_cb cb, void *arg)
{
    struct restore *r = calloc(1, sizeof *r);

    if (r != NULL) {
        r->owner = s;
        r->cb = cb;
        r->arg = arg;
        r->reading = schedules_store_reading(s->store);
        s->alive++;
    }
    return r;
}

static void end(struct restore *r, int rc)
{
    struct schedules *s = r->owner;

    r->cb(s->is_freed ? ERR_CLOSED : rc, r->arg);
    restore_free(r);
    schedules_let_go(s);
}

/* Nothing is under way: its caller hears it from the return value. */
static int give_up(struct restore *r, int rc)
{
    struct schedules *s = r->owner;

    restore_free(r);
    schedules_let_go(s);
    return rc;
}

/* --- catching up ------------------------------------------------------------------------------ */

static int catch_up(struct restore *r);

static void on_read(int rc, enum schedules_said said, int64_t revision, void *arg)
{
    struct restore *r = arg;
    struct schedules *s = r->owner;

    (void)said;
    bool is_behind =
        rc == ERR_OK && !s->is_freed &&
        (!schedules_store_is_read(s->store) || schedules_store_known(s->store) < revision);
    if (is_behind) {
        rc = catch_up(r);
    }
    if (!is_behind || rc != ERR_OK) {
        end(r, rc);
    }
}

static int catch_up(struct restore *r)
{
    struct schedules_word nothing = {0};

    return schedules_store_call(r->owner->store, &nothing, on_read, r);
}

int schedules_catch_up(struct schedules *s, schedules_restored_cb cb, void *arg)
{
    struct restore *r = restore_new(s, cb, arg);
    int rc = r == NULL ? ERR_NOMEM : catch_up(r);

    return r == NULL || rc == ERR_OK ? rc : give_up(r, rc);
}

/* --- steps ------------------------------------------------------------------------------------ */

static int go_on(struct restore *r);

/* The page was answered, all of it. */
static void on_page(struct restore *r, int rc)
{
    struct schedules *s = r->owner;

    if (rc == ERR_OK && !s->is_freed) {
        rc = schedules_store_reading(s->store) != r->reading ? ERR_DOWN : go_on(r);
        if (rc == ERR_OK) {
            return;
        }
    }
    end(r, rc);
}

static void on_pause(int rc, const struct store_value *v, void *arg)
{
    struct restore *r = arg;

    (void)v;
    r->rc = r->rc != ERR_OK ? r->rc : rc;
    if (--r->awaited == 0) {
        on_page(r, r->rc);
    }
}

/* value: tenant, TAB, pause. One that was paused anew stays so. */
static int put_pause(struct restore *r, struct str name, struct str value)
{
    struct str tenant;
    struct buf key = {0};
    struct buf field = {0};

    if (!str_cut(&value, '\t', &tenant) || value.p == NULL) {
        return ERR_OK; /* nobody wrote such a thing */
    }
    buf_printf(&key, "{%.*s}:c", STR_ARG(tenant));
    buf_printf(&field, "%.*s:paused", STR_ARG(name));
    struct str words[] = {STR("HSETNX"), buf_as_str(&key), buf_as_str(&field), value};
    int rc = buf_failed(&key) || buf_failed(&field)
                 ? ERR_NOMEM
                 : store_command(r->owner->dispatcher->store, words, 4, on_pause, r);
    r->awaited += rc == ERR_OK ? 1 : 0;
    buf_fini(&key);
    buf_fini(&field);
    return rc;
}

/* What can no longer be read is said, and left out. */
static int read_lost(struct restore *r, size_t kind, const char *name, struct buf *bytes,
                     struct str *ret)
{
    int rc = schedules_keep_get_lost(r->owner->keep, kinds[kind], str_of(name), bytes, ret);

    if (rc == ERR_SYNTAX) {
        log_event(LOG_ERROR, "schedule_refused", "schedule=%s err=%s msg=\"from the journal\"",
                  name, err_word(rc));
        rc = ERR_MISSING;
    }
    return rc;
}

static int put_pauses(struct restore *r, bool *ret_is_sent)
{
    struct buf bytes = {0};
    struct str value;
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < PAGE && r->at[PAUSES] < r->n[PAUSES]; i++) {
        const char *name = r->names[PAUSES][r->at[PAUSES]++];
        rc = read_lost(r, PAUSES, name, &bytes, &value);
        rc = rc == ERR_OK ? put_pause(r, str_of(name), value) : rc == ERR_MISSING ? ERR_OK : rc;
    }
    buf_fini(&bytes);
    *ret_is_sent = r->awaited > 0;
    if (*ret_is_sent) {
        r->rc = rc; /* what was sent is awaited, and says the rest */
        return ERR_OK;
    }
    return rc;
}

static void on_documents(int rc, enum schedules_said said, int64_t revision, void *arg)
{
    (void)said;
    (void)revision;
    on_page(arg, rc);
}

static int put_documents(struct restore *r, bool *ret_is_sent)
{
    struct buf bytes[PAGE] = {{0}};
    struct str texts[2 * PAGE];
    size_t n = 0;
    size_t n_bytes = 0;
    int rc = ERR_OK;

    while (rc == ERR_OK && n < PAGE && n_bytes < PAGE_BYTES && r->at[DOCUMENTS] < r->n[DOCUMENTS]) {
        const char *name = r->names[DOCUMENTS][r->at[DOCUMENTS]++];
        rc = read_lost(r, DOCUMENTS, name, &bytes[n], &texts[2 * n + 1]);
        if (rc == ERR_OK) {
            texts[2 * n] = str_of(name);
            n_bytes += texts[2 * n + 1].n;
            n++;
        }
        rc = rc == ERR_MISSING ? ERR_OK : rc;
    }
    if (rc == ERR_OK && n > 0) {
        rc = schedules_store_restore(r->owner->store, texts, 2 * n, on_documents, r);
        *ret_is_sent = rc == ERR_OK;
    }
    for (size_t i = 0; i < PAGE; i++) {
        buf_fini(&bytes[i]);
    }
    return rc;
}

static void on_done(int rc, enum schedules_said said, int64_t revision, void *arg)
{
    struct restore *r = arg;

    (void)said;
    (void)revision;
    /* What is new is read before it is answered. */
    rc = rc != ERR_OK || r->owner->is_freed ? rc : catch_up(r);
    if (rc != ERR_OK || r->owner->is_freed) {
        end(r, rc);
    }
}

static int go_on(struct restore *r)
{
    bool is_sent = false;
    int rc = ERR_OK;

    /* A page may have nothing left to send. */
    while (rc == ERR_OK && !is_sent && r->at[PAUSES] < r->n[PAUSES]) {
        rc = put_pauses(r, &is_sent);
    }
    while (rc == ERR_OK && !is_sent && r->at[DOCUMENTS] < r->n[DOCUMENTS]) {
        rc = put_documents(r, &is_sent);
    }
    if (rc == ERR_OK && !is_sent) {
        rc = schedules_store_restore(r->owner->store, NULL, 0, on_done, r);
    }
    return rc;
}

static int collect(struct restore *r, size_t kind)
{
    struct schedules_keep *keep = r->owner->keep;
    size_t cursor = 0;
    struct str name;

    r->names[kind] = calloc(schedules_keep_n_lost(keep, kinds[kind]) + 1, sizeof(char *));
    while (r->names[kind] != NULL && schedules_keep_next_lost(keep, kinds[kind], &cursor, &name)) {
        char *copy = str_dup(name);
        if (copy == NULL) {
            return ERR_NOMEM;
        }
        r->names[kind][r->n[kind]++] = copy;
    }
    return r->names[kind] == NULL ? ERR_NOMEM : ERR_OK;
}

int schedules_restore(struct schedules *s, bool is_discard, schedules_restored_cb cb, void *arg)
{
    struct restore *r = restore_new(s, cb, arg);
    int rc = ERR_OK;

    if (r == NULL) {
        return ERR_NOMEM;
    }
    if (!is_discard && s->keep != NULL) {
        rc = collect(r, PAUSES);
        rc = rc != ERR_OK ? rc : collect(r, DOCUMENTS);
    }
    rc = rc != ERR_OK ? rc : go_on(r);
    return rc == ERR_OK ? rc : give_up(r, rc);
}
