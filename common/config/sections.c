/* SPDX-License-Identifier: Apache-2.0 */
#include "config/sections.h"

#include "config/tenant_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define C(member) offsetof(struct config, member)
#define K(member) offsetof(struct config_key, member)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TABLE(what, array, whole)                                                                  \
    {                                                                                              \
        .name = (what), .fields = (array), .n_fields = COUNT(array), .check = (whole)              \
    }
#define CHOICES(array) .choices = (array), .max = (int)COUNT(array)
#define ENV_PREFIX "SLUICE_CFG_"

enum { ENV_NAME_SIZE = 96, ENV_NAMES = 64 };

static const char *const queue_types[] = {"classic", "quorum"};
static const char *const durabilities[] = {"fast", "strict"};
static const char *const scope_names[] = {"submit", "read", "admin", NULL};

/* The sections of single values */

/* An empty list is as good as none. */
static bool is_given(const struct node *map, const char *key)
{
    const struct node *n = node_get(map, key);

    return n != NULL && n->kind != NODE_NULL && (n->kind != NODE_LIST || n->n > 0);
}

static void check_broker(struct mistakes *m, const struct path *path, const struct node *n,
                         const void *base)
{
    (void)base;
    if (is_given(n, "url") && is_given(n, "urls")) {
        mistake_add(m, path, node_get(n, "urls")->key_line, "url and urls contradict each other");
    }
}

static void check_store(struct mistakes *m, const struct path *path, const struct node *n,
                        const void *base)
{
    (void)base;
    if (is_given(n, "sentinels") != is_given(n, "master")) {
        mistake_add(m, path, n->line, "sentinels and master need each other");
    }
}

static const struct field broker_fields[] = {
    {.key = "url",
     .type = FIELD_TEXT,
     .flags = FIELD_SECRET_URL,
     .offset = C(broker.url),
     .preset = "amqp://guest:guest@127.0.0.1:5672/%2f",
     .check = value_broker_url,
     .help = "amqp://USER:SECRET@HOST:PORT/VHOST"},
    {.key = "urls",
     .type = FIELD_TEXTS,
     .flags = FIELD_SECRET_URL,
     .offset = C(broker.urls),
     .count_offset = C(broker.n_urls),
     .min = 0,
     .max = 100,
     .check = value_broker_url,
     .help = "of a cluster, instead of url"},
    {.key = "queue_type",
     .type = FIELD_EITHER,
     .offset = C(broker.is_quorum),
     CHOICES(queue_types),
     .preset = "quorum",
     .help = "of the work queues"},
};
static const struct table broker_table = TABLE("broker", broker_fields, check_broker);

static const struct field store_fields[] = {
    {.key = "url",
     .type = FIELD_TEXT,
     .flags = FIELD_SECRET_URL,
     .offset = C(store.url),
     .preset = "redis://127.0.0.1:6379/0",
     .check = value_store_url,
     .help = "redis://USER:SECRET@HOST:PORT/DATABASE"},
    {.key = "sentinels",
     .type = FIELD_TEXTS,
     .flags = FIELD_SECRET_URL,
     .offset = C(store.sentinels),
     .count_offset = C(store.n_sentinels),
     .min = 0,
     .max = 100,
     .check = value_sentinel,
     .help = "HOST:PORT of each, or USER:SECRET@HOST:PORT"},
    {.key = "master",
     .type = FIELD_TEXT,
     .offset = C(store.master),
     .check = value_some,
     .help = "the sentinels' name for the master"},
    {.key = "durability",
     .type = FIELD_EITHER,
     .offset = C(store.is_strict),
     CHOICES(durabilities),
     .preset = "strict",
     .help = "strict: only a Redis that writes to disk before it answers"},
    {.key = "wait_replicas",
     .type = FIELD_U32,
     .flags = FIELD_ZERO_COUNTS,
     .offset = C(store.wait_replicas),
     .min = 0,
     .max = 5,
     .help = "replicas that must have what a promise rests on; unset: 1 with sentinels and strict"},
    {.key = "wait_s",
     .type = FIELD_SECONDS,
     .offset = C(store.wait_ms),
     .min = 0.01,
     .max = 1.5,
     .preset = "1",
     .help = "how long they are waited for; then the outcome is unknown"},
    {.key = "shelf_max_bytes",
     .type = FIELD_U64,
     .offset = C(store.shelf_max_bytes),
     .min = 1,
     .max = 1e12,
     .preset = "268435456",
     .help = "of requests that wait for a person, or for their turn"},
};
static const struct table store_table = TABLE("store", store_fields, check_store);

