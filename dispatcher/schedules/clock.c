/* SPDX-License-Identifier: Apache-2.0 */
/* The wall clock decides what is due, and may be set. Forward: what lies between was missed, and
 * catch_up says what becomes of it. Back: what was handled stays handled, and its schedules wait
 * until the clock has passed that again; a person should know why nothing fires. */
#include "base/log.h"
#include "inside.h"

enum { AHEAD_MS = 1000, READING_MS = 100, AGAIN_MAX = 2000 };

bool schedule_is_ahead(struct wall cursor, struct wall now)
{
    return cursor.ms > now.ms + AHEAD_MS;
}

void schedules_see_clock(struct schedules *s)
{
    struct mono before = clock_mono();
    struct wall wall = clock_wall();
    struct mono after = clock_mono();

    /* Stopped between the two, they do not belong together. */
    if (mono_since_ms(before, after) > READING_MS) {
        return;
    }
    int64_t by_ms = wallwatch_look(&s->wallwatch, wall, after);
    if (by_ms != 0) {
        struct str direction = by_ms > 0 ? STR("forward") : STR("back");
        metric_add(s->dispatcher->metrics.clock_steps, &direction, 1);
        log_event(LOG_WARN, "clock_stepped", "by_s=%.3f msg=\"the wall clock was set\"",
                  (double)by_ms / 1000);
        s->may_be_ahead = true;
        schedules_look_again(s);
    }
}

size_t schedules_ahead(const struct schedules *s, struct wall now, struct wall *ret_until)
{
    size_t cursor = 0;
    size_t n = 0;
    struct str name;
    void *value;

    ret_until->ms = 0;
    while (map_next(&s->by_name, &cursor, &name, &value)) {
        const struct schedule *one = value;
        if (one->is_cursor_known && schedule_is_ahead(one->cursor, now)) {
            ret_until->ms = one->cursor.ms > ret_until->ms ? one->cursor.ms : ret_until->ms;
            n++;
        }
    }
    return n;
}

/* Any dispatcher may have rewound them, and none of them is due before the clock is past its cursor
 * as it is known here. So they are read again, so many at a time. */
static void read_again(struct schedules *s, struct wall now)
{
    struct schedule *found[AGAIN_MAX];
    struct schedule **order = schedules_in_order(s);
    size_t n_all = order == NULL ? 0 : s->by_name.n;
    size_t n = 0;

    for (size_t i = 0; i < n_all && n < AGAIN_MAX; i++) {
        s->next_again = s->next_again + 1 < n_all ? s->next_again + 1 : 0;
        struct schedule *one = order[s->next_again];
        if (one->is_cursor_known && !one->is_asking && schedule_is_ahead(one->cursor, now)) {
            found[n++] = one;
        }
    }
    schedules_read_cursors(s, found,
                           n); /* each is answered in a turn to come, or looked at again */
}

void schedules_say_ahead(struct schedules *s)
{
    char text[WALL_TEXT_SIZE];
    struct wall until;

    if (!s->may_be_ahead) {
        return; /* all of them would be looked at, each time */
    }
    struct wall now = clock_wall();
    size_t n = schedules_ahead(s, now, &until);
    if (n > 0 && !s->is_ahead) {
        wall_format_seconds(until, text);
        log_event(LOG_WARN, "schedules_ahead",
                  "schedules=%zu until=%s msg=\"the clock is behind what was handled: they do not "
                  "fire until it is past that\"",
                  n, text);
    } else if (n == 0 && s->is_ahead) {
        log_event(LOG_INFO, "schedules_caught_up", "msg=\"the clock is past what was handled\"");
    }
    s->is_ahead = n > 0;
    s->may_be_ahead = n > 0;
    if (n > 0) {
        read_again(s, now);
    }
}
