/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include "base/map.h"
#include "config/discovery.h"
#include "config/schedule.h"
#include "config/sections.h"
#include "config/tenant_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS_MAX = 10000, TENANTS_MAX = 100000, LIST_MAX = 100000 };

/* The reading of one document */

struct loading {
    struct config *c;
    struct mistakes m;
    const char *path; /* of the file */
    config_cron_check cron_check;
    struct wall now;
    bool is_discovery;
    bool is_without_schedules; /* neither they nor crontabs are read */
    struct node *defaults;     /* borrowed from the tree; or NULL */
    struct map tenants;        /* known names to their nodes, sound or not */
    struct schedule_list schedules;
};

static void out_of_memory(struct loading *l)
{
    l->m.is_out_of_memory = true;
}

/* What stands under a top-level key, if it is of the kind that it should be. */
static struct node *section(struct loading *l, const struct node *root, const char *key,
                            enum node_kind kind)
{
    struct node *n = node_get(root, key);
    struct path path = {.key = key};

    if (n == NULL || n->kind == NODE_NULL) {
        return NULL;
    }
    if (n->kind != kind) {
        field_wrong_kind(&l->m, &path, n, node_kind_text(kind));
        return NULL;
    }
    return n;
}

static void check_key_unique(struct loading *l, const struct path *path, const struct node *n,
                             size_t i)
{
    struct config_key *k = &l->c->keys[i];

    for (size_t j = 0; j < i; j++) {
        const struct config_key *other = &l->c->keys[j];
        if (k->name != NULL && other->name != NULL && strcmp(k->name, other->name) == 0) {
            mistake_add(&l->m, path, n->line, "the name %s is another key's, too", k->name);
        }
        if (node_get(n, "hash") != NULL && memcmp(k->hash, other->hash, sizeof k->hash) == 0) {
            mistake_add(&l->m, path, n->line, "the hash is another key's, too");
        }
    }
}

static void load_keys(struct loading *l, const struct node *root)
{
    const struct node *list = section(l, root, "keys", NODE_LIST);
    struct path at_keys = {.key = "keys"};

    if (list == NULL) {
        return;
    }
    if (list->n > KEYS_MAX) {
        mistake_add(&l->m, &at_keys, list->line, "expected at most %d keys", KEYS_MAX);
        return;
    }
    l->c->keys = calloc(list->n + 1, sizeof *l->c->keys);
    if (l->c->keys == NULL) {
        out_of_memory(l);
        return;
    }
    for (const struct node *n = list->first; n != NULL; n = n->next) {
        struct path path = {&at_keys, NULL, l->c->n_keys};
        struct config_key *k = &l->c->keys[l->c->n_keys++];
        k->scopes = CONFIG_SUBMIT | CONFIG_READ;
        if (n->kind != NODE_MAP) {
            field_wrong_kind(&l->m, &path, n, "a map");
        } else if (table_preset(&sections_key_table, k) != ERR_OK) {
            out_of_memory(l);
        } else {
            k->scopes = CONFIG_SUBMIT | CONFIG_READ;
            table_decode(&sections_key_table, &l->m, &path, n, /* is_partial= */ false, k);
            tenant_rate_complete(&k->rate);
            check_key_unique(l, &path, n, l->c->n_keys - 1);
        }
    }
}

/* The defaults are judged once, here, and not again under each tenant. */
static void load_defaults(struct loading *l, const struct node *root)
{
    struct path path = {.key = "defaults"};
    struct tenant *scratch;
    struct buf json = {0};

    l->defaults = section(l, root, "defaults", NODE_MAP);
    if (l->defaults == NULL) {
        return;
    }
    scratch = tenant_new(STR("defaults"));
    if (scratch == NULL) {
        out_of_memory(l);
        return;
    }
    table_decode(&tenant_table, &l->m, &path, l->defaults, /* is_partial= */ true, scratch);
    tenant_free(scratch);
    node_to_json(l->defaults, &json);
    l->c->defaults_json = buf_take(&json, NULL);
    if (l->c->defaults_json == NULL) {
        out_of_memory(l);
    }
}

