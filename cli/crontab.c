/* SPDX-License-Identifier: Apache-2.0 */
/* crontab — checks a crontab as a daemon would read it. Asks no server. */
#include "action.h"
#include "config/config.h"
#include "cron/cron.h"
#include "grid.h"

enum { NEXT_MAX = 1000 };

struct check {
    const char *file;
    struct buf text;
    struct config *found; /* its entries; NULL when there are mistakes */
    struct buf mistakes;
};

/* The next times of an entry, and its zone; the zone is the caller's to free. */
static size_t next_times(const struct config_schedule *s, size_t n, struct wall to[NEXT_MAX],
                         struct zone **ret_zone)
{
    struct cron *cron = NULL;
    struct wall at = clock_wall();
    size_t i = 0;

    *ret_zone = NULL;
    if (cron_parse(s->crons[0], &cron, NULL, 0) == ERR_OK &&
        zone_load(s->timezone, ret_zone) == ERR_OK) {
        while (i < n && cron_next(cron, *ret_zone, (struct cron_rules){0}, at, &at) == ERR_OK) {
            to[i++] = at;
        }
    }
    cron_free(cron);
    return i;
}

/* A line for each time. */
static void print_times(const struct config *c, size_t n, struct buf *out)
{
    static const struct column columns[] = {{"SCHEDULE", false}, {"TENANT", false},
                                            {"NEXT", false},     {"LOCAL", false},
                                            {"CRON", false},     {"TIMEZONE", false}};
    struct wall times[NEXT_MAX];
    char text[WALL_TEXT_SIZE];
    struct grid t;

    grid_init(&t, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < c->n_schedules; i++) {
        const struct config_schedule *s = &c->schedules[i];
        struct zone *zone;
        size_t n_times = next_times(s, n, times, &zone);
        for (size_t k = 0; k < n_times; k++) {
            wall_format_seconds(times[k], text);
            grid_add(&t, str_of(s->name));
            grid_add(&t, str_of(s->tenant));
            grid_add(&t, str_of(text));
            zone_format(zone, times[k], text);
            grid_add(&t, str_of(text));
            grid_add(&t, str_of(s->crons[0]));
            grid_add(&t, str_of(s->timezone));
        }
        zone_free(zone);
    }
    grid_print(&t, out);
    grid_fini(&t);
}

static void print_text(const struct check *k, size_t n, struct buf *out)
{
    if (k->found == NULL) {
        buf_str(out, buf_as_str(&k->mistakes));
    } else if (n > 0 && k->found->n_schedules > 0) {
        print_times(k->found, n, out);
    } else {
        grid_clean(str_of(k->file), out);
        buf_printf(out, ": ok, %zu %s\n", k->found->n_schedules,
                   k->found->n_schedules == 1 ? "entry" : "entries");
    }
}

static void print_entry(const struct config_schedule *s, size_t n, struct buf *out)
{
    const char *const texts[][2] = {
        {"cron", s->crons[0]}, {"timezone", s->timezone}, {"tenant", s->tenant}};
    struct wall times[NEXT_MAX];
    char text[WALL_TEXT_SIZE];
    struct zone *zone;
    size_t n_times = next_times(s, n, times, &zone);

    buf_json_str(out, str_of(s->name));
    buf_text(out, ":{");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        buf_printf(out, "\"%s\":", texts[i][0]);
        buf_json_str(out, str_of(texts[i][1]));
        buf_char(out, ',');
    }
    buf_text(out, "\"next\":[");
    for (size_t i = 0; i < n_times; i++) {
        wall_format_seconds(times[i], text);
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    buf_text(out, "],\"local\":[");
    for (size_t i = 0; i < n_times; i++) {
        zone_format(zone, times[i], text);
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    buf_text(out, "]}");
    zone_free(zone);
}

static void print_json(const struct check *k, size_t n, struct buf *out)
{
    struct str rest = str_trim(buf_as_str(&k->mistakes));
    size_t n_entries = k->found == NULL ? 0 : k->found->n_schedules;
    const char *comma = "";
    struct str line;

    buf_text(out, "{\"mistakes\":[");
    while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
        buf_text(out, comma);
        buf_json_str(out, line);
        comma = ",";
    }
    buf_text(out, "],\"schedules\":{");
    for (size_t i = 0; i < n_entries; i++) {
        buf_text(out, i == 0 ? "" : ",");
        print_entry(&k->found->schedules[i], n, out);
    }
    buf_text(out, "}}\n");
}

static int check(struct cli *c, const struct args *a, struct check *k)
{
    size_t n = (size_t)args_count(a, "--next", 0);
    struct buf out = {0};
    int rc = config_load_crontab(args_text(a, "--config"), k->file, buf_as_str(&k->text),
                                 cron_check, &k->found, &k->mistakes);

    if (rc == ERR_OK || rc == ERR_INVALID) {
        (c->is_json ? print_json : print_text)(k, n, &out);
    } else {
        out.is_failed = true;
    }
    int code = cli_put_buf(c, &out, rc == ERR_OK ? CLI_OK : CLI_REFUSED);
    buf_fini(&out);
    return code;
}

int crontab_run(struct cli *c, const struct args *a)
{
    struct check k = {0};

    if (strcmp(a->words[0], "check") != 0) {
        return cli_misused(c, "crontab knows \"check\" only, not \"%s\"", a->words[0]);
    }
    if (a->n_words < 2) {
        return cli_misused(c, "name the crontab: crontab check FILE, - for standard input");
    }
    if (args_count(a, "--next", 0) > NEXT_MAX) {
        return cli_misused(c, "--next takes at most %d", NEXT_MAX);
    }
    k.file = a->words[1];
    int code = action_read(c, k.file, &k.text);
    if (code == CLI_OK) {
        code = check(c, a, &k);
    }
    config_free(k.found);
    buf_fini(&k.text);
    buf_fini(&k.mistakes);
    return code;
}
