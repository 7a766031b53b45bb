/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schedule.h"

#include <stdlib.h>

#define S(member) offsetof(struct config_schedule, member)
#define J(member) offsetof(struct job, member)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TABLE(what, array, whole)                                                                  \
    {                                                                                              \
        .name = (what), .fields = (array), .n_fields = COUNT(array), .check = (whole)              \
    }
#define CHOICES(array) .choices = (array), .max = (int)COUNT(array)
#define YEAR_S 31536000.0
#define DAY_S 86400.0

enum { WHY_SIZE = 256, ENTRIES_MAX = 100 };

static const char *const overlaps[] = {"skip", "allow", "queue_one", "queue_all",
                                       "cancel_previous"};
static const char *const catch_ups[] = {"last", "none", "all"};
static const char *const gaps[] = {"run_after", "skip"};
static const char *const twices[] = {"once", "twice"};
static const char *const classes[] = {NULL, "high", "normal", "low"};

/* The job. It is only checked: its document goes on as JSON. */

static const struct table request_table, retry_table, job_table;

struct job {
    char *tenant, *method, *path, *body_text, *body_base64;
    char *idempotency_key, *ordering_key;
    unsigned int priority;
    int64_t not_before_ms, delay_ms, expires_at_ms, ttl_ms, timeout_ms;
    uint32_t max_attempts;
    int64_t initial_ms, max_ms;
    double factor;
};

static const char *check_header_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return "control characters are not allowed in a header's value";
        }
    }
    return s.n <= 8192 ? NULL : "a header's value has at most 8192 bytes";
}

static void check_texts(struct mistakes *m, const struct path *path, const struct node *n,
                        value_check check_key, value_check check_value)
{
    if (n->kind != NODE_MAP) {
        field_wrong_kind(m, path, n, "a map of texts");
        return;
    }
    for (const struct node *child = n->first; child != NULL; child = child->next) {
        struct path step = {path, child->key, 0};
        const char *why = check_key(str_of(child->key));
        if (why != NULL) {
            mistake_add(m, &step, child->key_line, "%s", why);
        } else if (child->kind != NODE_TEXT) {
            field_wrong_kind(m, &step, child, "text (put it into quotes)");
        } else if ((why = check_value(node_text(child))) != NULL) {
            mistake_add(m, &step, child->line, "%s", why);
        }
    }
}

static void check_headers(struct mistakes *m, const struct path *path, const struct node *n,
                          void *base)
{
    (void)base;
    check_texts(m, path, n, value_header_name, check_header_value);
}

static void check_labels(struct mistakes *m, const struct path *path, const struct node *n,
                         void *base)
{
    (void)base;
    check_texts(m, path, n, value_some, value_some);
}

static const struct field_custom headers_custom = {.decode = check_headers};
static const struct field_custom labels_custom = {.decode = check_labels};

/* What is null here would be null in the job's document, where it is refused. */
static void refuse_nulls(const struct table *t, struct mistakes *m, const struct path *path,
                         const struct node *n)
{
    for (const struct node *child = n->first; child != NULL; child = child->next) {
        struct path step = {path, child->key, 0};
        const struct field *f = table_find(t, child->key);
        bool is_judged = f == NULL || (f->flags & FIELD_REQUIRED) != 0; /* elsewhere */
        if (child->kind == NODE_NULL && !is_judged && strcmp(child->key, "body") != 0) {
            field_wrong_kind(m, &step, child, "a value");
        }
    }
}

/* At most one of `keys`, NULL-ended. */
static void refuse_several(struct mistakes *m, const struct path *path, const struct node *n,
                           const char *const *keys)
{
    const char *first = NULL;

    for (; *keys != NULL; keys++) {
        const struct node *value = node_get(n, *keys);
        if (value == NULL) {
            continue;
        }
        if (first != NULL) {
            mistake_add(m, path, value->key_line, "%s and %s contradict each other", first, *keys);
        }
        first = *keys;
    }
}

static void check_request(struct mistakes *m, const struct path *path, const struct node *n,
                          const void *base)
{
    static const char *const bodies[] = {"body", "body_text", "body_base64", NULL};

    (void)base;
    refuse_nulls(&request_table, m, path, n);
    refuse_several(m, path, n, bodies);
}

static const struct field request_fields[] = {
    {.key = "method",
     .type = FIELD_TEXT,
     .offset = J(method),
     .check = value_header_name,
     .help = "POST unless given"},
    {.key = "path",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .offset = J(path),
     .check = value_target,
     .help = "with the query"},
    {.key = "headers", .type = FIELD_CUSTOM, .custom = &headers_custom, .help = "names to texts"},
    {.key = "body", .type = FIELD_LATER, .help = "any JSON"},
    {.key = "body_text", .type = FIELD_TEXT, .offset = J(body_text), .help = "or text"},
    {.key = "body_base64",
     .type = FIELD_TEXT,
     .offset = J(body_base64),
     .check = value_base64,
     .help = "or bytes"},
};
static const struct table request_table = TABLE("request", request_fields, check_request);

