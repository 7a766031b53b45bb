/* SPDX-License-Identifier: Apache-2.0 */
/* An expression becomes sets of bits. The next local time is found field by field: months by their
 * bits, a month's days as one mask, then hour, minute, second. Instants come on top of it: a zone
 * is a row of spans with one offset each, and within a span local time and real time run in step,
 * so that gaps and overlaps are decided at the seams only. */
#include "cron/cron.h"

#include "base/str.h"
#include "cron/civil.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum field { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

enum {
    EXPRESSION_MAX = 1024, /* a list of all minutes has 170 */
    SHOWN_MAX = 32,        /* of a wrong piece, in a sentence */
    EVERY_DAYS_MAX = 10000,
    MAX_NTH = 5
};

/* 0000-01-01 and the first instant after 9999, beyond which dates have no text of ours. */
#define FIRST_S ((int64_t)-62167219200)
#define END_S ((int64_t)253402300800)
#define NEVER INT64_MAX
/* The largest distance between two local clocks, and a little more. */
#define REACH_S ((int64_t)2 * ZONE_MAX_OFFSET_S)

struct field_kind {
    const char *name;
    int min, max;
    int period; /* how many values there are; a wrapping range goes on after so many */
    const char *const *words;
    int first_word; /* the value of words[0] */
    int n_words;
};

