/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "base/str.h"

#include <string.h>

void answer_begin(struct answer *a)
{
    a->status = 0;
    a->location[0] = '\0';
    a->body[0] = '\0';
    a->is_whole = false;
    a->state = ANSWER_HEAD;
    a->left = 0;
    a->n_body = 0;
    a->n_line = 0;
    a->n_head = 0;
}

static int take_field(struct answer *a, struct str line)
{
    struct str name;
    uint64_t length = 0;

    if (memchr(line.p, ':', line.n) == NULL || !str_cut(&line, ':', &name)) {
        return ERR_SYNTAX;
    }
    struct str value = str_trim(line);
    if (str_is_nocase(name, STR("content-length"))) {
        if (str_to_u64(value, UINT64_MAX / 2, &length) != ERR_OK) {
            return ERR_SYNTAX;
        }
        a->left = length;
    } else if (str_is_nocase(name, STR("transfer-encoding"))) {
        a->state = ANSWER_SIZE;
    } else if (str_is_nocase(name, STR("location"))) {
        (void)str_keep(value, a->location, sizeof a->location);
    }
    return ERR_OK;
}

/* "HTTP/1.1 200 OK", then fields. */
static int take_head(struct answer *a)
{
    struct str rest = {a->head, a->n_head - 4};
    struct str line;
    uint64_t status = 0;

    if (!str_cut(&rest, '\n', &line) || line.n < 12 || !str_starts(line, STR("HTTP/1.1 ")) ||
        str_to_u64((struct str){line.p + 9, 3}, 999, &status) != ERR_OK) {
        return ERR_SYNTAX;
    }
    a->status = (int)status;
    a->state = ANSWER_BODY;
    while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
        line.n -= line.n > 0 && line.p[line.n - 1] == '\r' ? 1 : 0;
        int rc = take_field(a, line);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    a->is_whole = a->state == ANSWER_BODY && a->left == 0;
    return ERR_OK;
}

static int feed_head(struct answer *a, char c)
{
    if (a->n_head == sizeof a->head) {
        return ERR_SYNTAX;
    }
    a->head[a->n_head++] = c;
    bool is_end =
        c == '\n' && a->n_head >= 4 && memcmp(a->head + a->n_head - 4, "\r\n\r\n", 4) == 0;
    return is_end ? take_head(a) : ERR_OK;
}

/* As much of the body as is there. Gives how much that was. */
static size_t feed_body(struct answer *a, const char *p, size_t n)
{
    size_t taken = n < a->left ? n : (size_t)a->left;
    size_t room = ANSWER_KEPT - a->n_body;
    size_t kept = taken < room ? taken : room;

    memcpy(a->body + a->n_body, p, kept);
    a->n_body += kept;
    a->body[a->n_body] = '\0';
    a->left -= taken;
    if (a->left == 0) {
        a->is_whole = a->state == ANSWER_BODY;
        a->state = a->state == ANSWER_CHUNK ? ANSWER_CHUNK_END : a->state;
    }
    return taken;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A chunk's size; nobody whom we measure sends extensions. */
static int feed_size(struct answer *a, char c)
{
    if (c == '\r') {
        return ERR_OK;
    }
    if (c == '\n') {
        a->state = a->left > 0 ? ANSWER_CHUNK : ANSWER_TRAILER;
        a->n_line = 0;
        return ERR_OK;
    }
    int digit = hex_of(c);
    if (digit < 0 || ++a->n_line > 8) {
        return ERR_SYNTAX;
    }
    a->left = a->left * 16 + (uint64_t)digit;
    return ERR_OK;
}

static void feed_trailer(struct answer *a, char c)
{
    if (c == '\n') {
        a->is_whole = a->n_line == 0;
        a->n_line = 0;
    } else if (c != '\r') {
        a->n_line++;
    }
}

static int feed_char(struct answer *a, char c)
{
    switch (a->state) {
    case ANSWER_HEAD:
        return feed_head(a, c);
    case ANSWER_SIZE:
        return feed_size(a, c);
    case ANSWER_CHUNK_END:
        a->state = c == '\n' ? ANSWER_SIZE : a->state;
        return ERR_OK;
    case ANSWER_TRAILER:
        feed_trailer(a, c);
        return ERR_OK;
    case ANSWER_BODY:
    case ANSWER_CHUNK:
        break; /* feed_body's */
    }
    return ERR_OK;
}

int answer_feed(struct answer *a, const char *p, size_t n)
{
    size_t at = 0;

    while (at < n && !a->is_whole) {
        if (a->state == ANSWER_BODY || a->state == ANSWER_CHUNK) {
            at += feed_body(a, p + at, n - at);
            continue;
        }
        int rc = feed_char(a, p[at++]);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return at == n ? ERR_OK : ERR_SYNTAX;
}