static void check_retry(struct mistakes *m, const struct path *path, const struct node *n,
                        const void *base)
{
    (void)base;
    refuse_nulls(&retry_table, m, path, n);
}

static const struct field retry_fields[] = {
    {.key = "max_attempts", .type = FIELD_U32, .offset = J(max_attempts), .min = 1, .max = 1000},
    {.key = "initial_s",
     .type = FIELD_SECONDS,
     .offset = J(initial_ms),
     .min = 0.001,
     .max = DAY_S},
    {.key = "factor", .type = FIELD_NUMBER, .offset = J(factor), .min = 1, .max = 100},
    {.key = "max_s", .type = FIELD_SECONDS, .offset = J(max_ms), .min = 0.001, .max = DAY_S},
};
static const struct table retry_table = TABLE("retry", retry_fields, check_retry);

static void check_job(struct mistakes *m, const struct path *path, const struct node *n,
                      const void *base)
{
    static const char *const delays[] = {"not_before", "delay_s", NULL};
    static const char *const ends[] = {"expires_at", "ttl_s", NULL};

    (void)base;
    refuse_nulls(&job_table, m, path, n);
    refuse_several(m, path, n, delays);
    refuse_several(m, path, n, ends);
}

static const struct field job_fields[] = {
    {.key = "tenant",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .offset = J(tenant),
     .check = value_name},
    {.key = "request",
     .type = FIELD_OBJECT,
     .flags = FIELD_REQUIRED,
     .sub = &request_table,
     .count_offset = FIELD_NO_OFFSET},
    {.key = "idempotency_key",
     .type = FIELD_TEXT,
     .offset = J(idempotency_key),
     .check = value_some},
    {.key = "ordering_key", .type = FIELD_TEXT, .offset = J(ordering_key), .check = value_some},
    {.key = "priority", .type = FIELD_CHOICE, .offset = J(priority), CHOICES(classes)},
    {.key = "not_before", .type = FIELD_INSTANT, .offset = J(not_before_ms)},
    {.key = "delay_s", .type = FIELD_SECONDS, .offset = J(delay_ms), .min = 0, .max = YEAR_S},
    {.key = "expires_at", .type = FIELD_INSTANT, .offset = J(expires_at_ms)},
    {.key = "ttl_s", .type = FIELD_SECONDS, .offset = J(ttl_ms), .min = 0.001, .max = YEAR_S},
    {.key = "timeout_s", .type = FIELD_SECONDS, .offset = J(timeout_ms), .min = 0.001, .max = 1500},
    {.key = "retry", .type = FIELD_OBJECT, .sub = &retry_table, .count_offset = FIELD_NO_OFFSET},
    {.key = "callback", .type = FIELD_LATER},
    {.key = "labels", .type = FIELD_CUSTOM, .custom = &labels_custom},
};
static const struct table job_table = TABLE("job", job_fields, check_job);

static void decode_job(struct mistakes *m, const struct path *path, const struct node *n,
                       void *base)
{
    struct config_schedule *s = base;
    struct job job = {0};
    struct buf json = {0};

    if (n->kind != NODE_MAP) {
        field_wrong_kind(m, path, n, "a map");
        return;
    }
    table_decode(&job_table, m, path, n, /* is_partial= */ false, &job);
    free(s->tenant);
    s->tenant = job.tenant;
    job.tenant = NULL;
    table_fini(&job_table, &job);
    node_to_json(n, &json);
    free(s->job_json);
    s->job_json = buf_take(&json, NULL);
    if (s->job_json == NULL) {
        m->is_out_of_memory = true;
    }
}

static void encode_job(const void *base, struct buf *out)
{
    const struct config_schedule *s = base;

    if (s->job_json != NULL) {
        buf_text(out, s->job_json);
    }
}

/* Whether the name of a header says that its value is nobody's business. */
static bool is_secret(const char *name)
{
    static const char *const parts[] = {"authorization", "cookie", "secret", "token",
                                        "password",      "-key",   "_key",   "apikey"};

    if (str_is_nocase(str_of(name), STR("idempotency-key"))) {
        return false;
    }
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct str part = str_of(parts[i]);
        for (const char *p = name; strlen(p) >= part.n; p++) {
            if (str_is_nocase((struct str){p, part.n}, part)) {
                return true;
            }
        }
    }
    return false;
}

