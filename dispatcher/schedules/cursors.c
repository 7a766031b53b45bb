/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors are read many at a time: a leader that takes the lease reads those of all schedules. */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 500 };

struct batch {
    struct schedules *owner;
    size_t n;
    struct schedule *items[BATCH];
};

static void on_cursors(int rc, const struct store_value *v, void *arg)
{
    struct batch *b = arg;
    struct schedules *all = b->owner;
    bool has_come = rc == ERR_OK && v->type == STORE_ARRAY && v->n_items == b->n;

    for (size_t i = 0; i < b->n; i++) {
        if (schedule_answered(b->items[i]) && has_come) {
            const struct store_value *one = &v->items[i];
            schedule_take_cursor(b->items[i],
                                 one->type == STORE_TEXT ? one->text : (struct str){NULL, 0});
        }
    }
    free(b);
    schedules_let_go(all);
}

static void read_batch(struct schedules *all, struct schedule **list, size_t n, void *arg)
{
    struct str words[BATCH + 2] = {STR("HMGET")};
    struct batch *b = calloc(1, sizeof *b);
    char key[96];
    int rc = ERR_NOMEM;

    (void)arg;
    if (b != NULL) {
        *b = (struct batch){.owner = all, .n = n};
        (void)snprintf(key, sizeof key, "{%s}:c", list[0]->job.tenant);
        words[1] = str_of(key);
        for (size_t i = 0; i < n; i++) {
            b->items[i] = list[i];
            words[i + 2] = str_of(list[i]->name);
        }
        rc = store_command(all->dispatcher->store, words, n + 2, on_cursors, b);
    }
    if (rc == ERR_OK) {
        all->alive++;
    } else {
        free(b);
    }
    for (size_t i = 0; i < n; i++) {
        schedule_asked(list[i], rc);
    }
}

static int compare_tenants(const void *a, const void *b)
{
    const struct schedule *const *left = a;
    const struct schedule *const *right = b;

    return strcmp((*left)->job.tenant, (*right)->job.tenant);
}

void schedules_by_tenant(struct schedules *s, struct schedule **list, size_t n, size_t most,
                         schedules_some_fn fn, void *arg)
{
    size_t from = 0;

    if (n > 1) {
        qsort(list, n, sizeof *list, compare_tenants);
    }
    for (size_t i = 1; i <= n; i++) {
        if (i == n || i - from == most || compare_tenants(&list[i], &list[from]) != 0) {
            fn(s, list + from, i - from, arg);
            from = i;
        }
    }
}

void schedules_read_cursors(struct schedules *s, struct schedule **list, size_t n)
{
    schedules_by_tenant(s, list, n, BATCH, read_batch, NULL);
}
