/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

#include "base/log.h"
#include "keep.h"

#include <stdlib.h>

enum {
    ASKING_MAX = 4000, /* schedules that the store is asked about at a time */
    LOOKS_MAX = 10000, /* schedules looked at in a turn */
    AGAIN_MS = 1000
};

static void on_changed(struct str name, void *arg)
{
    schedules_settle(arg, name);
}

static void on_written(void *arg)
{
    schedules_puts_written(arg);
}

/* --- the turns -------------------------------------------------------------------------------- */

static void leave_for_later(struct schedule *s, struct wall now)
{
    if (!s->is_asking && s->due.place == 0) {
        schedule_look_again(s, (struct wall){now.ms + AGAIN_MS});
    }
}

void schedules_turn(struct schedules *s)
{
    struct schedule *unknown[ASKING_MAX];
    struct schedule *one;
    struct wall now = clock_wall();
    size_t n = 0;

    /* Before what was put is known the file's would fire in its place. A store that began anew, or
     * has too few replicas to be read, is not waited for: what was known goes on. */
    if (!schedules_are_known(s)) {
        return;
    }
    for (size_t i = 0; i < LOOKS_MAX && s->n_asking + n < ASKING_MAX &&
                       (one = schedules_due_take(&s->due, now)) != NULL;
         i++) {
        if (one->is_cursor_known) {
            schedule_turn(one, now);
            leave_for_later(one, now);
        } else {
            unknown[n++] = one;
        }
    }
    schedules_read_cursors(s, unknown, n);
    for (size_t i = 0; i < n; i++) {
        leave_for_later(unknown[i], now);
    }
}

void schedules_round(struct schedules *s)
{
    schedules_store_turn(s->store);
    schedules_go_on_ending(s);
    schedules_look_for_pauses(s);
}

void schedules_begin(struct schedules *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->by_name, &cursor, &name, &value)) {
        ((struct schedule *)value)->is_cursor_known = false;
    }
    schedules_look_again(s);
}

/* --- life ------------------------------------------------------------------------------------- */

/* Without a folder nothing is kept. */
static int open_keep(struct schedules *s, const char *state_dir)
{
    struct buf why = {0};
    int rc = state_dir == NULL ? ERR_OK
                               : schedules_keep_open(s->dispatcher->loop, state_dir, on_written, s,
                                                     &s->keep, &why);

    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_failed", "msg=\"%s\"", why.p == NULL ? "" : why.p);
    }
    buf_fini(&why);
    return rc;
}

int schedules_new(struct dispatcher *d, const char *state_dir, struct schedules **ret)
{
    struct schedules *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dispatcher = d;
    list_init(&s->ops);
    s->alive = 1;
    list_init(&s->puts);
    int rc = open_keep(s, state_dir);
    rc = rc != ERR_OK ? rc : schedules_store_new(d, s->keep, on_changed, s, &s->store);
    if (rc != ERR_OK) {
        schedules_keep_free(s->keep);
        free(s);
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void schedules_free(struct schedules *s)
{
    if (s == NULL) {
        return;
    }
    s->is_freed = true;
    schedules_end_ops(s);
    schedules_end_puts(s);
    schedules_empty(s);
    map_fini(&s->counted);
    schedules_store_free(s->store);
    schedules_keep_free(s->keep);
    s->keep = NULL;
    schedules_let_go(s);
}