static void print_job(const void *base, int indent, struct buf *out)
{
    const struct config_schedule *s = base;
    struct node *job = NULL;
    struct buf why = {0};
    int line;

    (void)indent;
    buf_char(out, ' ');
    if (s->job_json == NULL || node_parse(str_of(s->job_json), &job, &line, &why) != ERR_OK) {
        buf_text(out, "null\n");
        goto out;
    }
    struct node *headers = node_get(node_get(job, "request"), "headers");
    for (struct node *h = headers == NULL ? NULL : headers->first; h != NULL; h = h->next) {
        if (is_secret(h->key) && field_set_text(&h->text, "***") != ERR_OK) {
            out->is_failed = true;
        }
    }
    node_to_json(job, out);
    buf_char(out, '\n');
out:
    node_free(job);
    buf_fini(&why);
}

static void free_job(void *base)
{
    struct config_schedule *s = base;

    free(s->job_json);
    free(s->tenant);
    s->job_json = NULL;
    s->tenant = NULL;
}

static const struct field_custom job_custom = {
    .decode = decode_job,
    .encode = encode_job,
    .print = print_job,
    .fini = free_job,
};

/* The schedule */

static void check_bounds(struct mistakes *m, const struct path *path, const struct node *n,
                         const void *base)
{
    const struct config_schedule *s = base;

    if (s->start_ms != 0 && s->end_ms != 0 && s->start_ms >= s->end_ms) {
        mistake_add(m, path, n->line, "it ends before it starts");
    }
}

static const struct field schedule_fields[] = {
    {.key = "cron",
     .type = FIELD_TEXTS,
     .flags = FIELD_REQUIRED | FIELD_ONE_OR_MORE,
     .offset = S(crons),
     .count_offset = S(n_crons),
     .min = 1,
     .max = ENTRIES_MAX,
     .check = value_some,
     .help = "an expression or a list of them"},
    {.key = "timezone",
     .type = FIELD_TEXT,
     .offset = S(timezone),
     .preset = "UTC",
     .check = value_timezone,
     .help = "of the expressions"},
    {.key = "job",
     .type = FIELD_CUSTOM,
     .flags = FIELD_REQUIRED,
     .custom = &job_custom,
     .help = "as POST /v1/jobs takes it"},
    {.key = "overlap",
     .type = FIELD_CHOICE,
     .offset = S(overlap),
     CHOICES(overlaps),
     .preset = "skip",
     .help = "when the last one has not ended"},
    {.key = "catch_up",
     .type = FIELD_CHOICE,
     .offset = S(catch_up),
     CHOICES(catch_ups),
     .preset = "last",
     .help = "of times that were missed"},
    {.key = "dst_gap",
     .type = FIELD_EITHER,
     .offset = S(is_gap_skipped),
     CHOICES(gaps),
     .preset = "run_after",
     .help = "of times that the clock jumped over"},
    {.key = "dst_overlap",
     .type = FIELD_EITHER,
     .offset = S(is_overlap_twice),
     CHOICES(twices),
     .preset = "once",
     .help = "of times that come twice"},
    {.key = "exclude",
     .type = FIELD_TEXTS,
     .offset = S(excludes),
     .count_offset = S(n_excludes),
     .min = 0,
     .max = ENTRIES_MAX,
     .check = value_some,
     .help = "expressions"},
    {.key = "start", .type = FIELD_INSTANT, .offset = S(start_ms), .help = "no fire before it"},
    {.key = "end", .type = FIELD_INSTANT, .offset = S(end_ms), .help = "no fire from it on"},
    {.key = "max_runs",
     .type = FIELD_U64,
     .offset = S(max_runs),
     .min = 1,
     .max = 1e9,
     .help = "absent: no bound"},
    {.key = "pause_on_failure",
     .type = FIELD_BOOL,
     .offset = S(pauses_on_failure),
     .preset = "false",
     .help = "a failed job pauses the schedule"},
    {.key = "catch_up_s",
     .type = FIELD_SECONDS,
     .offset = S(catch_up_ms),
     .min = 0,
     .max = YEAR_S,
     .preset = "3600",
     .help = "how far back"},
    {.key = "jitter_s",
     .type = FIELD_SECONDS,
     .offset = S(jitter_ms),
     .min = 0,
     .max = DAY_S,
     .preset = "0",
     .help = "a random delay up to this"},
};
const struct table schedule_table = TABLE("schedule", schedule_fields, check_bounds);