static const char *const month_words[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekday_words[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

static const struct field_kind kinds[FIELDS] = {
    [SECOND] = {"second", 0, 59, 60, NULL, 0, 0},
    [MINUTE] = {"minute", 0, 59, 60, NULL, 0, 0},
    [HOUR] = {"hour", 0, 23, 24, NULL, 0, 0},
    [DAY] = {"day of the month", 1, 31, 31, NULL, 0, 0},
    [MONTH] = {"month", 1, 12, 12, month_words, 1, 12},
    [WEEKDAY] = {"day of the week", 0, 7, 7, weekday_words, 0, 7},
};

static const struct {
    const char *name;
    const char *expression;
} nicknames[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

struct cron {
    uint64_t values[FIELDS]; /* bit n: the plain value n; Sunday is bit 0 */
    /* Letters of the day: bit n of nearest is nW; bit n of the others is L-n and L-nW (L: n = 0).
     */
    uint64_t nearest, from_last, nearest_from_last;
    /* Letters of the weekday: bit d is the weekday d. */
    uint64_t nth[MAX_NTH + 1], last;
    bool is_star[FIELDS]; /* the field begins with '*' or is '?' */
    bool has_seconds;
    int64_t every_s; /* @every, in seconds: nothing else counts; 0: by the calendar */
};

/* --- sentences -------------------------------------------------------------------------------- */

struct problem {
    char *why;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct problem p, int err,
                                                        const char *format, ...)
{
    va_list args;

    if (p.size > 0) {
        va_start(args, format);
        (void)vsnprintf(p.why, p.size, format, args); /* cut if need be */
        va_end(args);
    }
    return err;
}

static struct str shown(struct str s)
{
    return (struct str){s.p, s.n < SHOWN_MAX ? s.n : SHOWN_MAX};
}

static int refuse_value(struct problem p, enum field f, struct str value)
{
    const struct field_kind *k = &kinds[f];

    return refuse(p, ERR_SYNTAX, "the %s must be from %d to %d%s, not \"%.*s\"", k->name, k->min,
                  k->max,
                  k->words == NULL ? ""
                  : f == MONTH     ? " or from JAN to DEC"
                                   : " or from SUN to SAT",
                  STR_ARG(shown(value)));
}

/* --- parsing ---------------------------------------------------------------------------------- */

static bool is_nocase(struct str s, const char *word)
{
    return str_is_nocase(s, str_of(word));
}

/* Cuts the last byte off when it is that letter. */
static bool drop_last(struct str *s, char upper)
{
    if (s->n == 0 || toupper((unsigned char)s->p[s->n - 1]) != upper) {
        return false;
    }
    s->n--;
    return true;
}

static bool read_value(enum field f, struct str text, int *ret)
{
    const struct field_kind *k = &kinds[f];
    uint64_t number = 0;

    for (int i = 0; i < k->n_words; i++) {
        if (is_nocase(text, k->words[i])) {
            *ret = k->first_word + i;
            return true;
        }
    }
    if (str_to_u64(text, (uint64_t)k->max, &number) != ERR_OK || (int)number < k->min) {
        return false;
    }
    *ret = (int)number;
    return true;
}

static int parse_value(enum field f, struct str text, struct problem p, int *ret)
{
    return read_value(f, text, ret) ? ERR_OK : refuse_value(p, f, text);
}

static int parse_step(enum field f, struct str text, struct problem p, int *ret)
{
    const struct field_kind *k = &kinds[f];
    uint64_t step = 0;

    if (str_to_u64(text, (uint64_t)k->period, &step) != ERR_OK || step == 0) {
        return refuse(p, ERR_SYNTAX, "the step of the %s must be from 1 to %d, not \"%.*s\"",
                      k->name, k->period, STR_ARG(shown(text)));
    }
    *ret = (int)step;
    return ERR_OK;
}

/* Sunday as 7 stands at the end of a range ("FRI-7") or, as 0, at its beginning ("7-2"). */
static void add_range(enum field f, int from, int to, int step, uint64_t *set)
{
    const struct field_kind *k = &kinds[f];

    if (f == WEEKDAY && from == 7) {
        from = 0;
        to = to == 7 ? 0 : to;
    }
    if (to < from) {
        to += k->period;
    }
    for (int v = from; v <= to; v += step) {
        *set |= (uint64_t)1 << (k->min + (v - k->min) % k->period);
    }
}

/* "*", "a", "a-b", each with "/n" or without. */
static int parse_plain(enum field f, struct str item, struct problem p, uint64_t *set)
{
    const struct field_kind *k = &kinds[f];
    struct str range = item;
    struct str first;
    int from = k->min;
    int to = k->min + k->period - 1;
    int step = 1;
    int err = ERR_OK;

    (void)str_cut(&item, '/', &range);
    bool has_step = item.p != NULL;
    if (has_step) {
        err = parse_step(f, item, p, &step);
    }
    if (err != ERR_OK || str_is(range, STR("*"))) {
        goto out;
    }
    (void)str_cut(&range, '-', &first);
    bool is_range = range.p != NULL;
    err = parse_value(f, first, p, &from);
    if (err == ERR_OK && is_range) {
        err = parse_value(f, range, p, &to);
    } else if (err == ERR_OK && !has_step) {
        to = from;
    } else if (from > to) { /* Sunday as 7, with a step and no end */
        from -= k->period;
    }
out:
    if (err == ERR_OK) {
        add_range(f, from, to, step, set);
    }
    return err;
}

/* "L", "L-n" (after the W was cut off, if there was one). */
static bool read_from_last(struct str text, uint64_t *set)
{
    uint64_t back = 0;

    if (text.n == 0 || toupper((unsigned char)*text.p) != 'L') {
        return false;
    }
    if (text.n > 1 && (text.p[1] != '-' ||
                       str_to_u64((struct str){text.p + 2, text.n - 2}, 30, &back) != ERR_OK)) {
        return false;
    }
    *set |= (uint64_t)1 << back;
    return true;
}

/* The letters of the day field; false when it is none of them. */
static bool read_day_letters(struct str item, struct cron *c)
{
    int day = 0;

    if (!drop_last(&item, 'W')) {
        return read_from_last(item, &c->from_last);
    }
    if (read_from_last(item, &c->nearest_from_last)) {
        return true;
    }
    if (!read_value(DAY, item, &day)) {
        return false;
    }
    c->nearest |= (uint64_t)1 << day;
    return true;
}

/* "D#n", "DL", "L". */
static bool read_weekday_letters(struct str item, struct cron *c)
{
    struct str head = item;
    int weekday = 0;
    uint64_t nth = 0;

    if (is_nocase(item, "L")) {
        c->values[WEEKDAY] |= 1u << 6;
        return true;
    }
    if (drop_last(&head, 'L') && read_value(WEEKDAY, head, &weekday)) {
        c->last |= (uint64_t)1 << (weekday % 7);
        return true;
    }
    (void)str_cut(&item, '#', &head);
    if (!read_value(WEEKDAY, head, &weekday) || str_to_u64(item, MAX_NTH, &nth) != ERR_OK ||
        nth == 0) {
        return false;
    }
    c->nth[nth] |= (uint64_t)1 << (weekday % 7);
    return true;
}

static int parse_item(enum field f, struct str item, struct problem p, struct cron *c)
{
    if (item.n == 0) {
        return refuse(p, ERR_SYNTAX, "the list in the field for the %s has an empty place",
                      kinds[f].name);
    }
    if ((f == DAY && read_day_letters(item, c)) ||
        (f == WEEKDAY && read_weekday_letters(item, c))) {
        return ERR_OK;
    }
    return parse_plain(f, item, p, &c->values[f]);
}

static int parse_field(enum field f, struct str text, struct problem p, struct cron *c)
{
    struct str item;
    int err = ERR_OK;

    c->is_star[f] = text.p[0] == '*';
    if (str_is(text, STR("?")) && (f == DAY || f == WEEKDAY)) {
        text = STR("*");
        c->is_star[f] = true;
    }
    while (err == ERR_OK && str_cut(&text, ',', &item)) {
        err = parse_item(f, item, p, c);
    }
    return err;
}

/* Splits at blanks; counts on beyond `FIELDS` without storing. */
static size_t split(struct str text, struct str fields[FIELDS])
{
    size_t n = 0;

    while (text.n > 0) {
        size_t length = 0;
        while (length < text.n && text.p[length] != ' ' && text.p[length] != '\t') {
            length++;
        }
        if (length > 0 && n++ < FIELDS) {
            fields[n - 1] = (struct str){text.p, length};
        }
        length += length < text.n ? 1 : 0;
        text = (struct str){text.p + length, text.n - length};
    }
    return n;
}

static int parse_fields(struct str text, struct problem p, struct cron *c)
{
    struct str fields[FIELDS];
    size_t n = split(text, fields);
    int err = ERR_OK;

    if (n != FIELDS - 1 && n != FIELDS) {
        return refuse(p, ERR_SYNTAX,
                      "an expression has five fields, or six with seconds first, not %zu", n);
    }
    c->has_seconds = n == FIELDS;
    c->values[SECOND] = c->has_seconds ? 0 : 1;
    for (size_t i = 0; i < n && err == ERR_OK; i++) {
        err = parse_field((enum field)(i + FIELDS - n), fields[i], p, c);
    }
    return err;
}

static int parse_nickname(struct str text, struct problem p, struct cron *c)
{
    for (size_t i = 0; i < sizeof nicknames / sizeof *nicknames; i++) {
        if (is_nocase(text, nicknames[i].name)) {
            return parse_fields(str_of(nicknames[i].expression), p, c);
        }
    }
    return refuse(p, ERR_SYNTAX,
                  "\"%.*s\" is not one of @yearly, @annually, @monthly, @weekly, @daily, "
                  "@midnight, @hourly, @every",
                  STR_ARG(shown(text)));
}

/* "90m" of "90m30s", cut off the front. */
static bool take_span(struct str *rest, int64_t *ret_s)
{
    static const struct {
        char letter;
        int64_t s;
    } units[] = {{'d', CIVIL_DAY_S}, {'h', 3600}, {'m', 60}, {'s', 1}};
    const int64_t max_s = (int64_t)EVERY_DAYS_MAX * CIVIL_DAY_S;
    uint64_t number = 0;
    size_t n = 0;

    while (n < rest->n && isdigit((unsigned char)rest->p[n])) {
        n++;
    }
    if (n == rest->n || str_to_u64((struct str){rest->p, n}, (uint64_t)max_s, &number) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].letter == rest->p[n]) {
            *ret_s = (int64_t)number * units[i].s;
            *rest = (struct str){rest->p + n + 1, rest->n - n - 1};
            return *ret_s <= max_s;
        }
    }
    return false;
}

static bool starts_every(struct str text)
{
    const struct str word = STR("@every");

    return text.n > word.n && str_is_nocase((struct str){text.p, word.n}, word) &&
           (text.p[word.n] == ' ' || text.p[word.n] == '\t');
}

static int parse_every(struct str text, struct problem p, struct cron *c)
{
    const size_t word = sizeof "@every";
    struct str span = str_trim((struct str){text.p + word, text.n - word});
    struct str rest = span;
    int64_t total_s = 0;
    int64_t part_s = 0;

    while (rest.n > 0 && total_s <= (int64_t)EVERY_DAYS_MAX * CIVIL_DAY_S) {
        if (!take_span(&rest, &part_s)) {
            total_s = 0;
            break;
        }
        total_s += part_s;
    }
    if (total_s < 1 || total_s > (int64_t)EVERY_DAYS_MAX * CIVIL_DAY_S) {
        return refuse(p, ERR_SYNTAX,
                      "@every must be followed by a span from 1s to %dd, as 90m or 1h30m (d, h, m, "
                      "s), not \"%.*s\"",
                      EVERY_DAYS_MAX, STR_ARG(shown(span)));
    }
    c->every_s = total_s;
    return ERR_OK;
}

/* What refuse() quotes must be printable. */
static int check_text(struct str text, struct problem p)
{
    if (text.n > EXPRESSION_MAX) {
        return refuse(p, ERR_TOO_LARGE, "an expression has at most %d characters", EXPRESSION_MAX);
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '\t' && (text.p[i] < ' ' || text.p[i] > '~')) {
            return refuse(p, ERR_SYNTAX, "character %zu stands in no cron expression", i + 1);
        }
    }
    return ERR_OK;
}

