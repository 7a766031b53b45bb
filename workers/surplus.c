/* SPDX-License-Identifier: Apache-2.0 */
#include "surplus.h"

#include "attempt.h"
#include "base/fault.h"
#include "spread.h"

enum { HOLD_MS = 2000 };

static bool has_room(const struct lane *l)
{
    return l->prefetch > 0 && l->begun < spread_places(l);
}

static void give_back_first(struct lane *l)
{
    attempt_give_back(attempt_of_refused(list_pop_front(&l->surplus)));
}

void surplus_begin(struct lane *l, struct attempt *a)
{
    list_push_back(&l->surplus, attempt_refused_link(a));
    surplus_turn(l);
}

void surplus_turn(struct lane *l)
{
    bool is_first = !l->is_beginning;

    l->is_beginning = true;
    while (is_first && !l->worker->is_stopping && has_room(l) && !list_is_empty(&l->surplus)) {
        attempt_claim_first(attempt_of_refused(list_pop_front(&l->surplus)));
    }
    l->is_beginning = !is_first;
}

void surplus_give_back(struct lane *l)
{
    while (!list_is_empty(&l->surplus)) {
        give_back_first(l);
    }
}

static bool has_waited_long(const struct lane *l)
{
    return !list_is_empty(&l->surplus) &&
           attempt_age_ms(attempt_of_refused(l->surplus.next)) >= HOLD_MS;
}

void surplus_look(struct worker *w)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&w->lanes, &cursor, &name, &value)) {
        while (RULE(surplus_goes_back) && has_waited_long(value)) {
            give_back_first(value);
        }
    }
}
