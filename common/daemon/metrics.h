/* SPDX-License-Identifier: Apache-2.0 */
/* metrics — counters, gauges and histograms with labels, printed as Prometheus text (0.0.4).
 * Series appear at first use; at most METRICS_SERIES a metric, more fall into one named "_other".
 * Memory: all belongs to the registry. Thread: one. */
#pragma once

#include "base/buf.h"

enum { METRICS_SERIES = 20000, METRICS_LABELS = 3 };
struct metrics;
struct metric;

struct metrics *metrics_new(void); /* NULL without memory */
void metrics_free(struct metrics *m);
/* `labels`: "tenant,state" or "" (no label). All strings are borrowed for ever (literals).
 * Returns NULL without memory; the functions below take NULL and do nothing. */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels);
/* Buckets in seconds from 1 ms to 600 s, in steps of about 2.5. */
struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                 const char *labels);
/* `values`: one str a label. */
void metric_add(struct metric *t, const struct str *values, double delta);
void metric_set(struct metric *t, const struct str *values, double value);
void metric_observe(struct metric *t, const struct str *values, double seconds);
/* Forgets every series (gauges that are read anew at a scrape). */
void metric_reset(struct metric *t);
void metrics_print(const struct metrics *m, struct buf *out);
