/* SPDX-License-Identifier: Apache-2.0 */
#include "config/field.h"

#include "base/clock.h"
#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS_MAX = 64 };

_Static_assert(sizeof(enum field_type) == sizeof(unsigned int), "FIELD_CHOICE stores enums so");

static void *at(void *base, ptrdiff_t offset)
{
    return (char *)base + offset;
}

static const void *at_const(const void *base, ptrdiff_t offset)
{
    return (const char *)base + offset;
}

static char *text_of(const struct field *f, const void *base)
{
    return *(char *const *)at_const(base, f->offset);
}

int field_set_text(char **slot, const char *text)
{
    char *copy = text == NULL ? NULL : str_dup(str_of(text));

    if (text != NULL && copy == NULL) {
        return ERR_NOMEM;
    }
    free(*slot);
    *slot = copy;
    return ERR_OK;
}

static void free_texts(const struct field *f, void *base)
{
    char ***list = at(base, f->offset);
    size_t *n = at(base, f->count_offset);

    for (size_t i = 0; i < *n; i++) {
        free((*list)[i]);
    }
    free(*list);
    *list = NULL;
    *n = 0;
}

static void free_ints(const struct field *f, void *base)
{
    int **list = at(base, f->offset);
    size_t *n = at(base, f->count_offset);

    free(*list);
    *list = NULL;
    *n = 0;
}

static void free_pointer(const struct field *f, void *base)
{
    void **slot = at(base, f->offset);

    if (*slot != NULL) {
        table_fini(f->sub, *slot);
        free(*slot);
        *slot = NULL;
    }
}

static void field_fini(const struct field *f, void *base)
{
    switch (f->type) {
    case FIELD_TEXT:
        free(text_of(f, base));
        *(char **)at(base, f->offset) = NULL;
        break;
    case FIELD_TEXTS:
        free_texts(f, base);
        break;
    case FIELD_INTS:
        free_ints(f, base);
        break;
    case FIELD_OBJECT:
        table_fini(f->sub, at(base, f->offset));
        break;
    case FIELD_POINTER:
        free_pointer(f, base);
        break;
    case FIELD_CUSTOM:
        if (f->custom->fini != NULL) {
            f->custom->fini(base);
        }
        break;
    case FIELD_BOOL:
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_SIZE:
    case FIELD_NUMBER:
    case FIELD_SECONDS:
    case FIELD_INSTANT:
    case FIELD_CHOICE:
    case FIELD_EITHER:
    case FIELD_LATER:
        break;
    }
}

void table_fini(const struct table *t, void *base)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        field_fini(&t->fields[i], base);
    }
}

const struct field *table_find(const struct table *t, const char *key)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        if (strcmp(t->fields[i].key, key) == 0) {
            return &t->fields[i];
        }
    }
    return NULL;
}

/* Storing */

static void store_number(const struct field *f, double value, void *base)
{
    void *to = at(base, f->offset);

    switch (f->type) {
    case FIELD_U32:
        *(uint32_t *)to = (uint32_t)value;
        break;
    case FIELD_U64:
        *(uint64_t *)to = (uint64_t)value;
        break;
    case FIELD_SIZE:
        *(size_t *)to = (size_t)value;
        break;
    case FIELD_NUMBER:
        *(double *)to = value;
        break;
    case FIELD_SECONDS:
        *(int64_t *)to = (int64_t)(value * 1000.0 + (value < 0 ? -0.5 : 0.5));
        break;
    case FIELD_BOOL:
    case FIELD_INSTANT:
    case FIELD_TEXT:
    case FIELD_CHOICE:
    case FIELD_EITHER:
    case FIELD_OBJECT:
    case FIELD_POINTER:
    case FIELD_TEXTS:
    case FIELD_INTS:
    case FIELD_CUSTOM:
    case FIELD_LATER:
        PANIC("%s is no number", f->key);
    }
}

