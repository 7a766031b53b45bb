/* SPDX-License-Identifier: Apache-2.0 */
#include "schedules_inside.h"

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

static void print_one(const struct schedule *s, bool has_document, struct buf *out)
{
    struct wall next = {0};

    if (schedule_next(&s->times, clock_wall(), &next) != ERR_OK) {
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
    print_time(out, "last", s->is_cursor_known ? s->last_fired : (struct wall){0});
    print_time(out, "next", next);
    buf_printf(out, ",\"source\":\"%s\"", s->is_put ? "http" : "file");
    if (has_document) {
        buf_text(out, ",\"document\":");
        schedules_print_document(s->owner, str_of(s->name), out);
    }
    buf_char(out, '}');
}

/* The place of the first name after `after`. */
static size_t find_after(struct schedule *const *order, size_t n, struct str after)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;
        struct str name = str_of(order[middle]->name);
        int sign = memcmp(name.p, after.p, name.n < after.n ? name.n : after.n);
        bool is_after = sign != 0 ? sign > 0 : name.n > after.n;
        low = is_after ? low : middle + 1;
        n = is_after ? middle : n;
    }
    return low;
}

/* Returns the last name when there are more, else NULL. */
static const char *print_some(struct schedules *s, struct str after, size_t limit, struct buf *out)
{
    struct schedule **order = schedules_in_order(s);
    size_t n = s->by_name.n;

    if (order == NULL) {
        out->is_failed = true;
        return NULL;
    }
    size_t from = find_after(order, n, after);
    size_t to = n - from < limit ? n : from + limit;
    buf_char(out, '{');
    for (size_t i = from; i < to; i++) {
        buf_text(out, i == from ? "" : ",");
        buf_json_str(out, str_of(order[i]->name));
        buf_char(out, ':');
        print_one(order[i], /* has_document= */ false, out);
    }
    buf_char(out, '}');
    return to < n ? order[to - 1]->name : NULL;
}

void schedules_print_page(struct schedules *s, struct str after, size_t limit, struct buf *out)
{
    buf_text(out, "{\"schedules\":");
    const char *cursor = print_some(s, after, limit, out);
    buf_text(out, ",\"cursor\":");
    if (cursor == NULL) {
        buf_text(out, "null}");
        return;
    }
    buf_json_str(out, str_of(cursor));
    buf_char(out, '}');
}

bool schedules_print(struct schedules *s, struct str name, struct buf *out)
{
    if (name.n == 0) {
        (void)print_some(s, (struct str){"", 0}, SCHEDULES_PAGE, out);
        return true;
    }
    const struct schedule *one = map_get(&s->by_name, name);
    if (one != NULL) {
        print_one(one, /* has_document= */ true, out);
    }
    return one != NULL;
}
