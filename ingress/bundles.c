/* SPDX-License-Identifier: Apache-2.0 */
#include "bundles.h"

#include "daemon/wire.h"
#include "job/id.h"

#include <stdlib.h>

enum {
    JOB_BYTES_MAX = 16 * 1024,    /* what is larger costs more than its message */
    BUNDLE_BYTES_MAX = 96 * 1024, /* a frame of the broker's, with room for the heads */
    NAME_SIZE = JOB_TENANT_MAX + 32
};

struct bundle {
    size_t n;
    size_t most; /* that any of them may be with */
    size_t bytes;
    struct ingress *ingress;
    const struct job_message *messages[WIRE_JOBS_MAX];
    struct {
        bus_outcome_cb cb;
        void *arg;
    } callers[WIRE_JOBS_MAX];
};

struct bundles {
    struct ingress *ingress;
    struct loop_hook *hook;
    struct map open; /* queue → the bundle that still gathers */
};

static void on_outcome(enum bus_outcome outcome, void *arg)
{
    struct bundle *b = arg;

    for (size_t i = 0; i < b->n; i++) {
        b->callers[i].cb(outcome, b->callers[i].arg);
    }
    free(b);
}

static void publish(struct bundle *b)
{
    if (wire_publish_all(b->ingress->publisher, b->messages, b->n, on_outcome, b) != ERR_OK) {
        on_outcome(BUS_UNKNOWN, b);
    }
}

static void flush(void *arg)
{
    struct bundles *s = arg;
    size_t cursor = 0;
    struct str queue;
    void *value;

    while (map_next(&s->open, &cursor, &queue, &value)) {
        (void)map_remove(&s->open, queue);
        publish(value);
    }
}

int bundles_new(struct ingress *g, struct bundles **ret)
{
    struct bundles *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->ingress = g;
    int rc = loop_hook_new(g->loop, flush, s, &s->hook);
    if (rc != ERR_OK) {
        free(s);
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void bundles_free(struct bundles *s)
{
    size_t cursor = 0;
    struct str queue;
    void *value;

    if (s == NULL) {
        return;
    }
    while (map_next(&s->open, &cursor, &queue, &value)) {
        free(value);
    }
    map_fini(&s->open);
    loop_hook_free(s->hook);
    free(s);
}

/* "erp.normal.3" */
static struct str queue_of(const struct job_message *m, char name[NAME_SIZE])
{
    struct job_id id;
    size_t n = 0;

    if (job_id_parse(m->id, &id)) {
        n = str_put(id.tenant, name, NAME_SIZE, n);
    }
    n = str_put(STR("."), name, NAME_SIZE, n);
    n = str_put(m->class, name, NAME_SIZE, n);
    n = str_put(STR("."), name, NAME_SIZE, n);
    n = str_put(m->lane, name, NAME_SIZE, n);
    return (struct str){name, n};
}

static size_t size_of(const struct job_message *m)
{
    return m->body.n + m->head.n + m->path.n + m->labels.n;
}

bool bundles_may_take(const struct job_message *m)
{
    return size_of(m) <= JOB_BYTES_MAX;
}

static bool has_room(const struct bundle *b, const struct job_message *m, size_t most)
{
    most = most < b->most ? most : b->most;
    return b->n < most && b->bytes + size_of(m) <= BUNDLE_BYTES_MAX;
}

static struct bundle *bundle_for(struct bundles *s, const struct job_message *m, size_t most)
{
    char name[NAME_SIZE];
    struct str queue = queue_of(m, name);
    struct bundle *b = map_get(&s->open, queue);

    if (b != NULL && has_room(b, m, most)) {
        return b;
    }
    if (b != NULL) {
        (void)map_remove(&s->open, queue);
        publish(b);
    }
    b = calloc(1, sizeof *b);
    if (b == NULL || map_put(&s->open, queue, b) != ERR_OK) {
        free(b);
        return NULL;
    }
    b->ingress = s->ingress;
    b->most = WIRE_JOBS_MAX;
    return b;
}

int bundles_add(struct bundles *s, const struct job_message *m, size_t most, bus_outcome_cb cb,
                void *arg)
{
    struct bundle *b = bundle_for(s, m, most);

    if (b == NULL) {
        return ERR_NOMEM;
    }
    b->messages[b->n] = m;
    b->callers[b->n].cb = cb;
    b->callers[b->n].arg = arg;
    b->n++;
    b->most = most < b->most ? most : b->most;
    b->bytes += size_of(m);
    return ERR_OK;
}
