/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the new file: the epoch and the word that settled; what was lost, then that it is
 * lost, by name; what lives; how far the store had come; and behind these, by the journal itself,
 * whatever was said since the beginning. */
#include "compact.h"

#include <stdlib.h>

enum {
    STEP_BYTES = 2 * 1024 * 1024,
    STEP_RECORDS = 4096, /* small ones cost a read each */
};

enum phase { LOST, NAMES, LIVING, FOLLOW };

struct item {
    int64_t from;
    int64_t to; /* -1: it could not be read */
    uint32_t n;
    uint32_t checksum;
};

struct schedules_compact {
    struct journal *journal;
    struct journal_rewrite *rewrite; /* NULL: it has ended */
    enum phase phase;
    struct item *items; /* those lost, then those that live, each in the order of the file */
    size_t n, n_lost;
    size_t next;
    struct buf bytes;
    int64_t revision;
    int64_t end; /* of the journal at the beginning */
    int64_t shift;
};

/* --- items ------------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    int64_t one = ((const struct item *)a)->from, other = ((const struct item *)b)->from;

    return one < other ? -1 : one > other;
}

static void list(struct schedules_compact *c, const struct map *m)
{
    size_t cursor = 0, first = c->n;
    struct str field;
    void *value;

    while (map_next(m, &cursor, &field, &value)) {
        const struct journal_place *p = value;
        c->items[c->n++] = (struct item){p->at, -1, p->n, p->checksum};
    }
    qsort(c->items + first, c->n - first, sizeof *c->items, by_place);
}

static struct journal_place place_of(const struct item *i)
{
    return (struct journal_place){i->from, i->n, i->checksum};
}

int64_t schedules_compact_moved(const struct schedules_compact *c, int64_t at)
{
    struct item key = {.from = at};

    if (at >= c->end) {
        return at + c->shift;
    }
    const struct item *i = bsearch(&key, c->items, c->n_lost, sizeof key, by_place);
    if (i == NULL) {
        i = bsearch(&key, c->items + c->n_lost, c->n - c->n_lost, sizeof key, by_place);
    }
    return i == NULL ? -1 : i->to;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* What cannot be read any more is left out. */
static int copy(struct schedules_compact *c, struct item *i)
{
    struct journal_place p = place_of(i);
    int64_t to;
    int rc = journal_rewrite_copy(c->rewrite, &p, &to);

    if (rc == ERR_OK) {
        i->to = to;
    }
    return rc == ERR_SYNTAX ? ERR_OK : rc;
}

/* Its name stands in the record only. */
static int say_lost(struct schedules_compact *c, const struct item *i)
{
    struct journal_place p = place_of(i);
    struct journal_record r;

    if (i->to < 0) {
        return ERR_OK;
    }
    int rc = journal_get(c->journal, &p, &c->bytes, &r);
    if (rc != ERR_OK) {
        return rc == ERR_SYNTAX ? ERR_IO : rc; /* it was copied: without the word it would live */
    }
    struct journal_record lost = {'L', 0, r.name, {"", 0}};
    return journal_rewrite_put(c->rewrite, &lost);
}

static int say_revision(struct schedules_compact *c)
{
    struct journal_record r = {'T', c->revision, {"", 0}, {"", 0}};

    return journal_rewrite_put(c->rewrite, &r);
}

/* The items of a phase, up to `end`; *ret_is_over: all of them. */
static int go_through(struct schedules_compact *c, size_t end, bool *ret_is_over)
{
    size_t bytes = 0, records = 0;
    int rc = ERR_OK;

    while (rc == ERR_OK && c->next < end && bytes < STEP_BYTES && records < STEP_RECORDS) {
        struct item *i = &c->items[c->next++];
        rc = c->phase == NAMES ? say_lost(c, i) : copy(c, i);
        bytes += i->n;
        records++;
    }
    *ret_is_over = c->next == end;
    return rc;
}

static int go_on(struct schedules_compact *c)
{
    bool is_over;
    int rc = go_through(c, c->phase == LIVING ? c->n : c->n_lost, &is_over);

    if (rc == ERR_OK && is_over) {
        c->next = c->phase == LOST ? 0 : c->n_lost;
        rc = c->phase == LIVING ? say_revision(c) : ERR_OK;
        c->phase++;
    }
    return rc != ERR_OK ? rc : journal_rewrite_sync(c->rewrite);
}

static int end(struct schedules_compact *c)
{
    struct journal_rewrite *w = c->rewrite;

    c->rewrite = NULL;
    return journal_rewrite_end(w, &c->shift);
}

int schedules_compact_step(struct schedules_compact *c, bool *ret_is_done)
{
    bool is_more = true;
    int rc = c->phase == FOLLOW ? journal_rewrite_follow(c->rewrite, &is_more) : go_on(c);

    rc = rc != ERR_OK || is_more ? rc : end(c);
    *ret_is_done = rc == ERR_OK && !is_more;
    return rc;
}

/* --- life ------------------------------------------------------------------------------------- */

/* Before what was lost: it is not settled by a word that was said before. */
static int say_first(struct schedules_compact *c, const struct schedules_compact_from *from)
{
    struct journal_record epoch = {'E', 0, str_of(from->epoch), {"", 0}};
    struct journal_record restored = {'R', from->restored, {"", 0}, {"", 0}};
    int rc = from->epoch[0] == '\0' ? ERR_OK : journal_rewrite_put(c->rewrite, &epoch);

    return rc != ERR_OK ? rc : journal_rewrite_put(c->rewrite, &restored);
}

int schedules_compact_begin(struct journal *j, const struct schedules_compact_from *from,
                            struct schedules_compact **ret)
{
    struct schedules_compact *c = calloc(1, sizeof *c);
    int rc = ERR_NOMEM;

    if (c == NULL) {
        return rc;
    }
    c->journal = j;
    c->revision = from->revision;
    c->end = journal_size(j);
    c->items = calloc(from->lost->n + from->living->n + 1, sizeof *c->items);
    if (c->items != NULL) {
        list(c, from->lost);
        c->n_lost = c->n;
        list(c, from->living);
        rc = journal_rewrite_begin(j, &c->rewrite);
    }
    rc = rc != ERR_OK ? rc : say_first(c, from);
    if (rc != ERR_OK) {
        schedules_compact_free(c);
        return rc;
    }
    *ret = c;
    return ERR_OK;
}

void schedules_compact_free(struct schedules_compact *c)
{
    if (c == NULL) {
        return;
    }
    journal_rewrite_give_up(c->rewrite);
    buf_fini(&c->bytes);
    free(c->items);
    free(c);
}
