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

struct command *store_command_new(const struct words *parts, size_t n_parts)
{
    size_t n_words = 0;
    size_t n = size_of(parts, n_parts, &n_words);
    struct command *c = malloc(sizeof *c + n + 1);

    if (c == NULL) {
        return NULL;
    }
    *c = (struct command){.script = COMMAND_NO_SCRIPT, .n = n};
    char *to = put_number(c->wire, '*', n_words);
    for (size_t i = 0; i < n_parts; i++) {
        for (size_t j = 0; j < parts[i].n; j++) {
            to = put_word(to, parts[i].words[j]);
        }
    }
    CHECK(to == c->wire + n);
    *to = '\0';
    return c;
}
