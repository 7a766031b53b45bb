/* SPDX-License-Identifier: Apache-2.0 */
/* node — a YAML or JSON document as a tree of our own, with the line of every value.
 *
 * Plain scalars of JSON's shape are typed (null, true, false, numbers); every other plain scalar
 * and every quoted one is text. A number keeps its source text. Refused, with the line: anchors,
 * aliases, tags, keys twice, keys that are no scalars, a second document, nesting deeper than
 * NODE_DEPTH, more than NODE_LIMIT values, NUL, and bytes that are not UTF-8.
 *
 * Memory: a node owns its children. */
#pragma once

#include "base/buf.h"

enum node_kind { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_TEXT, NODE_LIST, NODE_MAP };
enum { NODE_DEPTH = 64, NODE_LIMIT = 1000000, NODE_BYTES = 16 * 1024 * 1024 };

struct node {
    enum node_kind kind;
    int line;
    char *key; /* in a map, else NULL; may hold any text but NUL */
    int key_line;
    char *text; /* scalars: as it stood, without quotes */
    struct node *first, *last, *next;
    size_t n; /* children */
};

/* Parses a whole document; an empty one is a NODE_NULL.
 * ret_line, ret_why: where and why not, on ERR_SYNTAX; `why` takes a sentence.
 * Returns 0, ERR_SYNTAX, ERR_NOMEM. */
MUST_CHECK int node_parse(struct str document, struct node **ret, int *ret_line,
                          struct buf *ret_why);
void node_free(struct node *n);

/* A node of its own, without a key. NULL without memory. `text` may be NULL. */
struct node *node_new(enum node_kind kind, const char *text, int line);
/* Hangs `child` (owned from now on) under `parent`; `key` is NULL in a list. 0 or ERR_NOMEM; on
 * failure the child is freed. A NULL child is ERR_NOMEM. */
MUST_CHECK int node_add(struct node *parent, const char *key, struct node *child);
/* Takes a child out of its parent; the caller owns it. */
void node_take(struct node *parent, struct node *child);

/* The value under `key` of a map, or NULL (also when `map` is NULL or no map). */
struct node *node_get(const struct node *map, const char *key);
struct str node_text(const struct node *n);

/* "a list", "text", …, for sentences. */
const char *node_kind_text(enum node_kind kind);

/* Appends compact JSON. */
void node_to_json(const struct node *n, struct buf *out);

/* The kind that a plain scalar has. */
enum node_kind node_plain_kind(struct str text);
