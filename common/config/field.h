/* SPDX-License-Identifier: Apache-2.0 */
/* field — one table an object: its keys with type, bounds, default and help. The same table
 * decodes, checks, gives the defaults, prints and compares.
 *
 * Decoding writes on top of what the struct holds, so that several documents merge: objects key by
 * key, lists and FIELD_WHOLE objects as one. `null` stands for "not there" and resets to the
 * default. Times are seconds in documents and milliseconds in structs; an instant is RFC 3339 there
 * and milliseconds since 1970 here. */
#pragma once

#include "config/mistake.h"
#include "config/node.h"
#include "config/value.h"

#include <stddef.h>

enum field_type {
    FIELD_BOOL,    /* bool */
    FIELD_U32,     /* uint32_t */
    FIELD_U64,     /* uint64_t */
    FIELD_SIZE,    /* size_t */
    FIELD_NUMBER,  /* double */
    FIELD_SECONDS, /* int64_t, milliseconds */
    FIELD_INSTANT, /* int64_t, milliseconds since 1970; absent: 0 */
    FIELD_TEXT,    /* char *, owned; absent: NULL */
    FIELD_CHOICE,  /* an enum: the index among `choices`; a NULL first choice: absent */
    FIELD_EITHER,  /* bool: the second of two `choices` */
    FIELD_OBJECT,  /* what `sub` describes, at `offset` */
    FIELD_POINTER, /* the same, allocated when present: `sub_size` bytes; absent: NULL */
    FIELD_TEXTS,   /* char ** at `offset`, size_t at `count_offset` */
    FIELD_INTS,    /* int * and size_t likewise; present and empty is not NULL */
    FIELD_CUSTOM,  /* by `custom` */
    FIELD_LATER    /* known, but decoded by whoever reads the object */
};

enum field_flags {
    FIELD_REQUIRED = 1,
    FIELD_WHOLE = 2,          /* an object that replaces, and never merges with, what was there */
    FIELD_ONE_OR_MORE = 4,    /* texts: a lone text counts as a list of one; never empty */
    FIELD_SECRET_URL = 8,     /* printed without its password */
    FIELD_WITH_PREVIOUS = 16, /* encoded wherever the field before it is */
    FIELD_ZERO_COUNTS = 32    /* u32: 0 can be said; absent: UINT32_MAX */
};

enum { FIELD_NO_OFFSET = -1 };

struct table;
struct field_custom;

struct field {
    const char *key;
    enum field_type type;
    unsigned int flags;
    ptrdiff_t offset;
    ptrdiff_t count_offset; /* lists; objects: a bool that says that it was given, or NO_OFFSET */
    double min, max;        /* numbers: of the value; lists: of the count */
    const char *preset;     /* as in a document; lists: parted by spaces; NULL: absent */
    const char *const *choices;
    value_check check;
    const struct table *sub;
    size_t sub_size;
    const struct field_custom *custom;
    const char *help;
};

struct table {
    const char *name;
    const struct field *fields;
    size_t n_fields;
    /* What no single field can say; runs after decoding, on what is sound of it. May be NULL. */
    void (*check)(struct mistakes *m, const struct path *path, const struct node *n,
                  const void *base);
};

struct field_custom {
    void (*decode)(struct mistakes *m, const struct path *path, const struct node *n, void *base);
    /* JSON of the value, or nothing when it is at its default. */
    void (*encode)(const void *base, struct buf *out);
    /* What stands behind "key:", to the end of its last line; NULL: as encoded. */
    void (*print)(const void *base, int indent, struct buf *out);
    void (*fini)(void *base); /* may be NULL */
};

/* Sets every field to its default; `base` is zeroed memory of the table's struct. 0 or ERR_NOMEM.
 */
MUST_CHECK int table_preset(const struct table *t, void *base);
void table_fini(const struct table *t, void *base);

/* is_partial: required keys may be missing (but not in FIELD_WHOLE objects). */
void table_decode(const struct table *t, struct mistakes *m, const struct path *path,
                  const struct node *n, bool is_partial, void *base);
/* Decodes one field from a value. */
void field_decode(const struct field *f, struct mistakes *m, const struct path *path,
                  const struct node *n, bool is_partial, void *base);
const struct field *table_find(const struct table *t, const char *key);

/* Canonical JSON: the keys that differ from `preset` (another struct of the table), sorted. */
void table_encode(const struct table *t, const void *base, const void *preset, struct buf *out);
/* Every key as block YAML, `indent` spaces in front of each line. */
void table_print(const struct table *t, const void *base, int indent, struct buf *out);

/* Puts `text` into *slot, freeing what was there; 0 or ERR_NOMEM. NULL text: NULL. */
MUST_CHECK int field_set_text(char **slot, const char *text);
/* A document that came by itself, not in the file: its syntax mistakes are named by their line. The
 * caller frees *ret. Returns as node_parse. */
MUST_CHECK int field_parse_document(struct mistakes *m, struct str text, struct node **ret);
/* Says that `n` is not `expected` ("a list"). */
void field_wrong_kind(struct mistakes *m, const struct path *path, const struct node *n,
                      const char *expected);
