/* SPDX-License-Identifier: Apache-2.0 */
#include "grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { GAP = 2, TEXT_SIZE = 256 };

void grid_init(struct grid *t, const struct column *columns, size_t n_columns)
{
    *t = (struct grid){.columns = columns, .n_columns = n_columns};
}

void grid_fini(struct grid *t)
{
    buf_fini(&t->cells);
}

/* How many bytes of valid UTF-8 begin at `s`: 1 to 4, or 0. */
static size_t step_of(struct str s)
{
    for (size_t n = 1; n <= 4 && n <= s.n; n++) {
        if (str_is_utf8((struct str){s.p, n})) {
            return n;
        }
    }
    return 0;
}

/* C0, DEL, and C1 (U+0080 to U+009F), which some terminals obey, too. */
static bool is_control(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    unsigned char next = n == 2 ? (unsigned char)p[1] : 0;

    return n == 1 ? c < 0x20 || c == 0x7F : n == 2 && c == 0xC2 && next < 0xA0;
}

void grid_clean(struct str text, struct buf *out)
{
    while (text.n > 0) {
        size_t step = step_of(text);
        if (step == 0 || is_control(text.p, step)) {
            buf_char(out, '?');
        } else {
            buf_add(out, text.p, step);
        }
        step = step == 0 ? 1 : step;
        text.p += step;
        text.n -= step;
    }
}

void grid_add(struct grid *t, struct str text)
{
    if (text.n == 0) {
        buf_char(&t->cells, '-');
    }
    grid_clean(text, &t->cells);
    buf_char(&t->cells, '\0');
}

void grid_printf(struct grid *t, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    grid_add(t, str_of(text));
}

/* In characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return n;
}

static void pad(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_char(out, ' ');
    }
}

static void print_cell(const struct grid *t, size_t column, const char *text, size_t width,
                       struct buf *out)
{
    bool is_last = column + 1 == t->n_columns;
    size_t missing = width - width_of(text);

    if (t->columns[column].is_right) {
        pad(out, missing);
        buf_text(out, text);
    } else {
        buf_text(out, text);
        pad(out, is_last ? 0 : missing);
    }
    if (is_last) {
        buf_char(out, '\n');
    } else {
        pad(out, GAP);
    }
}

static const char *end_of(const struct grid *t)
{
    return t->cells.p + t->cells.n;
}

static void measure(const struct grid *t, bool has_names, size_t *widths)
{
    size_t column = 0;

    for (size_t i = 0; has_names && i < t->n_columns; i++) {
        widths[i] = width_of(t->columns[i].name);
    }
    for (const char *p = t->cells.p; p != NULL && p < end_of(t); p += strlen(p) + 1) {
        size_t width = width_of(p);
        widths[column] = width > widths[column] ? width : widths[column];
        column = (column + 1) % t->n_columns;
    }
}

void grid_print(const struct grid *t, struct buf *out)
{
    size_t *widths = calloc(t->n_columns, sizeof *widths);
    bool has_names = t->columns[0].name != NULL;
    size_t column = 0;

    if (widths == NULL || buf_failed(&t->cells)) {
        out->is_failed = true;
        goto out;
    }
    measure(t, has_names, widths);
    for (size_t i = 0; has_names && i < t->n_columns; i++) {
        print_cell(t, i, t->columns[i].name, widths[i], out);
    }
    for (const char *p = t->cells.p; p != NULL && p < end_of(t); p += strlen(p) + 1) {
        print_cell(t, column, p, widths[column], out);
        column = (column + 1) % t->n_columns;
    }
out:
    free(widths);
}
