/* SPDX-License-Identifier: Apache-2.0 */
/* Crontab entries: MIN HOUR DOM MON DOW tenant METHOD /path [body], or @daily tenant METHOD …;
 * CRON_TZ=… holds for the entries below it. An entry's name is made of what it says, so that it
 * stays the same schedule, with its cursor, when lines above it come and go. */
#include "config/schedule.h"

#include "job/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIELDS = 5, BASENAME_MAX = 40, WHY_SIZE = 256 };

struct entry {
    struct str cron;
    struct str tenant, method, target, body;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word and the blanks behind it. */
static struct str take_word(struct str *rest)
{
    size_t n = 0;

    while (n < rest->n && !is_blank(rest->p[n])) {
        n++;
    }
    struct str word = {rest->p, n};
    while (n < rest->n && is_blank(rest->p[n])) {
        n++;
    }
    *rest = (struct str){rest->p + n, rest->n - n};
    return word;
}

static bool is_nickname(struct str s)
{
    static const char *const names[] = {"@yearly", "@annually", "@monthly", "@weekly",
                                        "@daily",  "@midnight", "@hourly"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_is(s, str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

/* "NAME = value"; false when the line is an entry. */
static bool cut_setting(struct str line, struct str *ret_name, struct str *ret_value)
{
    struct str rest = line;
    struct str name;

    if (memchr(line.p, '=', line.n) == NULL || !str_cut(&rest, '=', &name)) {
        return false;
    }
    name = str_trim(name);
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    struct str value = str_trim(rest);
    bool is_quoted = value.n >= 2 && (value.p[0] == '"' || value.p[0] == '\'') &&
                     value.p[value.n - 1] == value.p[0];
    *ret_name = name;
    *ret_value = is_quoted ? (struct str){value.p + 1, value.n - 2} : value;
    return name.n > 0;
}

static const char *cut_entry(struct str line, struct entry *ret)
{
    struct str rest = line;
    struct entry e = {0};
    int n_fields = line.p[0] == '@' ? 1 : FIELDS;
    struct str word = {0};

    for (int i = 0; i < n_fields; i++) {
        word = take_word(&rest);
        n_fields += i == 0 && str_is(word, STR("@every")) ? 1 : 0; /* and its span */
    }
    e.cron = (struct str){line.p, (size_t)(word.p + word.n - line.p)};
    e.tenant = take_word(&rest);
    e.method = take_word(&rest);
    e.target = take_word(&rest);
    e.body = str_trim(rest);
    if (e.target.n == 0) {
        return "expected MIN HOUR DOM MON DOW tenant METHOD /path [body]";
    }
    if (n_fields == 1 && !is_nickname(e.cron)) {
        return "expected @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly or "
               "@every SPAN";
    }
    *ret = e;
    return NULL;
}

/* Whether it can stand as `body` in a job's document; what cannot is text. */
static bool is_json(struct str body, struct buf *out)
{
    struct json_trouble trouble;
    int rc = json_check(body, &trouble);

    out->is_failed = out->is_failed || rc == ERR_NOMEM;
    return rc == ERR_OK;
}

static void add_job(const struct entry *e, struct buf *out)
{
    buf_text(out, "{\"tenant\":");
    buf_json_str(out, e->tenant);
    buf_text(out, ",\"request\":{\"method\":");
    buf_json_str(out, e->method);
    buf_text(out, ",\"path\":");
    buf_json_str(out, e->target);
    if (e->body.n > 0 && is_json(e->body, out)) {
        buf_text(out, ",\"body\":");
        buf_str(out, e->body);
    } else if (e->body.n > 0) {
        buf_text(out, ",\"body_text\":");
        buf_json_str(out, e->body);
    }
    buf_text(out, "}}");
}

/* FNV-1a over the line with its runs of blanks as one. */
static uint32_t hash_line(struct str line)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < line.n; i++) {
        if (is_blank(line.p[i]) && i > 0 && is_blank(line.p[i - 1])) {
            continue;
        }
        unsigned char c = is_blank(line.p[i]) ? ' ' : (unsigned char)line.p[i];
        h = (h ^ c) * 16777619u;
    }
    return h;
}

/* crontab-<file>-<hash of the line>, and -2, -3, … where that is taken. */
static char *make_name(const char *file, struct str line, struct map *taken)
{
    const char *slash = strrchr(file, '/');
    struct buf name = {0};

    buf_text(&name, "crontab-");
    for (const char *p = slash == NULL ? file : slash + 1; *p != '\0' && name.n < BASENAME_MAX;
         p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        buf_char(&name, is_fine ? c : '-');
    }
    buf_printf(&name, "-%08x", (unsigned int)hash_line(line));
    if (value_take_name(taken, &name, VALUE_NAME_MAX) != ERR_OK) {
        buf_fini(&name);
    }
    return buf_take(&name, NULL);
}

static void say(struct mistakes *m, int line, const char *key, const char *why)
{
    struct path path = {.key = key};

    if (why != NULL) {
        mistake_add(m, &path, line, "%s", why);
    }
}

static void check_entry(const struct schedule_context *x, struct mistakes *m, int line,
                        struct config_schedule *s)
{
    char why[WHY_SIZE] = "";

    schedule_judge_job(x, m, NULL, NULL, line, s);
    if (x->cron_check != NULL &&
        x->cron_check(s->crons[0], s->timezone, why, sizeof why) != ERR_OK) {
        say(m, line, "cron", why[0] == '\0' ? "no cron expression" : why);
    }
}

static int fill(struct config_schedule *s, const struct entry *e, const char *timezone, char *name)
{
    struct buf job = {0};

    s->name = name;
    if (name == NULL || table_preset(&schedule_table, s) != ERR_OK ||
        field_set_text(&s->timezone, timezone) != ERR_OK) {
        return ERR_NOMEM;
    }
    s->crons = calloc(1, sizeof *s->crons);
    if (s->crons == NULL || (s->crons[0] = str_dup(e->cron)) == NULL) {
        return ERR_NOMEM;
    }
    s->n_crons = 1;
    add_job(e, &job);
    s->job_json = buf_take(&job, NULL);
    return s->job_json == NULL ? ERR_NOMEM : ERR_OK;
}

static void read_entry(const struct schedule_context *x, struct mistakes *m, int line_number,
                       struct str line, const char *timezone, struct schedule_list *to)
{
    struct entry e;
    const char *why = cut_entry(line, &e);

    if (why != NULL) {
        mistake_add(m, NULL, line_number, "%s", why);
        return;
    }
    struct config_schedule *s = schedule_list_add(to);
    if (s == NULL || fill(s, &e, timezone, make_name(m->file, line, &to->names)) != ERR_OK) {
        m->is_out_of_memory = true;
        return;
    }
    check_entry(x, m, line_number, s);
}

/* At its own line, not at each entry below it. */
static bool is_zone(const struct schedule_context *x, struct mistakes *m, int line,
                    const char *zone)
{
    char why[WHY_SIZE] = "";

    if (x->cron_check == NULL || x->cron_check("@daily", zone, why, sizeof why) == ERR_OK) {
        return true;
    }
    say(m, line, "CRON_TZ", why[0] == '\0' ? "no time zone" : why);
    return false;
}

static void set_timezone(const struct schedule_context *x, struct mistakes *m, int line,
                         struct str name, struct str value, char **timezone)
{
    if (!str_is(name, STR("CRON_TZ"))) {
        mistake_add(m, NULL, line, "of settings only CRON_TZ=… is known, not %.*s", STR_ARG(name));
        return;
    }
    value = value.n == 0 ? STR("UTC") : value;
    const char *why = value_timezone(value);
    if (why != NULL) {
        say(m, line, "CRON_TZ", why);
        return;
    }
    char *zone = str_dup(value);
    if (zone == NULL) {
        m->is_out_of_memory = true;
    } else if (is_zone(x, m, line, zone)) {
        free(*timezone);
        *timezone = zone;
    } else {
        free(zone);
    }
}

static bool is_text(struct str s)
{
    return str_is_utf8(s) && (s.n == 0 || memchr(s.p, '\0', s.n) == NULL);
}

void crontab_read(const struct schedule_context *x, struct mistakes *m, struct str text,
                  struct schedule_list *to)
{
    char *timezone = str_dup(STR("UTC"));
    struct str line;

    for (int i = 1; timezone != NULL && str_cut(&text, '\n', &line); i++) {
        struct str name;
        struct str value;
        line.n -= line.n > 0 && line.p[line.n - 1] == '\r' ? 1 : 0;
        line = str_trim(line);
        if (!is_text(line)) {
            mistake_add(m, NULL, i, "not UTF-8 text");
        } else if (line.n == 0 || line.p[0] == '#') {
            continue;
        } else if (cut_setting(line, &name, &value)) {
            set_timezone(x, m, i, name, value, &timezone);
        } else {
            read_entry(x, m, i, line, timezone, to);
        }
    }
    m->is_out_of_memory = m->is_out_of_memory || timezone == NULL;
    free(timezone);
}
