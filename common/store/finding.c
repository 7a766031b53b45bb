/* SPDX-License-Identifier: Apache-2.0 */
#include "store/finding.h"

#include "base/fault.h"
#include "base/random.h"
#include "base/str.h"
#include "store/sentinel.h"
#include "store/url.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Long for a question about memory in one network, short for a caller who waits. */
    SENTINEL_MS = 1000,
    /* A master that was replaced is left within this times the number of sentinels, and mostly
     * within one of it. */
    WATCH_MS = 1000
};

enum mode { RESTING, SEEKING, WATCHING };

/* Why a round gave nothing: the greatest stands. */
enum weight { NOTHING, SILENT, REFUSING, IGNORANT, OUTDATED };

struct store_finder {
    struct loop *loop;
    struct store_finder_calls calls;
    int64_t lookup_ms;
    struct redis_url *sentinels;
    size_t n_sentinels;
    char *master;

    enum mode mode;
    struct loop_timer *timer; /* to begin; to ask again; a lookup's bound */
    struct sentinel_ask *ask;
    struct loop_lookup *lookup;
    size_t at;       /* the sentinel that is asked next */
    size_t n_asked;  /* of this round */
    uint64_t newest; /* the greatest epoch that was told */

    char host[256]; /* what is sought or used, as it was told */
    char port[6];
    char other_host[256]; /* while watching: what was told instead */
    char other_port[6];
    struct loop_address in_use;

    enum weight weight;
    char why[256];
};

static void forget_questions(struct store_finder *f)
{
    sentinel_ask_free(f->ask);
    f->ask = NULL;
    loop_lookup_free(f->lookup);
    f->lookup = NULL;
    loop_timer_cancel(f->timer);
}

static void begin_round(struct store_finder *f, int64_t delay_ms)
{
    f->n_asked = 0;
    f->weight = NOTHING;
    f->why[0] = '\0';
    loop_timer_set(f->timer, delay_ms);
}

__attribute__((format(printf, 3, 4))) static void note(struct store_finder *f, enum weight weight,
                                                       const char *format, ...)
{
    va_list args;

    if (weight <= f->weight) {
        return;
    }
    f->weight = weight;
    va_start(args, format);
    (void)vsnprintf(f->why, sizeof f->why, format, args);
    va_end(args);
}

static void tell_none(struct store_finder *f)
{
    char why[sizeof f->why + 64];

    if (f->n_sentinels > 0) {
        (void)snprintf(why, sizeof why, "none of %zu sentinels tells the master: %s",
                       f->n_sentinels, f->why);
    } else {
        (void)snprintf(why, sizeof why, "%s", f->why);
    }
    store_finder_rest(f);
    f->calls.on_none(why, f->calls.arg);
}

/* Nobody told anything of use: the end of a search, but not of a watch. */
static void end_round(struct store_finder *f)
{
    if (f->mode == WATCHING) {
        begin_round(f, WATCH_MS);
        return;
    }
    if (f->weight == OUTDATED) {
        f->newest = 0;
    }
    tell_none(f);
}

/* What an address means. */

static bool is_in_use(const struct store_finder *f, const struct loop_address *a)
{
    return a->n == f->in_use.n && memcmp(&a->at, &f->in_use.at, a->n) == 0;
}

static void compare(struct store_finder *f, const struct loop_address *found, size_t n)
{
    char why[sizeof f->other_host + 64];

    for (size_t i = 0; i < n; i++) {
        if (is_in_use(f, &found[i])) { /* another word for the same */
            begin_round(f, WATCH_MS);
            return;
        }
    }
    (void)snprintf(why, sizeof why, "the sentinels tell another master: %s:%s", f->other_host,
                   f->other_port);
    store_finder_rest(f);
    f->calls.on_moved(why, f->calls.arg);
}

static void take_addresses(struct store_finder *f, const struct loop_address *found, size_t n)
{
    if (f->mode == WATCHING) {
        compare(f, found, n);
        return;
    }
    store_finder_rest(f);
    f->calls.on_found(found, n, f->calls.arg);
}

static void no_address(struct store_finder *f, const char *why)
{
    note(f, IGNORANT, "the name %s does not resolve: %s",
         f->mode == WATCHING ? f->other_host : f->host, why);
    end_round(f);
}

static void on_lookup(int rc, const struct loop_address *found, size_t n, void *arg)
{
    struct store_finder *f = arg;
    struct loop_address copy[LOOP_ADDRESSES];

    memcpy(copy, found, n * sizeof *found);
    forget_questions(f);
    if (rc == ERR_OK) {
        take_addresses(f, copy, n);
    } else {
        no_address(f, err_text(rc));
    }
}

static void resolve(struct store_finder *f, const char *host, const char *port)
{
    struct loop_address numeric;

    if (loop_lookup_numeric(host, port, &numeric) == ERR_OK) {
        take_addresses(f, &numeric, 1);
    } else if (loop_lookup_new(f->loop, host, port, on_lookup, f, &f->lookup) == ERR_OK) {
        loop_timer_set(f->timer, f->lookup_ms);
    } else {
        note(f, IGNORANT, "%s", err_text(ERR_NOMEM));
        end_round(f);
    }
}

