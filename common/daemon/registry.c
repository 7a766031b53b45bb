/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/registry.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { POLL_MS = 1000, RETRY_MS = 200 };

struct registry {
    struct loop *loop;
    struct store *store;
    struct loop_timer *timer;
    registry_change_cb cb;
    void *arg;
    struct map entries; /* name → registry_entry */
    bool is_indexed;    /* the index was read once */
    unsigned int fetching;
    bool is_read;       /* and every document of it */
    bool is_asking;     /* the index is under way */
    unsigned int alive; /* fetches under way, and the registry itself */
    bool is_freed;
};

/* One tenant's document under way. */
struct fetch {
    struct registry *registry;
    char *name;
    char *version;
};

struct registry_entry *registry_ref(struct registry_entry *e)
{
    e->refs++;
    return e;
}

void registry_unref(struct registry_entry *e)
{
    if (e == NULL || --e->refs > 0) {
        return;
    }
    tenant_free(e->tenant);
    free(e->version);
    free(e);
}

/* Callbacks of the store may outlive registry_free: the last one releases the memory. */
static void let_go(struct registry *r)
{
    if (--r->alive == 0) {
        free(r);
    }
}

static void replace(struct registry *r, struct str name, struct registry_entry *now)
{
    struct registry_entry *before = map_get(&r->entries, name);

    if (now != NULL && map_put(&r->entries, name, now) != ERR_OK) {
        registry_unref(now);
        return;
    }
    if (now == NULL) {
        (void)map_remove(&r->entries, name);
    }
    r->cb(name, before, now, r->arg);
    registry_unref(before);
}

static struct registry_entry *entry_new(struct str name, struct str version, struct str json)
{
    struct registry_entry *e = calloc(1, sizeof *e);

    if (e == NULL) {
        return NULL;
    }
    e->refs = 1;
    e->version = str_dup(version);
    int rc = tenant_from_json(name, json, &e->tenant);
    if (rc != ERR_OK || e->version == NULL) {
        log_event(LOG_ERROR, "registry_tenant_unreadable", "tenant=%.*s err=%s", STR_ARG(name),
                  err_word(rc));
        registry_unref(e);
        return NULL;
    }
    return e;
}

static void fetch_free(struct fetch *f)
{
    struct registry *r = f->registry;

    r->fetching--;
    r->is_read = r->is_read || (r->is_indexed && r->fetching == 0);
    let_go(r);
    free(f->name);
    free(f->version);
    free(f);
}

static void on_document(int rc, const struct store_value *value, void *arg)
{
    struct fetch *f = arg;
    struct registry *r = f->registry;

    if (!r->is_freed && rc == ERR_OK && value->type == STORE_TEXT) {
        struct registry_entry *e = entry_new(str_of(f->name), str_of(f->version), value->text);
        if (e != NULL) {
            replace(r, str_of(f->name), e);
        }
    }
    fetch_free(f);
}

static void fetch(struct registry *r, struct str name, struct str version)
{
    char key[256];
    struct fetch *f = calloc(1, sizeof *f);

    if (f == NULL) {
        return;
    }
    f->registry = r;
    f->name = str_dup(name);
    f->version = str_dup(version);
    r->alive++;
    r->fetching++;
    (void)snprintf(key, sizeof key, "{%.*s}:doc", STR_ARG(name));
    struct str words[] = {STR("GET"), str_of(key)};
    if (f->name == NULL || f->version == NULL ||
        store_command(r->store, words, 2, on_document, f) != ERR_OK) {
        fetch_free(f);
    }
}

static bool index_has(const struct store_value *index, struct str name)
{
    for (size_t i = 0; i + 1 < index->n_items; i += 2) {
        if (str_is(index->items[i].text, name)) {
            return true;
        }
    }
    return false;
}

static void drop_the_absent(struct registry *r, const struct store_value *index)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&r->entries, &cursor, &name, &value)) {
        if (!index_has(index, name)) {
            char *copy = str_dup(name);
            if (copy != NULL) {
                replace(r, str_of(copy), NULL);
                free(copy);
            }
        }
    }
}

