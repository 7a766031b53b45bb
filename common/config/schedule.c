/* SPDX-License-Identifier: Apache-2.0 */
/* A schedule's job is no table of ours: its document goes on as JSON, and job_document_parse judges
 * it, as it judges POST /v1/jobs. Only whether its tenant is configured is said here. */
#include "config/schedule.h"

#include "config/sense.h"
#include "job/document.h"

#include <stdlib.h>

#define S(member) offsetof(struct config_schedule, member)
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

/* The job */

/* What stands behind the prefix that `text` begins with, else `text`. */
static const char *skip_one(const char *text, const char *const *prefixes)
{
    for (; *prefixes != NULL; prefixes++) {
        size_t n = strlen(*prefixes);
        if (strncmp(text, *prefixes, n) == 0) {
            return text + n;
        }
    }
    return text;
}

/* The child with the longest key that `text` begins with, or NULL. */
static const struct node *leading_child(const struct node *map, const char *text)
{
    const struct node *best = NULL;
    size_t best_n = 0;

    for (const struct node *n = map->kind == NODE_MAP ? map->first : NULL; n != NULL; n = n->next) {
        size_t key_n = strlen(n->key);
        if (key_n > best_n && strncmp(text, n->key, key_n) == 0) {
            best = n;
            best_n = key_n;
        }
    }
    return best;
}

/* The line of the member that the sentence names, as "request.path must …" does. A sentence that is
 * not understood only costs precision: then it is the line of what holds the member. */
static int find_line(const struct node *job, const char *why)
{
    static const char *const openings[] = {"The member ", "Give ", NULL};
    static const char *const links[] = {".", " has the name ", " must not have ", NULL};
    int line = job->line;
    const char *from = skip_one(why, openings);

    for (const struct node *n = leading_child(job, from); n != NULL; n = leading_child(n, from)) {
        const char *end = from + strlen(n->key);
        line = n->key_line;
        from = skip_one(end, links);
        if (from == end) {
            break;
        }
    }
    return line;
}

/* Of a job that is made again and again, each time by the schedule. */
static void refuse_idle_members(struct mistakes *m, const struct path *path, const struct node *n)
{
    static const char *const idle[][2] = {
        {"idempotency_key", "a schedule's job has one of its own: its id, the same for an instant; "
                            "leave this out"},
        {"delay_s", "a schedule's job is due at its instant: move the times of cron, or set the "
                    "schedule's jitter_s"},
        {"not_before", "a schedule's job is due at its instant: set the schedule's start"},
        {"expires_at", "a schedule makes a job at each instant, and this is one moment: set ttl_s, "
                       "or the schedule's end"},
        {"callback", "a schedule's job calls nobody back: leave this out"},
    };

    for (size_t i = 0; i < COUNT(idle); i++) {
        struct path at = {path, idle[i][0], 0};
        const struct node *member = node_get(n, idle[i][0]);
        if (member != NULL) {
            mistake_add(m, &at, member->key_line, "%s", idle[i][1]);
        }
    }
}

void schedule_judge_job(const struct schedule_context *x, struct mistakes *m,
                        const struct path *path, const struct node *n, int line,
                        struct config_schedule *s)
{
    struct path at_tenant = {path, "tenant", 0};
    const struct node *tenant = node_get(n, "tenant");
    struct job_document job;
    struct buf why = {0};
    int rc = job_document_parse(str_of(s->job_json), x->now.ms, &job, &why);

    if (rc == ERR_NOMEM || buf_failed(&why)) {
        m->is_out_of_memory = true;
    } else if (rc != ERR_OK) {
        mistake_add(m, path, n == NULL ? line : find_line(n, why.p), "%s", why.p);
    } else if (n != NULL && !x->is_of_store) {
        refuse_idle_members(m, path, n);
    }
    free(s->tenant);
    s->tenant = job.tenant;
    job.tenant = NULL;
    if (x->tenants != NULL && s->tenant != NULL && map_get(x->tenants, str_of(s->tenant)) == NULL) {
        mistake_add(m, &at_tenant, tenant == NULL ? line : tenant->line,
                    "the tenant %s is not configured", s->tenant);
    }
    job_document_fini(&job);
    buf_fini(&why);
}