/* What the sentinels say. */

static void ask_next(struct store_finder *f);

static void go_on(struct store_finder *f)
{
    if (f->n_asked < f->n_sentinels) {
        ask_next(f);
    } else {
        end_round(f);
    }
}

/* A master's address: what is sought, or the same as ever, or another. */
static void take_word(struct store_finder *f, const struct sentinel_answer *answer)
{
    if (f->mode == SEEKING) {
        (void)snprintf(f->host, sizeof f->host, "%s", answer->host);
        (void)snprintf(f->port, sizeof f->port, "%s", answer->port);
        resolve(f, f->host, f->port);
    } else if (strcmp(f->host, answer->host) == 0 && strcmp(f->port, answer->port) == 0) {
        begin_round(f, WATCH_MS);
    } else {
        (void)snprintf(f->other_host, sizeof f->other_host, "%s", answer->host);
        (void)snprintf(f->other_port, sizeof f->other_port, "%s", answer->port);
        resolve(f, f->other_host, f->other_port);
    }
}

static void on_answer(int rc, const struct sentinel_answer *answer, const char *why, void *arg)
{
    struct store_finder *f = arg;
    const struct redis_url *who = &f->sentinels[(f->at + f->n_sentinels - 1) % f->n_sentinels];

    if (rc != ERR_OK) {
        note(f,
             rc == ERR_MISSING  ? IGNORANT
             : rc == ERR_DENIED ? REFUSING
                                : SILENT,
             "%s:%s: %s", who->host, who->port, why);
        go_on(f);
    } else if (answer->epoch < f->newest && RULE(newest_sentinel)) {
        note(f, OUTDATED, "%s:%s: knows less than another did", who->host, who->port);
        go_on(f);
    } else {
        f->newest = answer->epoch;
        take_word(f, answer);
    }
}

static void ask_next(struct store_finder *f)
{
    const struct redis_url *who = &f->sentinels[f->at];

    sentinel_ask_free(f->ask);
    f->ask = NULL;
    f->at = (f->at + 1) % f->n_sentinels;
    f->n_asked++;
    if (sentinel_ask_new(f->loop, who, f->master, SENTINEL_MS, on_answer, f, &f->ask) != ERR_OK) {
        note(f, SILENT, "%s", err_text(ERR_NOMEM));
        end_round(f);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct store_finder *f = arg;

    (void)t;
    if (f->lookup != NULL) {
        forget_questions(f);
        no_address(f, "no answer in time");
    } else if (f->n_sentinels > 0) {
        ask_next(f);
    } else {
        resolve(f, f->host, f->port);
    }
}

/* From outside. */

void store_finder_rest(struct store_finder *f)
{
    f->mode = RESTING;
    forget_questions(f);
}

void store_finder_seek(struct store_finder *f)
{
    store_finder_rest(f);
    f->mode = SEEKING;
    begin_round(f, 0);
}

void store_finder_watch(struct store_finder *f, const struct loop_address *in_use)
{
    store_finder_rest(f);
    if (f->n_sentinels > 0) {
        f->mode = WATCHING;
        f->in_use = *in_use;
        begin_round(f, WATCH_MS);
    }
}

static int take_place(struct store_finder *f, const struct store_place *where)
{
    int rc = ERR_OK;

    if (where->n_sentinels == 0) {
        (void)snprintf(f->host, sizeof f->host, "%s", where->host);
        (void)snprintf(f->port, sizeof f->port, "%s", where->port);
        return ERR_OK;
    }
    f->master = str_dup(str_of(where->master));
    f->sentinels = calloc(where->n_sentinels, sizeof *f->sentinels);
    if (f->master == NULL || f->sentinels == NULL) {
        return ERR_NOMEM;
    }
    f->n_sentinels = where->n_sentinels;
    f->at = random_u64() % f->n_sentinels;
    for (size_t i = 0; i < f->n_sentinels && rc == ERR_OK; i++) {
        rc = redis_sentinel_parse(where->sentinels[i], &f->sentinels[i]);
    }
    return rc;
}

int store_finder_new(struct loop *l, const struct store_place *where,
                     const struct store_finder_calls *calls, struct store_finder **ret)
{
    struct store_finder *f = calloc(1, sizeof *f);

    if (f == NULL) {
        return ERR_NOMEM;
    }
    f->loop = l;
    f->calls = *calls;
    f->lookup_ms = where->lookup_ms;
    int rc = take_place(f, where);
    if (rc == ERR_OK) {
        rc = loop_timer_new(l, on_timer, f, &f->timer);
    }
    if (rc != ERR_OK) {
        store_finder_free(f);
        return rc;
    }
    *ret = f;
    return ERR_OK;
}

void store_finder_free(struct store_finder *f)
{
    if (f == NULL) {
        return;
    }
    sentinel_ask_free(f->ask);
    loop_lookup_free(f->lookup);
    loop_timer_free(f->timer);
    free(f->sentinels);
    free(f->master);
    free(f);
}