static const struct field ingress_fields[] = {
    {.key = "listen",
     .type = FIELD_TEXT,
     .offset = C(ingress.listen),
     .preset = "127.0.0.1:8080",
     .check = value_listen,
     .help = "ADDRESS:PORT"},
    {.key = "insecure_listen",
     .type = FIELD_BOOL,
     .offset = C(ingress.is_insecure_listen),
     .preset = "false",
     .help = "other addresses than loopback without keys"},
    {.key = "max_body_bytes",
     .type = FIELD_SIZE,
     .offset = C(ingress.max_body_bytes),
     .min = 1,
     .max = 536870912,
     .preset = "8388608",
     .help = "of a request; over it: 413"},
    {.key = "max_header_bytes",
     .type = FIELD_SIZE,
     .offset = C(ingress.max_header_bytes),
     .min = 1024,
     .max = 1048576,
     .preset = "16384",
     .help = "of a request; over it: 431"},
    {.key = "max_connections",
     .type = FIELD_U32,
     .offset = C(ingress.max_connections),
     .min = 1,
     .max = 1000000,
     .preset = "20000",
     .help = "at once"},
    {.key = "drain_s",
     .type = FIELD_SECONDS,
     .offset = C(ingress.drain_ms),
     .min = 0,
     .max = 86400,
     .preset = "30",
     .help = "the longest drain"},
};
static const struct table ingress_table = TABLE("ingress", ingress_fields, NULL);

static const struct field dispatcher_fields[] = {
    {.key = "listen",
     .type = FIELD_TEXT,
     .offset = C(dispatcher.listen),
     .preset = "127.0.0.1:8081",
     .check = value_listen,
     .help = "ADDRESS:PORT"},
    {.key = "leader_lease_s",
     .type = FIELD_SECONDS,
     .offset = C(dispatcher.leader_lease_ms),
     .min = 0.1,
     .max = 3600,
     .preset = "5",
     .help = "after which another may lead"},
    {.key = "state_dir",
     .type = FIELD_TEXT,
     .offset = C(dispatcher.state_dir),
     .check = value_path,
     .help = "keeps a copy of what was said over HTTP; absent: none"},
};
static const struct table dispatcher_table = TABLE("dispatcher", dispatcher_fields, NULL);

static const struct field worker_fields[] = {
    {.key = "listen",
     .type = FIELD_TEXT,
     .offset = C(worker.listen),
     .preset = "127.0.0.1:8082",
     .check = value_listen,
     .help = "ADDRESS:PORT"},
    /* AMQP's prefetch count has 16 bits. */
    {.key = "concurrency",
     .type = FIELD_U32,
     .offset = C(worker.concurrency),
     .min = 1,
     .max = 65535,
     .preset = "256",
     .help = "running attempts in one process"},
    {.key = "lease_s",
     .type = FIELD_SECONDS,
     .offset = C(worker.lease_ms),
     .min = 1,
     .max = 1800,
     .preset = "15",
     .help = "of the heartbeat"},
    {.key = "region",
     .type = FIELD_TEXT,
     .offset = C(worker.region),
     .check = value_some,
     .help = "for balance: region"},
    {.key = "drain_s",
     .type = FIELD_SECONDS,
     .offset = C(worker.drain_ms),
     .min = 0,
     .max = 86400,
     .help = "the longest drain; absent: the largest total_s served and 5"},
};
static const struct table worker_table = TABLE("worker", worker_fields, NULL);