static int parse_text(struct str text, struct problem p, struct cron *c)
{
    int err = check_text(text, p);

    if (err != ERR_OK) {
        return err;
    }
    text = str_trim(text);
    if (str_starts(text, STR("TZ=")) || str_starts(text, STR("CRON_TZ="))) {
        return refuse(p, ERR_SYNTAX, "the time zone does not stand in the expression");
    }
    if (starts_every(text)) {
        return parse_every(text, p, c);
    }
    return text.n > 0 && *text.p == '@' ? parse_nickname(text, p, c) : parse_fields(text, p, c);
}

/* --- the calendar ----------------------------------------------------------------------------- */

/* The bits of days 1 to n. */
static uint64_t days_upto(int n)
{
    return ((uint64_t)1 << (n + 1)) - 2;
}

static int lowest(uint64_t set)
{
    return __builtin_ctzll(set);
}

/* The first value of a set from `from` on, or -1. */
static int next_in(uint64_t set, int from)
{
    uint64_t rest = from > 63 ? 0 : set >> from << from;

    return rest == 0 ? -1 : lowest(rest);
}

/* nW as in Quartz: a Saturday gives the Friday before, a Sunday the Monday after, unless that is
 * another month. */
static int nearest_working_day(int day, int n_days, int first_weekday)
{
    int weekday = (first_weekday + day - 1) % 7;

    if (weekday == 6) {
        return day == 1 ? 3 : day - 1;
    }
    if (weekday == 0) {
        return day == n_days ? day - 2 : day + 1;
    }
    return day;
}

