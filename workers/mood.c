/* SPDX-License-Identifier: Apache-2.0 */
#include "mood.h"

#include "job/answer.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>

enum { DAY_S = 86400 };

/* A whole number at the beginning; −1 without one. What follows a point is dropped: upwards, so
 * that nobody comes too early. */
static int64_t seconds_of(struct str s)
{
    size_t n = 0;
    uint64_t value = 0;

    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9') {
        n++;
    }
    if (n == 0) {
        return -1;
    }
    int rc = str_to_u64((struct str){s.p, n}, DAY_S, &value);
    bool has_fraction = n + 1 < s.n && s.p[n] == '.';
    return rc != ERR_OK ? DAY_S : (int64_t)value + (has_fraction && value < DAY_S ? 1 : 0);
}

static struct str trimmed(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = (struct str){s.p + 1, s.n - 1};
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* The next piece up to `separator` outside of quotes. */
static bool next_piece(struct str *rest, char separator, struct str *ret)
{
    bool is_quoted = false;
    size_t n = 0;

    if (rest->n == 0) {
        return false;
    }
    while (n < rest->n && (is_quoted || rest->p[n] != separator)) {
        if (rest->p[n] == '\\' && is_quoted && n + 1 < rest->n) {
            n++;
        } else if (rest->p[n] == '"') {
            is_quoted = !is_quoted;
        }
        n++;
    }
    *ret = trimmed((struct str){rest->p, n});
    *rest = n < rest->n ? (struct str){rest->p + n + 1, rest->n - n - 1} : (struct str){rest->p, 0};
    return true;
}

struct quota {
    int64_t left, reset; /* −1: not said */
};

static void take_parameter(struct str piece, struct quota *q)
{
    static const struct str left[] = {{"r=", 2}, {"remaining=", 10}};
    static const struct str reset[] = {{"t=", 2}, {"reset=", 6}};

    for (size_t i = 0; i < 2; i++) {
        if (str_starts(piece, left[i])) {
            q->left = seconds_of((struct str){piece.p + left[i].n, piece.n - left[i].n});
        } else if (str_starts(piece, reset[i])) {
            q->reset = seconds_of((struct str){piece.p + reset[i].n, piece.n - reset[i].n});
        }
    }
}

static int64_t reset_of(const struct quota *q)
{
    return q->left == 0 && q->reset > 0 ? q->reset : 0;
}

/* "default";r=0;t=30, "day";r=5 — a list, each item a quota of its own; or, as older drafts had it,
 * limit=10, remaining=0, reset=30: all of one. */
static int64_t rate_limit_s(struct str value)
{
    struct quota together = {-1, -1};
    struct str item;
    int64_t s = 0;

    while (next_piece(&value, ',', &item)) {
        struct quota q = {-1, -1};
        struct str piece;
        while (next_piece(&item, ';', &piece)) {
            take_parameter(piece, &q);
            take_parameter(piece, &together);
        }
        s = reset_of(&q) > s ? reset_of(&q) : s;
        /* An item of both is a quota of its own. */
        together = q.left >= 0 && q.reset >= 0 ? (struct quota){-1, -1} : together;
    }
    return reset_of(&together) > s ? reset_of(&together) : s;
}

int64_t mood_cooling_ms(int status, struct str head, struct wall now)
{
    bool is_refusal = status == 429 || status == 503;
    int64_t ms = is_refusal ? verdict_retry_after_ms(head, now) : 0;
    struct quota q = {-1, -1};
    int64_t s = 0;
    struct str name;
    struct str value;

    while (job_head_next(&head, &name, &value)) {
        if (str_is_nocase(name, STR("ratelimit"))) {
            int64_t own = rate_limit_s(value);
            s = own > s ? own : s;
        } else if (str_is_nocase(name, STR("ratelimit-remaining"))) {
            q.left = seconds_of(value);
        } else if (str_is_nocase(name, STR("ratelimit-reset"))) {
            q.reset = seconds_of(value);
        }
    }
    s = reset_of(&q) > s ? reset_of(&q) : s;
    return s * 1000 > ms ? s * 1000 : ms;
}

static bool is_one_of(const char *error, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(str_of(error), str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_timeout(const char *error)
{
    static const char *const words[] = {"connect_timeout", "timeout_first_byte", "timeout_total"};

    return is_one_of(error, words, sizeof words / sizeof words[0]);
}

/* Not sent for a reason of our own. */
static bool is_our_own(const char *error)
{
    static const char *const words[] = {"not_sent", "aborted"};

    return is_one_of(error, words, sizeof words / sizeof words[0]);
}

struct mood mood_of(const struct httpc_result *r, struct wall now)
{
    struct mood m = {.breaker = STR("none"), .load = STR("none"), .took_ms = r->took_ms};

    if (r->kind != HTTPC_ANSWERED) {
        m.breaker = is_our_own(r->error) ? m.breaker : STR("bad");
        m.load = is_timeout(r->error) ? STR("busy") : m.load;
        return m;
    }
    bool is_refusal = r->status == 429 || r->status == 503;
    m.cool_ms = mood_cooling_ms(r->status, r->head, now);
    if (!is_refusal || m.cool_ms == 0) {
        m.breaker = r->status >= 500 ? STR("bad") : STR("good");
    }
    m.load = is_refusal ? STR("busy") : r->status < 500 ? STR("good") : m.load;
    return m;
}

void mood_add_policies(const struct tenant *t, struct mood_policies *ret, struct store_args *a)
{
    if (t->breaker.is_set) {
        (void)snprintf(ret->breaker, sizeof ret->breaker, "%.6f %u %" PRId64 " %" PRId64 " %u",
                       t->breaker.failure_ratio, (unsigned int)t->breaker.minimum_calls,
                       t->breaker.window_ms, t->breaker.open_ms, (unsigned int)t->breaker.probes);
        store_args_add(a, STR("breaker"));
        store_args_add(a, str_of(ret->breaker));
    }
    if (t->adaptive.is_enabled) {
        (void)snprintf(ret->adaptive, sizeof ret->adaptive, "%u %u",
                       (unsigned int)t->adaptive.minimum, (unsigned int)t->adaptive.maximum);
        store_args_add(a, STR("adaptive"));
        store_args_add(a, str_of(ret->adaptive));
    }
}

void mood_add(const struct mood *m, const struct tenant *t, struct store_args *a)
{
    if (m->cool_ms > 0) {
        store_args_add(a, STR("cool"));
        store_args_number(a, m->cool_ms);
        store_args_add(a, STR("cools"));
        store_args_add(a, t->cools_tenant ? STR("tenant") : STR("instance"));
    }
    store_args_add(a, STR("call"));
    store_args_add(a, m->breaker);
    store_args_add(a, STR("load"));
    store_args_add(a, m->load);
    store_args_add(a, STR("took"));
    store_args_number(a, m->took_ms);
}
