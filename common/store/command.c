/* SPDX-License-Identifier: Apache-2.0 */
/* hiredis formats commands too, but into a block of its own that would be copied here. */
#include "store/command.h"

#include "base/panic.h"

#include <stdlib.h>

static size_t digits(size_t n)
{
    size_t count = 1;

    while (n >= 10) {
        n /= 10;
        count++;
    }
    return count;
}

/* "<mark><n>\r\n" */
static char *put_number(char *to, char mark, size_t n)
{
    size_t count = digits(n);

    *to = mark;
    for (size_t i = count; i > 0; i--) {
        to[i] = (char)('0' + n % 10);
        n /= 10;
    }
    to[count + 1] = '\r';
    to[count + 2] = '\n';
    return to + count + 3;
}

static char *put_word(char *to, struct str word)
{
    to = put_number(to, '$', word.n);
    if (word.n > 0) {
        memcpy(to, word.p, word.n);
    }
    to += word.n;
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static size_t size_of(const struct words *parts, size_t n_parts, size_t *ret_n_words)
{
    size_t n_words = 0;
    size_t n = 0;

    for (size_t i = 0; i < n_parts; i++) {
        n_words += parts[i].n;
        for (size_t j = 0; j < parts[i].n; j++) {
            size_t word = parts[i].words[j].n;
            n += 1 + digits(word) + 2 + word + 2;
        }
    }
    *ret_n_words = n_words;
    return 1 + digits(n_words) + 2 + n;
}

struct command *store_command_new(const struct words *parts, size_t n_parts, size_t n_shared)
{
    size_t n_words = 0;
    size_t n = size_of(parts, n_parts, &n_words);
    struct command *c = malloc(sizeof *c + n + 1);

    if (c == NULL) {
        return NULL;
    }
    *c = (struct command){.script = COMMAND_NO_SCRIPT, .n = n};
    char *to = put_number(c->wire, '*', n_words);
    c->shared_at = n_shared > 0 ? (size_t)(to - c->wire) : 0;
    for (size_t i = 0; i < n_parts; i++) {
        if (n_shared > 0 && i == n_shared) {
            c->rest_at = (size_t)(to - c->wire);
        }
        *(i < n_shared ? &c->n_shared : &c->n_rest) += parts[i].n;
        for (size_t j = 0; j < parts[i].n; j++) {
            to = put_word(to, parts[i].words[j]);
        }
    }
    CHECK(to == c->wire + n);
    *to = '\0';
    return c;
}

bool store_command_is_mate(const struct command *a, const struct command *b)
{
    size_t n = a->rest_at - a->shared_at;

    return a->rest_at > 0 && a->script == b->script && b->rest_at - b->shared_at == n &&
           memcmp(a->wire + a->shared_at, b->wire + b->shared_at, n) == 0;
}

/* The word at *at, which is moved behind it. */
static struct str next_word(const char **at)
{
    const char *p = *at + 1;
    size_t n = 0;

    for (; *p != '\r'; p++) {
        n = n * 10 + (size_t)(*p - '0');
    }
    *at = p + 2 + n + 2;
    return (struct str){p + 2, n};
}

/* Behind the number of its arguments. */
static const char *first_argument(const struct command *c)
{
    const char *at = c->wire + c->rest_at;

    (void)next_word(&at);
    return at;
}

uint64_t store_command_changes(const struct command *before, const struct command *c)
{
    const char *a = first_argument(before);
    const char *b = first_argument(c);
    size_t n = c->n_rest - 1;
    size_t n_changed = 0;
    uint64_t changed = 0;

    if (before->n_rest != c->n_rest || n > 64) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct str was = next_word(&a);
        struct str is = next_word(&b);
        bool is_changed = was.n != is.n || memcmp(was.p, is.p, is.n) != 0;
        n_changed += is_changed ? 1 : 0;
        changed |= (uint64_t)is_changed << i;
    }
    return 2 * n_changed < n ? changed : 0;
}

size_t store_command_n_words(const struct command *c, uint64_t changed)
{
    return changed == 0 ? c->n_rest : 1 + (size_t)__builtin_popcountll(changed);
}

size_t store_command_places(uint64_t changed, char ret[STORE_PLACES_SIZE])
{
    char text[STORE_PLACES_SIZE - 16]; /* "=1 2 … 64" at most */
    size_t n = 0;

    for (size_t place = 1; changed != 0; place++, changed >>= 1) {
        if ((changed & 1) != 0) {
            text[n] = n == 0 ? '=' : ' ';
            n++;
            if (place >= 10) {
                text[n++] = (char)('0' + place / 10);
            }
            text[n++] = (char)('0' + place % 10);
        }
    }
    return (size_t)(put_word(ret, (struct str){text, n}) - ret);
}

struct str store_command_next(const struct command *c, uint64_t *changed)
{
    int i = __builtin_ctzll(*changed);
    const char *at = first_argument(c);
    const char *end = at;

    for (; i >= 0; i--) {
        at = end;
        (void)next_word(&end);
    }
    *changed &= *changed - 1;
    return (struct str){at, (size_t)(end - at)};
}

size_t store_command_head(const struct command *first, size_t n_rest, char ret[STORE_HEAD_SIZE])
{
    size_t n = first->rest_at - first->shared_at;

    if (n + sizeof "*18446744073709551615\r\n" > STORE_HEAD_SIZE) {
        return 0;
    }
    char *to = put_number(ret, '*', first->n_shared + n_rest);
    memcpy(to, first->wire + first->shared_at, n);
    return (size_t)(to - ret) + n;
}
