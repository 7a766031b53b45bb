/* SPDX-License-Identifier: Apache-2.0 */
#include "services.h"

#include "config/node.h"
#include "health.h"
#include "history.h"
#include "rota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    READ_MS = 1500,        /* by rounds of half a second: at most two seconds old */
    HISTORY_SHOWN = 200000 /* polls in one answer, of all instances together */
};

/* The requests of one tenant's instances, in the order of the entry, which is held. */
struct count {
    struct services *services;
    struct registry_entry *entry;
    uint64_t requests[];
};

struct services {
    struct dispatcher *dispatcher;
    struct map counts; /* tenant → struct count, as last read */
    struct rota rota;
    struct mono read;
    unsigned int alive;
    bool is_freed;
};

static void let_go(struct services *s)
{
    if (--s->alive == 0) {
        free(s);
    }
}

static void count_free(struct count *c)
{
    if (c != NULL) {
        registry_unref(c->entry);
        free(c);
    }
}

static void on_read(int rc, const struct store_value *v, void *arg)
{
    struct count *c = arg;
    struct services *s = c->services;
    struct str name = str_of(c->entry->tenant->name);
    bool is_read = !s->is_freed && rc == ERR_OK && v->type == STORE_ARRAY;

    for (size_t k = 0; is_read && k < c->entry->tenant->n_instances; k++) {
        c->requests[k] = (uint64_t)store_number(v, k);
    }
    if (is_read) {
        struct count *before = map_remove(&s->counts, name);
        /* Without memory it is read again. */
        is_read = map_put(&s->counts, name, c) == ERR_OK;
        count_free(before);
    }
    if (!is_read) {
        count_free(c);
    }
    let_go(s);
}

static void read_requests(struct services *s, struct registry_entry *e)
{
    size_t n = e->tenant->n_instances;
    struct count *c = calloc(1, sizeof *c + n * sizeof c->requests[0]);
    struct str *words = calloc(n + 2, sizeof *words);
    struct buf fields = {0};
    char key[96];

    for (size_t k = 0; k < n; k++) {
        buf_printf(&fields, "n:%s\n", e->tenant->instances[k].name);
    }
    if (c == NULL || words == NULL || n == 0 || buf_failed(&fields)) {
        goto out;
    }
    (void)snprintf(key, sizeof key, "{%s}:t", e->tenant->name);
    struct str rest = buf_as_str(&fields);
    c->services = s;
    c->entry = e;
    words[0] = STR("HMGET");
    words[1] = str_of(key);
    for (size_t k = 0; k < n; k++) {
        (void)str_cut(&rest, '\n', &words[k + 2]);
    }
    if (store_command(s->dispatcher->store, words, n + 2, on_read, c) == ERR_OK) {
        (void)registry_ref(e);
        s->alive++;
        c = NULL;
    }
out:
    buf_fini(&fields);
    free(c);
    free(words);
}

static void drop_absent(struct services *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&s->counts, &cursor, &name, &value)) {
        if (registry_find(s->dispatcher->registry, name) == NULL) {
            (void)map_remove(&s->counts, name);
            count_free(value);
        }
    }
}

void services_turn(struct services *s)
{
    struct mono now = loop_now(s->dispatcher->loop);
    const struct registry *tenants = s->dispatcher->registry;
    struct registry_entry *e;

    if (mono_since_ms(s->read, now) < READ_MS) {
        return;
    }
    s->read = now;
    drop_absent(s);
    rota_begin(&s->rota, tenants, rota_share(registry_size(tenants)));
    while (rota_next(&s->rota, tenants, &e)) {
        read_requests(s, e);
    }
}

static uint64_t requests_of(const struct services *s, const char *tenant, const char *instance)
{
    const struct count *c = map_get(&s->counts, str_of(tenant));

    for (size_t k = 0; c != NULL && k < c->entry->tenant->n_instances; k++) {
        if (str_is(str_of(c->entry->tenant->instances[k].name), str_of(instance))) {
            return c->requests[k];
        }
    }
    return 0;
}

static void print_time(int64_t at_ms, struct buf *out)
{
    char text[WALL_TEXT_SIZE];

    wall_format((struct wall){at_ms}, text);
    buf_json_str(out, str_of(text));
}

static void print_poll(const struct history_poll *p, struct buf *out)
{
    static const char *const outcomes[] = {
        [HEALTH_GOOD] = "good", [HEALTH_BAD] = "bad", [HEALTH_REFUSED] = "refused"};

    buf_text(out, "{\"at\":");
    print_time(p->at_ms, out);
    buf_printf(out, ",\"outcome\":\"%s\",\"status\":", outcomes[p->outcome]);
    if (p->status == 0) {
        buf_text(out, "null");
    } else {
        buf_printf(out, "%u", p->status);
    }
    buf_printf(out, ",\"took_s\":%.3f}", p->took_ms / 1000.0);
}

