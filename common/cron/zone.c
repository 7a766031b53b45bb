/* SPDX-License-Identifier: Apache-2.0 */
/* A zone is a table of changes of the offset and, from the last one on, a yearly rule (the footer).
 * Names, designations and whether an hour counts as "summer" are dropped: only offsets decide when
 * a clock shows what. */
#include "cron/zone.h"

#include "cron/civil.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZONE_DIRECTORY "/usr/share/zoneinfo/"

enum {
    NAME_MAX_LEN = 128,
    FILE_MAX_BYTES = 1 << 20, /* the largest of tzdata 2025 has under 4 KiB */
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    RULE_YEARS = 3 /* the year of the instant and its neighbours */
};

/* RFC 8536, 3.2: transitions before this are not meaningful. Bounds the arithmetic. */
#define TRANSITION_LIMIT ((int64_t)1 << 59)

enum day_kind {
    DAY_OF_MONTH_WEEK,  /* Mm.w.d */
    DAY_WITHOUT_LEAP,   /* Jn: 29 February is never counted */
    DAY_OF_YEAR_FROM_0, /* n: it is */
};

struct yearly {
    enum day_kind kind;
    int month, week, weekday, day;
    int32_t time_s; /* wall clock, before the change; may lie days before or after */
};

struct change {
    int64_t at_s;
    int32_t offset_s; /* from at_s on */
};

struct zone {
    int32_t first_offset_s; /* before the first change */
    struct change *changes; /* ascending; each really changes the offset */
    size_t n_changes;
    int64_t ruled_from_s; /* the footer holds from here on; ZONE_ALWAYS without a table */
    int32_t standard_s, summer_s;
    bool has_summer;
    struct yearly to_summer, to_standard;
};

/* --- bytes ------------------------------------------------------------------------------------ */

/* Takes `n` bytes off the front, or NULL when there are fewer. */
static const unsigned char *take(struct str *in, size_t n)
{
    const unsigned char *p = (const unsigned char *)in->p;

    if (in->n < n) {
        return NULL;
    }
    in->p += n;
    in->n -= n;
    return p;
}