static void load_tenant(struct loading *l, const struct path *up, struct node *n)
{
    struct path path = {up, n->key, 0};
    struct tenant *t = tenant_new(str_of(n->key));
    struct mistakes mute = {0};

    if (t == NULL || map_put(&l->tenants, str_of(n->key), n) != ERR_OK) {
        tenant_free(t);
        out_of_memory(l);
        return;
    }
    l->c->tenants[l->c->n_tenants++] = t;
    if (!value_is_name(str_of(n->key))) {
        mistake_add(&l->m, &path, n->key_line, "%s", value_name(str_of(n->key)));
    }
    if (l->defaults != NULL) {
        table_decode(&tenant_table, &mute, &path, l->defaults, /* is_partial= */ true, t);
        l->m.is_out_of_memory = l->m.is_out_of_memory || mute.is_out_of_memory;
    }
    if (n->kind == NODE_MAP) {
        table_decode(&tenant_table, &l->m, &path, n, /* is_partial= */ false, t);
    } else if (n->kind != NODE_NULL) {
        field_wrong_kind(&l->m, &path, n, "a map");
    }
    if (tenant_complete(t) != ERR_OK) {
        out_of_memory(l);
    }
}

/* The line of the i-th of a tenant's apis, which may be those of the defaults. */
static int api_line(const struct loading *l, const struct node *tenant, size_t i)
{
    const struct node *apis = node_get(tenant, "apis");

    if (apis == NULL && l->defaults != NULL) {
        apis = node_get(l->defaults, "apis");
    }
    const struct node *item = apis == NULL || apis->kind != NODE_LIST ? NULL : apis->first;
    while (item != NULL && i > 0) {
        item = item->next;
        i--;
    }
    return item == NULL ? tenant->key_line : item->line;
}

static void check_apis(struct loading *l, const struct path *up, struct tenant *t, struct map *seen)
{
    const struct node *n = map_get(&l->tenants, str_of(t->name));
    struct path path = {up, t->name, 0};
    struct path apis = {&path, "apis", 0};

    for (size_t i = 0; i < t->n_apis; i++) {
        struct path item = {&apis, NULL, i};
        struct str prefix = str_of(t->apis[i]);
        if (t->apis[i] == NULL || prefix.n == 0) {
            continue;
        }
        while (prefix.n > 1 && prefix.p[prefix.n - 1] == '/') {
            prefix.n--;
        }
        const struct tenant *other = map_get(seen, prefix);
        if (other != NULL) {
            mistake_add(&l->m, &item, api_line(l, n, i), "%s is an api of the tenant %s already",
                        t->apis[i], other->name);
        } else if (map_put(seen, prefix, t) != ERR_OK) {
            out_of_memory(l);
        }
    }
}

