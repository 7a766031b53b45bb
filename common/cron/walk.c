/* SPDX-License-Identifier: Apache-2.0 */
#include "cron/walk.h"

#include <stdlib.h>

enum { LOOKS_MAX = 50000 };

/* --- lists ------------------------------------------------------------------------------------ */

int cron_list_parse(char *const *texts, size_t n, struct cron ***ret, size_t *ret_n)
{
    char why[160];
    struct cron **list = calloc(n + 1, sizeof *list);
    int rc = list == NULL ? ERR_NOMEM : ERR_OK;

    *ret = list;
    *ret_n = 0;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = cron_parse(texts[i], &list[i], why, sizeof why);
        *ret_n += rc == ERR_OK ? 1 : 0;
    }
    return rc;
}

void cron_list_free(struct cron **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cron_free(list[i]);
    }
    free(list);
}

/* --- the next --------------------------------------------------------------------------------- */

static bool is_excluded(const struct cron_walk *w, struct wall instant)
{
    for (size_t i = 0; i < w->n_excludes; i++) {
        if (cron_matches(w->excludes[i], w->zone, w->rules, instant)) {
            return true;
        }
    }
    return false;
}

/* The earliest of all its expressions. */
static int earliest(const struct cron_walk *w, struct wall after, struct wall *ret)
{
    int found = ERR_MISSING;
    struct wall t = {0};

    for (size_t i = 0; i < w->n_crons; i++) {
        if (cron_next(w->crons[i], w->zone, w->rules, after, &t) != ERR_OK) {
            continue;
        }
        if (found != ERR_OK || t.ms < ret->ms) {
            *ret = t;
        }
        found = ERR_OK;
    }
    return found;
}

int cron_walk_next(const struct cron_walk *w, struct wall until, int *left, struct wall *at)
{
    if (w->start_ms > 0 && at->ms < w->start_ms - 1) {
        at->ms = w->start_ms - 1;
    }
    for (; *left > 0; --*left) {
        struct wall next = {0};
        if (earliest(w, *at, &next) != ERR_OK || next.ms > until.ms ||
            (w->end_ms > 0 && next.ms > w->end_ms)) {
            return ERR_MISSING;
        }
        *at = next;
        if (!is_excluded(w, next)) {
            return ERR_OK;
        }
    }
    return ERR_LIMIT;
}

int cron_walk_looks(const struct cron_walk *w)
{
    size_t n = w->n_crons + w->n_excludes;

    return LOOKS_MAX / (int)(n > 0 ? n : 1);
}

/* --- sense ------------------------------------------------------------------------------------ */

/* What ever fires, found from 1970 on. */
static int first(const struct cron_walk *w)
{
    struct wall at = {-1};
    int left = cron_walk_looks(w);

    return cron_walk_next(w, (struct wall){INT64_MAX}, &left, &at);
}

static bool is_fixed(const struct zone *zone)
{
    struct zone_span span = zone_span_at(zone, 0);

    return span.start_s == ZONE_ALWAYS && span.end_s == ZONE_NEVER;
}

/* A fire that is moved out of a gap happens at a time that its expression does not name. */
static bool is_moved_by_gaps(const struct cron_walk *w, const struct cron *c)
{
    return !cron_is_interval(c) && !w->rules.is_gap_skipped && !is_fixed(w->zone);
}

static bool is_covered(const struct cron_walk *w, const struct cron *c)
{
    for (size_t i = 0; i < w->n_excludes; i++) {
        const struct cron *exclude = w->excludes[i];
        if (cron_is_always(exclude) || (cron_covers(exclude, c) && !is_moved_by_gaps(w, c))) {
            return true;
        }
    }
    return false;
}

/* What a walk without an end could not tell. */
static bool are_all_covered(const struct cron_walk *w)
{
    for (size_t i = 0; i < w->n_crons; i++) {
        if (!is_covered(w, w->crons[i])) {
            return false;
        }
    }
    return true;
}

enum cron_sense cron_walk_sense(const struct cron_walk *w)
{
    struct cron_walk without = *w;

    without.n_excludes = 0;
    if (first(&without) == ERR_MISSING) {
        return CRON_OUTSIDE;
    }
    if (w->n_excludes > 0 && (are_all_covered(w) || first(w) == ERR_MISSING)) {
        return CRON_EXCLUDED;
    }
    return CRON_FIRES;
}
