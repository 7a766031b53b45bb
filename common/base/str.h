/* SPDX-License-Identifier: Apache-2.0 */
/* str — a borrowed run of bytes: not NUL-terminated, never owned, may hold any byte. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

enum { STR_I64_SIZE = 21 }; /* "-9223372036854775808" and its NUL */

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* The same within the initializer of a table. */
#define STR_CONST(literal)                                                                         \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
/* For printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).n, (s).p

/* `text` may be NULL: the empty str. */
static inline struct str str_of(const char *text)
{
    return (struct str){text, text == NULL ? 0 : strlen(text)};
}

static inline bool str_is(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive equality, as HTTP field names compare. */
bool str_is_nocase_of(const char *a, const char *b, size_t n);
static inline bool str_is_nocase(struct str a, struct str b)
{
    /* Mostly it is asked of a list of names: most differ in length. */
    return a.n == b.n && str_is_nocase_of(a.p, b.p, a.n);
}
bool str_starts(struct str s, struct str prefix);
/* Without leading and trailing spaces and tabs. */
struct str str_trim(struct str s);
/* Cuts the next piece before `separator` off the front of *rest; false when nothing is left.
 * "a,,b" gives "a", "", "b". */
bool str_cut(struct str *rest, char separator, struct str *ret_piece);
/* A NUL-terminated copy on the heap, or NULL without memory. */
char *str_dup(struct str s);
/* A NUL-terminated copy in `to`, of `size` bytes; false, and `to` untouched, when `s` is empty or
 * too long for it. */
bool str_keep(struct str s, char *to, size_t size);
/* Puts what fits of `s` at to[at], at < size, and a NUL after it; returns where that stands. For
 * the texts that every job needs: snprintf() takes ten times as long. */
size_t str_put(struct str s, char *to, size_t size, size_t at);
/* A whole decimal number without sign, spaces or leading '+'; ERR_SYNTAX, ERR_TOO_LARGE over `max`.
 */
int str_to_u64(struct str s, uint64_t max, uint64_t *ret);
/* The same with an optional '-'. */
int str_to_i64(struct str s, int64_t *ret);
/* The other way, into `to`, NUL-terminated. */
struct str str_from_i64(int64_t value, char to[STR_I64_SIZE]);
/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
bool str_is_utf8(struct str s);
/* Compares in a time that depends on the lengths only (secrets). */
bool str_is_constant_time(struct str a, struct str b);
