/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

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
    buf_json_str(out, f->note == NULL ? (struct str){"", 0} : str_of(f->note));
    buf_char(out, '}');
}

/* Negative: without a bound. */
static int64_t runs_left(const struct schedule *s)
{
    int64_t left = (int64_t)s->max_runs - s->facts.fired;

    return s->max_runs == 0 ? -1 : left < 0 ? 0 : left;
}

static void print_one(const struct schedule *s, bool has_document, struct buf *out)
{
    bool will_fire = s->facts.paused_ms == 0 && runs_left(s) != 0;
    struct wall next = {0};

    if (!will_fire || schedule_next(&s->times, clock_wall(), &next) != ERR_OK) {
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
        buf_text(out, "null");
    } else {
        buf_printf(out, "%" PRId64, runs_left(s));
    }
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

struct schedule **schedules_page(struct schedules *s, struct str after, size_t limit, size_t *ret_n)
{
    struct schedule **order = schedules_in_order(s);
    size_t from = order == NULL ? 0 : find_after(order, s->by_name.n, after);
    size_t left = s->by_name.n - from;

    *ret_n = left < limit ? left : limit;
    return order == NULL ? NULL : order + from;
}

/* Returns the last name when there are more, else NULL. */
static const char *print_some(struct schedules *s, struct str after, size_t limit, struct buf *out)
{
    size_t n = 0;
    struct schedule **page = schedules_page(s, after, limit, &n);

    if (page == NULL) {
        out->is_failed = true;
        return NULL;
    }
    buf_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        buf_text(out, i == 0 ? "" : ",");
        buf_json_str(out, str_of(page[i]->name));
        buf_char(out, ':');
        print_one(page[i], /* has_document= */ false, out);
    }
    buf_char(out, '}');
    return page + n < s->order + s->by_name.n ? page[n - 1]->name : NULL;
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
