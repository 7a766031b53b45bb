/* SPDX-License-Identifier: Apache-2.0 */
#include "dead_filter.h"

#include "base/clock.h"
#include "query.h"

#include <inttypes.h>
#include <stdio.h>

/* The characters of a name of a job. */
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz234567"

typedef const char *(*read_fn)(struct str value, struct dead_filter *f);

static bool copy(struct str value, char *to, size_t room)
{
    bool fits = value.n > 0 && value.n < room && memchr(value.p, 0, value.n) == NULL;

    if (fits) {
        memcpy(to, value.p, value.n);
        to[value.n] = '\0';
    }
    return fits;
}

static const char *read_tenant(struct str value, struct dead_filter *f)
{
    return copy(value, f->tenant, sizeof f->tenant) ? NULL : "tenant is not a tenant's name.";
}

static const char *read_state(struct str value, struct dead_filter *f)
{
    bool is_known = str_is(value, STR("failed")) || str_is(value, STR("in_doubt"));

    return is_known && copy(value, f->state, sizeof f->state)
               ? NULL
               : "state must be failed or in_doubt: nothing else is on the shelf.";
}

static const char *read_error(struct str value, struct dead_filter *f)
{
    return copy(value, f->error, sizeof f->error)
               ? NULL
               : "error must be one of the error words, as attempts_used_up.";
}

static const char *read_label(struct str value, struct dead_filter *f)
{
    struct str rest = value;
    struct str name = {"", 0};

    (void)str_cut(&rest, ':', &name);
    return rest.p != NULL && copy(name, f->label_name, sizeof f->label_name) &&
                   copy(rest, f->label_value, sizeof f->label_value)
               ? NULL
               : "label must be NAME:VALUE.";
}

static const char *read_time(struct str value, int64_t *ret_ms)
{
    struct wall when;

    if (wall_parse(value.p, value.n, &when) != ERR_OK || when.ms < 0) {
        return "before and after must be times (RFC 3339), as 2026-03-29T01:00:00Z.";
    }
    *ret_ms = when.ms;
    return NULL;
}

static const char *read_before(struct str value, struct dead_filter *f)
{
    return read_time(value, &f->bound_ms);
}

static const char *read_after(struct str value, struct dead_filter *f)
{
    return read_time(value, &f->after_ms);
}

static const char *read_limit(struct str value, struct dead_filter *f)
{
    return str_to_u64(value, DEAD_COUNT, &f->limit) == ERR_OK && f->limit > 0
               ? NULL
               : "limit must be a whole number of at least 1, and not that large.";
}

static const char *read_dry_run(struct str value, struct dead_filter *f)
{
    f->is_dry_run = str_is(value, STR("1"));
    return f->is_dry_run || str_is(value, STR("0")) ? NULL : "dry_run must be 1 or 0.";
}

/* "<bound>-<time>-<name>", as dead_cursor_print writes it. */
static const char *read_cursor(struct str value, struct dead_filter *f)
{
    struct str rest = value;
    struct str piece[3] = {{"", 0}, {"", 0}, {"", 0}};

    for (size_t i = 0; i < 3 && str_cut(&rest, '-', &piece[i]); i++) {
    }
    bool is_sound = rest.p == NULL && str_to_i64(piece[0], &f->bound_ms) == ERR_OK &&
                    str_to_i64(piece[1], &f->last_ms) == ERR_OK &&
                    copy(piece[2], f->last_name, sizeof f->last_name) &&
                    strspn(f->last_name, NAME_CHARACTERS) == piece[2].n;
    return is_sound ? NULL : "cursor must be one that an earlier answer named.";
}

static const struct {
    const char *name;
    read_fn read;
    bool is_of_redrive; /* only known there */
} known[] = {
    {"tenant", read_tenant, false}, {"state", read_state, false},
    {"error", read_error, false},   {"label", read_label, false},
    {"after", read_after, false},   {"before", read_before, false},
    {"limit", read_limit, false},   {"dry_run", read_dry_run, true},
    {"cursor", read_cursor, false}, /* after before: its bound is the one that counts */
};
enum { KNOWN = sizeof known / sizeof known[0] };

/* Takes one parameter into its place. */
static const char *take(struct str name, struct str value, bool is_redrive, struct buf at[KNOWN])
{
    for (size_t i = 0; i < KNOWN; i++) {
        if (!str_is(name, str_of(known[i].name)) || (known[i].is_of_redrive && !is_redrive)) {
            continue;
        }
        if (at[i].n > 0) {
            return "Each parameter is taken once.";
        }
        buf_str(&at[i], value);
        return value.n > 0 ? NULL : "A parameter has no value.";
    }
    return is_redrive ? "Only tenant, state, error, label, after, before, limit, cursor and "
                        "dry_run are known."
                      : "Only tenant, state, error, label, after, before, limit and cursor are "
                        "known.";
}

static const char *take_all(struct str query, bool is_redrive, struct buf at[KNOWN])
{
    struct buf name = {0};
    struct buf value = {0};
    const char *why = NULL;
    int rc = ERR_OK;

    while (why == NULL && (rc = query_next(&query, &name, &value)) == ERR_OK) {
        why = take(buf_as_str(&name), buf_as_str(&value), is_redrive, at);
    }
    if (why == NULL && rc != ERR_MISSING) {
        why = "The query is not well formed: '%' needs two hexadecimal digits.";
    }
    buf_fini(&name);
    buf_fini(&value);
    return why;
}

static const char *check(struct dead_filter *f, bool is_redrive)
{
    uint64_t usual = is_redrive ? f->is_dry_run ? DEAD_COUNT : DEAD_REDRIVE : DEAD_LIST;
    uint64_t most = is_redrive ? f->is_dry_run ? DEAD_COUNT : DEAD_REDRIVE_MAX : DEAD_LIST_MAX;

    if (f->tenant[0] == '\0') {
        return "Name the tenant, as ?tenant=NAME.";
    }
    f->limit = f->limit == 0 ? usual : f->limit;
    if (f->limit > most) {
        return is_redrive ? "limit is at most 10000, with dry_run 100000: go on with the cursor."
                          : "limit is at most 500: go on with the cursor.";
    }
    if (is_redrive && f->state[0] == '\0') {
        /* Whether what is in doubt may run again is a person's decision, to be said. */
        (void)snprintf(f->state, sizeof f->state, "failed");
    }
    return NULL;
}

const char *dead_filter_read(struct str query, bool is_redrive, struct dead_filter *ret)
{
    struct buf at[KNOWN] = {{0}};
    const char *why;

    *ret = (struct dead_filter){.after_ms = -1, .bound_ms = -1, .last_ms = -1};
    why = take_all(query, is_redrive, at);
    for (size_t i = 0; why == NULL && i < KNOWN; i++) {
        why = at[i].n > 0 ? known[i].read(buf_as_str(&at[i]), ret) : NULL;
    }
    for (size_t i = 0; i < KNOWN; i++) {
        buf_fini(&at[i]);
    }
    return why != NULL ? why : check(ret, is_redrive);
}

void dead_cursor_print(int64_t bound_ms, int64_t last_ms, struct str last_name,
                       char out[DEAD_CURSOR_SIZE])
{
    (void)snprintf(out, DEAD_CURSOR_SIZE, "%" PRId64 "-%" PRId64 "-%.*s", bound_ms, last_ms,
                   STR_ARG(last_name));
}
