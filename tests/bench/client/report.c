/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

bool report_add(struct report *r, int status, int64_t us)
{
    if (r->n == r->capacity) {
        size_t capacity = r->capacity == 0 ? 4096 : r->capacity * 2;
        uint32_t *grown = realloc(r->us, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        r->us = grown;
        r->capacity = capacity;
    }
    r->us[r->n++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    r->statuses[status]++;
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Milliseconds; 0 of nothing. */
static double quantile(const struct report *r, double q)
{
    return r->n == 0 ? 0 : r->us[(size_t)(q * (double)(r->n - 1))] / 1000.0;
}

void report_print(struct report *r, int64_t us, int64_t done_us)
{
    uint64_t ok = 0;
    const char *comma = "";

    if (r->n > 0) {
        qsort(r->us, r->n, sizeof *r->us, by_value);
    }
    for (int status = 200; status < 300; status++) {
        ok += r->statuses[status];
    }
    printf("{\"requests\":%zu,\"ok\":%llu,\"broken\":%llu,\"statuses\":{", r->n,
           (unsigned long long)ok, (unsigned long long)r->broken);
    for (int status = 0; status < 1000; status++) {
        if (r->statuses[status] > 0) {
            printf("%s\"%d\":%llu", comma, status, (unsigned long long)r->statuses[status]);
            comma = ",";
        }
    }
    printf("},\"seconds\":%.6f,\"done_seconds\":%.6f,\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f}\n",
           (double)us / 1e6, (double)done_us / 1e6, us > 0 ? (double)r->n * 1e6 / (double)us : 0,
           quantile(r, 0.5), quantile(r, 0.99), quantile(r, 1));
}

void report_fini(struct report *r)
{
    free(r->us);
}
