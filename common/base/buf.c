/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM_MIN = 128 };

void buf_fini(struct buf *b)
{
    if (b == NULL) {
        return;
    }
    free(b->p);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->is_failed = false;
    if (b->p != NULL) {
        b->p[0] = '\0';
    }
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->is_failed) {
        return NULL;
    }
    if (b->room - b->n > n) {
        return b->p + b->n;
    }
    size_t room = b->room < ROOM_MIN ? ROOM_MIN : b->room;
    while (room - b->n <= n) {
        if (room > SIZE_MAX / 2) {
            b->is_failed = true;
            return NULL;
        }
        room *= 2;
    }
    char *grown = realloc(b->p, room);
    if (grown == NULL) {
        b->is_failed = true;
        return NULL;
    }
    b->p = grown;
    b->room = room;
    return b->p + b->n;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    char *to = buf_reserve(b, n);

    if (to == NULL) {
        return;
    }
    if (n > 0) {
        memcpy(to, bytes, n);
    }
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_i64(struct buf *b, int64_t value)
{
    char text[STR_I64_SIZE];

    buf_str(b, str_from_i64(value, text));
}

/* Printed where it shall stand; a second time only when there was no room. */
void buf_printf(struct buf *b, const char *format, ...)
{
    size_t room = b->room - b->n;
    va_list args;
    va_list again;

    if (b->is_failed) {
        return;
    }
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(b->p == NULL ? NULL : b->p + b->n, room, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < room) {
        b->n += (size_t)n;
    } else if (n >= 0 && buf_reserve(b, (size_t)n) != NULL) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    } else if (b->p != NULL) {
        b->p[b->n] = '\0';
    }
    va_end(again);
}

static void json_char(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        buf_text(b, "\\\"");
        break;
    case '\\':
        buf_text(b, "\\\\");
        break;
    case '\n':
        buf_text(b, "\\n");
        break;
    case '\r':
        buf_text(b, "\\r");
        break;
    case '\t':
        buf_text(b, "\\t");
        break;
    default:
        if (c < 0x20 || c == 0x7F) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_char(b, (char)c);
        }
        break;
    }
}

/* How many bytes of valid UTF-8 start at `s`: 1 to 4, or 0. */
static size_t utf8_step(struct str s)
{
    for (size_t n = 1; n <= 4 && n <= s.n; n++) {
        if (str_is_utf8((struct str){s.p, n})) {
            return n;
        }
    }
    return 0;
}

void buf_json_str(struct buf *b, struct str s)
{
    buf_char(b, '"');
    while (s.n > 0) {
        size_t step = utf8_step(s);
        if (step == 0) {
            buf_text(b, "\\ufffd");
            step = 1;
        } else if (step == 1) {
            json_char(b, (unsigned char)s.p[0]);
        } else {
            buf_add(b, s.p, step);
        }
        s.p += step;
        s.n -= step;
    }
    buf_char(b, '"');
}

void buf_drop(struct buf *b, size_t n)
{
    if (n == 0) {
        return;
    }
    if (n >= b->n) {
        b->n = 0;
        if (b->p != NULL) {
            b->p[0] = '\0';
        }
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

char *buf_take(struct buf *b, size_t *ret_n)
{
    char *p = b->is_failed ? NULL : b->p;

    if (p == NULL) {
        buf_fini(b);
        return NULL;
    }
    if (ret_n != NULL) {
        *ret_n = b->n;
    }
    *b = (struct buf){0};
    return p;
}
