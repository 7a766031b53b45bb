/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules_inside.h"

#include <inttypes.h>

static void print_time(struct buf *out, const char *member, struct wall when)
{
    char text[WALL_TEXT_SIZE];

    if (when.ms <= 0) {
        buf_printf(out, ",\"%s\":null", member);
        return;
    }
    wall_format_seconds(when, text);
    buf_printf(out, ",\"%s\":\"%s\"", member, text);
}

static void print_pause(struct buf *out, const struct schedule_facts *f)
{
    char since[WALL_TEXT_SIZE];

    if (f->paused_ms == 0) {
        buf_text(out, ",\"paused\":null");
        return;
    }
    wall_format((struct wall){f->paused_ms}, since);
    buf_printf(out, ",\"paused\":{\"since\":\"%s\",\"by\":\"%s\",\"note\":", since,
               f->is_paused_by_failure ? "failure" : "operator");
    buf_json_str(out, str_of(f->note));
    buf_char(out, '}');
}

/* Negative: without a bound. */
static int64_t runs_left(const struct schedule *s)
{
    int64_t left = (int64_t)s->max_runs - s->facts.fired;

    return s->max_runs == 0 ? -1 : left < 0 ? 0 : left;
}

static void print_one(const struct schedule *s, struct buf *out)
{
    struct wall next = {0};

    if (runs_left(s) == 0 || schedule_next(&s->times, clock_wall(), &next) != ERR_OK) {
        next.ms = 0;
    }
    buf_text(out, "{\"cron\":");
    buf_json_str(out, str_of(s->cron_text));
    buf_text(out, ",\"timezone\":");
    buf_json_str(out, str_of(s->zone_name));
    buf_text(out, ",\"tenant\":");
    buf_json_str(out, str_of(s->job.tenant));
    buf_text(out, ",\"method\":");
    buf_json_str(out, str_of(s->job.method));
    buf_text(out, ",\"path\":");
    buf_json_str(out, str_of(s->job.path));
    print_time(out, "last", s->facts.last);
    print_time(out, "next", next);
    print_pause(out, &s->facts);
    buf_printf(out, ",\"fired\":%" PRId64 ",\"skipped\":%" PRId64 ",\"runs_left\":", s->facts.fired,
               s->facts.skipped);
    if (s->max_runs == 0) {
        buf_text(out, "null}");
    } else {
        buf_printf(out, "%" PRId64 "}", runs_left(s));
    }
}

bool schedules_print(const struct schedules *s, struct str name, struct buf *out)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    bool is_first = true;

    if (name.n > 0) {
        const struct schedule *one = map_get(&s->by_name, name);
        if (one != NULL) {
            print_one(one, out);
        }
        return one != NULL;
    }
    buf_char(out, '{');
    while (map_next(&s->by_name, &cursor, &key, &value)) {
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, key);
        buf_char(out, ':');
        print_one(value, out);
        is_first = false;
    }
    buf_char(out, '}');
    return true;
}