static uint64_t big_endian(const unsigned char *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

/* Two's complement of `n` (4 or 8) bytes, without a conversion that depends on the compiler. */
static int64_t big_endian_signed(const unsigned char *p, size_t n)
{
    uint64_t value = big_endian(p, n);
    uint64_t sign = (uint64_t)1 << (8 * n - 1);

    if ((value & sign) == 0) {
        return (int64_t)value;
    }
    return -(int64_t)(sign - 1 - (value & (sign - 1))) - 1;
}

/* --- the footer: a POSIX TZ string ------------------------------------------------------------ */

static bool accept(struct str *in, char c)
{
    if (in->n == 0 || *in->p != c) {
        return false;
    }
    (void)take(in, 1);
    return true;
}

static int read_number(struct str *in, int max, int *ret)
{
    int value = 0;
    size_t digits = 0;

    for (; in->n > 0 && isdigit((unsigned char)*in->p); digits++) {
        value = value * 10 + (*take(in, 1) - '0');
        if (value > max) {
            return ERR_SYNTAX;
        }
    }
    if (digits == 0) {
        return ERR_SYNTAX;
    }
    *ret = value;
    return ERR_OK;
}

/* [+-]hh[:mm[:ss]] */
static int read_time(struct str *in, int max_hours, int32_t *ret_s)
{
    int sign = 1;
    int hours = 0;
    int minutes = 0;
    int seconds = 0;

    if (accept(in, '-')) {
        sign = -1;
    } else {
        (void)accept(in, '+');
    }
    if (read_number(in, max_hours, &hours) != ERR_OK ||
        (accept(in, ':') && (read_number(in, 59, &minutes) != ERR_OK ||
                             (accept(in, ':') && read_number(in, 59, &seconds) != ERR_OK)))) {
        return ERR_SYNTAX;
    }
    *ret_s = sign * (hours * 3600 + minutes * 60 + seconds);
    return ERR_OK;
}

/* "CET" or "<+0330>"; only its presence matters. */
static int skip_designation(struct str *in)
{
    size_t n = 0;

    if (accept(in, '<')) {
        while (in->n > 0 && *in->p != '>') {
            (void)take(in, 1);
            n++;
        }
        return n > 0 && accept(in, '>') ? ERR_OK : ERR_SYNTAX;
    }
    while (in->n > 0 && isalpha((unsigned char)*in->p)) {
        (void)take(in, 1);
        n++;
    }
    return n > 0 ? ERR_OK : ERR_SYNTAX;
}

/* ",Mm.w.d[/time]", ",Jn[/time]" or ",n[/time]" */
static int read_yearly(struct str *in, struct yearly *ret)
{
    struct yearly r = {.time_s = 2 * 3600};
    int err = ERR_SYNTAX;

    if (!accept(in, ',')) {
        return ERR_SYNTAX;
    }
    if (accept(in, 'M')) {
        r.kind = DAY_OF_MONTH_WEEK;
        if (read_number(in, 12, &r.month) == ERR_OK && r.month > 0 && accept(in, '.') &&
            read_number(in, 5, &r.week) == ERR_OK && r.week > 0 && accept(in, '.')) {
            err = read_number(in, 6, &r.weekday);
        }
    } else if (accept(in, 'J')) {
        r.kind = DAY_WITHOUT_LEAP;
        err = read_number(in, 365, &r.day) == ERR_OK && r.day > 0 ? ERR_OK : ERR_SYNTAX;
    } else {
        r.kind = DAY_OF_YEAR_FROM_0;
        err = read_number(in, 365, &r.day);
    }
    if (err == ERR_OK && accept(in, '/')) {
        err = read_time(in, 167, &r.time_s);
    }
    if (err == ERR_OK) {
        *ret = r;
    }
    return err;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3"; POSIX counts offsets to the west. */
static int read_footer(struct str text, struct zone *z)
{
    int32_t west_s = 0;

    if (skip_designation(&text) != ERR_OK || read_time(&text, 24, &west_s) != ERR_OK) {
        return ERR_SYNTAX;
    }
    z->standard_s = -west_s;
    if (text.n == 0) {
        return ERR_OK;
    }
    if (skip_designation(&text) != ERR_OK) {
        return ERR_SYNTAX;
    }
    z->has_summer = true;
    z->summer_s = z->standard_s + 3600;
    if (text.n > 0 && *text.p != ',') {
        if (read_time(&text, 24, &west_s) != ERR_OK) {
            return ERR_SYNTAX;
        }
        z->summer_s = -west_s;
    }
    if (read_yearly(&text, &z->to_summer) != ERR_OK ||
        read_yearly(&text, &z->to_standard) != ERR_OK || text.n != 0) {
        return ERR_SYNTAX;
    }
    return ERR_OK;
}

static int64_t yearly_day(const struct yearly *r, int64_t year)
{
    int64_t first = civil_to_days(year, r->kind == DAY_OF_MONTH_WEEK ? r->month : 1, 1);

    switch (r->kind) {
    case DAY_WITHOUT_LEAP:
        return first + r->day - 1 + (civil_is_leap(year) && r->day >= 60 ? 1 : 0);
    case DAY_OF_YEAR_FROM_0:
        return first + r->day;
    case DAY_OF_MONTH_WEEK:
    default:
        break;
    }
    int day = (r->weekday - civil_weekday(first) + 7) % 7 + (r->week - 1) * 7;
    /* Week 5 is the last one, whether that is the fourth or the fifth. */
    return first + (day < civil_month_days(year, r->month) ? day : day - 7);
}

static int64_t yearly_at(const struct yearly *r, int64_t year, int32_t offset_before_s)
{
    return yearly_day(r, year) * CIVIL_DAY_S + r->time_s - offset_before_s;
}

/* Stable, so that a summer time that ends where the next one begins (all year long) goes on. */
static void insert_change(struct change *list, size_t n, struct change new)
{
    while (n > 0 && list[n - 1].at_s > new.at_s) {
        list[n] = list[n - 1];
        n--;
    }
    list[n] = new;
}

static struct zone_span span_by_footer(const struct zone *z, int64_t when_s)
{
    struct zone_span span = {z->ruled_from_s, ZONE_NEVER, z->standard_s};
    struct change list[2 * RULE_YEARS];
    size_t n = 0;

    if (!z->has_summer) {
        return span;
    }
    if (z->n_changes > 0) {
        span.offset_s = z->changes[z->n_changes - 1].offset_s;
    }
    int64_t year = civil_of_days(civil_floor_div(when_s, CIVIL_DAY_S)).year;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t up = yearly_at(&z->to_summer, y, z->standard_s);
        int64_t down = yearly_at(&z->to_standard, y, z->summer_s);
        insert_change(list, n++, (struct change){up, z->summer_s});
        insert_change(list, n++, (struct change){down, z->standard_s});
    }
    for (size_t i = 0; i < n; i++) {
        if (list[i].at_s > when_s) {
            span.end_s = list[i].at_s;
            break;
        }
        if (list[i].at_s > z->ruled_from_s) {
            span.start_s = list[i].at_s;
            span.offset_s = list[i].offset_s;
        }
    }
    return span;
}

/* --- the table -------------------------------------------------------------------------------- */

struct header {
    char version;
    size_t n_ut, n_std, n_leap, n_times, n_types, n_chars;
};

static int read_header(struct str *in, struct header *ret)
{
    const unsigned char *p = take(in, HEADER_BYTES);

    if (p == NULL || memcmp(p, "TZif", 4) != 0) {
        return ERR_SYNTAX;
    }
    *ret = (struct header){.version = (char)p[4],
                           .n_ut = big_endian(p + 20, 4),
                           .n_std = big_endian(p + 24, 4),
                           .n_leap = big_endian(p + 28, 4),
                           .n_times = big_endian(p + 32, 4),
                           .n_types = big_endian(p + 36, 4),
                           .n_chars = big_endian(p + 40, 4)};
    if (ret->n_types == 0 || ret->n_types > 256) {
        return ERR_SYNTAX;
    }
    return ERR_OK;
}

/* How many bytes follow the header when a time has `time_size` of them. Counts have 32 bits, so
 * that the sum fits. */
static size_t body_bytes(const struct header *h, size_t time_size)
{
    return h->n_times * (time_size + 1) + h->n_types * TYPE_BYTES + h->n_chars +
           h->n_leap * (time_size + 4) + h->n_std + h->n_ut;
}

static int read_offset(const unsigned char *types, const struct header *h, size_t type,
                       int32_t *ret_s)
{
    if (type >= h->n_types) {
        return ERR_SYNTAX;
    }
    int64_t offset_s = big_endian_signed(types + type * TYPE_BYTES, 4);
    if (offset_s <= -ZONE_MAX_OFFSET_S || offset_s >= ZONE_MAX_OFFSET_S) {
        return ERR_SYNTAX;
    }
    *ret_s = (int32_t)offset_s;
    return ERR_OK;
}

static void add_change(struct zone *z, int64_t at_s, int32_t offset_s)
{
    int32_t before_s =
        z->n_changes == 0 ? z->first_offset_s : z->changes[z->n_changes - 1].offset_s;

    if (offset_s != before_s) {
        z->changes[z->n_changes++] = (struct change){at_s, offset_s};
    }
}

static int read_body(struct str *in, const struct header *h, size_t time_size, struct zone *z)
{
    const unsigned char *times = take(in, body_bytes(h, time_size));
    int64_t previous_s = -TRANSITION_LIMIT - 1;
    int32_t offset_s = 0;

    if (times == NULL) {
        return ERR_SYNTAX;
    }
    const unsigned char *indices = times + h->n_times * time_size;
    const unsigned char *types = indices + h->n_times;
    if (read_offset(types, h, 0, &z->first_offset_s) != ERR_OK) {
        return ERR_SYNTAX;
    }
    z->changes = calloc(h->n_times + 1, sizeof *z->changes);
    if (z->changes == NULL) {
        return ERR_NOMEM;
    }
    offset_s = z->first_offset_s;
    for (size_t i = 0; i < h->n_times; i++) {
        int64_t at_s = big_endian_signed(times + i * time_size, time_size);
        if (at_s <= previous_s || at_s > TRANSITION_LIMIT ||
            read_offset(types, h, indices[i], &offset_s) != ERR_OK) {
            return ERR_SYNTAX;
        }
        add_change(z, at_s, offset_s);
        previous_s = at_s;
    }
    z->ruled_from_s = h->n_times == 0 ? ZONE_ALWAYS : previous_s;
    z->standard_s = offset_s;
    return ERR_OK;
}

/* Between two newlines, the last thing in the file; empty: the last offset stays for ever. */
static int read_footer_line(struct str in, struct zone *z)
{
    struct str line;

    if (!accept(&in, '\n') || in.n == 0 || in.p[in.n - 1] != '\n') {
        return ERR_SYNTAX;
    }
    line = (struct str){in.p, in.n - 1};
    return line.n == 0 ? ERR_OK : read_footer(line, z);
}

/* A file of version 2 and later holds everything twice: with times of 32 bits for old readers, then
 * with 64. */
static int read_file(struct str in, struct zone *z)
{
    struct header h;
    size_t time_size = 4;
    int err = read_header(&in, &h);

    if (err != ERR_OK) {
        return err;
    }
    if (h.version >= '2') {
        time_size = 8;
        if (take(&in, body_bytes(&h, 4)) == NULL || read_header(&in, &h) != ERR_OK) {
            return ERR_SYNTAX;
        }
    }
    /* A zone below right/ counts leap seconds; our instants (POSIX time) do not. */
    if (h.n_leap != 0) {
        return ERR_INVALID;
    }
    err = read_body(&in, &h, time_size, z);
    if (err == ERR_OK && time_size == 8) {
        err = read_footer_line(in, z);
    }
    return err;
}

int zone_parse(struct str tzif, struct zone **ret)
{
    struct zone *z = calloc(1, sizeof *z);
    int err = ERR_NOMEM;

    if (z == NULL) {
        return ERR_NOMEM;
    }
    err = read_file(tzif, z);
    if (err != ERR_OK) {
        zone_free(z);
        return err;
    }
    *ret = z;
    return ERR_OK;
}

void zone_free(struct zone *z)
{
    if (z == NULL) {
        return;
    }
    free(z->changes);
    free(z);
}

/* --- files ------------------------------------------------------------------------------------ */

/* No dot at all: so neither "." nor ".." nor zone.tab. No empty part: so no leading '/'. */
static bool is_zone_name(struct str name)
{
    if (name.n == 0 || name.n > NAME_MAX_LEN || name.p[name.n - 1] == '/' ||
        str_is(name, STR("localtime"))) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_slash = c == '/' && i > 0 && name.p[i - 1] != '/';
        if (!is_slash && !isalnum((unsigned char)c) && c != '_' && c != '-' && c != '+') {
            return false;
        }
    }
    return true;
}