#define SECTION(name)                                                                              \
    {                                                                                              \
        .key = #name, .type = FIELD_OBJECT, .count_offset = FIELD_NO_OFFSET, .sub = &name##_table  \
    }
static const struct field root_fields[] = {
    SECTION(broker),
    SECTION(store),
    SECTION(ingress),
    SECTION(dispatcher),
    SECTION(worker),
    {.key = "keys", .type = FIELD_LATER},
    {.key = "defaults", .type = FIELD_LATER},
    {.key = "tenants", .type = FIELD_LATER},
    {.key = "schedules", .type = FIELD_LATER},
    {.key = "crontabs", .type = FIELD_LATER},
};
const struct table sections_root_table = TABLE("config", root_fields, NULL);

/* Keys */

static void decode_hash(struct mistakes *m, const struct path *path, const struct node *n,
                        void *base)
{
    struct config_key *k = base;

    if (n->kind != NODE_TEXT) {
        field_wrong_kind(m, path, n, "text");
        return;
    }
    const char *why = value_key_hash(node_text(n));
    if (why != NULL) {
        mistake_add(m, path, n->line, "%s", why);
        return;
    }
    value_hash(node_text(n), k->hash);
}

static void encode_hash(const void *base, struct buf *out)
{
    const struct config_key *k = base;

    buf_text(out, "\"sha256:");
    for (size_t i = 0; i < sizeof k->hash; i++) {
        buf_printf(out, "%02x", k->hash[i]);
    }
    buf_char(out, '"');
}

static int scope_of(const struct node *n)
{
    for (int i = 0; n->kind == NODE_TEXT && scope_names[i] != NULL; i++) {
        if (strcmp(n->text, scope_names[i]) == 0) {
            return 1 << i; /* enum config_scope */
        }
    }
    return 0;
}

static void decode_scopes(struct mistakes *m, const struct path *path, const struct node *n,
                          void *base)
{
    struct config_key *k = base;
    size_t i = 0;

    if (n->kind != NODE_LIST || n->n == 0) {
        field_wrong_kind(m, path, n, "a list of submit, read, admin that is not empty");
        return;
    }
    k->scopes = 0;
    for (const struct node *item = n->first; item != NULL; item = item->next, i++) {
        struct path step = {path, NULL, i};
        unsigned int scope = (unsigned int)scope_of(item);
        if (scope == 0) {
            field_wrong_kind(m, &step, item, "one of submit, read, admin");
        } else if ((k->scopes & scope) != 0) {
            mistake_add(m, &step, item->line, "%s stands here twice", item->text);
        }
        k->scopes |= scope;
    }
}

static void encode_scopes(const void *base, struct buf *out)
{
    const struct config_key *k = base;
    const char *comma = "";

    buf_char(out, '[');
    for (int i = 0; scope_names[i] != NULL; i++) {
        if ((k->scopes & (1u << i)) != 0) {
            buf_printf(out, "%s\"%s\"", comma, scope_names[i]);
            comma = ",";
        }
    }
    buf_char(out, ']');
}

static const struct field_custom hash_custom = {.decode = decode_hash, .encode = encode_hash};
static const struct field_custom scopes_custom = {.decode = decode_scopes, .encode = encode_scopes};

static const struct field key_fields[] = {
    {.key = "name",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .offset = K(name),
     .check = value_name,
     .help = "for logs"},
    {.key = "hash",
     .type = FIELD_CUSTOM,
     .flags = FIELD_REQUIRED,
     .custom = &hash_custom,
     .help = "of the token, as `sluice keys new` prints it"},
    {.key = "tenants",
     .type = FIELD_TEXTS,
     .offset = K(tenants),
     .count_offset = K(n_tenants),
     .min = 0,
     .max = 100000,
     .check = value_name,
     .help = "empty or absent: all"},
    {.key = "scopes",
     .type = FIELD_CUSTOM,
     .custom = &scopes_custom,
     .help = "of submit, read, admin; absent: submit and read"},
    {.key = "rate",
     .type = FIELD_OBJECT,
     .flags = FIELD_WHOLE,
     .offset = K(rate),
     .count_offset = K(rate) + offsetof(struct tenant_rate, is_set),
     .sub = &tenant_rate_table,
     .help = "of the key's calls"},
};
const struct table sections_key_table = TABLE("key", key_fields, NULL);

