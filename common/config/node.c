/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml's events are folded into a tree with an explicit stack: the depth is bounded while it
 * grows, and nothing recurses on input that was not bounded yet. */
#include "config/node.h"

#include "base/map.h"

#include <yaml.h>

#include <stdio.h>
#include <stdlib.h>

struct level {
    struct node *node;
    struct map keys;   /* of a map: those seen, so that finding one twice is not quadratic */
    char *pending_key; /* of a map: its value comes next */
    int pending_line;
};

struct reader {
    yaml_parser_t parser;
    struct level levels[NODE_DEPTH];
    size_t depth;
    size_t n_values;
    struct node *root;
    bool is_over;
    int line;
    struct buf *why;
};

void node_free(struct node *n)
{
    if (n == NULL) {
        return;
    }
    for (struct node *child = n->first; child != NULL;) {
        struct node *next = child->next;
        node_free(child);
        child = next;
    }
    free(n->key);
    free(n->text);
    free(n);
}

struct node *node_new(enum node_kind kind, const char *text, int line)
{
    struct node *n = calloc(1, sizeof *n);

    if (n == NULL) {
        return NULL;
    }
    n->kind = kind;
    n->line = line;
    n->key_line = line;
    if (text != NULL) {
        n->text = str_dup(str_of(text));
        if (n->text == NULL) {
            node_free(n);
            return NULL;
        }
    }
    return n;
}

static void hang(struct node *parent, struct node *child)
{
    child->next = NULL;
    if (parent->last == NULL) {
        parent->first = child;
    } else {
        parent->last->next = child;
    }
    parent->last = child;
    parent->n++;
}

int node_add(struct node *parent, const char *key, struct node *child)
{
    if (child == NULL) {
        return ERR_NOMEM;
    }
    char *copy = key == NULL ? NULL : str_dup(str_of(key));
    if (key != NULL && copy == NULL) {
        node_free(child);
        return ERR_NOMEM;
    }
    free(child->key);
    child->key = copy;
    hang(parent, child);
    return ERR_OK;
}

void node_take(struct node *parent, struct node *child)
{
    struct node *before = NULL;

    for (struct node *n = parent->first; n != child; n = n->next) {
        before = n;
    }
    if (before == NULL) {
        parent->first = child->next;
    } else {
        before->next = child->next;
    }
    if (parent->last == child) {
        parent->last = before;
    }
    child->next = NULL;
    parent->n--;
}

struct node *node_get(const struct node *map, const char *key)
{
    if (map == NULL || map->kind != NODE_MAP) {
        return NULL;
    }
    for (struct node *n = map->first; n != NULL; n = n->next) {
        if (strcmp(n->key, key) == 0) {
            return n;
        }
    }
    return NULL;
}

struct str node_text(const struct node *n)
{
    return str_of(n->text);
}

const char *node_kind_text(enum node_kind kind)
{
    static const char *const texts[] = {"null", "true or false", "a number",
                                        "text", "a list",        "a map"};

    return texts[kind];
}

/* Kinds of plain scalars */

static size_t digits(struct str s, size_t at)
{
    size_t n = 0;

    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9') {
        n++;
    }
    return n;
}

/* The length of the JSON number at the front of `s`; 0 when there is none. */
static size_t number_length(struct str s)
{
    size_t at = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    size_t n = digits(s, at);

    if (n == 0 || (n > 1 && s.p[at] == '0')) {
        return 0;
    }
    at += n;
    if (at < s.n && s.p[at] == '.') {
        n = digits(s, at + 1);
        if (n == 0) {
            return 0;
        }
        at += 1 + n;
    }
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        size_t sign = at + 1 < s.n && (s.p[at + 1] == '+' || s.p[at + 1] == '-') ? 1 : 0;
        n = digits(s, at + 1 + sign);
        if (n == 0) {
            return 0;
        }
        at += 1 + sign + n;
    }
    return at;
}

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (str_is(s, str_of(*words))) {
            return true;
        }
    }
    return false;
}

enum node_kind node_plain_kind(struct str text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};

    if (is_one_of(text, nulls)) {
        return NODE_NULL;
    }
    if (is_one_of(text, bools)) {
        return NODE_BOOL;
    }
    return text.n > 0 && number_length(text) == text.n ? NODE_NUMBER : NODE_TEXT;
}

/* Writing */

void node_to_json(const struct node *n, struct buf *out)
{
    switch (n->kind) {
    case NODE_NULL:
        buf_text(out, "null");
        break;
    case NODE_BOOL:
        buf_text(out, n->text[0] == 't' || n->text[0] == 'T' ? "true" : "false");
        break;
    case NODE_NUMBER:
        buf_text(out, n->text);
        break;
    case NODE_TEXT:
        buf_json_str(out, node_text(n));
        break;
    case NODE_LIST:
    case NODE_MAP:
        buf_char(out, n->kind == NODE_MAP ? '{' : '[');
        for (const struct node *child = n->first; child != NULL; child = child->next) {
            if (child != n->first) {
                buf_char(out, ',');
            }
            if (n->kind == NODE_MAP) {
                buf_json_str(out, str_of(child->key));
                buf_char(out, ':');
            }
            node_to_json(child, out);
        }
        buf_char(out, n->kind == NODE_MAP ? '}' : ']');
        break;
    }
}

