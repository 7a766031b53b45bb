/* SPDX-License-Identifier: Apache-2.0 */
/* A schedule that waits for the clock, since it fired when that was wrong, goes on from now. Its
 * cursor is read, judged by the clock as it is, and moved if it is still the same. The leader hears
 * of it by itself: it reads the cursors that are ahead again and again (clock.c). */
#include "op.h"

#include <stdio.h>

static void judge(struct schedules_op *op, struct str cursor);

static void on_rewound(int rc, const struct store_value *v, void *arg)
{
    struct schedules_op *op = arg;

    if (!schedules_op_went_well(op, rc, v)) {
        return;
    }
    if (str_is(store_word(v, 0), STR("behind"))) {
        judge(op, store_word(v, 1)); /* somebody moved it meanwhile */
    } else {
        schedules_op_show(op);
    }
}

static void rewind_cursor(struct schedules_op *op, struct str cursor, struct wall past)
{
    struct store_args a = {.n = 0};

    store_args_add(&a, str_of(op->name));
    store_args_add(&a, cursor);
    store_args_number(&a, past.ms);
    int rc = store_call_tenant(op->schedules->dispatcher->store, STORE_REWIND, str_of(op->tenant),
                               a.at, a.n, on_rewound, op);
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}

static void refuse(struct schedules_op *op)
{
    schedules_op_refuse(op, PROBLEM_NOT_AHEAD,
                        "The schedule does not wait for the clock of this dispatcher: there is "
                        "nothing to rewind. Without a next time it is paused or over.");
}

/* cursor: as the store has it; empty when it has none. */
static void judge(struct schedules_op *op, struct str cursor)
{
    const struct schedule *s = schedules_op_schedule(op);
    struct wall now = clock_wall();
    struct wall at;

    if (s == NULL || strcmp(s->job.tenant, op->tenant) != 0) { /* whom the key was judged by */
        schedules_op_fail(op, ERR_MISSING);
    } else if (str_to_i64(cursor, &at.ms) == ERR_OK && schedule_is_ahead(at, now)) {
        rewind_cursor(op, cursor, schedule_past(&s->times, now));
    } else {
        refuse(op);
    }
}

static void on_cursor(int rc, const struct store_value *v, void *arg)
{
    struct schedules_op *op = arg;

    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    } else {
        judge(op, v->type == STORE_TEXT ? v->text : (struct str){"", 0});
    }
}

void schedules_rewind(struct schedules_op *op, const struct schedule *s)
{
    char key[VALUE_NAME_MAX + 8];

    (void)snprintf(op->tenant, sizeof op->tenant, "%s", s->job.tenant);
    (void)snprintf(key, sizeof key, "{%s}:c", s->job.tenant);
    struct str words[] = {STR("HGET"), str_of(key), str_of(op->name)};
    int rc = store_command(op->schedules->dispatcher->store, words, 3, on_cursor, op);
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}