/* Reads at most `size` bytes. */
static int read_all(int fd, char *to, size_t size, size_t *ret_n)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, to + n, size - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return ERR_IO;
        }
        if (got == 0) {
            break;
        }
        n += (size_t)got;
    }
    *ret_n = n;
    return ERR_OK;
}

static int load_fd(int fd, struct zone **ret)
{
    struct stat st;
    char *bytes = NULL;
    size_t n = 0;
    int err = ERR_OK;

    if (fstat(fd, &st) != 0) {
        return ERR_IO;
    }
    if (!S_ISREG(st.st_mode)) {
        return ERR_MISSING; /* "Europe" is a directory */
    }
    if (st.st_size > FILE_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    bytes = malloc((size_t)st.st_size + 1);
    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    err = read_all(fd, bytes, (size_t)st.st_size, &n);
    if (err == ERR_OK) {
        err = zone_parse((struct str){bytes, n}, ret);
    }
    free(bytes);
    return err;
}

static int make_utc(struct zone **ret)
{
    struct zone *z = calloc(1, sizeof *z);

    if (z == NULL) {
        return ERR_NOMEM;
    }
    z->ruled_from_s = ZONE_ALWAYS;
    *ret = z;
    return ERR_OK;
}

int zone_load(const char *name, struct zone **ret)
{
    char path[sizeof ZONE_DIRECTORY + NAME_MAX_LEN];
    struct str s = str_of(name);

    if (!is_zone_name(s)) {
        return ERR_INVALID;
    }
    if (str_is(s, STR("UTC")) || str_is(s, STR("Etc/UTC"))) {
        return make_utc(ret);
    }
    (void)snprintf(path, sizeof path, ZONE_DIRECTORY "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe there must not hang us */
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? ERR_MISSING : ERR_IO;
    }
    int err = load_fd(fd, ret);
    (void)close(fd); /* nothing was written */
    return err;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* How many changes lie at or before `when_s`. */
static size_t changes_until(const struct zone *z, int64_t when_s)
{
    size_t low = 0;
    size_t high = z->n_changes;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->changes[middle].at_s <= when_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct zone_span zone_span_at(const struct zone *z, int64_t when_s)
{
    struct zone_span span = {ZONE_ALWAYS, z->ruled_from_s, z->first_offset_s};

    if (when_s >= z->ruled_from_s) {
        return span_by_footer(z, when_s);
    }
    size_t i = changes_until(z, when_s);
    if (i > 0) {
        span.start_s = z->changes[i - 1].at_s;
        span.offset_s = z->changes[i - 1].offset_s;
    }
    if (i < z->n_changes) {
        span.end_s = z->changes[i].at_s;
    }
    return span;
}

int32_t zone_offset_s(const struct zone *z, struct wall when)
{
    return zone_span_at(z, civil_floor_div(when.ms, 1000)).offset_s;
}

void zone_format(const struct zone *z, struct wall when, char out[WALL_TEXT_SIZE])
{
    int minutes = zone_offset_s(z, when) / 60;
    unsigned int shown = (unsigned int)(minutes < 0 ? -minutes : minutes);
    char local[WALL_TEXT_SIZE];

    wall_format_seconds((struct wall){when.ms + (int64_t)minutes * 60000}, local);
    local[strlen(local) - 1] = '\0'; /* the Z */
    (void)snprintf(out, WALL_TEXT_SIZE, "%.19s%c%02u:%02u", local, minutes < 0 ? '-' : '+',
                   shown / 60, shown % 60);
}
