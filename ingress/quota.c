/* SPDX-License-Identifier: Apache-2.0 */
#include "quota.h"

#include "store/args.h"

#include <inttypes.h>
#include <stdio.h>

enum { KEY_SIZE = 160, NUMBER_SIZE = 32 };

int quota_charge(struct store *s, struct str caller, const struct tenant_rate *rate, store_cb cb,
                 void *arg)
{
    char tag[KEY_SIZE];
    char limit[NUMBER_SIZE];
    char burst[NUMBER_SIZE];
    struct store_args a = {0};

    (void)snprintf(tag, sizeof tag, "quota:%.*s", STR_ARG(caller));
    (void)snprintf(limit, sizeof limit, "%.6f", rate->limit);
    (void)snprintf(burst, sizeof burst, "%.6f", rate->burst);
    store_args_add(&a, str_of(limit));
    store_args_number(&a, rate->period_ms);
    store_args_add(&a, str_of(burst));
    return store_call_tenant(s, STORE_QUOTA, str_of(tag), a.at, a.n, cb, arg);
}

bool quota_read(const struct store_value *v, const struct tenant_rate *rate, struct quota *ret)
{
    struct str word = store_word(v, 0);
    bool is_over = str_is(word, STR("no"));

    if (!is_over && !str_is(word, STR("ok"))) {
        return false;
    }
    *ret = (struct quota){.is_set = true,
                          .rate = *rate,
                          .left = store_number(v, 1),
                          .reset_ms = store_number(v, 2),
                          .next_ms = store_number(v, 3)};
    if (is_over && ret->next_ms < 1) {
        ret->next_ms = 1;
    }
    return true;
}

static int64_t seconds_up(int64_t ms)
{
    return (ms + 999) / 1000;
}

size_t quota_fields(const struct quota *q, char texts[QUOTA_FIELDS][QUOTA_TEXT_SIZE],
                    struct httpd_field to[QUOTA_FIELDS])
{
    if (!q->is_set) {
        return 0;
    }
    /* Whole numbers: a limit of less than one call a period is one in more of them. */
    int64_t scale = q->rate.limit < 1 ? (int64_t)(1 / q->rate.limit + 0.5) : 1;
    int64_t calls = q->rate.limit < 1 ? 1 : (int64_t)q->rate.limit;
    (void)snprintf(texts[0], QUOTA_TEXT_SIZE, "\"key\";q=%" PRId64 ";w=%" PRId64, calls,
                   seconds_up(q->rate.period_ms * scale));
    (void)snprintf(texts[1], QUOTA_TEXT_SIZE, "\"key\";r=%" PRId64 ";t=%" PRId64, q->left,
                   seconds_up(q->next_ms > 0 ? q->next_ms : q->reset_ms));
    to[0] = (struct httpd_field){STR("RateLimit-Policy"), str_of(texts[0])};
    to[1] = (struct httpd_field){STR("RateLimit"), str_of(texts[1])};
    return QUOTA_FIELDS;
}