/* Environment */

static bool is_env_field(const struct field *f)
{
    return f->type != FIELD_OBJECT && f->type != FIELD_TEXTS;
}

static void env_name(const char *section_key, const char *key, char out[ENV_NAME_SIZE])
{
    (void)snprintf(out, ENV_NAME_SIZE, ENV_PREFIX "%s_%s", section_key, key);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - ('a' - 'A')) : *p;
    }
}

static void drop_texts(char ***list, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        free((*list)[i]);
    }
    free(*list);
    *list = NULL;
    *n = 0;
}

/* One address of the environment stands against a list of the file. */
static void settle_env(struct config *c, const struct table *t, const struct field *f)
{
    if (t == &broker_table && strcmp(f->key, "url") == 0) {
        drop_texts(&c->broker.urls, &c->broker.n_urls);
    }
    if (t == &store_table && strcmp(f->key, "url") == 0) {
        drop_texts(&c->store.sentinels, &c->store.n_sentinels);
        free(c->store.master);
        c->store.master = NULL;
    }
}

static void apply_env(struct config *c, struct mistakes *m, const struct table *t,
                      const struct field *f, const char *name)
{
    const char *value = getenv(name);
    struct path path = {.key = name};

    if (value == NULL || value[0] == '\0') {
        return;
    }
    struct str text = str_of(value);
    struct node *n = node_new(f->type == FIELD_TEXT ? NODE_TEXT : node_plain_kind(text), value, 0);
    if (n == NULL) {
        m->is_out_of_memory = true;
        return;
    }
    if (!str_is_utf8(text)) {
        mistake_add(m, &path, 0, "not UTF-8");
    } else {
        size_t before = m->n;
        field_decode(f, m, &path, n, /* is_partial= */ false, c);
        if (m->n == before) {
            settle_env(c, t, f);
        }
    }
    node_free(n);
}

/* An override that overrides nothing is a mistake, as an unknown key is. */
static void refuse_unknown_env(struct mistakes *m, const char *const *names)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        struct str rest = str_of(*entry);
        struct str name;
        bool is_known = false;
        char text[ENV_NAME_SIZE];
        if (!str_starts(rest, STR(ENV_PREFIX)) || !str_cut(&rest, '=', &name)) {
            continue;
        }
        for (size_t i = 0; names[i] != NULL; i++) {
            is_known = is_known || str_is(name, str_of(names[i]));
        }
        if (is_known) {
            continue;
        }
        (void)snprintf(text, sizeof text, "%.*s", STR_ARG(name));
        struct path path = {.key = text};
        const char *near = mistake_nearest(name, names);
        mistake_add(m, &path, 0, "overrides no key%s%s%s", near ? "; did you mean " : "",
                    near ? near : "", near ? "?" : "");
    }
}

void sections_apply_env(struct mistakes *m, struct config *c)
{
    char texts[ENV_NAMES][ENV_NAME_SIZE];
    const char *names[ENV_NAMES + 1] = {0};
    size_t n = 0;

    for (size_t i = 0; i < COUNT(root_fields); i++) {
        const struct table *t = root_fields[i].sub;
        for (size_t j = 0; t != NULL && j < t->n_fields && n < ENV_NAMES; j++) {
            if (is_env_field(&t->fields[j])) {
                env_name(root_fields[i].key, t->fields[j].key, texts[n]);
                names[n] = texts[n];
                apply_env(c, m, t, &t->fields[j], names[n++]);
            }
        }
    }
    refuse_unknown_env(m, names);
}
