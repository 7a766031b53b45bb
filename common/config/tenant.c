/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets inside the unnamed structs of struct tenant are counted from struct tenant itself: their
 * FIELD_OBJECT has the offset 0. */
#include "config/tenant_table.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define T(member) offsetof(struct tenant, member)
#define I(member) offsetof(struct tenant_instance, member)
#define P(member) offsetof(struct tenant_polling, member)
#define R(member) offsetof(struct tenant_rate, member)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TABLE(what, array, whole)                                                                  \
    {                                                                                              \
        .name = (what), .fields = (array), .n_fields = COUNT(array), .check = (whole)              \
    }
#define CHOICES(array) .choices = (array), .max = (int)COUNT(array)
#define SUB(table) .sub = &(table), .count_offset = FIELD_NO_OFFSET

enum { COUNT_MAX = 1000000, ITEMS_MAX = 10000, LIST_MAX = 1000, BYTES_MAX = 536870912 };
#define YEAR_S 31536000.0
#define DAY_S 86400.0
/* RabbitMQ closes a channel that holds a delivery for 30 minutes (protocol.md, rule 8). */
#define TOTAL_MAX_S 1500.0
#define LEAST_S 0.001

static const char *const priorities[] = {"high", "med", "low"};
static const char *const balances[] = {"round_robin", "least_busy", "least_latency",
                                       "priority",    "weighted",   "region"};
static const char *const doubts[] = {NULL, "retry", "hold", "ask"};
static const char *const polls[] = {NULL, "health", "ping"};
static const char *const syncs[] = {"safe", "full"};
static const char *const cooldowns[] = {"instance", "tenant"};

/* rate */