/* Judged in schedule_decode, which knows the time and the tenants. */
static void decode_job(struct mistakes *m, const struct path *path, const struct node *n,
                       void *base)
{
    struct config_schedule *s = base;
    struct buf json = {0};

    (void)path;
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

/* A header's value is text, or a list of texts. */
static int hide(struct node *value)
{
    int rc = value->kind == NODE_LIST ? ERR_OK : field_set_text(&value->text, "***");

    for (struct node *item = value->first; item != NULL && rc == ERR_OK; item = item->next) {
        rc = field_set_text(&item->text, "***");
    }
    return rc;
}

/* The job, without what may be secret in its headers. */
static void print_public_job(const char *job_json, struct buf *out)
{
    struct node *job = NULL;
    struct buf why = {0};
    int line;

    if (job_json == NULL || node_parse(str_of(job_json), &job, &line, &why) != ERR_OK) {
        buf_text(out, "null");
        goto out;
    }
    struct node *headers = node_get(node_get(job, "request"), "headers");
    for (struct node *h = headers == NULL ? NULL : headers->first; h != NULL; h = h->next) {
        if (is_secret(h->key) && hide(h) != ERR_OK) {
            out->is_failed = true;
        }
    }
    node_to_json(job, out);
out:
    node_free(job);
    buf_fini(&why);
}

static void print_job(const void *base, int indent, struct buf *out)
{
    const struct config_schedule *s = base;

    (void)indent;
    buf_char(out, ' ');
    print_public_job(s->job_json, out);
    buf_char(out, '\n');
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
    {.key = "end", .type = FIELD_INSTANT, .offset = S(end_ms), .help = "no fire after it"},
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
     .help = "a delay of each fire, up to this"},
};
const struct table schedule_table = TABLE("schedule", schedule_fields, NULL);

static void check_expressions(const struct schedule_context *x, struct mistakes *m,
                              const struct path *path, const char *key, const struct node *n,
                              char *const *list, size_t n_list)
{
    struct path at_key = {path, key, 0};
    const struct node *value = node_get(n, key);
    bool is_list = value != NULL && value->kind == NODE_LIST;
    const struct node *item = is_list ? value->first : value;

    for (size_t i = 0; i < n_list && x->cron_check != NULL; i++) {
        struct path at_item = {&at_key, NULL, i};
        char why[WHY_SIZE] = "";
        if (list[i] != NULL && x->cron_check(list[i], "UTC", why, sizeof why) != ERR_OK) {
            mistake_add(m, is_list ? &at_item : &at_key, item == NULL ? n->line : item->line, "%s",
                        why[0] == '\0' ? "no cron expression" : why);
        }
        item = item == NULL ? NULL : item->next;
    }
}

static void check_bounds(struct mistakes *m, const struct path *path, const struct node *n,
                         const struct config_schedule *s)
{
    if (s->start_ms != 0 && s->end_ms != 0 && s->start_ms > s->end_ms) {
        sense_say(m, path, n, "end", "it ends before it starts");
    }
}

/* The zone is judged once, where it stands, and not with each expression. */
static void check_times(const struct schedule_context *x, struct mistakes *m,
                        const struct path *path, const struct node *n,
                        const struct config_schedule *s)
{
    char why[WHY_SIZE] = "";
    bool is_zone = s->timezone != NULL && value_timezone(str_of(s->timezone)) == NULL;

    if (x->cron_check != NULL && is_zone &&
        sense_check_zone(s->timezone, why, sizeof why) != ERR_OK) {
        sense_say(m, path, n, "timezone", why);
    }
    check_expressions(x, m, path, "cron", n, s->crons, s->n_crons);
    check_expressions(x, m, path, "exclude", n, s->excludes, s->n_excludes);
}