/* Without a preset numbers are 0, but a time is -1: 0 is a time. */
static void store_absent(const struct field *f, void *base)
{
    void *to = at(base, f->offset);

    switch (f->type) {
    case FIELD_BOOL:
    case FIELD_EITHER:
        *(bool *)to = false;
        break;
    case FIELD_CHOICE:
        *(unsigned int *)to = 0;
        break;
    case FIELD_SECONDS:
        *(int64_t *)to = -1;
        break;
    case FIELD_INSTANT:
        *(int64_t *)to = 0;
        break;
    case FIELD_U32:
        *(uint32_t *)to = (f->flags & FIELD_ZERO_COUNTS) != 0 ? UINT32_MAX : 0;
        break;
    case FIELD_U64:
    case FIELD_SIZE:
    case FIELD_NUMBER:
        store_number(f, 0, base);
        break;
    case FIELD_TEXT:
    case FIELD_TEXTS:
    case FIELD_INTS:
    case FIELD_POINTER:
    case FIELD_CUSTOM:
        field_fini(f, base);
        break;
    case FIELD_OBJECT:
    case FIELD_LATER:
        break;
    }
}

/* The default as the node that a document would have. */
static struct node *preset_node(const struct field *f)
{
    if (f->type != FIELD_TEXTS && f->type != FIELD_INTS) {
        bool is_text = f->type == FIELD_TEXT;
        return node_new(is_text ? NODE_TEXT : node_plain_kind(str_of(f->preset)), f->preset, 0);
    }
    struct node *list = node_new(NODE_LIST, NULL, 0);
    struct str rest = str_of(f->preset);
    struct str piece;
    while (list != NULL && str_cut(&rest, ' ', &piece)) {
        char text[64];
        (void)snprintf(text, sizeof text, "%.*s", STR_ARG(piece));
        struct node *item = node_new(node_plain_kind(piece), text, 0);
        if (node_add(list, NULL, item) != ERR_OK) {
            node_free(list);
            list = NULL;
        }
    }
    return list;
}

static int object_preset(const struct field *f, void *base)
{
    if (f->count_offset != FIELD_NO_OFFSET) {
        *(bool *)at(base, f->count_offset) = false;
    }
    return table_preset(f->sub, at(base, f->offset));
}

static int field_preset(const struct field *f, void *base)
{
    if (f->type == FIELD_OBJECT) {
        return object_preset(f, base);
    }
    if (f->preset == NULL) {
        store_absent(f, base);
        return ERR_OK;
    }
    struct node *n = preset_node(f);
    if (n == NULL) {
        return ERR_NOMEM;
    }
    struct mistakes m = {0};
    struct path path = {.key = f->key};
    field_decode(f, &m, &path, n, /* is_partial= */ false, base);
    node_free(n);
    if (m.is_out_of_memory) {
        return ERR_NOMEM;
    }
    if (m.n > 0) {
        PANIC("the default of %s is unsound: %s", f->key, f->preset);
    }
    return ERR_OK;
}

int table_preset(const struct table *t, void *base)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        int rc = field_preset(&t->fields[i], base);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

/* Decoding */

int field_parse_document(struct mistakes *m, struct str text, struct node **ret)
{
    struct buf why = {0};
    int line = 0;
    int rc = node_parse(text, ret, &line, &why);

    if (rc == ERR_SYNTAX) {
        mistake_add(m, NULL, 0, "line %d: %s", line, why.p == NULL ? "" : why.p);
    }
    buf_fini(&why);
    return rc;
}

void field_wrong_kind(struct mistakes *m, const struct path *path, const struct node *n,
                      const char *expected)
{
    if (n->kind == NODE_LIST || n->kind == NODE_MAP || n->kind == NODE_NULL) {
        mistake_add(m, path, n->line, "expected %s, found %s", expected, node_kind_text(n->kind));
    } else if (n->kind == NODE_TEXT) {
        mistake_add(m, path, n->line, "expected %s, found the text \"%.60s\"", expected, n->text);
    } else {
        mistake_add(m, path, n->line, "expected %s, found %.60s", expected, n->text);
    }
}

static void wrong_number(const struct field *f, struct mistakes *m, const struct path *path,
                         const struct node *n)
{
    char expected[128];
    bool is_whole = f->type == FIELD_U32 || f->type == FIELD_U64 || f->type == FIELD_SIZE;

    (void)snprintf(expected, sizeof expected, "%s from %.15g to %.15g",
                   is_whole                   ? "a whole number"
                   : f->type == FIELD_SECONDS ? "seconds"
                                              : "a number",
                   f->min, f->max);
    field_wrong_kind(m, path, n, expected);
}

static bool is_whole(double value)
{
    return value >= -9007199254740992.0 && value <= 9007199254740992.0 &&
           (double)(int64_t)value == value;
}

