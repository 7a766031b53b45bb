/* SPDX-License-Identifier: Apache-2.0 */
#include "httpc/answer.h"

#include "httpc/check.h"

enum {
    ROOM_KEPT = 64 << 10, /* what a resting call may hold */
    NAMED_MAX = 16        /* fields that Connection may name; more is nobody's need */
};

struct named {
    struct str names[NAMED_MAX];
    size_t n;
};

static void rest(struct buf *b)
{
    if (b->room > ROOM_KEPT) {
        buf_fini(b);
    } else {
        buf_clear(b);
    }
}

void httpc_answer_reset(struct httpc_answer *a)
{
    struct buf raw;
    struct buf head;
    struct buf body;

    rest(&a->raw);
    rest(&a->head);
    rest(&a->body);
    raw = a->raw;
    head = a->head;
    body = a->body;
    *a = (struct httpc_answer){.raw = raw, .head = head, .body = body};
}

void httpc_answer_fini(struct httpc_answer *a)
{
    buf_fini(&a->raw);
    buf_fini(&a->head);
    buf_fini(&a->body);
}

static struct str without_line_end(struct str line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\n') {
        line.n--;
    }
    if (line.n > 0 && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    return line;
}

/* "HTTP/1.1 200 OK": opens a head. */
static int open_head(struct httpc_answer *a, struct str line)
{
    struct str version;
    struct str code;
    uint64_t status;

    /* Newer versions of curl take any version on this wire. */
    if (!str_starts(line, STR("HTTP/1.")) || !str_cut(&line, ' ', &version) ||
        !str_cut(&line, ' ', &code) || version.n != strlen("HTTP/1.1")) {
        return ERR_PROTOCOL;
    }
    if (code.n != 3 || str_to_u64(code, 599, &status) != ERR_OK || status < 100) {
        return ERR_PROTOCOL;
    }
    a->status = (int)status;
    a->is_in_head = true;
    buf_clear(&a->raw);
    return ERR_OK;
}

/* Adds a field line to `raw`; obsolete folding becomes one space (RFC 9112, 5.2). */
static void add_raw(struct httpc_answer *a, struct str line)
{
    bool is_folded = line.p[0] == ' ' || line.p[0] == '\t';

    if (is_folded && a->raw.n == 0) {
        return; /* continues nothing */
    }
    if (is_folded) {
        a->raw.n--;
        buf_char(&a->raw, ' ');
        line = str_trim(line);
    }
    buf_str(&a->raw, line);
    buf_char(&a->raw, '\n');
}

/* The parts of a raw line; false when it has no valid name. A space before the colon is taken off,
 * as RFC 9112, 5.1 demands of who passes an answer on. */
static bool split_field(struct str line, struct str *ret_name, struct str *ret_value)
{
    struct str rest_of_line = line;
    struct str name;

    if (!str_cut(&rest_of_line, ':', &name) || rest_of_line.p == NULL) {
        return false;
    }
    name = str_trim(name);
    if (!httpc_is_token(name)) {
        return false;
    }
    *ret_name = name;
    *ret_value = str_trim(rest_of_line);
    return true;
}

static int gather_named(struct named *named, struct str value)
{
    struct str name;

    while (str_cut(&value, ',', &name)) {
        name = str_trim(name);
        if (name.n == 0) {
            continue;
        }
        if (named->n == NAMED_MAX) {
            return ERR_PROTOCOL;
        }
        named->names[named->n++] = name;
    }
    return ERR_OK;
}

/* What of the head must be known before the first field can be judged. */
static int survey(struct httpc_answer *a, struct named *ret_named)
{
    struct str lines = buf_as_str(&a->raw);
    struct str line;
    struct str name;
    struct str value;
    struct str length = {NULL, 0};
    bool is_coded = false;
    int rc = ERR_OK;

    while (rc == ERR_OK && str_cut(&lines, '\n', &line)) {
        if (!split_field(line, &name, &value)) {
            continue;
        }
        if (str_is_nocase(name, STR("connection"))) {
            rc = gather_named(ret_named, value);
        } else if (str_is_nocase(name, STR("transfer-encoding"))) {
            is_coded = true;
        } else if (str_is_nocase(name, STR("content-length"))) {
            /* Two lengths that differ: nobody knows where this answer ends. */
            rc = length.p != NULL && !str_is(length, value) ? ERR_PROTOCOL : ERR_OK;
            length = value;
        }
    }
    a->is_ambiguous = is_coded && length.p != NULL;
    return rc;
}

static bool is_named(const struct named *named, struct str name)
{
    for (size_t i = 0; i < named->n; i++) {
        if (str_is_nocase(named->names[i], name)) {
            return true;
        }
    }
    return false;
}

/* A lone CR or another control character becomes a space (RFC 9110, 5.5): it must not reach the
 * caller as a line of its own. */
static void add_value(struct buf *to, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        struct str c = {value.p + i, 1};
        buf_char(to, httpc_is_clean(c) ? value.p[i] : ' ');
    }
}

static void add_field(struct buf *to, struct str name, struct str value)
{
    buf_str(to, name);
    buf_text(to, ": ");
    if (httpc_is_clean(value)) {
        buf_str(to, value);
    } else {
        add_value(to, value);
    }
    buf_text(to, "\r\n");
}

static int close_final_head(struct httpc_answer *a)
{
    struct named named = {.n = 0};
    struct str lines = buf_as_str(&a->raw);
    struct str line;
    struct str name;
    struct str value;
    int rc = survey(a, &named);

    if (rc != ERR_OK) {
        return rc;
    }
    while (str_cut(&lines, '\n', &line)) {
        if (split_field(line, &name, &value) && !httpc_is_hop_by_hop(name) &&
            !is_named(&named, name)) {
            add_field(&a->head, name, value);
        }
    }
    a->is_head_whole = true;
    return buf_failed(&a->raw) || buf_failed(&a->head) ? ERR_NOMEM : ERR_OK;
}

static int close_head(struct httpc_answer *a)
{
    a->is_in_head = false;
    if (a->status == 101) {
        return ERR_PROTOCOL; /* nobody asked to switch */
    }
    return a->status < 200 ? ERR_OK : close_final_head(a);
}

int httpc_answer_line(struct httpc_answer *a, struct str line)
{
    a->head_bytes += line.n;
    if (a->head_bytes > HTTPC_HEADS_MAX) {
        return ERR_PROTOCOL;
    }
    if (a->is_head_whole) {
        return ERR_OK; /* a trailer */
    }
    line = without_line_end(line);
    if (!a->is_in_head) {
        return open_head(a, line);
    }
    if (line.n == 0) {
        return close_head(a);
    }
    add_raw(a, line);
    return a->raw.n > HTTPC_HEAD_MAX ? ERR_PROTOCOL : ERR_OK;
}

int httpc_answer_body(struct httpc_answer *a, struct str bytes, size_t max)
{
    a->body_bytes += bytes.n;
    if (!a->is_too_large && a->body_bytes <= max) {
        buf_str(&a->body, bytes);
    }
    /* What memory cannot hold is too large as well. */
    if (a->body_bytes > max || buf_failed(&a->body)) {
        a->is_too_large = true;
        buf_fini(&a->body);
    }
    return a->body_bytes > max && a->body_bytes - max > HTTPC_DRAIN_MAX ? ERR_LIMIT : ERR_OK;
}