static void take_index(struct registry *r, const struct store_value *index)
{
    if (!index_has(index, STR(REGISTRY_WRITTEN))) {
        /* An empty store, or a dispatcher half way: the last good state stays. */
        return;
    }
    for (size_t i = 0; i + 1 < index->n_items; i += 2) {
        struct str name = index->items[i].text;
        struct str version = index->items[i + 1].text;
        struct registry_entry *e = map_get(&r->entries, name);
        if (!tenant_name_is_valid(name) || (e != NULL && str_is(str_of(e->version), version))) {
            continue;
        }
        fetch(r, name, version);
    }
    drop_the_absent(r, index);
    r->is_indexed = true;
    r->is_read = r->is_read || r->fetching == 0;
}

static void on_index(int rc, const struct store_value *value, void *arg)
{
    struct registry *r = arg;

    r->is_asking = false;
    if (!r->is_freed) {
        if (rc == ERR_OK && value->type == STORE_ARRAY) {
            take_index(r, value);
        }
        loop_timer_set(r->timer, r->is_read ? POLL_MS : RETRY_MS);
    }
    let_go(r);
}

void registry_refresh(struct registry *r)
{
    struct str words[] = {STR("HGETALL"), STR(REGISTRY_INDEX)};

    if (r->is_asking) {
        return;
    }
    if (store_command(r->store, words, 2, on_index, r) == ERR_OK) {
        r->is_asking = true;
        r->alive++;
    } else {
        loop_timer_set(r->timer, RETRY_MS);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    (void)t;
    registry_refresh(arg);
}

int registry_new(struct loop *l, struct store *s, registry_change_cb cb, void *arg,
                 struct registry **ret)
{
    struct registry *r = calloc(1, sizeof *r);

    if (r == NULL) {
        return ERR_NOMEM;
    }
    *r = (struct registry){.loop = l, .store = s, .cb = cb, .arg = arg, .alive = 1};
    int rc = loop_timer_new(l, on_timer, r, &r->timer);
    if (rc != ERR_OK) {
        free(r);
        return rc;
    }
    loop_timer_set(r->timer, 0);
    *ret = r;
    return ERR_OK;
}

void registry_free(struct registry *r)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (r == NULL) {
        return;
    }
    while (map_next(&r->entries, &cursor, &name, &value)) {
        registry_unref(value);
    }
    map_fini(&r->entries);
    loop_timer_free(r->timer);
    r->is_freed = true;
    let_go(r);
}

bool registry_is_read(const struct registry *r)
{
    return r->is_read;
}

struct registry_entry *registry_find(const struct registry *r, struct str name)
{
    return map_get(&r->entries, name);
}

/* How many bytes of `path` the prefix covers on a segment's border; 0: none. */
static size_t covers(struct str prefix, struct str path)
{
    while (prefix.n > 1 && prefix.p[prefix.n - 1] == '/') {
        prefix.n--;
    }
    if (!str_starts(path, prefix)) {
        return 0;
    }
    bool is_border = path.n == prefix.n || path.p[prefix.n] == '/' || prefix.n == 1;
    return is_border ? prefix.n : 0;
}

struct registry_entry *registry_find_api(const struct registry *r, struct str path)
{
    size_t cursor = 0;
    size_t best = 0;
    struct registry_entry *found = NULL;
    struct registry_entry *e;

    while (registry_next(r, &cursor, &e)) {
        for (size_t i = 0; i < e->tenant->n_apis; i++) {
            size_t n = covers(str_of(e->tenant->apis[i]), path);
            if (n > best) {
                best = n;
                found = e;
            }
        }
    }
    return found;
}

size_t registry_size(const struct registry *r)
{
    return r->entries.n;
}

bool registry_next(const struct registry *r, size_t *cursor, struct registry_entry **ret)
{
    struct str name;
    void *value;

    if (!map_next(&r->entries, cursor, &name, &value)) {
        return false;
    }
    *ret = value;
    return true;
}