static void decode_number(const struct field *f, struct mistakes *m, const struct path *path,
                          const struct node *n, void *base)
{
    double value = n->kind == NODE_NUMBER ? strtod(n->text, NULL) : 0;
    bool is_fraction_fine = f->type == FIELD_NUMBER || f->type == FIELD_SECONDS;

    if (n->kind != NODE_NUMBER || !(value >= f->min && value <= f->max) ||
        (!is_fraction_fine && !is_whole(value))) {
        wrong_number(f, m, path, n);
        return;
    }
    store_number(f, value, base);
}

static void decode_text(const struct field *f, struct mistakes *m, const struct path *path,
                        const struct node *n, void *base)
{
    if (n->kind != NODE_TEXT) {
        field_wrong_kind(
            m, path, n,
            n->kind == NODE_NUMBER || n->kind == NODE_BOOL ? "text (put it into quotes)" : "text");
        return;
    }
    const char *why = f->check == NULL ? NULL : f->check(node_text(n));
    if (why != NULL) {
        mistake_add(m, path, n->line, "%s", why);
    } else if (field_set_text(at(base, f->offset), n->text) != ERR_OK) {
        m->is_out_of_memory = true;
    }
}

/* The index among the choices, or -1 after saying so. */
static int choose(const struct field *f, struct mistakes *m, const struct path *path,
                  const struct node *n)
{
    struct buf names = {0};

    for (int i = 0; i < (int)f->max; i++) {
        if (f->choices[i] == NULL) {
            continue;
        }
        if (n->kind == NODE_TEXT && strcmp(n->text, f->choices[i]) == 0) {
            buf_fini(&names);
            return i;
        }
        buf_printf(&names, "%s%s", names.n > 0 ? ", " : "", f->choices[i]);
    }
    char expected[256];
    (void)snprintf(expected, sizeof expected, "one of %s", names.p == NULL ? "" : names.p);
    field_wrong_kind(m, path, n, expected);
    buf_fini(&names);
    return -1;
}

static void decode_choice(const struct field *f, struct mistakes *m, const struct path *path,
                          const struct node *n, void *base)
{
    int chosen = choose(f, m, path, n);

    if (chosen < 0) {
        return;
    }
    if (f->type == FIELD_EITHER) {
        *(bool *)at(base, f->offset) = chosen == 1;
    } else {
        *(unsigned int *)at(base, f->offset) = (unsigned int)chosen;
    }
}

static void decode_bool(const struct field *f, struct mistakes *m, const struct path *path,
                        const struct node *n, void *base)
{
    if (n->kind != NODE_BOOL) {
        field_wrong_kind(m, path, n, "true or false");
        return;
    }
    *(bool *)at(base, f->offset) = n->text[0] == 't' || n->text[0] == 'T';
}

static void decode_instant(const struct field *f, struct mistakes *m, const struct path *path,
                           const struct node *n, void *base)
{
    struct wall when;

    if (n->kind != NODE_TEXT || wall_parse(n->text, strlen(n->text), &when) != ERR_OK) {
        field_wrong_kind(m, path, n, "a time as 2026-03-29T01:00:00Z (RFC 3339)");
        return;
    }
    *(int64_t *)at(base, f->offset) = when.ms;
}

static bool is_count_sound(const struct field *f, struct mistakes *m, const struct path *path,
                           const struct node *n)
{
    if ((double)n->n < f->min) {
        mistake_add(m, path, n->line, "expected at least %.15g", f->min);
        return false;
    }
    if ((double)n->n > f->max) {
        mistake_add(m, path, n->line, "expected at most %.15g", f->max);
        return false;
    }
    return true;
}

