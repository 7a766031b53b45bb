/* SPDX-License-Identifier: Apache-2.0 */
/* civil — the proleptic Gregorian calendar as arithmetic: days since 1970-01-01 to year, month, day
 * and back, without tables of years, time zones or a libc. Pure; every year an int64_t can count.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CIVIL_DAY_S = 86400 };

struct civil {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

/* Division that rounds towards the past, which is what times before 1970 need. `by` > 0. */
static inline int64_t civil_floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

static inline bool civil_is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static inline int civil_month_days(int64_t year, int month)
{
    /* Two bits a month: what it has over 28 days. */
    const unsigned int extra = 0x3bbeeccu;

    return 28 + (int)((extra >> (2 * month)) & 3u) + (month == 2 && civil_is_leap(year) ? 1 : 0);
}

/* A year that begins in March puts the leap day last, and its months into one linear formula;
 * 400 of them are an era of 146,097 days. 719,468 is the day number of 1970-01-01 from 0000-03-01.
 */
static inline int64_t civil_to_days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2 ? 1 : 0);
    int64_t era = civil_floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static inline struct civil civil_of_days(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = civil_floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (int)((5 * doy + 2) / 153);
    int month = mp < 10 ? mp + 3 : mp - 9;

    return (struct civil){yoe + era * 400 + (month <= 2 ? 1 : 0), month,
                          (int)(doy - (153 * mp + 2) / 5 + 1)};
}

/* 0 is Sunday. 1970-01-01 was a Thursday. */
static inline int civil_weekday(int64_t days)
{
    return (int)(days + 4 - civil_floor_div(days + 4, 7) * 7);
}
