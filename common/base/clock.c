/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/err.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct mono clock_mono(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (struct mono){(int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
}

struct wall clock_wall(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (struct wall){(int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000};
}

int64_t mono_since_ms(struct mono earlier, struct mono later)
{
    return (later.ns - earlier.ns) / 1000000;
}

struct mono mono_plus_ms(struct mono from, int64_t ms)
{
    return (struct mono){from.ns + ms * 1000000};
}

/* Splits into calendar fields and the rest in milliseconds (0 to 999). */
static int wall_split(struct wall when, struct tm *tm)
{
    int64_t seconds = when.ms / 1000;
    int rest = (int)(when.ms % 1000);

    if (rest < 0) {
        rest += 1000;
        seconds -= 1;
    }
    time_t t = (time_t)seconds;
    (void)gmtime_r(&t, tm);
    return rest;
}

/* The last `digits` digits of a value's magnitude, and what stands after them. */
static char *put_digits(char *to, int value, int digits, char after)
{
    unsigned int rest = value < 0 ? 0U - (unsigned int)value : (unsigned int)value;

    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + rest % 10);
        rest /= 10;
    }
    to[digits] = after;
    return to + digits + 1;
}

static void wall_print(struct wall when, char out[WALL_TEXT_SIZE], bool with_ms)
{
    struct tm tm;
    int ms = wall_split(when, &tm);
    char *to = out;

    to = put_digits(to, tm.tm_year + 1900, 4, '-');
    to = put_digits(to, tm.tm_mon + 1, 2, '-');
    to = put_digits(to, tm.tm_mday, 2, 'T');
    to = put_digits(to, tm.tm_hour, 2, ':');
    to = put_digits(to, tm.tm_min, 2, ':');
    to = put_digits(to, tm.tm_sec, 2, with_ms ? '.' : 'Z');
    to = with_ms ? put_digits(to, ms, 3, 'Z') : to;
    *to = '\0';
}

void wall_format(struct wall when, char out[WALL_TEXT_SIZE])
{
    wall_print(when, out, /* with_ms= */ true);
}

void wall_format_seconds(struct wall when, char out[WALL_TEXT_SIZE])
{
    wall_print(when, out, /* with_ms= */ false);
}

/* Reads exactly `digits` decimal digits; -1 when they are not there. */
static int read_digits(const char **at, const char *end, int digits)
{
    int value = 0;

    for (int i = 0; i < digits; i++) {
        if (*at == end || !isdigit((unsigned char)**at)) {
            return -1;
        }
        value = value * 10 + (*(*at)++ - '0');
    }
    return value;
}

static bool skip(const char **at, const char *end, char a, char b)
{
    if (*at == end || (**at != a && **at != b)) {
        return false;
    }
    ++*at;
    return true;
}

/* The fraction after the dot as milliseconds, cut, not rounded; -1 when there is no digit. */
static int read_fraction(const char **at, const char *end)
{
    int value = 0;
    int digits = 0;

    while (*at != end && isdigit((unsigned char)**at)) {
        if (digits < 3) {
            value = value * 10 + (**at - '0');
        }
        digits++;
        ++*at;
    }
    if (digits == 0) {
        return -1;
    }
    for (; digits < 3; digits++) {
        value *= 10;
    }
    return value;
}

/* "Z" or "+hh:mm" as milliseconds east of UTC. */
static int read_offset(const char **at, const char *end, int64_t *ret_ms)
{
    if (skip(at, end, 'Z', 'z')) {
        *ret_ms = 0;
        return ERR_OK;
    }
    if (*at == end || (**at != '+' && **at != '-')) {
        return ERR_SYNTAX;
    }
    int sign = **at == '-' ? -1 : 1;
    ++*at;
    int hours = read_digits(at, end, 2);
    if (hours < 0 || hours > 23 || !skip(at, end, ':', ':')) {
        return ERR_SYNTAX;
    }
    int minutes = read_digits(at, end, 2);
    if (minutes < 0 || minutes > 59) {
        return ERR_SYNTAX;
    }
    *ret_ms = (int64_t)sign * (hours * 60 + minutes) * 60000;
    return ERR_OK;
}

static bool is_real_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (month < 1 || month > 12 || day < 1) {
        return false;
    }
    return day <= days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

int wall_parse(const char *text, size_t n, struct wall *ret)
{
    const char *at = text;
    const char *end = text + n;
    struct tm tm = {0};
    int ms = 0;
    int64_t offset_ms = 0;

    int year = read_digits(&at, end, 4);
    if (year < 0 || !skip(&at, end, '-', '-')) {
        return ERR_SYNTAX;
    }
    int month = read_digits(&at, end, 2);
    if (!skip(&at, end, '-', '-')) {
        return ERR_SYNTAX;
    }
    int day = read_digits(&at, end, 2);
    if (!is_real_day(year, month, day) || !skip(&at, end, 'T', 't')) {
        return ERR_SYNTAX;
    }
    tm.tm_hour = read_digits(&at, end, 2);
    if (!skip(&at, end, ':', ':')) {
        return ERR_SYNTAX;
    }
    tm.tm_min = read_digits(&at, end, 2);
    if (!skip(&at, end, ':', ':')) {
        return ERR_SYNTAX;
    }
    tm.tm_sec = read_digits(&at, end, 2);
    if (tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
        tm.tm_sec > 60) {
        return ERR_SYNTAX;
    }
    if (skip(&at, end, '.', '.')) {
        ms = read_fraction(&at, end);
        if (ms < 0) {
            return ERR_SYNTAX;
        }
    }
    if (read_offset(&at, end, &offset_ms) != ERR_OK || at != end) {
        return ERR_SYNTAX;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    ret->ms = (int64_t)timegm(&tm) * 1000 + ms - offset_ms;
    return ERR_OK;
}