static bool is_repeated(const struct node *list, const struct node *item)
{
    for (const struct node *n = list->first; n != item; n = n->next) {
        if (n->kind == item->kind && strcmp(n->text, item->text) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the item is a sound scalar of this kind that did not stand here before. */
static bool is_item_sound(const struct field *f, struct mistakes *m, const struct path *path,
                          const struct node *list, const struct node *item)
{
    enum node_kind kind = f->type == FIELD_INTS ? NODE_NUMBER : NODE_TEXT;

    if (item->kind != kind) {
        field_wrong_kind(m, path, item, node_kind_text(kind));
        return false;
    }
    const char *why = f->check == NULL ? NULL : f->check(node_text(item));
    if (why != NULL) {
        mistake_add(m, path, item->line, "%s", why);
        return false;
    }
    if (is_repeated(list, item)) {
        mistake_add(m, path, item->line, "%.80s stands here twice", item->text);
        return false;
    }
    return true;
}

static void decode_texts(const struct field *f, struct mistakes *m, const struct path *path,
                         const struct node *n, void *base)
{
    char **list = calloc(n->n + 1, sizeof *list);
    size_t i = 0;

    if (list == NULL) {
        m->is_out_of_memory = true;
        return;
    }
    for (const struct node *item = n->first; item != NULL; item = item->next, i++) {
        struct path step = {path, NULL, i};
        if (is_item_sound(f, m, &step, n, item) && field_set_text(&list[i], item->text) != ERR_OK) {
            m->is_out_of_memory = true;
        }
    }
    free_texts(f, base);
    *(char ***)at(base, f->offset) = list;
    *(size_t *)at(base, f->count_offset) = n->n;
}

/* A lone text where a list may stand. */
static void decode_lone_text(const struct field *f, struct mistakes *m, const struct path *path,
                             const struct node *n, void *base)
{
    struct node item = *n;
    struct node list = {.kind = NODE_LIST, .line = n->line, .first = &item, .last = &item, .n = 1};
    const char *why = f->check == NULL ? NULL : f->check(node_text(n));

    item.next = NULL;
    if (why != NULL) {
        mistake_add(m, path, n->line, "%s", why);
    } else {
        decode_texts(f, m, path, &list, base);
    }
}

static void decode_ints(const struct field *f, struct mistakes *m, const struct path *path,
                        const struct node *n, void *base)
{
    int *list = calloc(n->n + 1, sizeof *list);
    size_t i = 0;

    if (list == NULL) {
        m->is_out_of_memory = true;
        return;
    }
    for (const struct node *item = n->first; item != NULL; item = item->next, i++) {
        struct path step = {path, NULL, i};
        uint64_t value = 0;
        if (!is_item_sound(f, m, &step, n, item)) {
            continue;
        }
        if (str_to_u64(node_text(item), 599, &value) != ERR_OK || value < 200) {
            field_wrong_kind(m, &step, item, "a status from 200 to 599");
        }
        list[i] = (int)value;
    }
    free_ints(f, base);
    *(int **)at(base, f->offset) = list;
    *(size_t *)at(base, f->count_offset) = n->n;
}

static void decode_list(const struct field *f, struct mistakes *m, const struct path *path,
                        const struct node *n, void *base)
{
    if ((f->flags & FIELD_ONE_OR_MORE) != 0 && n->kind == NODE_TEXT) {
        decode_lone_text(f, m, path, n, base);
    } else if (n->kind != NODE_LIST) {
        field_wrong_kind(m, path, n,
                         (f->flags & FIELD_ONE_OR_MORE) != 0 ? "text or a list" : "a list");
    } else if (!is_count_sound(f, m, path, n)) {
        return;
    } else if (f->type == FIELD_TEXTS) {
        decode_texts(f, m, path, n, base);
    } else {
        decode_ints(f, m, path, n, base);
    }
}

/* Who wrote a number for a map learns what the map may hold. */
static void wants_map(const struct table *t, struct mistakes *m, const struct path *path,
                      const struct node *n)
{
    struct buf expected = {0};

    buf_text(&expected, "a map of ");
    for (size_t i = 0; i < t->n_fields; i++) {
        buf_text(&expected, i == 0 ? "" : i + 1 < t->n_fields ? ", " : " and ");
        buf_text(&expected, t->fields[i].key);
    }
    field_wrong_kind(m, path, n, buf_failed(&expected) ? "a map" : expected.p);
    buf_fini(&expected);
}

static void decode_object(const struct field *f, struct mistakes *m, const struct path *path,
                          const struct node *n, bool is_partial, void *base)
{
    if (n->kind != NODE_MAP) {
        wants_map(f->sub, m, path, n);
        return;
    }
    if ((f->flags & FIELD_WHOLE) != 0) {
        is_partial = false;
        if (object_preset(f, base) != ERR_OK) {
            m->is_out_of_memory = true;
            return;
        }
    }
    if (f->count_offset != FIELD_NO_OFFSET) {
        *(bool *)at(base, f->count_offset) = true;
    }
    table_decode(f->sub, m, path, n, is_partial, at(base, f->offset));
}

static void decode_pointer(const struct field *f, struct mistakes *m, const struct path *path,
                           const struct node *n, void *base)
{
    if (n->kind != NODE_MAP) {
        wants_map(f->sub, m, path, n);
        return;
    }
    free_pointer(f, base);
    void *made = calloc(1, f->sub_size);
    if (made == NULL) {
        m->is_out_of_memory = true;
        return;
    }
    *(void **)at(base, f->offset) = made;
    if (table_preset(f->sub, made) != ERR_OK) {
        m->is_out_of_memory = true;
        return;
    }
    table_decode(f->sub, m, path, n, /* is_partial= */ false, made);
}

void field_decode(const struct field *f, struct mistakes *m, const struct path *path,
                  const struct node *n, bool is_partial, void *base)
{
    if (n->kind == NODE_NULL) {
        if ((f->flags & FIELD_REQUIRED) != 0) {
            field_wrong_kind(m, path, n, "a value");
        } else if (f->type != FIELD_LATER && field_preset(f, base) != ERR_OK) {
            m->is_out_of_memory = true;
        }
        return;
    }
    switch (f->type) {
    case FIELD_BOOL:
        decode_bool(f, m, path, n, base);
        break;
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_SIZE:
    case FIELD_NUMBER:
    case FIELD_SECONDS:
        decode_number(f, m, path, n, base);
        break;
    case FIELD_INSTANT:
        decode_instant(f, m, path, n, base);
        break;
    case FIELD_TEXT:
        decode_text(f, m, path, n, base);
        break;
    case FIELD_CHOICE:
    case FIELD_EITHER:
        decode_choice(f, m, path, n, base);
        break;
    case FIELD_TEXTS:
    case FIELD_INTS:
        decode_list(f, m, path, n, base);
        break;
    case FIELD_OBJECT:
        decode_object(f, m, path, n, is_partial, base);
        break;
    case FIELD_POINTER:
        decode_pointer(f, m, path, n, base);
        break;
    case FIELD_CUSTOM:
        f->custom->decode(m, path, n, base);
        break;
    case FIELD_LATER:
        break;
    }
}

static void unknown_key(const struct table *t, struct mistakes *m, const struct path *path,
                        const struct node *n)
{
    const char *names[KEYS_MAX + 1] = {0};

    CHECK(t->n_fields <= KEYS_MAX);
    for (size_t i = 0; i < t->n_fields; i++) {
        names[i] = t->fields[i].key;
    }
    const char *near = m->n < MISTAKE_LIMIT ? mistake_nearest(str_of(n->key), names) : NULL;
    if (near == NULL) {
        mistake_add(m, path, n->key_line, "unknown key");
    } else {
        mistake_add(m, path, n->key_line, "unknown key; did you mean %s?", near);
    }
}

void table_decode(const struct table *t, struct mistakes *m, const struct path *path,
                  const struct node *n, bool is_partial, void *base)
{
    for (const struct node *child = n->first; child != NULL; child = child->next) {
        const struct field *f = table_find(t, child->key);
        struct path step = {path, child->key, 0};
        if (f == NULL) {
            unknown_key(t, m, &step, child);
        } else {
            field_decode(f, m, &step, child, is_partial, base);
        }
    }
    for (size_t i = 0; !is_partial && i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        if ((f->flags & FIELD_REQUIRED) != 0 && node_get(n, f->key) == NULL) {
            mistake_add(m, path, n->line, "the key %s is missing", f->key);
        }
    }
    if (t->check != NULL) {
        t->check(m, path, n, base);
    }
}

/* Encoding */

static void add_number(struct buf *out, double value)
{
    char text[40];

    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_text(out, text);
}

static void add_seconds(struct buf *out, int64_t ms)
{
    buf_printf(out, "%lld", (long long)(ms / 1000));
    if (ms % 1000 == 0) {
        return;
    }
    char fraction[8];
    int n = snprintf(fraction, sizeof fraction, ".%03d", (int)(ms % 1000));
    while (n > 0 && fraction[n - 1] == '0') {
        fraction[--n] = '\0';
    }
    buf_text(out, fraction);
}

/* Absent numbers, without a preset, are written as null. */
static void add_count(const struct field *f, struct buf *out, uint64_t value)
{
    uint64_t absent = (f->flags & FIELD_ZERO_COUNTS) != 0 ? UINT32_MAX : 0;

    if (value == absent && f->preset == NULL) {
        buf_text(out, "null");
    } else {
        buf_printf(out, "%llu", (unsigned long long)value);
    }
}

static void add_text_or_null(struct buf *out, const char *text)
{
    if (text == NULL) {
        buf_text(out, "null");
    } else {
        buf_json_str(out, str_of(text));
    }
}

static void add_list(const struct field *f, const void *base, struct buf *out)
{
    size_t n = *(const size_t *)at_const(base, f->count_offset);
    const void *list = *(void *const *)at_const(base, f->offset);

    if (list == NULL && f->type == FIELD_INTS) {
        buf_text(out, "null");
        return;
    }
    buf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_char(out, ',');
        }
        if (f->type == FIELD_INTS) {
            buf_printf(out, "%d", ((const int *)list)[i]); // NOLINT: n > 0 has a list
        } else {
            buf_json_str(out, str_of(((char *const *)list)[i])); // NOLINT: n > 0 has a list
        }
    }
    buf_char(out, ']');
}

static void add_instant(struct buf *out, int64_t ms)
{
    char text[WALL_TEXT_SIZE];

    if (ms == 0) {
        buf_text(out, "null");
        return;
    }
    wall_format((struct wall){ms}, text);
    buf_json_str(out, str_of(text));
}

static void add_scalar(const struct field *f, const void *base, struct buf *out)
{
    const void *from = at_const(base, f->offset);

    switch (f->type) {
    case FIELD_BOOL:
        buf_text(out, *(const bool *)from ? "true" : "false");
        break;
    case FIELD_U32:
        add_count(f, out, *(const uint32_t *)from);
        break;
    case FIELD_U64:
        add_count(f, out, *(const uint64_t *)from);
        break;
    case FIELD_SIZE:
        add_count(f, out, *(const size_t *)from);
        break;
    case FIELD_NUMBER:
        add_number(out, *(const double *)from);
        break;
    case FIELD_SECONDS:
        if (*(const int64_t *)from < 0) {
            buf_text(out, "null");
        } else {
            add_seconds(out, *(const int64_t *)from);
        }
        break;
    case FIELD_INSTANT:
        add_instant(out, *(const int64_t *)from);
        break;
    case FIELD_TEXT:
        add_text_or_null(out, text_of(f, base));
        break;
    case FIELD_CHOICE:
        add_text_or_null(out, f->choices[*(const unsigned int *)from]);
        break;
    case FIELD_EITHER:
        add_text_or_null(out, f->choices[*(const bool *)from ? 1 : 0]);
        break;
    case FIELD_TEXTS:
    case FIELD_INTS:
        add_list(f, base, out);
        break;
    case FIELD_OBJECT:
    case FIELD_POINTER:
    case FIELD_CUSTOM:
    case FIELD_LATER:
        PANIC("%s is no scalar", f->key);
    }
}

static bool is_given(const struct field *f, const void *base)
{
    return f->count_offset == FIELD_NO_OFFSET || *(const bool *)at_const(base, f->count_offset);
}

static void encode_pointer(const struct field *f, const void *base, struct buf *out)
{
    const void *from = *(void *const *)at_const(base, f->offset);
    void *preset;

    if (from == NULL) {
        return;
    }
    preset = calloc(1, f->sub_size);
    if (preset == NULL || table_preset(f->sub, preset) != ERR_OK) {
        out->is_failed = true;
    } else {
        table_encode(f->sub, from, preset, out);
    }
    if (preset != NULL) {
        table_fini(f->sub, preset);
        free(preset);
    }
}

/* Appends the value unless it is at its default; says whether it did. */
static bool encode_field(const struct field *f, const void *base, const void *preset,
                         bool is_forced, struct buf *out)
{
    size_t before = out->n;
    struct buf usual = {0};

    switch (f->type) {
    case FIELD_LATER:
        return false;
    case FIELD_CUSTOM:
        f->custom->encode(base, out);
        return out->n > before;
    case FIELD_POINTER:
        encode_pointer(f, base, out);
        return out->n > before;
    case FIELD_OBJECT:
        if (is_given(f, base)) {
            table_encode(f->sub, at_const(base, f->offset), at_const(preset, f->offset), out);
        }
        if (f->count_offset == FIELD_NO_OFFSET && out->n == before + 2) {
            out->n = before; /* "{}": everything at its default */
        }
        return out->n > before;
    case FIELD_BOOL:
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_SIZE:
    case FIELD_NUMBER:
    case FIELD_SECONDS:
    case FIELD_INSTANT:
    case FIELD_TEXT:
    case FIELD_CHOICE:
    case FIELD_EITHER:
    case FIELD_TEXTS:
    case FIELD_INTS:
    default:
        break;
    }
    add_scalar(f, base, out);
    add_scalar(f, preset, &usual);
    if (!is_forced && out->p != NULL &&
        str_is((struct str){out->p + before, out->n - before}, buf_as_str(&usual))) {
        out->n = before;
    }
    buf_fini(&usual);
    return out->n > before;
}

/* The fields' numbers in the order of their keys. */
static void sort_fields(const struct table *t, size_t *order)
{
    CHECK(t->n_fields <= KEYS_MAX);
    for (size_t i = 0; i < t->n_fields; i++) {
        size_t j = i;
        for (; j > 0 && strcmp(t->fields[order[j - 1]].key, t->fields[i].key) > 0; j--) {
            order[j] = order[j - 1];
        }
        order[j] = i;
    }
}

static bool is_forced_by_previous(const struct table *t, size_t i, const void *base,
                                  const void *preset)
{
    struct buf value = {0};

    if ((t->fields[i].flags & FIELD_WITH_PREVIOUS) == 0) {
        return false;
    }
    bool is_forced = encode_field(&t->fields[i - 1], base, preset, /* is_forced= */ false, &value);
    buf_fini(&value);
    return is_forced;
}

void table_encode(const struct table *t, const void *base, const void *preset, struct buf *out)
{
    size_t order[KEYS_MAX];
    bool is_first = true;

    sort_fields(t, order);
    buf_char(out, '{');
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[order[i]];
        size_t before = out->n;
        buf_printf(out, "%s\"%s\":", is_first ? "" : ",", f->key);
        bool is_forced = is_forced_by_previous(t, order[i], base, preset);
        if (encode_field(f, base, preset, is_forced, out)) {
            is_first = false;
        } else {
            out->n = before;
        }
    }
    if (out->p != NULL) {
        out->p[out->n] = '\0';
    }
    buf_char(out, '}');
}