/* Folding events */

static int refuse(struct reader *r, int line, const char *why)
{
    r->line = line;
    buf_clear(r->why);
    buf_text(r->why, why);
    return ERR_SYNTAX;
}

static int line_of(const yaml_event_t *event)
{
    return (int)event->start_mark.line + 1;
}

/* Gives the value its place: the document's root, an item, or the value of the pending key. */
static int place(struct reader *r, struct node *n)
{
    if (++r->n_values > NODE_LIMIT) {
        int line = n->line;
        node_free(n);
        return refuse(r, line, "more values than this program reads (1000000)");
    }
    if (r->depth == 0) {
        r->root = n;
        return ERR_OK;
    }
    struct level *top = &r->levels[r->depth - 1];
    if (top->node->kind == NODE_MAP) {
        n->key = top->pending_key;
        n->key_line = top->pending_line;
        top->pending_key = NULL;
    }
    hang(top->node, n);
    return ERR_OK;
}

static int take_key(struct reader *r, struct level *top, struct str key, int line)
{
    if (map_get(&top->keys, key) != NULL) {
        refuse(r, line, "");
        buf_printf(r->why, "the key \"%.*s\" stands here twice", STR_ARG(key));
        return ERR_SYNTAX;
    }
    int rc = map_put(&top->keys, key, top);
    if (rc != ERR_OK) {
        return rc;
    }
    top->pending_key = str_dup(key);
    top->pending_line = line;
    return top->pending_key == NULL ? ERR_NOMEM : ERR_OK;
}

static int on_scalar(struct reader *r, const yaml_event_t *event)
{
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    struct level *top = r->depth > 0 ? &r->levels[r->depth - 1] : NULL;
    int line = line_of(event);

    if (event->data.scalar.anchor != NULL) {
        return refuse(r, line, "anchors are not supported");
    }
    if (event->data.scalar.tag != NULL) {
        return refuse(r, line, "tags are not supported");
    }
    if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL) {
        return refuse(r, line, "a NUL character is not allowed");
    }
    if (top != NULL && top->node->kind == NODE_MAP && top->pending_key == NULL) {
        return take_key(r, top, text, line);
    }
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct node *n = node_new(is_plain ? node_plain_kind(text) : NODE_TEXT, "", line);
    if (n == NULL) {
        return ERR_NOMEM;
    }
    free(n->text);
    n->text = str_dup(text);
    if (n->text == NULL) {
        node_free(n);
        return ERR_NOMEM;
    }
    return place(r, n);
}

static int on_start(struct reader *r, enum node_kind kind, const yaml_event_t *event,
                    const yaml_char_t *anchor, const yaml_char_t *tag)
{
    int line = line_of(event);

    if (anchor != NULL) {
        return refuse(r, line, "anchors are not supported");
    }
    if (tag != NULL) {
        return refuse(r, line, "tags are not supported");
    }
    if (r->depth > 0) {
        const struct level *top = &r->levels[r->depth - 1];
        if (top->node->kind == NODE_MAP && top->pending_key == NULL) {
            return refuse(r, line, "a key must be plain text");
        }
    }
    if (r->depth == NODE_DEPTH) {
        return refuse(r, line, "nested deeper than 64 levels");
    }
    struct node *n = node_new(kind, NULL, line);
    if (n == NULL) {
        return ERR_NOMEM;
    }
    int rc = place(r, n);
    if (rc == ERR_OK) {
        r->levels[r->depth++] = (struct level){.node = n};
    }
    return rc;
}

static void drop_level(struct reader *r)
{
    struct level *top = &r->levels[--r->depth];

    map_fini(&top->keys);
    free(top->pending_key);
}

static int on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(r, NODE_LIST, event, event->data.sequence_start.anchor,
                        event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return on_start(r, NODE_MAP, event, event->data.mapping_start.anchor,
                        event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        drop_level(r);
        return ERR_OK;
    case YAML_ALIAS_EVENT:
        return refuse(r, line_of(event), "aliases are not supported");
    case YAML_DOCUMENT_START_EVENT:
        return r->root == NULL ? ERR_OK
                               : refuse(r, line_of(event), "a second document is not allowed");
    case YAML_STREAM_END_EVENT:
        r->is_over = true;
        return ERR_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    default:
        return ERR_OK;
    }
}

