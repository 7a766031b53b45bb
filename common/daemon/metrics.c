/* SPDX-License-Identifier: Apache-2.0 */
/* A metric is a map from its label values to series, and a list of them in order of first use, so
 * that two scrapes print in the same order. The label text of a series is made once, at its birth.
 * The map's key is the values, each behind its length, so that ("a", "bc") and ("ab", "c") differ.
 *
 * A value that is not UTF-8 is repaired before the look-up, not when it is printed: two broken
 * values that print alike would be one series twice, and Prometheus drops such a scrape whole. */
#include "daemon/metrics.h"

#include "base/list.h"
#include "base/map.h"
#include "base/panic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

/* Up to an offloaded call's patience; round figures, since people put their limits there. */
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                1,     2.5,    5,     10,   25,    60,   120, 300,  600};
enum { BOUNDS = sizeof bounds / sizeof bounds[0] };

struct series {
    struct list link;
    char *labels; /* `tenant="erp",state="failed"`; "" without labels */
    double value; /* of a histogram: the sum */
    uint64_t count;
    uint64_t buckets[]; /* a histogram's BOUNDS, each alone; cumulative only in print */
};

struct metric {
    struct list link;
    struct metrics *registry;
    const char *name;
    const char *help;
    const char *label_list;
    struct str labels[METRICS_LABELS];
    size_t n_labels;
    enum kind kind;
    struct map by_key;
    struct list series;
};

struct metrics {
    struct list all;
    struct buf key; /* scratch */
};

static const char *const kind_words[] = {"counter", "gauge", "histogram"};

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof *m);

    if (m != NULL) {
        list_init(&m->all);
    }
    return m;
}

static void series_free(struct series *s)
{
    if (s != NULL) {
        free(s->labels);
        free(s);
    }
}

void metric_reset(struct metric *t)
{
    struct list *link;

    if (t == NULL) {
        return;
    }
    while ((link = list_pop_front(&t->series)) != NULL) {
        series_free(LIST_OF(link, struct series, link));
    }
    map_fini(&t->by_key);
}

void metrics_free(struct metrics *m)
{
    struct list *link;

    if (m == NULL) {
        return;
    }
    while ((link = list_pop_front(&m->all)) != NULL) {
        struct metric *t = LIST_OF(link, struct metric, link);
        metric_reset(t);
        free(t);
    }
    buf_fini(&m->key);
    free(m);
}

/* A name may be asked for again, with the same kind and labels: it is the same metric. */
static struct metric *find_metric(const struct metrics *m, const char *name, enum kind kind,
                                  const char *labels)
{
    for (struct list *l = m->all.next; l != &m->all; l = l->next) {
        struct metric *t = LIST_OF(l, struct metric, link);
        if (strcmp(t->name, name) == 0) {
            CHECK(t->kind == kind && strcmp(t->label_list, labels) == 0);
            return t;
        }
    }
    return NULL;
}

static void cut_labels(struct metric *t)
{
    struct str rest = str_of(t->label_list);
    struct str piece;

    while (rest.n > 0 && str_cut(&rest, ',', &piece)) {
        CHECK(t->n_labels < METRICS_LABELS && piece.n > 0);
        t->labels[t->n_labels++] = piece;
    }
}

static struct metric *metric_new(struct metrics *m, const char *name, const char *help,
                                 const char *labels, enum kind kind)
{
    struct metric *t = find_metric(m, name, kind, labels);

    if (t != NULL) {
        return t;
    }
    t = calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->registry = m;
    t->name = name;
    t->help = help;
    t->label_list = labels;
    t->kind = kind;
    cut_labels(t);
    list_init(&t->series);
    list_push_back(&m->all, &t->link);
    return t;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels)
{
    return metric_new(m, name, help, labels, COUNTER);
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels)
{
    return metric_new(m, name, help, labels, GAUGE);
}

struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                 const char *labels)
{
    return metric_new(m, name, help, labels, HISTOGRAM);
}

/* --- series ----------------------------------------------------------------------------------- */

static void add_repaired(struct buf *b, struct str value)
{
    if (str_is_utf8(value)) {
        buf_str(b, value);
        return;
    }
    for (size_t i = 0; i < value.n; i++) {
        buf_char(b, (unsigned char)value.p[i] < 0x80 ? value.p[i] : '?');
    }
}

/* Leaves the key in the registry's scratch; empty str without memory. */
static struct str key_of(struct metric *t, const struct str *values)
{
    struct buf *key = &t->registry->key;

    buf_clear(key);
    buf_text(key, ""); /* never a NULL, also without labels */
    for (size_t i = 0; i < t->n_labels; i++) {
        size_t n = values[i].n; /* repairing keeps the length */
        buf_add(key, &n, sizeof n);
        add_repaired(key, values[i]);
    }
    return buf_failed(key) ? (struct str){NULL, 0} : buf_as_str(key);
}

/* `is_help`: quotes stay as they are. */
static void add_escaped(struct buf *b, struct str text, bool is_help)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\n') {
            buf_text(b, "\\n");
        } else if (c == '\\' || (c == '"' && !is_help)) {
            buf_char(b, '\\');
            buf_char(b, c);
        } else {
            buf_char(b, c);
        }
    }
}