static void print_seconds(const char *name, double value, struct buf *out)
{
    if (value < 0) {
        buf_printf(out, ",\"%s\":null", name);
    } else {
        buf_printf(out, ",\"%s\":%.4f", name, value);
    }
}

static void print_history(const struct history *y, size_t most, struct buf *out)
{
    size_t n = y == NULL ? 0 : y->n;

    buf_text(out, ",\"history\":[");
    for (size_t i = n > most ? n - most : 0; i < n; i++) {
        print_poll(history_at(y, i), out);
        buf_text(out, i + 1 < n ? "," : "");
    }
    buf_char(out, ']');
}

static void print_instance(const struct services *s, const struct tenant *t,
                           const struct tenant_instance *i, size_t most, struct buf *out)
{
    const struct health *h = s->dispatcher->health;
    const struct history *y = health_history(h, t->name, i->name);
    const struct history_poll *last = y == NULL || y->n == 0 ? NULL : history_at(y, y->n - 1);

    buf_text(out, "{\"url\":");
    buf_json_str(out, str_of(i->url));
    buf_printf(out, ",\"healthy\":%s,\"requests\":%" PRIu64 ",\"polls\":%" PRIu64,
               health_is_up(h, t->name, i->name) ? "true" : "false",
               requests_of(s, t->name, i->name), y == NULL ? 0 : y->polls);
    buf_printf(out, ",\"failures\":%" PRIu64 ",\"last_poll_at\":", y == NULL ? 0 : y->failures);
    if (last == NULL) {
        buf_text(out, "null");
    } else {
        print_time(last->at_ms, out);
    }
    print_seconds("last_latency_s", last == NULL ? -1 : last->took_ms / 1000.0, out);
    print_seconds("mean_latency_s", y == NULL ? -1 : history_mean_s(y), out);
    if (most > 0) {
        print_history(y, most, out);
    }
    buf_char(out, '}');
}

static void print_service(const struct services *s, const struct tenant *t, size_t most,
                          struct buf *out)
{
    uint64_t sum = 0;

    for (size_t k = 0; k < t->n_instances; k++) {
        sum += requests_of(s, t->name, t->instances[k].name);
    }
    buf_printf(out, "{\"requests\":%" PRIu64 ",\"apis\":[", sum);
    for (size_t k = 0; k < t->n_apis; k++) {
        buf_text(out, k == 0 ? "" : ",");
        buf_json_str(out, str_of(t->apis[k]));
    }
    buf_text(out, "],\"instances\":{");
    for (size_t k = 0; k < t->n_instances; k++) {
        buf_text(out, k == 0 ? "" : ",");
        buf_json_str(out, str_of(t->instances[k].name));
        buf_char(out, ':');
        print_instance(s, t, &t->instances[k], most, out);
    }
    buf_text(out, "}}");
}

/* How much of each history goes into one answer; 0: none. */
static size_t share_of_history(const struct services *s)
{
    size_t cursor = 0;
    size_t n = 0;
    struct registry_entry *e;

    while (registry_next(s->dispatcher->registry, &cursor, &e)) {
        n += e->tenant->n_instances;
    }
    return n < 1 ? HISTORY_SHOWN : n > HISTORY_SHOWN ? 1 : HISTORY_SHOWN / n;
}

void services_print(const struct services *s, bool with_history, struct buf *out)
{
    size_t most = with_history ? share_of_history(s) : 0;
    size_t cursor = 0;
    struct registry_entry *e;
    bool is_first = true;

    buf_char(out, '{');
    while (registry_next(s->dispatcher->registry, &cursor, &e)) {
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, str_of(e->tenant->name));
        buf_char(out, ':');
        print_service(s, e->tenant, most, out);
        is_first = false;
    }
    buf_char(out, '}');
}

/* What --print-config prints is the one place that knows what is secret. */
void services_print_configuration(const struct services *s, struct buf *out)
{
    struct buf text = {0};
    struct buf why = {0};
    struct node *root = NULL;
    int line;

    config_print(daemon_config(s->dispatcher->daemon), &text);
    if (!buf_failed(&text) && node_parse(buf_as_str(&text), &root, &line, &why) == ERR_OK) {
        node_to_json(root, out);
    } else {
        buf_text(out, "null");
    }
    node_free(root);
    buf_fini(&text);
    buf_fini(&why);
}

int services_new(struct dispatcher *d, struct services **ret)
{
    struct services *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dispatcher = d;
    s->alive = 1;
    *ret = s;
    return ERR_OK;
}

void services_free(struct services *s)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (s == NULL) {
        return;
    }
    s->is_freed = true;
    while (map_next(&s->counts, &cursor, &name, &value)) {
        count_free(value);
    }
    map_fini(&s->counts);
    let_go(s);
}