static int parser_trouble(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;

    if (p->error == YAML_MEMORY_ERROR) {
        return ERR_NOMEM;
    }
    bool is_reader = p->error == YAML_READER_ERROR;
    refuse(r, (int)(is_reader ? p->mark.line : p->problem_mark.line) + 1, "");
    buf_text(r->why, p->problem == NULL ? "not well formed" : p->problem);
    if (p->context != NULL) {
        buf_printf(r->why, " %s (which begins in line %zu)", p->context, p->context_mark.line + 1);
    }
    return ERR_SYNTAX;
}

static int read_events(struct reader *r)
{
    while (!r->is_over) {
        yaml_event_t event;
        if (yaml_parser_parse(&r->parser, &event) == 0) {
            return parser_trouble(r);
        }
        int rc = on_event(r, &event);
        yaml_event_delete(&event);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

static int line_at(struct str document, size_t offset)
{
    int line = 1;

    for (size_t i = 0; i < offset; i++) {
        line += document.p[i] == '\n' ? 1 : 0;
    }
    return line;
}

/* What libyaml would take as UTF-16, or pass on. */
static int check_bytes(struct reader *r, struct str document)
{
    const char *nul = document.n > 0 ? memchr(document.p, '\0', document.n) : NULL;

    if (document.n > NODE_BYTES) {
        return refuse(r, 1, "larger than 16 MiB");
    }
    if (nul != NULL) {
        return refuse(r, line_at(document, (size_t)(nul - document.p)),
                      "a NUL character is not allowed");
    }
    if (str_is_utf8(document)) {
        return ERR_OK;
    }
    struct str rest = document;
    struct str line;
    for (int i = 1; str_cut(&rest, '\n', &line); i++) {
        if (!str_is_utf8(line)) {
            return refuse(r, i, "not UTF-8");
        }
    }
    return refuse(r, 1, "not UTF-8");
}

static unsigned int hex4(const char *p)
{
    char text[5] = {p[0], p[1], p[2], p[3], '\0'};
    char *end;
    unsigned long value = strtoul(text, &end, 16);

    return end == text + 4 && text[0] != '-' && text[0] != '+' && text[0] != ' '
               ? (unsigned int)value
               : 0;
}

/* JSON writes what lies beyond the first plane as two escapes (\ud83d\ude00), which YAML does not
 * know: they become one of YAML's (\U0001f600). */
static void join_surrogates(struct str document, struct buf *out)
{
    size_t kept = 0;

    for (size_t i = 0; i + 1 < document.n; i++) {
        if (document.p[i] != '\\') {
            continue;
        }
        if (document.p[i + 1] != 'u' || document.n - i < 12 || document.p[i + 6] != '\\' ||
            document.p[i + 7] != 'u') {
            i++; /* over the escaped character, which may be another backslash */
            continue;
        }
        unsigned int high = hex4(document.p + i + 2);
        unsigned int low = hex4(document.p + i + 8);
        if ((high & 0xFC00u) == 0xD800u && (low & 0xFC00u) == 0xDC00u) {
            buf_add(out, document.p + kept, i - kept);
            buf_printf(out, "\\U%08x", 0x10000u + ((high & 0x3FFu) << 10) + (low & 0x3FFu));
            kept = i + 12;
            i += 11;
        } else {
            i++;
        }
    }
    buf_add(out, document.p == NULL ? "" : document.p + kept, document.n - kept);
}

static int parse_with(struct reader *r, struct str document)
{
    if (yaml_parser_initialize(&r->parser) == 0) {
        return ERR_NOMEM;
    }
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)document.p, document.n);
    int rc = read_events(r);
    while (r->depth > 0) {
        drop_level(r);
    }
    yaml_parser_delete(&r->parser);
    return rc;
}

int node_parse(struct str document, struct node **ret, int *ret_line, struct buf *ret_why)
{
    struct buf joined = {0};
    struct reader *r = calloc(1, sizeof *r);
    int rc = ERR_NOMEM;

    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->why = ret_why;
    rc = check_bytes(r, document);
    if (rc != ERR_OK) {
        goto out;
    }
    if (str_starts(document, STR("\xEF\xBB\xBF"))) {
        document = (struct str){document.p + 3, document.n - 3};
    }
    join_surrogates(document, &joined);
    rc = buf_failed(&joined) ? ERR_NOMEM : parse_with(r, buf_as_str(&joined));
    if (rc == ERR_OK && r->root == NULL) {
        r->root = node_new(NODE_NULL, "", 1);
        rc = r->root == NULL ? ERR_NOMEM : ERR_OK;
    }
    if (rc == ERR_OK) {
        *ret = r->root;
        r->root = NULL;
    }
out:
    if (rc == ERR_SYNTAX) {
        *ret_line = r->line;
    }
    node_free(r->root);
    buf_fini(&joined);
    free(r);
    return rc;
}
