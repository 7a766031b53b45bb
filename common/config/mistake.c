/* SPDX-License-Identifier: Apache-2.0 */
#include "config/mistake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SENTENCE_SIZE = 512, NAME_MAX_N = 40 };

static void add_clean(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        buf_char(out, c < 0x20 || c == 0x7F ? '?' : (char)c);
    }
}

static void add_path(struct buf *out, const struct path *path)
{
    if (path->up != NULL) {
        add_path(out, path->up);
    }
    if (path->key == NULL) {
        buf_printf(out, "[%zu]", path->index);
        return;
    }
    if (path->up != NULL) {
        buf_char(out, '.');
    }
    add_clean(out, str_of(path->key));
}

void mistake_add(struct mistakes *m, const struct path *path, int line, const char *format, ...)
{
    char sentence[SENTENCE_SIZE];
    va_list args;

    m->n++;
    if (m->out == NULL || m->n > MISTAKE_LIMIT) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args); /* cut is well enough */
    va_end(args);
    if (m->file != NULL) {
        add_clean(m->out, str_of(m->file));
        if (line > 0) {
            buf_printf(m->out, ":%d", line);
        }
        buf_text(m->out, ": ");
    }
    if (path != NULL) {
        add_path(m->out, path);
        buf_text(m->out, ": ");
    }
    add_clean(m->out, str_of(sentence));
    buf_char(m->out, '\n');
}

int mistake_verdict(const struct mistakes *m)
{
    if (m->is_out_of_memory || (m->out != NULL && buf_failed(m->out))) {
        return ERR_NOMEM;
    }
    return m->n > 0 ? ERR_INVALID : ERR_OK;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Levenshtein's distance; both at most NAME_MAX_N long. */
static size_t distance(struct str a, struct str b)
{
    size_t row[NAME_MAX_N + 1];

    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j];
            row[j] =
                least(above + 1, row[j - 1] + 1, diagonal + (a.p[i - 1] == b.p[j - 1] ? 0 : 1));
            diagonal = above;
        }
    }
    return row[b.n];
}

const char *mistake_nearest(struct str key, const char *const *names)
{
    const char *best = NULL;
    size_t best_distance = key.n < 4 ? 2 : 4; /* at most 1, or 3 */

    if (key.n == 0 || key.n > NAME_MAX_N) {
        return NULL;
    }
    for (; *names != NULL; names++) {
        struct str name = str_of(*names);
        size_t d = name.n > NAME_MAX_N ? best_distance : distance(key, name);
        /* Three letters off is another word, unless it begins alike. */
        if (d < best_distance && d < name.n && (d < 3 || key.p[0] == name.p[0])) {
            best = *names;
            best_distance = d;
        }
    }
    return best;
}
