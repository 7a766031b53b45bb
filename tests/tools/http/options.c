/* SPDX-License-Identifier: Apache-2.0 */
#include "http/options.h"

#include "base/str.h"

#include <stdio.h>

static const struct option_row *row_of(const struct option_row *rows, struct str name)
{
    for (; rows->name != NULL; rows++) {
        if (str_is(name, str_of(rows->name))) {
            return rows;
        }
    }
    return NULL;
}

static int help(const struct option_row *rows, const char *program)
{
    (void)printf("usage: %s [--OPTION VALUE]...\n", program);
    for (; rows->name != NULL; rows++) {
        (void)printf("  --%-18s %s\n", rows->name, rows->help);
    }
    return ERR_CLOSED;
}

static int take(const struct option_row *row, const char *value)
{
    uint64_t number = 0;

    if (row->text != NULL) {
        *row->text = value;
        return ERR_OK;
    }
    if (str_to_u64(str_of(value), INT64_MAX, &number) != 0) {
        (void)fprintf(stderr, "--%s wants a number, not '%s'\n", row->name, value);
        return ERR_INVALID;
    }
    *row->number = (int64_t)number;
    return ERR_OK;
}

/* One option at argv[*i]; moves *i over a value that stands apart. */
static int parse_one(const struct option_row *rows, int argc, char **argv, int *i)
{
    struct str word = str_of(argv[*i]);
    struct str name = {NULL, 0};
    const struct option_row *row = NULL;

    if (str_starts(word, STR("--"))) {
        struct str rest = {word.p + 2, word.n - 2};
        (void)str_cut(&rest, '=', &name);
        row = row_of(rows, name);
    }
    if (row == NULL) {
        (void)fprintf(stderr, "unknown option: %s\n", argv[*i]);
        return ERR_INVALID;
    }
    if (row->flag != NULL) {
        *row->flag = true;
        return ERR_OK;
    }
    if (word.n > name.n + 2) {
        return take(row, word.p + name.n + 3);
    }
    if (*i + 1 >= argc) {
        (void)fprintf(stderr, "--%s wants a value\n", row->name);
        return ERR_INVALID;
    }
    return take(row, argv[++*i]);
}

int options_parse(const struct option_row *rows, int argc, char **argv)
{
    int rc = ERR_OK;

    for (int i = 1; i < argc && rc == 0; i++) {
        rc = str_is(str_of(argv[i]), STR("--help")) ? help(rows, argv[0])
                                                    : parse_one(rows, argc, argv, &i);
    }
    return rc;
}