/* The label text, from the key: its values are repaired already. */
static char *labels_of(const struct metric *t, struct str key)
{
    struct buf b = {0};

    buf_text(&b, "");
    for (size_t i = 0; i < t->n_labels; i++) {
        size_t n;
        memcpy(&n, key.p, sizeof n);
        buf_text(&b, i > 0 ? "," : "");
        buf_str(&b, t->labels[i]);
        buf_text(&b, "=\"");
        add_escaped(&b, (struct str){key.p + sizeof n, n}, /* is_help= */ false);
        buf_char(&b, '"');
        key = (struct str){key.p + sizeof n + n, key.n - sizeof n - n};
    }
    return buf_take(&b, NULL);
}

static struct series *series_new(struct metric *t, struct str key)
{
    size_t n_buckets = t->kind == HISTOGRAM ? BOUNDS : 0;
    struct series *s = calloc(1, sizeof *s + n_buckets * sizeof s->buckets[0]);

    if (s == NULL) {
        return NULL;
    }
    s->labels = labels_of(t, key);
    if (s->labels == NULL || map_put(&t->by_key, key, s) != ERR_OK) {
        series_free(s);
        return NULL;
    }
    list_push_back(&t->series, &s->link);
    return s;
}

/* NULL without memory. */
static struct series *series_of(struct metric *t, const struct str *values)
{
    const struct str other[METRICS_LABELS] = {STR("_other"), STR("_other"), STR("_other")};
    struct str key = key_of(t, values);
    struct series *s = NULL;

    if (buf_failed(&t->registry->key)) {
        return NULL;
    }
    s = map_get(&t->by_key, key);
    if (s != NULL) {
        return s;
    }
    if (t->by_key.n >= METRICS_SERIES) {
        key = key_of(t, other);
        s = map_get(&t->by_key, key);
    }
    return s != NULL || buf_failed(&t->registry->key) ? s : series_new(t, key);
}

void metric_add(struct metric *t, const struct str *values, double delta)
{
    if (t == NULL) {
        return;
    }
    CHECK(t->kind == GAUGE || (t->kind == COUNTER && delta >= 0));
    struct series *s = series_of(t, values);
    if (s != NULL) {
        s->value += delta;
    }
}

void metric_set(struct metric *t, const struct str *values, double value)
{
    if (t == NULL) {
        return;
    }
    CHECK(t->kind != HISTOGRAM);
    struct series *s = series_of(t, values);
    if (s != NULL) {
        s->value = value;
    }
}

void metric_observe(struct metric *t, const struct str *values, double seconds)
{
    if (t == NULL || isnan(seconds)) {
        return;
    }
    CHECK(t->kind == HISTOGRAM);
    struct series *s = series_of(t, values);
    if (s == NULL) {
        return;
    }
    seconds = seconds < 0 ? 0 : seconds; /* a sum that falls reads as a restart */
    s->value += seconds;
    s->count++;
    for (size_t i = 0; i < BOUNDS; i++) {
        if (seconds <= bounds[i]) {
            s->buckets[i]++;
            break;
        }
    }
}

/* --- print ------------------------------------------------------------------------------------ */

/* The shortest of the usual forms that reads back as the same number. */
static void add_number(struct buf *b, double v)
{
    char text[40];

    if (isnan(v)) {
        buf_text(b, "NaN");
    } else if (isinf(v)) {
        buf_text(b, v > 0 ? "+Inf" : "-Inf");
    } else if (fabs(v) < 1e15 && v == trunc(v)) {
        buf_printf(b, "%.0f", v + 0.0);
    } else {
        (void)snprintf(text, sizeof text, "%.15g", v);
        buf_printf(b, "%.*g", strtod(text, NULL) == v ? 15 : 17, v);
    }
}

/* `suffix`: "_sum"; `le`: the bucket's bound, or NULL. */
static void print_line(const struct metric *t, const struct series *s, const char *suffix,
                       const char *le, double v, struct buf *out)
{
    bool has_labels = s->labels[0] != '\0';

    buf_text(out, t->name);
    buf_text(out, suffix);
    if (has_labels || le != NULL) {
        buf_char(out, '{');
        buf_text(out, s->labels);
        if (le != NULL) {
            buf_printf(out, "%sle=\"%s\"", has_labels ? "," : "", le);
        }
        buf_char(out, '}');
    }
    buf_char(out, ' ');
    add_number(out, v);
    buf_char(out, '\n');
}

static void print_histogram(const struct metric *t, const struct series *s, struct buf *out)
{
    uint64_t below = 0;
    char le[32];

    for (size_t i = 0; i < BOUNDS; i++) {
        below += s->buckets[i];
        (void)snprintf(le, sizeof le, "%g", bounds[i]);
        print_line(t, s, "_bucket", le, (double)below, out);
    }
    print_line(t, s, "_bucket", "+Inf", (double)s->count, out);
    print_line(t, s, "_sum", NULL, s->value, out);
    print_line(t, s, "_count", NULL, (double)s->count, out);
}

static void print_metric(const struct metric *t, struct buf *out)
{
    buf_printf(out, "# HELP %s ", t->name);
    add_escaped(out, str_of(t->help), /* is_help= */ true);
    buf_printf(out, "\n# TYPE %s %s\n", t->name, kind_words[t->kind]);
    for (struct list *l = t->series.next; l != &t->series; l = l->next) {
        const struct series *s = LIST_OF(l, struct series, link);
        if (t->kind == HISTOGRAM) {
            print_histogram(t, s, out);
        } else {
            print_line(t, s, "", NULL, s->value, out);
        }
    }
}

void metrics_print(const struct metrics *m, struct buf *out)
{
    for (struct list *l = m->all.next; l != &m->all; l = l->next) {
        print_metric(LIST_OF(l, struct metric, link), out);
    }
}