static void check_job(const struct schedule_context *x, struct mistakes *m, const struct path *path,
                      const struct node *n, struct config_schedule *s)
{
    struct path at_job = {path, "job", 0};
    const struct node *job = node_get(n, "job");

    if (s->job_json != NULL && job != NULL) {
        schedule_judge_job(x, m, &at_job, job, job->line, s);
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
    size_t before = m->n;
    table_decode(&schedule_table, m, path, n, /* is_partial= */ false, s);
    check_bounds(m, path, n, s);
    check_times(x, m, path, n, s);
    if (x->cron_check != NULL && m->n == before && !m->is_out_of_memory) {
        sense_check(m, path, n, s);
    }
    check_job(x, m, path, n, s);
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
    struct schedule_context x = {
        .cron_check = cron_check, .now = clock_wall(), .is_of_store = cron_check == NULL};
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
    struct node *tree = NULL;
    int rc = field_parse_document(&m, json, &tree);

    if (rc == ERR_OK) {
        rc = decode_tree(&m, name, tree, cron_check, ret);
    }
    node_free(tree);
    return rc;
}

/* The preview */

#define P(member) offsetof(struct config_preview, member)

static const struct field preview_fields[] = {
    {.key = "from", .type = FIELD_INSTANT, .offset = P(from_ms), .help = "after it; absent: now"},
    {.key = "until", .type = FIELD_INSTANT, .offset = P(until_ms), .help = "before it"},
    {.key = "count",
     .type = FIELD_U32,
     .offset = P(count),
     .min = 1,
     .max = CONFIG_PREVIEW_MAX,
     .preset = "10",
     .help = "at most so many"},
};
/* Of a schedule's. Its struct is the first member: offsets are the same. */
static const char *const time_keys[] = {"cron",    "timezone", "dst_gap", "dst_overlap",
                                        "exclude", "start",    "end"};
enum { PREVIEW_FIELDS = COUNT(preview_fields) + COUNT(time_keys) };

static struct table preview_table(struct field fields[PREVIEW_FIELDS])
{
    for (size_t i = 0; i < COUNT(time_keys); i++) {
        fields[i] = *table_find(&schedule_table, time_keys[i]);
    }
    memcpy(fields + COUNT(time_keys), preview_fields, sizeof preview_fields);
    return (struct table){.name = "preview", .fields = fields, .n_fields = PREVIEW_FIELDS};
}

static bool is_given(const struct node *map, const char *key)
{
    const struct node *n = node_get(map, key);

    return n != NULL && n->kind != NODE_NULL;
}

static void decode_preview(const struct schedule_context *x, struct mistakes *m,
                           const struct node *n, struct config_preview *p)
{
    struct field fields[PREVIEW_FIELDS];
    struct table table = preview_table(fields);
    struct config_schedule *s = &p->schedule;

    if (table_preset(&table, p) != ERR_OK) {
        m->is_out_of_memory = true;
        return;
    }
    if (n->kind != NODE_MAP) {
        field_wrong_kind(m, NULL, n, "a map");
        return;
    }
    table_decode(&table, m, NULL, n, /* is_partial= */ false, p);
    p->from_ms = is_given(n, "from") ? p->from_ms : x->now.ms;
    p->until_ms = is_given(n, "until") ? p->until_ms : INT64_MAX;
    if (p->until_ms <= p->from_ms) {
        mistake_add(m, NULL, n->line, "until is not after from");
    }
    check_bounds(m, NULL, n, s);
    check_times(x, m, NULL, n, s);
}

int config_preview_decode(struct str json, struct wall now, config_cron_check cron_check,
                          struct config_preview **ret, struct buf *ret_mistakes)
{
    struct mistakes m = {.out = ret_mistakes};
    struct schedule_context x = {.cron_check = cron_check, .now = now};
    struct config_preview *p = calloc(1, sizeof *p);
    struct node *tree = NULL;
    int rc = p == NULL ? ERR_NOMEM : field_parse_document(&m, json, &tree);

    if (rc == ERR_OK) {
        decode_preview(&x, &m, tree, p);
        rc = mistake_verdict(&m);
    }
    if (rc == ERR_OK) {
        *ret = p;
        p = NULL;
    }
    config_preview_free(p);
    node_free(tree);
    return rc;
}

void config_preview_free(struct config_preview *p)
{
    if (p == NULL) {
        return;
    }
    schedule_fini(&p->schedule);
    free(p);
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

char *config_schedule_to_public_json(const struct config_schedule *s)
{
    struct config_schedule public = *s;
    struct buf job = {0};

    print_public_job(s->job_json, &job);
    public.job_json = buf_take(&job, NULL);
    char *json = public.job_json == NULL ? NULL : config_schedule_to_json(&public);
    free(public.job_json);
    return json;
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