static uint64_t days_by_date(const struct cron *c, int n_days, int first_weekday)
{
    uint64_t all = days_upto(n_days);
    uint64_t days = c->values[DAY] & all;
    uint64_t near = c->nearest & all;

    for (int back = 0; back < n_days && (c->from_last | c->nearest_from_last) != 0; back++) {
        days |= (c->from_last >> back & 1) << (n_days - back);
        near |= (c->nearest_from_last >> back & 1) << (n_days - back);
    }
    for (; near != 0; near &= near - 1) {
        days |= (uint64_t)1 << nearest_working_day(lowest(near), n_days, first_weekday);
    }
    return days;
}

static uint64_t days_by_weekday(const struct cron *c, int n_days, int first_weekday)
{
    const uint64_t weekly = 0x10204081; /* a bit every seven */
    uint64_t days = 0;

    for (int weekday = 0; weekday < 7; weekday++) {
        int first = 1 + (weekday - first_weekday + 7) % 7;
        if ((c->values[WEEKDAY] >> weekday & 1) != 0) {
            days |= weekly << first;
        }
        for (int nth = 1; nth <= MAX_NTH; nth++) {
            days |= (c->nth[nth] >> weekday & 1) << (first + 7 * (nth - 1));
        }
        days |= (c->last >> weekday & 1) << (first + (n_days - first) / 7 * 7);
    }
    return days & days_upto(n_days);
}