static const struct field rate_fields[] = {
    {.key = "limit",
     .type = FIELD_NUMBER,
     .flags = FIELD_REQUIRED,
     .offset = R(limit),
     .min = 0.001,
     .max = 1e9,
     .help = "calls in a period"},
    {.key = "period_s",
     .type = FIELD_SECONDS,
     .offset = R(period_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "1",
     .help = "the period"},
    {.key = "burst",
     .type = FIELD_NUMBER,
     .offset = R(burst),
     .min = 1,
     .max = 1e9,
     .help = "calls at once after a pause; absent: the limit"},
};
const struct table tenant_rate_table = TABLE("rate", rate_fields, NULL);

#define RATE(where)                                                                                \
    {                                                                                              \
        .key = "rate", .type = FIELD_OBJECT, .flags = FIELD_WHOLE, .offset = (ptrdiff_t)(where),   \
        .count_offset = (ptrdiff_t)((where) + R(is_set)), .sub = &tenant_rate_table,               \
        .help = "a token bucket"                                                                   \
    }

void tenant_rate_complete(struct tenant_rate *rate)
{
    if (rate->is_set && rate->burst == 0) {
        rate->burst = rate->limit < 1 ? 1 : rate->limit;
    }
}

static bool is_given(const struct node *map, const char *key)
{
    const struct node *n = node_get(map, key);

    return n != NULL && n->kind != NODE_NULL;
}

/* polling */

/* A discovery server's rule: who asks for retries says how far apart. */
static void check_polling(struct mistakes *m, const struct path *path, const struct node *n,
                          const void *base)
{
    const struct node *retries = node_get(n, "retries");

    (void)base;
    if (retries != NULL && retries->kind == NODE_NUMBER && strtod(retries->text, NULL) > 0 &&
        !is_given(n, "retry_delay")) {
        mistake_add(m, path, retries->line, "retries needs retry_delay beside it");
    }
}

static const struct field polling_fields[] = {
    {.key = "method",
     .type = FIELD_CHOICE,
     .offset = P(method),
     CHOICES(polls),
     .help = "health: a GET of endpoint; ping: a connection; absent: no polling"},
    {.key = "endpoint",
     .type = FIELD_TEXT,
     .offset = P(endpoint),
     .preset = "/health",
     .check = value_target,
     .help = "the path that is asked"},
    {.key = "frequency",
     .type = FIELD_SECONDS,
     .offset = P(frequency_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "60",
     .help = "seconds between two polls"},
    {.key = "retries",
     .type = FIELD_U32,
     .offset = P(retries),
     .min = 0,
     .max = 1000,
     .preset = "3",
     .help = "failed polls in a row that are forgiven"},
    {.key = "retry_delay",
     .type = FIELD_SECONDS,
     .flags = FIELD_WITH_PREVIOUS,
     .offset = P(retry_delay_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "1",
     .help = "seconds between retries, and between probes of an instance that is out"},
    {.key = "packet_limit",
     .type = FIELD_U32,
     .offset = P(packet_limit),
     .min = 1,
     .max = COUNT_MAX,
     .preset = "5000",
     .help = "polls that are remembered"},
};
static const struct table polling_table = TABLE("polling", polling_fields, check_polling);

/* instances */

static const struct field instance_fields[] = {
    {.key = "name",
     .type = FIELD_TEXT,
     .offset = I(name),
     .check = value_instance_name,
     .help = "absent: host:port of the URL"},
    {.key = "url",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .offset = I(url),
     .check = value_instance_url,
     .help = "base URL; without a scheme it is http"},
    {.key = "concurrency",
     .type = FIELD_U32,
     .offset = I(concurrency),
     .min = 1,
     .max = COUNT_MAX,
     .help = "calls at once; absent: no limit"},
    {.key = "priority",
     .type = FIELD_CHOICE,
     .offset = I(priority),
     CHOICES(priorities),
     .preset = "med",
     .help = "for balance: priority"},
    {.key = "weight",
     .type = FIELD_U32,
     .offset = I(weight),
     .min = 0,
     .max = 1000,
     .preset = "1",
     .help = "for balance: weighted"},
    {.key = "region",
     .type = FIELD_TEXT,
     .offset = I(region),
     .check = value_some,
     .help = "for balance: region"},
    RATE(I(rate)),
    {.key = "polling",
     .type = FIELD_POINTER,
     .offset = I(polling),
     .sub = &polling_table,
     .sub_size = sizeof(struct tenant_polling),
     .help = "instead of the tenant's"},
};
static const struct table instance_table = TABLE("instance", instance_fields, NULL);

static void free_instances(void *base)
{
    struct tenant *t = base;

    for (size_t i = 0; i < t->n_instances; i++) {
        table_fini(&instance_table, &t->instances[i]);
    }
    free(t->instances);
    t->instances = NULL;
    t->n_instances = 0;
}

/* "host/base/" becomes "http://host/base". */
static int settle_url(char **url)
{
    struct str given = str_of(*url);
    struct buf whole = {0};

    if (!str_starts(given, STR("http://")) && !str_starts(given, STR("https://"))) {
        buf_text(&whole, "http://");
    }
    while (given.n > 0 && given.p[given.n - 1] == '/') {
        given.n--;
    }
    buf_str(&whole, given);
    char *settled = buf_take(&whole, NULL);
    if (settled == NULL) {
        return ERR_NOMEM;
    }
    free(*url);
    *url = settled;
    return ERR_OK;
}

static void decode_instance(struct mistakes *m, const struct path *path, const struct node *n,
                            struct tenant_instance *i)
{
    const struct field *url = table_find(&instance_table, "url");

    if (table_preset(&instance_table, i) != ERR_OK) {
        m->is_out_of_memory = true;
    } else if (n->kind == NODE_TEXT) {
        field_decode(url, m, path, n, /* is_partial= */ false, i);
    } else if (n->kind == NODE_MAP) {
        table_decode(&instance_table, m, path, n, /* is_partial= */ false, i);
    } else {
        field_wrong_kind(m, path, n, "a URL or a map");
    }
    if (i->url != NULL && settle_url(&i->url) != ERR_OK) {
        m->is_out_of_memory = true;
    }
}

static void check_instance_names(struct mistakes *m, const struct path *path, const struct node *n)
{
    struct map seen = {0};
    size_t i = 0;

    for (const struct node *item = n->first; item != NULL; item = item->next, i++) {
        struct node *name = node_get(item, "name");
        struct path item_path = {path, NULL, i};
        struct path name_path = {&item_path, "name", 0};
        if (name == NULL || name->kind != NODE_TEXT) {
            continue;
        }
        const struct node *other = map_get(&seen, node_text(name));
        if (other != NULL) {
            mistake_add(m, &name_path, name->line, "the instance of line %d has this name already",
                        other->line);
        } else if (map_put(&seen, node_text(name), name) != ERR_OK) {
            m->is_out_of_memory = true;
        }
    }
    map_fini(&seen);
}

static void decode_instances(struct mistakes *m, const struct path *path, const struct node *n,
                             void *base)
{
    struct tenant *t = base;
    size_t i = 0;

    if (n->kind != NODE_LIST) {
        field_wrong_kind(m, path, n, "a list of URLs or maps");
        return;
    }
    if (n->n > ITEMS_MAX) {
        mistake_add(m, path, n->line, "expected at most %d instances", ITEMS_MAX);
        return;
    }
    free_instances(t);
    t->instances = calloc(n->n + 1, sizeof *t->instances);
    if (t->instances == NULL) {
        m->is_out_of_memory = true;
        return;
    }
    t->n_instances = n->n;
    for (const struct node *item = n->first; item != NULL; item = item->next, i++) {
        struct path step = {path, NULL, i};
        decode_instance(m, &step, item, &t->instances[i]);
    }
    check_instance_names(m, path, n);
}

static void encode_instances(const void *base, struct buf *out)
{
    const struct tenant *t = base;
    struct tenant_instance preset = {0};

    if (t->n_instances == 0) {
        return;
    }
    if (table_preset(&instance_table, &preset) != ERR_OK) {
        out->is_failed = true;
    } else {
        buf_char(out, '[');
        for (size_t i = 0; i < t->n_instances; i++) {
            buf_text(out, i > 0 ? "," : "");
            table_encode(&instance_table, &t->instances[i], &preset, out);
        }
        buf_char(out, ']');
    }
    table_fini(&instance_table, &preset);
}

static void print_instances(const void *base, int indent, struct buf *out)
{
    const struct tenant *t = base;

    buf_text(out, t->n_instances == 0 ? " []\n" : "\n");
    for (size_t i = 0; i < t->n_instances; i++) {
        size_t before = out->n;
        table_print(&instance_table, &t->instances[i], indent + 4, out);
        if (!buf_failed(out)) {
            out->p[before + (size_t)indent + 2] = '-';
        }
    }
}

static const struct field_custom instances_custom = {
    .decode = decode_instances,
    .encode = encode_instances,
    .print = print_instances,
    .fini = free_instances,
};

/* the other objects of a tenant */

static void check_per_key(struct mistakes *m, const struct path *path, const struct node *n,
                          const void *base)
{
    (void)base;
    if (is_given(n, "header") == is_given(n, "label")) {
        mistake_add(m, path, n->line, "expected exactly one of header and label");
    }
}

static const struct field per_key_fields[] = {
    {.key = "header",
     .type = FIELD_TEXT,
     .offset = T(per_key.header),
     .check = value_header_name,
     .help = "the header whose values are the keys"},
    {.key = "label",
     .type = FIELD_TEXT,
     .offset = T(per_key.label),
     .check = value_some,
     .help = "or the job's label"},
    {.key = "concurrency",
     .type = FIELD_U32,
     .offset = T(per_key.concurrency),
     .min = 1,
     .max = COUNT_MAX,
     .preset = "1",
     .help = "calls at once of one key"},
};
static const struct table per_key_table = TABLE("per_key", per_key_fields, check_per_key);

static const struct field timeouts_fields[] = {
    {.key = "connect_s",
     .type = FIELD_SECONDS,
     .offset = T(timeouts.connect_ms),
     .min = LEAST_S,
     .max = TOTAL_MAX_S,
     .preset = "1",
     .help = "until the connection stands"},
    {.key = "first_byte_s",
     .type = FIELD_SECONDS,
     .offset = T(timeouts.first_byte_ms),
     .min = LEAST_S,
     .max = TOTAL_MAX_S,
     .preset = "30",
     .help = "until the answer begins"},
    {.key = "total_s",
     .type = FIELD_SECONDS,
     .offset = T(timeouts.total_ms),
     .min = LEAST_S,
     .max = TOTAL_MAX_S,
     .preset = "60",
     .help = "of one attempt; longer work offloads"},
    {.key = "sync_s",
     .type = FIELD_SECONDS,
     .offset = T(timeouts.sync_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "30",
     .help = "that a synchronous caller waits"},
};
static const struct table timeouts_table = TABLE("timeouts", timeouts_fields, NULL);

static const struct field retry_fields[] = {
    {.key = "max_attempts",
     .type = FIELD_U32,
     .offset = T(retry.max_attempts),
     .min = 1,
     .max = 1000,
     .preset = "5",
     .help = "in all"},
    {.key = "initial_s",
     .type = FIELD_SECONDS,
     .offset = T(retry.initial_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "0.5",
     .help = "before the second attempt"},
    {.key = "factor",
     .type = FIELD_NUMBER,
     .offset = T(retry.factor),
     .min = 1,
     .max = 100,
     .preset = "2",
     .help = "by which the delay grows"},
    {.key = "max_s",
     .type = FIELD_SECONDS,
     .offset = T(retry.max_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "60",
     .help = "the longest delay"},
    {.key = "sync",
     .type = FIELD_EITHER,
     .offset = T(retry.is_sync_full),
     CHOICES(syncs),
     .preset = "safe",
     .help = "how synchronous calls are retried"},
    {.key = "statuses",
     .type = FIELD_INTS,
     .offset = T(retry.statuses),
     .count_offset = T(retry.n_statuses),
     .min = 0,
     .max = 400,
     .help = "that are retried; absent: the defaults by method"},
};
static const struct table retry_table = TABLE("retry", retry_fields, NULL);

static const struct field ask_fields[] = {
    {.key = "path",
     .type = FIELD_TEXT,
     .offset = T(in_doubt.ask_path),
     .check = value_target,
     .help = "{id} stands for the job's id"},
};
static const struct table ask_table = TABLE("ask", ask_fields, NULL);

static void check_in_doubt(struct mistakes *m, const struct path *path, const struct node *n,
                           const void *base)
{
    const struct node *policy = node_get(n, "policy");

    (void)base;
    if (policy != NULL && policy->kind == NODE_TEXT && strcmp(policy->text, "ask") == 0 &&
        !is_given(node_get(n, "ask"), "path")) {
        mistake_add(m, path, policy->line,
                    "the policy ask needs ask.path, as {policy: ask, ask: {path: /jobs/{id}}}");
    }
}

static const struct field in_doubt_fields[] = {
    {.key = "policy",
     .type = FIELD_CHOICE,
     .offset = T(in_doubt.policy),
     CHOICES(doubts),
     .help = "absent: by method"},
    {.key = "ask", .type = FIELD_OBJECT, SUB(ask_table), .help = "for policy: ask"},
};
static const struct table in_doubt_table = TABLE("in_doubt", in_doubt_fields, check_in_doubt);

static const struct field idempotency_fields[] = {
    {.key = "required",
     .type = FIELD_BOOL,
     .offset = T(idempotency.is_required),
     .preset = "false",
     .help = "unsafe methods without a key are refused"},
    {.key = "window_s",
     .type = FIELD_SECONDS,
     .offset = T(idempotency.window_ms),
     .min = LEAST_S,
     .max = YEAR_S,
     .preset = "86400",
     .help = "that a key is remembered"},
};
static const struct table idempotency_table = TABLE("idempotency", idempotency_fields, NULL);

static const struct field breaker_fields[] = {
    {.key = "failure_ratio",
     .type = FIELD_NUMBER,
     .offset = T(breaker.failure_ratio),
     .min = 0.001,
     .max = 1,
     .preset = "0.5",
     .help = "of the calls, that opens it"},
    {.key = "minimum_calls",
     .type = FIELD_U32,
     .offset = T(breaker.minimum_calls),
     .min = 1,
     .max = COUNT_MAX,
     .preset = "20",
     .help = "in the window, before it may open"},
    {.key = "window_s",
     .type = FIELD_SECONDS,
     .offset = T(breaker.window_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "30",
     .help = "in which calls are counted"},
    {.key = "open_s",
     .type = FIELD_SECONDS,
     .offset = T(breaker.open_ms),
     .min = LEAST_S,
     .max = DAY_S,
     .preset = "10",
     .help = "that it stays open"},
    {.key = "probes",
     .type = FIELD_U32,
     .offset = T(breaker.probes),
     .min = 1,
     .max = 1000,
     .preset = "3",
     .help = "that must succeed before it closes"},
};
static const struct table breaker_table = TABLE("breaker", breaker_fields, NULL);

static void check_adaptive(struct mistakes *m, const struct path *path, const struct node *n,
                           const void *base)
{
    const struct tenant *t = base;

    if (t->adaptive.minimum > t->adaptive.maximum) {
        mistake_add(m, path, n->line, "the minimum (%u) is over the maximum (%u)",
                    (unsigned int)t->adaptive.minimum, (unsigned int)t->adaptive.maximum);
    }
}

static const struct field adaptive_fields[] = {
    {.key = "enabled",
     .type = FIELD_BOOL,
     .offset = T(adaptive.is_enabled),
     .preset = "false",
     .help = "the concurrency follows the latency"},
    {.key = "minimum",
     .type = FIELD_U32,
     .offset = T(adaptive.minimum),
     .min = 1,
     .max = COUNT_MAX,
     .preset = "1",
     .help = "concurrency at least"},
    {.key = "maximum",
     .type = FIELD_U32,
     .offset = T(adaptive.maximum),
     .min = 1,
     .max = COUNT_MAX,
     .preset = "256",
     .help = "concurrency at most"},
};
static const struct table adaptive_table = TABLE("adaptive", adaptive_fields, check_adaptive);

static const struct field offload_fields[] = {
    {.key = "enabled",
     .type = FIELD_BOOL,
     .offset = T(offload.is_enabled),
     .preset = "false",
     .help = "an answer with a pending status is polled to its end"},
    {.key = "location_header",
     .type = FIELD_TEXT,
     .offset = T(offload.location_header),
     .preset = "Location",
     .check = value_header_name,
     .help = "that holds the URL to poll"},
    {.key = "pending_statuses",
     .type = FIELD_INTS,
     .offset = T(offload.pending_statuses),
     .count_offset = T(offload.n_pending_statuses),
     .min = 1,
     .max = 400,
     .preset = "202",
     .help = "that mean not yet"},
    {.key = "poll_s",
     .type = FIELD_SECONDS,
     .offset = T(offload.poll_ms),
     .min = 0.01,
     .max = DAY_S,
     .preset = "0.5",
     .help = "between two polls"},
    {.key = "max_s",
     .type = FIELD_SECONDS,
     .offset = T(offload.max_ms),
     .min = LEAST_S,
     .max = YEAR_S,
     .preset = "86400",
     .help = "after which it is in doubt"},
    {.key = "frees_slot",
     .type = FIELD_BOOL,
     .offset = T(offload.frees_slot),
     .preset = "false",
     .help = "pending work occupies no slot"},
};
static const struct table offload_table = TABLE("offload", offload_fields, NULL);

static const struct field tenant_fields[] = {
    {.key = "instances",
     .type = FIELD_CUSTOM,
     .custom = &instances_custom,
     .help = "URLs, or maps"},
    {.key = "apis",
     .type = FIELD_TEXTS,
     .offset = T(apis),
     .count_offset = T(n_apis),
     .min = 0,
     .max = LIST_MAX,
     .check = value_path,
     .help = "paths that callers may use without /call/TENANT"},
    {.key = "balance",
     .type = FIELD_CHOICE,
     .offset = T(balance),
     CHOICES(balances),
     .preset = "round_robin",
     .help = "which instance is next"},
    {.key = "concurrency",
     .type = FIELD_U32,
     .offset = T(concurrency),
     .min = 1,
     .max = COUNT_MAX,
     .help = "of the whole tenant; absent: no limit"},
    {.key = "slot_linger_s",
     .type = FIELD_SECONDS,
     .offset = T(slot_linger_ms),
     .min = 0,
     .max = DAY_S,
     .preset = "0",
     .help = "that a slot stays taken after its answer"},
    {.key = "sync_share",
     .type = FIELD_NUMBER,
     .offset = T(sync_share),
     .min = 0,
     .max = 1,
     .preset = "0.8",
     .help = "of the slots for waiting callers while others wait"},
    {.key = "fair_by",
     .type = FIELD_TEXT,
     .offset = T(fair_by),
     .check = value_header_name,
     .help = "a header: round robin among its values"},
    {.key = "queue_group",
     .type = FIELD_TEXT,
     .offset = T(queue_group),
     .check = value_not_yet,
     .help = "tenants of one group share queues"},
    RATE(T(rate)),
    {.key = "per_key",
     .type = FIELD_OBJECT,
     .flags = FIELD_WHOLE,
     .sub = &per_key_table,
     .count_offset = T(per_key.is_set),
     .help = "a limit a key"},
    {.key = "timeouts", .type = FIELD_OBJECT, SUB(timeouts_table), .help = "of one attempt"},
    {.key = "retry", .type = FIELD_OBJECT, SUB(retry_table), .help = "when and how often"},
    {.key = "in_doubt",
     .type = FIELD_OBJECT,
     SUB(in_doubt_table),
     .help = "what becomes of an attempt that may have arrived"},
    {.key = "idempotency",
     .type = FIELD_OBJECT,
     SUB(idempotency_table),
     .help = "of Idempotency-Key"},
    {.key = "result_ttl_s",
     .type = FIELD_SECONDS,
     .offset = T(result_ttl_ms),
     .min = LEAST_S,
     .max = YEAR_S,
     .preset = "86400",
     .help = "that results are kept"},
    {.key = "sync_result_ttl_s",
     .type = FIELD_SECONDS,
     .offset = T(sync_result_ttl_ms),
     .min = LEAST_S,
     .max = YEAR_S,
     .preset = "60",
     .help = "of answered synchronous calls without a key"},
    {.key = "max_result_bytes",
     .type = FIELD_SIZE,
     .offset = T(max_result_bytes),
     .min = 1,
     .max = BYTES_MAX,
     .preset = "8388608",
     .help = "of one answer's body"},
    {.key = "polling",
     .type = FIELD_OBJECT,
     .offset = T(polling),
     SUB(polling_table),
     .help = "of the instances' health"},
    {.key = "breaker",
     .type = FIELD_OBJECT,
     .sub = &breaker_table,
     .count_offset = T(breaker.is_set),
     .help = "absent: none"},
    {.key = "adaptive", .type = FIELD_OBJECT, SUB(adaptive_table), .help = "adaptive concurrency"},
    {.key = "cooldown",
     .type = FIELD_EITHER,
     .offset = T(cools_tenant),
     CHOICES(cooldowns),
     .preset = "instance",
     .help = "whom a Retry-After cools"},
    {.key = "offload",
     .type = FIELD_OBJECT,
     SUB(offload_table),
     .help = "instances that answer later"},
    {.key = "max_queue",
     .type = FIELD_U64,
     .offset = T(max_queue),
     .min = 1,
     .max = 1e9,
     .preset = "1000000",
     .help = "unended jobs; over it: 503"},
    {.key = "lost_after_s",
     .type = FIELD_SECONDS,
     .offset = T(lost_after_ms),
     .min = LEAST_S,
     .max = YEAR_S,
     .preset = "3600",
     .help = "overdue without a delivery"},
};
const struct table tenant_table = TABLE("tenant", tenant_fields, NULL);

/* Names of the nameless */

static int give_name(struct map *taken, struct tenant_instance *instance)
{
    struct buf name = {0};

    value_origin(str_of(instance->url), &name);
    int rc = value_take_name(taken, &name, VALUE_INSTANCE_NAME_MAX);
    if (rc != ERR_OK) {
        buf_fini(&name);
        return rc;
    }
    instance->name = buf_take(&name, NULL);
    return instance->name == NULL ? ERR_NOMEM : ERR_OK;
}

/* Given names stand as they are, and first: those that are made keep clear of them. */
static int keep_name(struct map *taken, const struct tenant_instance *instance)
{
    struct buf name = {0};

    buf_text(&name, instance->name);
    int rc = value_take_name(taken, &name, VALUE_INSTANCE_NAME_MAX);
    buf_fini(&name);
    return rc;
}

int tenant_complete(struct tenant *t)
{
    struct map taken = {0};
    int rc = ERR_OK;

    tenant_rate_complete(&t->rate);
    for (size_t i = 0; rc == ERR_OK && i < t->n_instances; i++) {
        tenant_rate_complete(&t->instances[i].rate);
        if (t->instances[i].name != NULL) {
            rc = keep_name(&taken, &t->instances[i]);
        }
    }
    for (size_t i = 0; rc == ERR_OK && i < t->n_instances; i++) {
        if (t->instances[i].name == NULL && t->instances[i].url != NULL) {
            rc = give_name(&taken, &t->instances[i]);
        }
    }
    map_fini(&taken);
    return rc;
}

/* Public */

struct tenant *tenant_new(struct str name)
{
    struct tenant *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return NULL;
    }
    t->name = str_dup(name);
    if (t->name == NULL || table_preset(&tenant_table, t) != ERR_OK) {
        tenant_free(t);
        return NULL;
    }
    return t;
}

void tenant_free(struct tenant *t)
{
    if (t == NULL) {
        return;
    }
    table_fini(&tenant_table, t);
    free(t->name);
    free(t);
}

bool tenant_name_is_valid(struct str name)
{
    return value_is_name(name);
}

char *tenant_to_json(const struct tenant *t)
{
    struct tenant *preset = tenant_new(STR(""));
    struct buf out = {0};

    if (preset == NULL) {
        return NULL;
    }
    table_encode(&tenant_table, t, preset, &out);
    tenant_free(preset);
    return buf_take(&out, NULL);
}

/* defaults: judged when they were read; or NULL. */
static int decode_tree(struct mistakes *m, struct str name, const struct node *defaults,
                       const struct node *tree, struct tenant **ret)
{
    struct tenant *t = tenant_new(name);
    struct mistakes mute = {0};

    if (t == NULL) {
        return ERR_NOMEM;
    }
    if (!value_is_name(name)) {
        mistake_add(m, NULL, 0, "name: %s", value_name(name));
    }
    if (defaults != NULL) {
        table_decode(&tenant_table, &mute, NULL, defaults, /* is_partial= */ true, t);
        m->is_out_of_memory = m->is_out_of_memory || mute.is_out_of_memory;
    }
    if (tree->kind != NODE_MAP) {
        field_wrong_kind(m, NULL, tree, "a map");
    } else {
        table_decode(&tenant_table, m, NULL, tree, /* is_partial= */ false, t);
    }
    int rc = mistake_verdict(m);
    if (rc == ERR_OK) {
        rc = tenant_complete(t);
    }
    if (rc != ERR_OK) {
        tenant_free(t);
        return rc;
    }
    *ret = t;
    return ERR_OK;
}

int tenant_decode_over(struct str name, struct str defaults, struct str json, struct tenant **ret,
                       struct buf *ret_mistakes)
{
    struct mistakes m = {.out = ret_mistakes};
    struct mistakes mute = {0};
    struct node *under = NULL;
    struct node *tree = NULL;
    int rc = defaults.n == 0 ? ERR_OK : field_parse_document(&mute, defaults, &under);

    rc = rc != ERR_OK ? rc : field_parse_document(&m, json, &tree);
    rc = rc != ERR_OK ? rc : decode_tree(&m, name, under, tree, ret);
    node_free(under);
    node_free(tree);
    return rc;
}

int tenant_decode(struct str name, struct str json, struct tenant **ret, struct buf *ret_mistakes)
{
    return tenant_decode_over(name, (struct str){"", 0}, json, ret, ret_mistakes);
}

int tenant_from_json(struct str name, struct str json, struct tenant **ret)
{
    return tenant_decode(name, json, ret, NULL);
}

/* One instance by itself */

struct lone {
    struct tenant_instance instance; /* first: tables count from it */
    int64_t ttl_ms;
};

static const struct field ttl_field = {.key = "ttl_s",
                                       .type = FIELD_SECONDS,
                                       .offset = offsetof(struct lone, ttl_ms),
                                       .min = 1,
                                       .max = YEAR_S,
                                       .help = "it leaves when nobody repeats it in that time"};

void tenant_instance_free(struct tenant_instance *i)
{
    if (i != NULL) {
        table_fini(&instance_table, i);
        free(i);
    }
}

/* Takes what only a lone instance has out of its document. */
static void decode_lone(struct mistakes *m, struct str name, struct node *tree, struct lone *to)
{
    struct node *ttl = node_get(tree, "ttl_s");
    struct node *own = node_get(tree, "name");
    struct path path = {.key = "ttl_s"};
    struct path at_name = {.key = "name"};

    if (ttl != NULL) {
        node_take(tree, ttl);
        field_decode(&ttl_field, m, &path, ttl, /* is_partial= */ false, to);
        node_free(ttl);
    }
    if (own != NULL && own->kind == NODE_TEXT && !str_is(node_text(own), name)) {
        mistake_add(m, &at_name, 0, "the path says %.*s", STR_ARG(name));
    }
    decode_instance(m, NULL, tree, &to->instance);
    if (value_instance_name(name) != NULL) {
        mistake_add(m, NULL, 0, "name: %s", value_instance_name(name));
        return;
    }
    free(to->instance.name);
    to->instance.name = str_dup(name);
    m->is_out_of_memory = m->is_out_of_memory || to->instance.name == NULL;
    tenant_rate_complete(&to->instance.rate);
}

int tenant_instance_decode(struct str name, struct str json, struct tenant_instance **ret,
                           int64_t *ret_ttl_ms, struct buf *ret_mistakes)
{
    struct mistakes m = {.out = ret_mistakes};
    struct node *tree = NULL;
    struct lone *lone = calloc(1, sizeof *lone);

    if (lone == NULL) {
        return ERR_NOMEM;
    }
    int rc = field_parse_document(&m, json, &tree);
    if (rc == ERR_OK) {
        decode_lone(&m, name, tree, lone);
        rc = mistake_verdict(&m);
    }
    node_free(tree);
    if (rc != ERR_OK) {
        tenant_instance_free(&lone->instance);
        return rc;
    }
    *ret = &lone->instance;
    *ret_ttl_ms = lone->ttl_ms > 0 ? lone->ttl_ms : 0; /* null reads as absent: −1 */
    return ERR_OK;
}

char *tenant_instance_to_json(const struct tenant_instance *i, int64_t ttl_ms)
{
    struct tenant_instance preset = {0};
    struct buf out = {0};

    if (table_preset(&instance_table, &preset) == ERR_OK) {
        table_encode(&instance_table, i, &preset, &out);
    }
    table_fini(&instance_table, &preset);
    if (ttl_ms > 0 && out.n > 2) {
        out.n--; /* its brace: it has a url at least */
        buf_printf(&out, ",\"ttl_s\":%lld.%03d}", (long long)(ttl_ms / 1000), (int)(ttl_ms % 1000));
    }
    return buf_take(&out, NULL);
}

struct tenant_instance *tenant_instance_of(const struct tenant *t, struct str name)
{
    for (size_t i = 0; i < t->n_instances; i++) {
        if (str_is(str_of(t->instances[i].name), name)) {
            return &t->instances[i];
        }
    }
    return NULL;
}

int tenant_take_instance(struct tenant *t, struct tenant_instance *i)
{
    struct tenant_instance *place = tenant_instance_of(t, str_of(i->name));

    if (place != NULL) {
        table_fini(&instance_table, place);
    } else {
        struct tenant_instance *more =
            realloc(t->instances, (t->n_instances + 1) * sizeof *t->instances);
        if (more == NULL) {
            tenant_instance_free(i);
            return ERR_NOMEM;
        }
        t->instances = more;
        place = &t->instances[t->n_instances++];
    }
    *place = *i;
    free(i);
    return ERR_OK;
}

void tenant_drop_instance(struct tenant *t, struct str name)
{
    struct tenant_instance *i = tenant_instance_of(t, name);

    if (i != NULL) {
        size_t at = (size_t)(i - t->instances);
        table_fini(&instance_table, i);
        memmove(i, i + 1, (t->n_instances - at - 1) * sizeof *i);
        t->n_instances--;
    }
}

const struct tenant_polling *tenant_polling_of(const struct tenant *t,
                                               const struct tenant_instance *instance)
{
    return instance->polling != NULL ? instance->polling : &t->polling;
}

/* RFC 9110, 9.2.2, without TRACE, which nobody forwards. */
static bool is_idempotent(struct str method)
{
    return str_is(method, STR("GET")) || str_is(method, STR("HEAD")) ||
           str_is(method, STR("OPTIONS")) || str_is(method, STR("PUT")) ||
           str_is(method, STR("DELETE"));
}

static bool is_in(const int *list, size_t n, int status)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == status) {
            return true;
        }
    }
    return false;
}

bool tenant_retries_status(const struct tenant *t, struct str method, int status)
{
    static const int full[] = {408, 425, 429, 500, 502, 503, 504};
    static const int unsafe[] = {408, 425, 429, 503};

    if (t->retry.statuses != NULL) {
        return is_in(t->retry.statuses, t->retry.n_statuses, status);
    }
    if (is_idempotent(method) || t->in_doubt.policy == TENANT_DOUBT_RETRY) {
        return is_in(full, COUNT(full), status);
    }
    return is_in(unsafe, COUNT(unsafe), status);
}

enum tenant_doubt tenant_doubt_policy(const struct tenant *t, struct str method)
{
    if (t->in_doubt.policy != TENANT_DOUBT_BY_METHOD) {
        return t->in_doubt.policy;
    }
    return is_idempotent(method) ? TENANT_DOUBT_RETRY : TENANT_DOUBT_HOLD;
}