static void check_expressions(const struct schedule_context *x, struct mistakes *m,
                              const struct path *path, const char *key, const struct node *n,
                              char *const *list, size_t n_list, const char *timezone)
{
    struct path at_key = {path, key, 0};
    const struct node *value = node_get(n, key);
    bool is_list = value != NULL && value->kind == NODE_LIST;
    const struct node *item = is_list ? value->first : value;

    for (size_t i = 0; i < n_list && x->cron_check != NULL; i++) {
        struct path at_item = {&at_key, NULL, i};
        char why[WHY_SIZE] = "";
        if (list[i] != NULL && x->cron_check(list[i], timezone, why, sizeof why) != ERR_OK) {
            mistake_add(m, is_list ? &at_item : &at_key, item == NULL ? n->line : item->line, "%s",
                        why[0] == '\0' ? "no cron expression" : why);
        }
        item = item == NULL ? NULL : item->next;
    }
}

static void check_known_tenant(const struct schedule_context *x, struct mistakes *m,
                               const struct path *path, const struct node *n, const char *tenant)
{
    struct path job = {path, "job", 0};
    struct path step = {&job, "tenant", 0};
    const struct node *where = node_get(node_get(n, "job"), "tenant");

    if (x->tenants != NULL && tenant != NULL && map_get(x->tenants, str_of(tenant)) == NULL) {
        mistake_add(m, &step, where == NULL ? n->line : where->line,
                    "the tenant %s is not configured", tenant);
    }
}

void schedule_decode(const struct schedule_context *x, struct mistakes *m, const struct path *path,
                     const char *name, const struct node *n, struct config_schedule *s)
{
    if (field_set_text(&s->name, name) != ERR_OK || table_preset(&schedule_table, s) != ERR_OK) {
        m->is_out_of_memory = true;
        return;
    }
    if (!value_is_name(str_of(name))) {
        mistake_add(m, path, n->key_line, "%s", value_name(str_of(name)));
    }
    if (n->kind != NODE_MAP) {
        field_wrong_kind(m, path, n, "a map");
        return;
    }
    table_decode(&schedule_table, m, path, n, /* is_partial= */ false, s);
    check_expressions(x, m, path, "cron", n, s->crons, s->n_crons, s->timezone);
    check_expressions(x, m, path, "exclude", n, s->excludes, s->n_excludes, s->timezone);
    check_known_tenant(x, m, path, n, s->tenant);
}

void schedule_fini(struct config_schedule *s)
{
    table_fini(&schedule_table, s);
    free(s->name);
    s->name = NULL;
}

void config_schedule_free(struct config_schedule *s)
{
    if (s == NULL) {
        return;
    }
    schedule_fini(s);
    free(s);
}

static int decode_tree(struct mistakes *m, struct str name, const struct node *tree,
                       config_cron_check cron_check, struct config_schedule **ret)
{
    struct schedule_context x = {.cron_check = cron_check};
    struct config_schedule *s = calloc(1, sizeof *s);
    char *text = str_dup(name);
    int rc = ERR_NOMEM;

    if (s != NULL && text != NULL) {
        schedule_decode(&x, m, NULL, text, tree, s);
        rc = mistake_verdict(m);
    }
    if (rc == ERR_OK) {
        *ret = s;
        s = NULL;
    }
    config_schedule_free(s);
    free(text);
    return rc;
}

int config_schedule_decode(struct str name, struct str json, config_cron_check cron_check,
                           struct config_schedule **ret, struct buf *ret_mistakes)
{
    struct mistakes m = {.out = ret_mistakes};
    struct buf why = {0};
    struct node *tree = NULL;
    int line = 0;
    int rc = node_parse(json, &tree, &line, &why);

    if (rc == ERR_OK) {
        rc = decode_tree(&m, name, tree, cron_check, ret);
    } else if (rc == ERR_SYNTAX) {
        mistake_add(&m, NULL, 0, "line %d: %s", line, why.p == NULL ? "" : why.p);
    }
    node_free(tree);
    buf_fini(&why);
    return rc;
}

char *config_schedule_to_json(const struct config_schedule *s)
{
    struct config_schedule preset = {0};
    struct buf out = {0};

    if (table_preset(&schedule_table, &preset) == ERR_OK) {
        table_encode(&schedule_table, s, &preset, &out);
    }
    schedule_fini(&preset);
    return buf_take(&out, NULL);
}

struct config_schedule *schedule_list_add(struct schedule_list *l)
{
    if (l->n == l->room) {
        size_t room = l->room == 0 ? 8 : l->room * 2;
        struct config_schedule *grown = realloc(l->items, room * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        l->items = grown;
        l->room = room;
    }
    l->items[l->n] = (struct config_schedule){0};
    return &l->items[l->n++];
}

void schedule_list_fini(struct schedule_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        schedule_fini(&l->items[i]);
    }
    free(l->items);
    map_fini(&l->names);
    *l = (struct schedule_list){0};
}