/* The matching days of a month, the month's own field aside. */
static uint64_t days_of_month(const struct cron *c, int64_t year, int month)
{
    int n_days = civil_month_days(year, month);
    int first_weekday = civil_weekday(civil_to_days(year, month, 1));
    uint64_t by_date = days_by_date(c, n_days, first_weekday);
    uint64_t by_weekday = days_by_weekday(c, n_days, first_weekday);

    if (c->is_star[DAY] || c->is_star[WEEKDAY]) {
        return by_date & by_weekday;
    }
    return by_date | by_weekday;
}

/* The first matching second of a day from `from` (0 to 86,400) on, or -1. */
static int next_second_of_day(const struct cron *c, int from)
{
    int hour = from / 3600;
    int minute = from / 60 % 60;
    int h = next_in(c->values[HOUR], hour);
    int m = lowest(c->values[MINUTE]);
    int s = lowest(c->values[SECOND]);

    if (h == hour) {
        m = next_in(c->values[MINUTE], minute);
        if (m == minute) {
            s = next_in(c->values[SECOND], from % 60);
            if (s < 0) {
                s = lowest(c->values[SECOND]);
                m = next_in(c->values[MINUTE], minute + 1);
            }
        }
        if (m < 0) {
            m = lowest(c->values[MINUTE]);
            h = next_in(c->values[HOUR], hour + 1);
        }
    }
    return h < 0 ? -1 : h * 3600 + m * 60 + s;
}

/* The first matching local time from `from_s` on that lies in `last_year` at the latest, as
 * seconds; or NEVER. Every month is looked at once, by its mask. */
static int64_t next_local(const struct cron *c, int64_t from_s, int64_t last_year)
{
    int64_t from_day = civil_floor_div(from_s, CIVIL_DAY_S);
    struct civil at = civil_of_days(from_day);
    int second = next_second_of_day(c, (int)(from_s - from_day * CIVIL_DAY_S));

    if (second < 0) {
        at.day++; /* may be one too many: then the mask has nothing there */
    }
    int64_t same_day = second < 0 ? NEVER : from_day;
    while (at.year <= last_year) {
        int month = next_in(c->values[MONTH], at.month);
        if (month != at.month) {
            at = (struct civil){at.year + (month < 0 ? 1 : 0),
                                month < 0 ? lowest(c->values[MONTH]) : month, 1};
            continue;
        }
        int day = next_in(days_of_month(c, at.year, at.month), at.day);
        if (day > 0) {
            int64_t days = civil_to_days(at.year, at.month, day);
            return days * CIVIL_DAY_S + (days == same_day ? second : next_second_of_day(c, 0));
        }
        at = (struct civil){at.year, at.month + 1, 1};
    }
    return NEVER;
}

static int64_t year_of(int64_t s)
{
    return civil_of_days(civil_floor_div(s, CIVIL_DAY_S)).year;
}

/* --- instants --------------------------------------------------------------------------------- */

struct search {
    const struct cron *c;
    const struct zone *z;
    int64_t last_year;
    bool is_made_up; /* after a gap */
    bool is_once;    /* in an overlap */
};

/* Whether the gap that ends where `span` begins swallowed a time of the entry. */
static bool is_due_after_gap(const struct search *q, struct zone_span span)
{
    if (!q->is_made_up) {
        return false;
    }
    struct zone_span before = zone_span_at(q->z, span.start_s - 1);
    return before.offset_s < span.offset_s &&
           next_local(q->c, span.start_s + before.offset_s, q->last_year) <
               span.start_s + span.offset_s;
}

