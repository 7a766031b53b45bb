/* SPDX-License-Identifier: Apache-2.0 */
#include "marks.h"

#include "job/id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH_MAX = 100 };

struct mark {
    char name[RANDOM_NAME_SIZE];
    mark_cb cb;
    void *arg;
};

struct batch {
    struct marks *owner;
    char tenant[JOB_TENANT_MAX + 1];
    int64_t lost_after_ms;
    size_t n;
    struct mark at[BATCH_MAX];
};

struct marks {
    struct ingress *ingress;
    struct loop_hook *hook;
    struct map open; /* tenant → the batch that still gathers */
};

static void answer_all(struct batch *b, const struct store_value *v)
{
    for (size_t i = 0; i < b->n; i++) {
        char state[16];
        bool is_there = v != NULL && v->type == STORE_ARRAY && i < v->n_items;
        if (is_there) {
            (void)str_put(v->items[i].text, state, sizeof state, 0);
        }
        if (b->at[i].cb != NULL) {
            b->at[i].cb(is_there ? state : NULL, b->at[i].arg);
        }
    }
    free(b);
}

static void on_marked(int rc, const struct store_value *v, void *arg)
{
    answer_all(arg, rc == ERR_OK ? v : NULL);
}

static void send(struct batch *b)
{
    struct ingress *g = b->owner->ingress;
    char key[96];
    char lost[24];
    struct str args[BATCH_MAX + 2];

    (void)snprintf(key, sizeof key, "{%s}:t", b->tenant);
    (void)snprintf(lost, sizeof lost, "%" PRId64, b->lost_after_ms);
    args[0] = str_of(store_epoch(g->store));
    args[1] = str_of(lost);
    for (size_t i = 0; i < b->n; i++) {
        args[i + 2] = str_of(b->at[i].name);
    }
    struct str keys[] = {str_of(key)};
    if (store_call(g->store, STORE_MARK, keys, 1, args, b->n + 2, on_marked, b) != ERR_OK) {
        /* A delivery does mark's work, too. */
        answer_all(b, NULL);
    }
}

static void flush(void *arg)
{
    struct marks *m = arg;
    size_t cursor = 0;
    struct str tenant;
    void *value;

    while (map_next(&m->open, &cursor, &tenant, &value)) {
        (void)map_remove(&m->open, tenant);
        send(value);
    }
}

int marks_new(struct ingress *g, struct marks **ret)
{
    struct marks *m = calloc(1, sizeof *m);

    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->ingress = g;
    int rc = loop_hook_new(g->loop, flush, m, &m->hook);
    if (rc != ERR_OK) {
        free(m);
        return rc;
    }
    *ret = m;
    return ERR_OK;
}

void marks_free(struct marks *m)
{
    size_t cursor = 0;
    struct str tenant;
    void *value;

    if (m == NULL) {
        return;
    }
    while (map_next(&m->open, &cursor, &tenant, &value)) {
        free(value);
    }
    map_fini(&m->open);
    loop_hook_free(m->hook);
    free(m);
}

static struct batch *batch_of(struct marks *m, struct str tenant, int64_t lost_after_ms)
{
    struct batch *b = map_get(&m->open, tenant);

    if (b != NULL && b->n < BATCH_MAX) {
        return b;
    }
    if (b != NULL) {
        (void)map_remove(&m->open, tenant);
        send(b);
    }
    b = calloc(1, sizeof *b);
    if (b == NULL || map_put(&m->open, tenant, b) != ERR_OK) {
        free(b);
        return NULL;
    }
    b->owner = m;
    b->lost_after_ms = lost_after_ms;
    (void)snprintf(b->tenant, sizeof b->tenant, "%.*s", STR_ARG(tenant));
    return b;
}

void marks_add(struct marks *m, struct str id, int64_t lost_after_ms, mark_cb cb, void *arg)
{
    struct job_id parts;
    struct batch *b = NULL;

    if (job_id_parse(id, &parts)) {
        b = batch_of(m, parts.tenant, lost_after_ms);
    }
    if (b == NULL) {
        if (cb != NULL) {
            cb(NULL, arg);
        }
        return;
    }
    struct mark *k = &b->at[b->n++];
    (void)str_put(parts.name, k->name, sizeof k->name, 0);
    k->cb = cb;
    k->arg = arg;
}