/* Printing */

static void print_object(const struct field *f, const void *base, int indent, struct buf *out)
{
    const void *from = f->type == FIELD_POINTER ? *(void *const *)at_const(base, f->offset)
                                                : at_const(base, f->offset);
    bool is_there = f->type == FIELD_POINTER ? from != NULL : is_given(f, base);

    if (!is_there) {
        buf_text(out, " null\n");
        return;
    }
    buf_char(out, '\n');
    table_print(f->sub, from, indent + 2, out);
}

static void print_secret(const struct field *f, const void *base, struct buf *out)
{
    struct buf url = {0};

    if (f->type == FIELD_TEXT && text_of(f, base) != NULL) {
        value_redacted(str_of(text_of(f, base)), &url);
        buf_json_str(out, buf_as_str(&url));
    } else if (f->type == FIELD_TEXTS) {
        char *const *list = *(char **const *)at_const(base, f->offset);
        size_t n = *(const size_t *)at_const(base, f->count_offset);
        buf_char(out, '[');
        for (size_t i = 0; i < n; i++) {
            buf_clear(&url);
            value_redacted(str_of(list[i]), &url);
            buf_text(out, i > 0 ? ", " : "");
            buf_json_str(out, buf_as_str(&url));
        }
        buf_char(out, ']');
    } else {
        buf_text(out, "null");
    }
    buf_fini(&url);
}

static void print_field(const struct field *f, const void *base, int indent, struct buf *out)
{
    if (f->type == FIELD_LATER) {
        return;
    }
    buf_printf(out, "%*s%s:", indent, "", f->key);
    if (f->type == FIELD_OBJECT || f->type == FIELD_POINTER) {
        print_object(f, base, indent, out);
        return;
    }
    if (f->type == FIELD_CUSTOM && f->custom->print != NULL) {
        f->custom->print(base, indent, out);
        return;
    }
    buf_char(out, ' ');
    size_t before = out->n;
    if ((f->flags & FIELD_SECRET_URL) != 0) {
        print_secret(f, base, out);
    } else if (f->type == FIELD_CUSTOM) {
        f->custom->encode(base, out);
    } else {
        add_scalar(f, base, out);
    }
    buf_text(out, out->n == before ? "null\n" : "\n");
}

void table_print(const struct table *t, const void *base, int indent, struct buf *out)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        print_field(&t->fields[i], base, indent, out);
    }
}
