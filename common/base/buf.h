/* SPDX-License-Identifier: Apache-2.0 */
/* buf — a growing run of bytes that one owner appends to. Always NUL-terminated once anything was
 * appended, so that `p` serves as text.
 *
 * Running out of memory is remembered: appends after it do nothing, and buf_failed() says so once,
 * at the end. A zeroed struct is an empty buf. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n;
    size_t room;
    bool is_failed;
};

void buf_fini(struct buf *b);
/* Forgets the bytes, keeps the room. */
void buf_clear(struct buf *b);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
/* In decimal. */
void buf_i64(struct buf *b, int64_t value);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *format, ...);
/* Appends `s` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json_str(struct buf *b, struct str s);
/* Drops `n` bytes from the front. */
void buf_drop(struct buf *b, size_t n);
/* Makes room for `n` more bytes and returns where they go (then add to b->n), or NULL. */
char *buf_reserve(struct buf *b, size_t n);
/* Moves the bytes out; the buf is empty afterwards. NULL when nothing was appended or memory
 * failed. The caller frees. */
char *buf_take(struct buf *b, size_t *ret_n);

static inline struct str buf_as_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

static inline bool buf_failed(const struct buf *b)
{
    return b->is_failed;
}
