/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include <stdlib.h>

enum { NEAR = 2, DISTANCE_MAX = 64 };
static const uint64_t seconds_most = 10ull * 366 * 86400;

struct args_given {
    const struct flag *flag;
    const char *value;
};

int args_seconds(struct str text, int64_t *ret_ms)
{
    struct str rest = text;
    struct str whole;
    uint64_t seconds = 0;
    uint64_t ms = 0;

    if (!str_cut(&rest, '.', &whole)) {
        return ERR_SYNTAX;
    }
    int rc = str_to_u64(whole, seconds_most, &seconds);
    bool has_point = whole.n < text.n;
    if (rc == ERR_OK && has_point && rest.n == 0) {
        rc = ERR_SYNTAX;
    }
    for (size_t i = 0; rc == ERR_OK && has_point && i < rest.n; i++) {
        if (rest.p[i] < '0' || rest.p[i] > '9') {
            rc = ERR_SYNTAX;
        }
    }
    if (rc != ERR_OK) {
        return rc;
    }
    for (size_t i = 0; i < 3; i++) {
        ms = ms * 10 + (has_point && i < rest.n ? (uint64_t)(rest.p[i] - '0') : 0);
    }
    *ret_ms = (int64_t)(seconds * 1000 + ms);
    return ERR_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's, with one row. */
size_t args_distance(struct str a, struct str b)
{
    size_t row[DISTANCE_MAX];

    if (a.n >= DISTANCE_MAX || b.n >= DISTANCE_MAX) {
        return DISTANCE_MAX;
    }
    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j];
            size_t changed = corner + (a.p[i - 1] == b.p[j - 1] ? 0 : 1);
            row[j] = least(changed, least(above, row[j - 1]) + 1);
            corner = above;
        }
    }
    return row[b.n];
}

static bool is_named(const struct flag *f, struct str name)
{
    return str_is(str_of(f->name), name) || (f->alias != NULL && str_is(str_of(f->alias), name)) ||
           (f->letter != 0 && name.n == 2 && name.p[0] == '-' && name.p[1] == f->letter);
}

static const struct flag *find(const struct flags *sets, size_t n_sets, struct str name)
{
    for (size_t s = 0; s < n_sets; s++) {
        for (size_t i = 0; i < sets[s].n; i++) {
            if (is_named(&sets[s].at[i], name)) {
                return &sets[s].at[i];
            }
        }
    }
    return NULL;
}

static void refuse_unknown(const struct flags *sets, size_t n_sets, struct str name,
                           struct buf *why)
{
    const char *nearest = NULL;
    size_t nearest_by = NEAR + 1;

    buf_printf(why, "unknown flag %.*s", STR_ARG(name));
    for (size_t s = 0; s < n_sets; s++) {
        for (size_t i = 0; i < sets[s].n; i++) {
            const char *known[] = {sets[s].at[i].name, sets[s].at[i].alias};
            for (size_t k = 0; k < 2 && known[k] != NULL; k++) {
                size_t by = args_distance(name, str_of(known[k]));
                nearest = by < nearest_by ? known[k] : nearest;
                nearest_by = least(by, nearest_by);
            }
        }
    }
    if (nearest != NULL) {
        buf_printf(why, " (did you mean %s?)", nearest);
    }
}