/* When an earlier span showed the local time of `at_s`, too: the local time up to which it did;
 * else NEVER. Usually looks at no other span. */
static int64_t shown_before_until(const struct search *q, struct zone_span span, int64_t at_s)
{
    int64_t local_s = at_s + span.offset_s;

    while (span.start_s > at_s - REACH_S) {
        span = zone_span_at(q->z, span.start_s - 1);
        if (local_s < span.end_s + span.offset_s &&
            (span.start_s == ZONE_ALWAYS || local_s >= span.start_s + span.offset_s)) {
            return span.end_s + span.offset_s;
        }
    }
    return NEVER;
}

/* The first local time from the instant `from_s` on, as if `span` never ended, that the rules let
 * fire. */
static int64_t next_in_span(const struct search *q, struct zone_span span, int64_t from_s)
{
    int64_t local_s = next_local(q->c, from_s + span.offset_s, q->last_year);

    while (q->is_once && local_s != NEVER && local_s - span.offset_s < span.end_s) {
        int64_t until_s = shown_before_until(q, span, local_s - span.offset_s);
        if (until_s == NEVER) {
            break;
        }
        local_s = next_local(q->c, until_s, q->last_year);
    }
    return local_s;
}

/* Where to look on when nothing in `span` fires. The next change of the clock; but when the next
 * local time is far away, and so is that change, shortly before that local time: clocks that could
 * go back to before from_s, or jump over local_s, are not in between. */
static int64_t next_start(struct zone_span span, int64_t from_s, int64_t local_s)
{
    if (span.end_s < from_s + REACH_S || local_s - ZONE_MAX_OFFSET_S < span.end_s) {
        return span.end_s;
    }
    return local_s == NEVER ? NEVER : local_s - ZONE_MAX_OFFSET_S;
}

static int64_t next_instant(const struct search *q, int64_t from_s, int64_t end_s)
{
    while (from_s < end_s) {
        struct zone_span span = zone_span_at(q->z, from_s);
        if (from_s == span.start_s && is_due_after_gap(q, span)) {
            return from_s;
        }
        int64_t local_s = next_in_span(q, span, from_s);
        if (local_s != NEVER && local_s - span.offset_s < span.end_s) {
            return local_s - span.offset_s;
        }
        from_s = next_start(span, from_s, local_s);
    }
    return NEVER;
}

/* --- @every ----------------------------------------------------------------------------------- */

static int64_t anchor_s(struct cron_rules rules)
{
    return civil_floor_div(rules.anchor.ms + 999, 1000);
}

/* The first instant from `from_s` on. An anchor is a time that has a text: the sums fit. */
static int64_t next_every(const struct cron *c, struct cron_rules rules, int64_t from_s)
{
    int64_t first_s = anchor_s(rules);
    int64_t behind = civil_floor_div(from_s - first_s + c->every_s - 1, c->every_s);

    return first_s + behind * c->every_s;
}

/* --- public ----------------------------------------------------------------------------------- */

/* The calendar repeats after 400 years, weekdays included. */
static bool is_ever(const struct cron *c)
{
    return c->every_s > 0 || next_local(c, FIRST_S, 400) != NEVER;
}

int cron_parse(const char *expression, struct cron **ret, char *why, size_t why_size)
{
    struct problem p = {why, why_size};
    struct cron *c = calloc(1, sizeof *c);
    int err = ERR_OK;

    if (c == NULL) {
        return refuse(p, ERR_NOMEM, "out of memory");
    }
    err = parse_text(str_of(expression), p, c);
    if (err == ERR_OK && !is_ever(c)) {
        err = refuse(p, ERR_INVALID, "no month of any year has such a day of the month");
    }
    if (err != ERR_OK) {
        cron_free(c);
        return err;
    }
    *ret = c;
    return ERR_OK;
}

void cron_free(struct cron *c)
{
    free(c);
}

bool cron_is_interval(const struct cron *c)
{
    return c->every_s > 0 || c->is_star[MINUTE] || c->is_star[HOUR];
}

