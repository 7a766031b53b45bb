/* SPDX-License-Identifier: Apache-2.0 */
/* Pauses that this dispatcher's disk has to hold, and did not say: another dispatcher's, and those
 * after a failure. No log tells of them, so all schedules are looked at in turn. */
#include "inside.h"
#include "keep.h"

#include <stdlib.h>

enum {
    LOOKED_AT = 200, /* schedules a round */
    REST = 20        /* rounds after the last of them */
};

/* What is asked of one. */
struct doubt {
    struct schedules *schedules;
    char *name; /* owned: the schedule may be gone by the answer */
};

static void doubt_free(struct doubt *d)
{
    free(d->name);
    free(d);
}

static void on_looked(int rc, const struct store_value *v, void *arg)
{
    struct doubt *d = arg;
    struct schedules *s = d->schedules;

    if (rc == ERR_OK && str_is(store_word(v, 0), STR("goes_on")) && !s->is_freed &&
        schedules_store_is_read(s->store)) {
        /* Until all were looked at since the store came back, it may have come back without. */
        struct pause_look *l = &s->looking;
        bool may_be_forgotten = l->settled > 0 && l->settled != schedules_store_reading(s->store);
        schedules_keep_went_on(s->keep, str_of(d->name), may_be_forgotten);
    }
    doubt_free(d);
    schedules_let_go(s);
}

/* A field that is not there may be a store that was emptied: only a script looks at its epoch. */
static void look_again(struct schedule *one)
{
    struct schedules *s = one->owner;
    struct doubt *d = calloc(1, sizeof *d);
    struct store_args a = {.n = 0};
    int rc = ERR_NOMEM;

    if (d == NULL) {
        return; /* the next round does */
    }
    *d = (struct doubt){s, str_dup(str_of(one->name))};
    if (d->name != NULL) {
        store_args_add(&a, str_of(d->name));
        store_args_add(&a, STR("look"));
        store_args_add(&a, STR(""));
        store_args_number(&a, 0);
        rc = store_call_tenant(s->dispatcher->store, STORE_PAUSE, str_of(one->job.tenant), a.at,
                               a.n, on_looked, d);
    }
    if (rc == ERR_OK) {
        s->alive++;
    } else {
        doubt_free(d);
    }
}

void schedule_keep_pause(struct schedule *one, struct str text)
{
    struct schedules *s = one->owner;

    /* In a new life of the store that is said first (store.c). */
    if (!schedules_store_is_read(s->store)) {
        return;
    }
    if (text.n > 0) {
        schedules_keep_paused(s->keep, str_of(one->name), str_of(one->job.tenant), text);
    } else if (schedules_keep_is_paused(s->keep, str_of(one->name))) {
        look_again(one);
    }
}

static void on_page(int rc, void *arg)
{
    struct pause_look *l = &((struct schedules *)arg)->looking;

    l->is_whole = l->is_whole && rc == ERR_OK;
    l->is_asking = false;
}

/* Of all of them anew; by now all that was asked of the last time was answered. */
static void begin(struct pause_look *l, uint64_t reading)
{
    if (l->is_whole) {
        l->settled = l->began;
    }
    l->began = reading;
    l->is_whole = true;
}

void schedules_look_for_pauses(struct schedules *s)
{
    struct pause_look *l = &s->looking;
    size_t n = 0;

    if (s->keep == NULL || l->is_asking || !schedules_store_is_read(s->store)) {
        return;
    }
    if (l->settled == 0) { /* what is gone at the start was taken back while this was down */
        l->settled = schedules_store_reading(s->store);
    }
    if (l->rest > 0) {
        l->rest--;
        return;
    }
    /* Names that come and go all the time are not put in order for this each time. */
    if (s->order == NULL && l->patience++ < REST) {
        return;
    }
    l->patience = 0;
    if (l->upto[0] == '\0') {
        begin(l, schedules_store_reading(s->store));
    }
    struct schedule **page = schedules_page(s, str_of(l->upto), LOOKED_AT, &n);
    bool is_over = n < LOOKED_AT || !str_keep(str_of(page[n - 1]->name), l->upto, sizeof l->upto);
    l->is_asking = n > 0 && schedules_read_facts(s, page, n, on_page, s) == ERR_OK;
    l->is_whole = l->is_whole && (n == 0 || l->is_asking);
    if (is_over) {
        l->upto[0] = '\0';
        l->rest = REST;
    }
}