static int compare_tenants(const void *a, const void *b)
{
    const struct tenant *const *left = a;
    const struct tenant *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static void load_tenants(struct loading *l, const struct node *root)
{
    struct node *map = section(l, root, "tenants", NODE_MAP);
    struct path at_tenants = {.key = "tenants"};
    const struct path *up = l->is_discovery ? NULL : &at_tenants;
    struct map seen = {0};

    if (map == NULL) {
        return;
    }
    if (map->n > TENANTS_MAX) {
        mistake_add(&l->m, &at_tenants, map->line, "expected at most %d tenants", TENANTS_MAX);
        return;
    }
    l->c->tenants = calloc(map->n + 1, sizeof *l->c->tenants);
    if (l->c->tenants == NULL) {
        out_of_memory(l);
        return;
    }
    for (struct node *n = map->first; n != NULL; n = n->next) {
        load_tenant(l, up, n);
    }
    for (size_t i = 0; i < l->c->n_tenants; i++) {
        check_apis(l, up, l->c->tenants[i], &seen);
    }
    map_fini(&seen);
    qsort(l->c->tenants, l->c->n_tenants, sizeof *l->c->tenants, compare_tenants);
}

static void load_schedules(struct loading *l, const struct node *root)
{
    struct node *map = section(l, root, "schedules", NODE_MAP);
    struct path at_schedules = {.key = "schedules"};
    struct schedule_context x = {
        .tenants = &l->tenants, .cron_check = l->cron_check, .now = l->now};

    if (map == NULL) {
        return;
    }
    for (struct node *n = map->first; n != NULL; n = n->next) {
        struct path path = {&at_schedules, n->key, 0};
        struct config_schedule *s = schedule_list_add(&l->schedules);
        struct buf name = {0};
        buf_text(&name, n->key);
        int rc = value_take_name(&l->schedules.names, &name, VALUE_NAME_MAX);
        buf_fini(&name);
        if (s == NULL || rc != ERR_OK) {
            out_of_memory(l);
            return;
        }
        schedule_decode(&x, &l->m, &path, n->key, n, s);
    }
}

/* Files */

static int read_stream(FILE *file, struct buf *out)
{
    for (;;) {
        char *to = buf_reserve(out, 65536);
        if (to == NULL) {
            return ERR_NOMEM;
        }
        size_t n = fread(to, 1, 65536, file);
        out->n += n;
        out->p[out->n] = '\0';
        if (out->n > NODE_BYTES) {
            return ERR_TOO_LARGE;
        }
        if (n == 0) {
            return ferror(file) != 0 ? ERR_IO : ERR_OK;
        }
    }
}

/* Reports what is wrong; true when the text is there. */
static bool read_file(struct mistakes *m, const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    int rc = file == NULL ? ERR_IO : read_stream(file, out);
    int why = errno;

    if (file != NULL) {
        (void)fclose(file); /* only read */
    }
    if (rc == ERR_NOMEM) {
        m->is_out_of_memory = true;
    } else if (rc == ERR_TOO_LARGE) {
        mistake_add(m, NULL, 0, "larger than 16 MiB");
    } else if (rc != ERR_OK) {
        mistake_add(m, NULL, 0, "cannot be read: %s", strerror(why));
    }
    return rc == ERR_OK;
}

/* A crontab's name is relative to the folder of the file that names it. */
static char *resolve(const char *config_path, const char *path)
{
    const char *slash = strrchr(config_path, '/');
    struct buf whole = {0};

    if (path[0] != '/' && slash != NULL) {
        buf_add(&whole, config_path, (size_t)(slash + 1 - config_path));
    }
    buf_text(&whole, path);
    return buf_take(&whole, NULL);
}

static void load_crontab(struct loading *l, const struct path *path, const struct node *n)
{
    struct schedule_context x = {
        .tenants = &l->tenants, .cron_check = l->cron_check, .now = l->now};
    struct mistakes m = {.out = l->m.out};
    struct buf text = {0};

    if (n->kind != NODE_TEXT || n->text[0] == '\0') {
        field_wrong_kind(&l->m, path, n, "the name of a file");
        return;
    }
    char *file = resolve(l->path, n->text);
    if (file == NULL) {
        out_of_memory(l);
        return;
    }
    l->c->crontabs[l->c->n_crontabs++] = file;
    m.file = file;
    m.n = l->m.n;
    if (read_file(&m, file, &text)) {
        crontab_read(&x, &m, buf_as_str(&text), &l->schedules);
    }
    l->m.n = m.n;
    l->m.is_out_of_memory = l->m.is_out_of_memory || m.is_out_of_memory;
    buf_fini(&text);
}

static void load_crontabs(struct loading *l, const struct node *root)
{
    struct node *list = section(l, root, "crontabs", NODE_LIST);
    struct path at_crontabs = {.key = "crontabs"};
    size_t i = 0;

    if (list == NULL) {
        return;
    }
    l->c->crontabs = calloc(list->n + 1, sizeof *l->c->crontabs);
    if (l->c->crontabs == NULL) {
        out_of_memory(l);
        return;
    }
    for (struct node *n = list->first; n != NULL; n = n->next, i++) {
        struct path path = {&at_crontabs, NULL, i};
        load_crontab(l, &path, n);
    }
}

static void load_tree(struct loading *l, const struct node *root)
{
    if (root->kind == NODE_NULL) {
        return;
    }
    if (root->kind != NODE_MAP) {
        field_wrong_kind(&l->m, NULL, root, "a map of broker, store, ingress, tenants, …");
        return;
    }
    table_decode(&sections_root_table, &l->m, NULL, root, /* is_partial= */ false, l->c);
    load_keys(l, root);
    load_defaults(l, root);
    load_tenants(l, root);
    if (!l->is_without_schedules) {
        load_schedules(l, root);
        load_crontabs(l, root);
    }
}

static void load_text(struct loading *l, struct str text)
{
    struct node *root = NULL;
    struct buf why = {0};
    int line = 0;
    int rc = node_parse(text, &root, &line, &why);

    if (rc == ERR_SYNTAX) {
        mistake_add(&l->m, NULL, line, "%s", why.p == NULL ? "not well formed" : why.p);
    } else if (rc != ERR_OK) {
        out_of_memory(l);
    }
    if (root != NULL && discovery_is(root)) {
        struct node *ours = discovery_translate(&l->m, root);
        node_free(root);
        root = ours;
        l->is_discovery = true;
        l->m.is_out_of_memory = l->m.is_out_of_memory || ours == NULL;
    }
    if (root != NULL) {
        load_tree(l, root);
    }
    /* The tree goes, and with it what only borrowed from it. */
    map_fini(&l->tenants);
    l->defaults = NULL;
    node_free(root);
    buf_fini(&why);
}

static void load_file(struct loading *l)
{
    struct buf text = {0};

    if (l->path != NULL && read_file(&l->m, l->path, &text)) {
        load_text(l, buf_as_str(&text));
    }
    buf_fini(&text);
}

static void load_env(struct loading *l)
{
    struct mistakes m = {.file = "environment", .out = l->m.out, .n = l->m.n};

    sections_apply_env(&m, l->c);
    l->m.n = m.n;
    l->m.is_out_of_memory = l->m.is_out_of_memory || m.is_out_of_memory;
}

/* Public */

static void hand_over(struct loading *l)
{
    struct config *c = l->c;

    c->schedules = l->schedules.items;
    c->n_schedules = l->schedules.n;
    l->schedules.items = NULL;
    l->schedules.n = 0;
    if (c->store.wait_replicas == UINT32_MAX) {
        c->store.wait_replicas = c->store.n_sentinels > 0 && c->store.is_strict ? 1 : 0;
    }
    if (c->broker.n_urls > 0 && c->broker.urls[0] != NULL &&
        field_set_text(&c->broker.url, c->broker.urls[0]) != ERR_OK) {
        out_of_memory(l);
    }
}

static int begin(struct loading *l, struct buf *ret_mistakes)
{
    l->now = clock_wall();
    l->m = (struct mistakes){.file = l->path, .out = ret_mistakes};
    l->c = calloc(1, sizeof *l->c);
    return l->c == NULL ? ERR_NOMEM : table_preset(&sections_root_table, l->c);
}

static int end(struct loading *l, int rc, struct config **ret)
{
    if (rc == ERR_OK) {
        hand_over(l);
        rc = mistake_verdict(&l->m);
    }
    if (rc == ERR_OK) {
        *ret = l->c;
        l->c = NULL;
    }
    schedule_list_fini(&l->schedules);
    config_free(l->c);
    return rc;
}

int config_load(const char *path, config_cron_check cron_check, struct config **ret,
                struct buf *ret_mistakes)
{
    struct loading l = {.path = path, .cron_check = cron_check};
    int rc = begin(&l, ret_mistakes);

    if (rc == ERR_OK) {
        load_file(&l);
        load_env(&l);
    }
    return end(&l, rc, ret);
}

/* The names of the tenants that were loaded, sound or not; NULL: the file told of none. */
static const struct map *known_tenants(struct loading *l, struct map *names)
{
    for (size_t i = 0; i < l->c->n_tenants; i++) {
        if (map_put(names, str_of(l->c->tenants[i]->name), l->c->tenants[i]) != ERR_OK) {
            out_of_memory(l);
        }
    }
    bool is_known = l->path != NULL && (l->m.n == 0 || names->n > 0);
    return is_known ? names : NULL;
}

int config_load_crontab(const char *path, const char *file, struct str text,
                        config_cron_check cron_check, struct config **ret, struct buf *ret_mistakes)
{
    struct loading l = {.path = path, .is_without_schedules = true};
    struct map names = {0};
    int rc = begin(&l, ret_mistakes);

    if (rc == ERR_OK) {
        load_file(&l);
        struct schedule_context x = {
            .tenants = known_tenants(&l, &names), .cron_check = cron_check, .now = l.now};
        l.m.file = file;
        crontab_read(&x, &l.m, text, &l.schedules);
    }
    map_fini(&names);
    return end(&l, rc, ret);
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    table_fini(&sections_root_table, c);
    for (size_t i = 0; i < c->n_keys; i++) {
        table_fini(&sections_key_table, &c->keys[i]);
    }
    free(c->keys);
    for (size_t i = 0; i < c->n_tenants; i++) {
        tenant_free(c->tenants[i]);
    }
    free(c->tenants);
    free(c->defaults_json);
    for (size_t i = 0; i < c->n_schedules; i++) {
        schedule_fini(&c->schedules[i]);
    }
    free(c->schedules);
    for (size_t i = 0; i < c->n_crontabs; i++) {
        free(c->crontabs[i]);
    }
    free(c->crontabs);
    free(c);
}

static void print_keys(const struct config *c, struct buf *out)
{
    buf_text(out, c->n_keys == 0 ? "keys: []\n" : "keys:\n");
    for (size_t i = 0; i < c->n_keys; i++) {
        size_t before = out->n;
        table_print(&sections_key_table, &c->keys[i], 4, out);
        if (!buf_failed(out)) {
            out->p[before + 2] = '-';
        }
    }
}

void config_print(const struct config *c, struct buf *out)
{
    /* Where a cluster's list is given, url is only its first. */
    bool is_cluster = c->broker.n_urls > 0;
    struct config shown = *c;

    shown.broker.url = is_cluster ? NULL : c->broker.url;
    table_print(&sections_root_table, &shown, 0, out);
    print_keys(c, out);
    buf_text(out, c->n_tenants == 0 ? "tenants: {}\n" : "tenants:\n");
    for (size_t i = 0; i < c->n_tenants; i++) {
        buf_printf(out, "  \"%s\":\n", c->tenants[i]->name);
        table_print(&tenant_table, c->tenants[i], 4, out);
    }
    buf_text(out, c->n_schedules == 0 ? "schedules: {}\n" : "schedules:\n");
    for (size_t i = 0; i < c->n_schedules; i++) {
        buf_printf(out, "  \"%s\":\n", c->schedules[i].name);
        table_print(&schedule_table, &c->schedules[i], 4, out);
    }
    for (size_t i = 0; i < c->n_crontabs; i++) {
        buf_printf(out, "# crontab read: %s\n", c->crontabs[i]);
    }
}

struct tenant *config_tenant(const struct config *c, struct str name)
{
    size_t low = 0;
    size_t high = c->n_tenants;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct tenant *t = c->tenants[middle];
        struct str other = str_of(t->name);
        size_t n = name.n < other.n ? name.n : other.n;
        int order = n == 0 ? 0 : memcmp(name.p, other.p, n);
        if (order == 0 && name.n == other.n) {
            return t;
        }
        if (order < 0 || (order == 0 && name.n < other.n)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