int cron_next(const struct cron *c, const struct zone *z, struct cron_rules rules,
              struct wall after, struct wall *ret)
{
    bool is_fixed = !cron_is_interval(c);
    int64_t from_s = civil_floor_div(after.ms, 1000) + 1;

    from_s = from_s < FIRST_S ? FIRST_S : from_s;
    if (from_s >= END_S) {
        return ERR_MISSING;
    }
    struct search q = {.c = c,
                       .z = z,
                       .last_year = year_of(from_s) + CRON_HORIZON_YEARS,
                       .is_made_up = is_fixed && !rules.is_gap_skipped,
                       .is_once = is_fixed && !rules.is_overlap_twice};
    int64_t at_s = c->every_s > 0 ? next_every(c, rules, from_s) : next_instant(&q, from_s, END_S);
    if (at_s >= END_S) {
        return ERR_MISSING;
    }
    ret->ms = at_s * 1000;
    return ERR_OK;
}

bool cron_matches(const struct cron *c, const struct zone *z, struct cron_rules rules,
                  struct wall instant)
{
    int64_t at_s = civil_floor_div(instant.ms, 1000);
    int64_t local_s = at_s + zone_offset_s(z, instant);

    if (c->every_s > 0) {
        return next_every(c, rules, at_s) == at_s;
    }
    if (!c->has_seconds) {
        local_s = civil_floor_div(local_s, 60) * 60;
    }
    return next_local(c, local_s, year_of(local_s)) == local_s;
}

static bool is_full(const struct cron *c, enum field f)
{
    const struct field_kind *k = &kinds[f];
    uint64_t all = (((uint64_t)1 << k->period) - 1) << k->min;

    return (c->values[f] & all) == all;
}

static bool has_all_values(const struct cron *wide, const struct cron *narrow, enum field f)
{
    return (narrow->values[f] & ~wide->values[f]) == 0;
}

/* Days of another form are not compared. */
static bool has_same_days(const struct cron *a, const struct cron *b)
{
    return a->values[DAY] == b->values[DAY] && a->values[WEEKDAY] == b->values[WEEKDAY] &&
           a->is_star[DAY] == b->is_star[DAY] && a->is_star[WEEKDAY] == b->is_star[WEEKDAY] &&
           a->nearest == b->nearest && a->from_last == b->from_last &&
           a->nearest_from_last == b->nearest_from_last && a->last == b->last &&
           memcmp(a->nth, b->nth, sizeof a->nth) == 0;
}

bool cron_is_always(const struct cron *c)
{
    if (c->every_s > 0) {
        return c->every_s == 1;
    }
    return (!c->has_seconds || is_full(c, SECOND)) && is_full(c, MINUTE) && is_full(c, HOUR) &&
           is_full(c, DAY) && is_full(c, MONTH) && is_full(c, WEEKDAY);
}

bool cron_covers(const struct cron *wide, const struct cron *narrow)
{
    bool is_any_day = is_full(wide, DAY) && is_full(wide, WEEKDAY);

    if (wide->every_s > 0 || narrow->every_s > 0) {
        return cron_is_always(wide);
    }
    return (!wide->has_seconds || has_all_values(wide, narrow, SECOND)) &&
           has_all_values(wide, narrow, MINUTE) && has_all_values(wide, narrow, HOUR) &&
           has_all_values(wide, narrow, MONTH) && (is_any_day || has_same_days(wide, narrow));
}

int cron_zone_check(const char *name, char *why, size_t why_size)
{
    struct problem p = {why, why_size};
    struct zone *z = NULL;
    int err = zone_load(name, &z);

    zone_free(z);
    return err == ERR_OK ? ERR_OK
                         : refuse(p, err, "the time zone cannot be used: %s", err_text(err));
}

int cron_check(const char *expression, const char *timezone, char *why, size_t why_size)
{
    struct cron *c = NULL;
    int err = cron_parse(expression, &c, why, why_size);

    cron_free(c);
    return err != ERR_OK ? err
                         : cron_zone_check(timezone == NULL ? "UTC" : timezone, why, why_size);
}