static int check_value(const struct flag *f, const char *value, struct buf *why)
{
    int64_t ms;
    uint64_t count;

    if (f->kind == FLAG_SECONDS && args_seconds(str_of(value), &ms) != ERR_OK) {
        buf_printf(why, "%s takes seconds, as 5 or 0.25, not \"%s\"", f->name, value);
        return ERR_INVALID;
    }
    uint64_t least_count = f->kind == FLAG_COUNT ? 1 : 0;
    if ((f->kind == FLAG_COUNT || f->kind == FLAG_WHOLE) &&
        (str_to_u64(str_of(value), UINT32_MAX, &count) != ERR_OK || count < least_count)) {
        buf_printf(why, "%s takes a whole number from %d, not \"%s\"", f->name, (int)least_count,
                   value);
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* argv[i] is a flag; returns how many of argv it took, or an error. */
static int take_flag(const struct flags *sets, size_t n_sets, int argc, char **argv, int i,
                     struct args *a, struct buf *why)
{
    const char *equals = argv[i][1] == '-' ? strchr(argv[i], '=') : NULL;
    struct str name = {argv[i], equals == NULL ? strlen(argv[i]) : (size_t)(equals - argv[i])};
    const struct flag *f = find(sets, n_sets, name);
    const char *value = equals == NULL ? NULL : equals + 1;
    int used = 1;

    if (f == NULL) {
        refuse_unknown(sets, n_sets, name, why);
        return ERR_INVALID;
    }
    if (f->kind == FLAG_SWITCH && value != NULL) {
        buf_printf(why, "%s takes no value", f->name);
        return ERR_INVALID;
    }
    if (f->kind != FLAG_SWITCH && value == NULL) {
        if (i + 1 >= argc) {
            buf_printf(why, "%s needs a value (%s)", f->name, f->value);
            return ERR_INVALID;
        }
        value = argv[i + 1];
        used = 2;
    }
    int rc = check_value(f, value, why);
    if (rc != ERR_OK) {
        return rc;
    }
    a->given[a->n_given++] = (struct args_given){f, value};
    return used;
}

static bool is_flag(const char *text)
{
    return text[0] == '-' && text[1] != '\0';
}

static int read_all(const struct flags *sets, size_t n_sets, int argc, char **argv,
                    bool stops_at_word, struct args *a, int *ret_used, struct buf *why)
{
    bool are_over = false;
    int i = 0;

    while (i < argc) {
        if (!are_over && strcmp(argv[i], "--") == 0) {
            are_over = true;
            i++;
        } else if (!are_over && is_flag(argv[i])) {
            int used = take_flag(sets, n_sets, argc, argv, i, a, why);
            if (used < 0) {
                return used;
            }
            i += used;
        } else if (stops_at_word) {
            break;
        } else {
            a->words[a->n_words++] = argv[i++];
        }
    }
    *ret_used = i;
    return ERR_OK;
}

int args_parse(struct flags own, struct flags common, int argc, char **argv, bool stops_at_word,
               struct args *ret, int *ret_used, struct buf *why)
{
    struct flags sets[] = {own, common};
    size_t room = argc > 0 ? (size_t)argc : 1;
    int used = 0;

    *ret = (struct args){.words = calloc(room, sizeof *ret->words),
                         .given = calloc(room, sizeof *ret->given)};
    if (ret->words == NULL || ret->given == NULL) {
        return ERR_NOMEM;
    }
    int rc = read_all(sets, 2, argc, argv, stops_at_word, ret, &used, why);
    if (rc == ERR_OK && ret_used != NULL) {
        *ret_used = used;
    }
    return rc;
}

void args_fini(struct args *a)
{
    free(a->words);
    free(a->given);
    *a = (struct args){0};
}

static const struct args_given *last(const struct args *a, const char *name)
{
    for (size_t i = a->n_given; i > 0; i--) {
        if (strcmp(a->given[i - 1].flag->name, name) == 0) {
            return &a->given[i - 1];
        }
    }
    return NULL;
}

bool args_has(const struct args *a, const char *name)
{
    return last(a, name) != NULL;
}

const char *args_text(const struct args *a, const char *name)
{
    const struct args_given *g = last(a, name);

    return g == NULL ? NULL : g->value;
}

int64_t args_ms(const struct args *a, const char *name, int64_t otherwise)
{
    const char *text = args_text(a, name);
    int64_t ms = otherwise;

    return text != NULL && args_seconds(str_of(text), &ms) == ERR_OK ? ms : otherwise;
}

uint64_t args_count(const struct args *a, const char *name, uint64_t otherwise)
{
    const char *text = args_text(a, name);
    uint64_t n = otherwise;

    return text != NULL && str_to_u64(str_of(text), UINT32_MAX, &n) == ERR_OK ? n : otherwise;
}

const char *args_next(const struct args *a, const char *name, size_t *cursor)
{
    while (*cursor < a->n_given) {
        const struct args_given *g = &a->given[(*cursor)++];
        if (strcmp(g->flag->name, name) == 0) {
            return g->value;
        }
    }
    return NULL;
}
