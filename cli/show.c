/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include "base/clock.h"
#include "grid.h"
#include "json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_SIZE = 40, PATH_SIZE = 256, DEPTH_MAX = 8 };
/* Whole numbers beyond it are not exact in a double. */
static const double whole_max = 9007199254740992.0;

static void print_number(double value, char to[NUMBER_SIZE])
{
    bool is_whole = value >= -whole_max && value <= whole_max && value == floor(value);

    (void)snprintf(to, NUMBER_SIZE, is_whole ? "%.0f" : "%.10g", value);
}

/* A scalar as text; empty for null, lists and objects. */
static struct str scalar(const cJSON *v, char room[NUMBER_SIZE])
{
    if (cJSON_IsString(v)) {
        return str_of(v->valuestring);
    }
    if (cJSON_IsBool(v)) {
        return cJSON_IsTrue(v) ? STR("yes") : STR("no");
    }
    if (cJSON_IsNumber(v)) {
        print_number(v->valuedouble, room);
        return str_of(room);
    }
    return (struct str){"", 0};
}

static void add_member(struct grid *t, const cJSON *object, const char *name)
{
    char room[NUMBER_SIZE];

    grid_add(t, scalar(json_get(object, name), room));
}

/* --- a job ------------------------------------------------------------------------------------ */

static const struct column pair[] = {{NULL, false}, {NULL, false}};

static void add_pair(struct grid *t, const char *name, struct str value)
{
    grid_add(t, str_of(name));
    grid_add(t, value);
}

/* "0.25 s" from one time of the server's to another; nothing when one is missing. */
static void print_span(struct str from, struct str to, char out[NUMBER_SIZE])
{
    struct wall a;
    struct wall b;

    out[0] = '\0';
    if (wall_parse(from.p, from.n, &a) == ERR_OK && wall_parse(to.p, to.n, &b) == ERR_OK) {
        (void)snprintf(out, NUMBER_SIZE, "%.3f s", (double)(b.ms - a.ms) / 1000);
    }
}

static void add_request(struct grid *t, const cJSON *job)
{
    struct str method = json_text(job, "method");
    struct str path = json_text(job, "path");
    struct buf b = {0};

    if (path.n > 0) {
        buf_str(&b, method);
        buf_text(&b, method.n > 0 ? " " : "");
        buf_str(&b, path);
        add_pair(t, "request", buf_as_str(&b));
    }
    buf_fini(&b);
}

static void add_labels(struct grid *t, const cJSON *job)
{
    const cJSON *labels = json_get(job, "labels");
    const cJSON *label;
    struct buf b = {0};

    cJSON_ArrayForEach(label, labels)
    {
        char room[NUMBER_SIZE];
        buf_text(&b, b.n > 0 ? ", " : "");
        buf_printf(&b, "%s=", label->string == NULL ? "" : label->string);
        buf_str(&b, scalar(label, room));
    }
    if (b.n > 0) {
        add_pair(t, "labels", buf_as_str(&b));
    }
    buf_fini(&b);
}

static void add_outcome(struct grid *t, const cJSON *job)
{
    const cJSON *outcome = json_get(job, "outcome");
    struct str error = json_text(outcome, "error");
    struct buf b = {0};
    double n;

    if (json_number(outcome, "status", &n)) {
        buf_printf(&b, "status %.0f", n);
    }
    if (json_number(outcome, "body_bytes", &n)) {
        buf_printf(&b, "%s%.0f bytes", b.n > 0 ? ", " : "", n);
    }
    if (error.n > 0) {
        buf_text(&b, b.n > 0 ? ", " : "");
        buf_str(&b, error);
    }
    if (b.n > 0) {
        add_pair(t, "outcome", buf_as_str(&b));
    }
    buf_fini(&b);
}

static void add_facts(struct grid *t, const cJSON *job)
{
    static const char *const always[] = {"tenant", "state"};
    static const char *const names[][2] = {
        {"created_at", "created"}, {"not_before", "not before"}, {"deadline_at", "deadline"},
        {"expires_at", "expires"}, {"ended_at", "ended"},        {"dropped_at", "dropped"},
        {"schedule", "schedule"},  {"priority", "priority"},     {"ordering_key", "ordering key"},
        {"note", "note"}};

    add_pair(t, "job", json_text(job, "id"));
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        add_pair(t, always[i], json_text(job, always[i]));
    }
    add_request(t, job);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct str value = json_text(job, names[i][0]);
        if (value.n > 0) {
            add_pair(t, names[i][1], value);
        }
    }
    add_labels(t, job);
    add_outcome(t, job);
}

static void print_attempts(const cJSON *attempts, struct buf *out)
{
    static const struct column columns[] = {{"ATTEMPT", true},  {"INSTANCE", false},
                                            {"STARTED", false}, {"TOOK", true},
                                            {"STATUS", true},   {"ERROR", false}};
    struct grid t;
    const cJSON *a;
    char took[NUMBER_SIZE];

    if (cJSON_GetArraySize(attempts) == 0) {
        return;
    }
    grid_init(&t, columns, sizeof columns / sizeof columns[0]);
    cJSON_ArrayForEach(a, attempts)
    {
        add_member(&t, a, "number");
        add_member(&t, a, "instance");
        add_member(&t, a, "started_at");
        print_span(json_text(a, "started_at"), json_text(a, "ended_at"), took);
        grid_add(&t, str_of(took));
        add_member(&t, a, "status");
        add_member(&t, a, "error");
    }
    buf_char(out, '\n');
    grid_print(&t, out);
    grid_fini(&t);
}

int show_job(struct str json, struct buf *out)
{
    cJSON *job = json_parse(json);
    struct grid t;

    if (!cJSON_IsObject(job)) {
        json_free(job);
        return ERR_PROTOCOL;
    }
    grid_init(&t, pair, 2);
    add_facts(&t, job);
    grid_print(&t, out);
    grid_fini(&t);
    print_attempts(json_get(job, "attempts"), out);
    json_free(job);
    return ERR_OK;
}

/* --- dead letters ----------------------------------------------------------------------------- */

static void add_dead(struct grid *t, const cJSON *entry)
{
    static const char *const members[] = {"id",       "state",  "shelved_at",
                                          "attempts", "status", "error"};
    struct str method = json_text(entry, "method");
    struct buf request = {0};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        add_member(t, entry, members[i]);
    }
    buf_str(&request, method);
    buf_text(&request, method.n > 0 ? " " : "");
    buf_str(&request, json_text(entry, "path"));
    grid_add(t, buf_as_str(&request));
    buf_fini(&request);
}

int show_dead_list(struct str json, struct buf *out)
{
    static const struct column columns[] = {
        {"JOB", false},   {"STATE", false}, {"SHELVED", false}, {"ATTEMPTS", true},
        {"STATUS", true}, {"ERROR", false}, {"REQUEST", false}};
    cJSON *tree = json_parse(json);
    const cJSON *all = json_get(tree, "dead");
    const cJSON *entry;
    struct grid t;

    if (!cJSON_IsArray(all)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    grid_init(&t, columns, sizeof columns / sizeof columns[0]);
    cJSON_ArrayForEach(entry, all)
    {
        add_dead(&t, entry);
    }
    grid_print(&t, out);
    grid_fini(&t);
    json_free(tree);
    return ERR_OK;
}

static void print_headers(const cJSON *headers, struct buf *out)
{
    static const struct column columns[] = {{"HEADER", false}, {"VALUE", false}};
    struct grid t;
    const cJSON *h;

    if (cJSON_GetArraySize(headers) == 0) {
        return;
    }
    grid_init(&t, columns, 2);
    cJSON_ArrayForEach(h, headers)
    {
        add_member(&t, h, "name");
        add_member(&t, h, "value");
    }
    buf_char(out, '\n');
    grid_print(&t, out);
    grid_fini(&t);
}

static void print_actions(const cJSON *actions, struct str id, struct buf *out)
{
    static const struct {
        const char *action;
        const char *text;
        const char *command;
        const char *words;
    } rows[] = {{"redrive", "run it again:  ", "sluice dead redrive", ""},
                {"drop", "let it be:     ", "sluice dead drop", ""},
                {"resolve", "it is known:   ", "sluice resolve", " succeeded|failed"}};
    const cJSON *a;

    buf_text(out, cJSON_GetArraySize(actions) > 0 ? "\n" : "");
    cJSON_ArrayForEach(a, actions)
    {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (cJSON_IsString(a) && strcmp(a->valuestring, rows[i].action) == 0) {
                buf_printf(out, "%s%s ", rows[i].text, rows[i].command);
                grid_clean(id, out);
                buf_printf(out, "%s\n", rows[i].words);
            }
        }
    }
}

int show_dead(struct str json, struct buf *out)
{
    cJSON *tree = json_parse(json);
    const cJSON *job = json_get(tree, "job");
    const cJSON *request = json_get(tree, "request");
    struct grid t;
    char body[NUMBER_SIZE];
    double n;

    if (!cJSON_IsObject(job)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    grid_init(&t, pair, 2);
    add_facts(&t, job);
    add_pair(&t, "shelved", json_text(tree, "shelved_at"));
    if (json_number(request, "body_bytes", &n)) {
        (void)snprintf(body, sizeof body, "%.0f bytes", n);
        add_pair(&t, "body", str_of(body));
    } else {
        add_pair(&t, "body", STR("the request cannot be read"));
    }
    grid_print(&t, out);
    grid_fini(&t);
    print_attempts(json_get(job, "attempts"), out);
    print_headers(json_get(request, "headers"), out);
    print_actions(json_get(tree, "actions"), json_text(job, "id"), out);
    json_free(tree);
    return ERR_OK;
}

/* --- tenants ---------------------------------------------------------------------------------- */

/* A breaker that is not closed. */
static bool is_open(const cJSON *breaker)
{
    return cJSON_IsString(breaker) && !str_is(str_of(breaker->valuestring), STR("closed"));
}

/* "2 of 3 up, 1 cooling, 1 open" */
static void add_instances(struct grid *t, const cJSON *tenant)
{
    struct buf b = {0};
    const cJSON *instances = json_get(tenant, "instances");
    const cJSON *i;
    int n = cJSON_GetArraySize(instances);
    int n_healthy = 0;
    int n_cooling = 0;
    int n_open = 0;
    int n_draining = 0;
    bool is_known = false;

    if (!cJSON_IsArray(instances) && !cJSON_IsObject(instances)) {
        grid_add(t, (struct str){"", 0});
        return;
    }
    cJSON_ArrayForEach(i, instances)
    {
        const cJSON *is_healthy = json_get(i, "healthy");
        is_known = is_known || cJSON_IsBool(is_healthy);
        n_healthy += cJSON_IsTrue(is_healthy) ? 1 : 0;
        n_cooling += cJSON_IsString(json_get(i, "cooling_until")) ? 1 : 0;
        n_open += is_open(json_get(i, "breaker")) ? 1 : 0;
        n_draining += str_is(json_text(i, "state"), STR("draining")) ? 1 : 0;
    }
    const char *paused = cJSON_IsObject(json_get(tenant, "paused")) ? ", paused" : "";
    if (is_known) {
        buf_printf(&b, "%d of %d up", n_healthy, n);
    } else {
        buf_printf(&b, "%d", n);
    }
    if (n_cooling > 0) {
        buf_printf(&b, ", %d cooling", n_cooling);
    }
    if (n_open > 0) {
        buf_printf(&b, ", %d open", n_open);
    }
    if (n_draining > 0) {
        buf_printf(&b, ", %d draining", n_draining);
    }
    if (str_is(json_text(tenant, "source"), STR("leaving"))) {
        buf_text(&b, ", leaving");
    }
    buf_text(&b, paused);
    grid_add(t, buf_as_str(&b));
    buf_fini(&b);
}

/* What the tenant's own document does not say is looked for in the scale figure. */
static void add_load(struct grid *t, const cJSON *tenant, const cJSON *load)
{
    static const char *const members[] = {"queued",   "delayed",  "running",  "in_doubt",
                                          "capacity", "runnable", "oldest_s", "desired_workers"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        add_member(t, json_get(tenant, members[i]) != NULL ? tenant : load, members[i]);
    }
}

static int by_name(const void *a, const void *b)
{
    const cJSON *const *one = a;
    const cJSON *const *other = b;

    return strcmp((*one)->string, (*other)->string);
}

/* The members of an object by their names: the server has them in no order, people look for one.
 * ret: the caller frees it; NULL without memory. */
static const cJSON **sorted(const cJSON *object, size_t *ret_n)
{
    size_t n = (size_t)cJSON_GetArraySize(object);
    const cJSON **all = calloc(n + 1, sizeof(const cJSON *));
    const cJSON *member;

    *ret_n = 0;
    if (all == NULL) {
        return NULL;
    }
    cJSON_ArrayForEach(member, object)
    {
        all[(*ret_n)++] = member;
    }
    qsort(all, n, sizeof(const cJSON *), by_name);
    return all;
}

static int add_tenants(struct grid *t, const cJSON *tenants, const cJSON *loads)
{
    size_t n;
    const cJSON **all = sorted(tenants, &n);

    for (size_t k = 0; k < n; k++) {
        grid_add(t, str_of(all[k]->string));
        add_instances(t, all[k]);
        add_load(t, all[k], json_get(json_get(loads, "tenants"), all[k]->string));
    }
    if (loads != NULL) {
        grid_add(t, STR("(all)"));
        grid_add(t, (struct str){"", 0});
        add_load(t, NULL, loads);
    }
    free(all);
    return all == NULL ? ERR_NOMEM : ERR_OK;
}

int show_tenants(struct str tenants, struct str scale, struct buf *out)
{
    static const struct column columns[] = {
        {"TENANT", false},  {"INSTANCES", false}, {"QUEUED", true},   {"DELAYED", true},
        {"RUNNING", true},  {"IN_DOUBT", true},   {"CAPACITY", true}, {"RUNNABLE", true},
        {"OLDEST_S", true}, {"WORKERS", true}};
    cJSON *tree = json_parse(tenants);
    cJSON *loads = json_parse(scale);
    const cJSON *all = json_get(tree, "tenants");
    struct grid t;
    int rc = ERR_PROTOCOL;

    if (cJSON_IsObject(all)) {
        grid_init(&t, columns, sizeof columns / sizeof columns[0]);
        rc = add_tenants(&t, all, loads);
        grid_print(&t, out);
        grid_fini(&t);
    }
    json_free(tree);
    json_free(loads);
    return rc;
}

/* "active", "draining", "out"; and what keeps it from calls: "active, breaker open, cooling" */
static void add_state(struct grid *t, const cJSON *i)
{
    const cJSON *healthy = json_get(i, "healthy");
    const cJSON *breaker = json_get(i, "breaker");
    struct buf b = {0};

    buf_str(&b,
            cJSON_IsBool(healthy) && !cJSON_IsTrue(healthy) ? STR("out") : json_text(i, "state"));
    if (is_open(breaker)) {
        buf_printf(&b, ", breaker %s", breaker->valuestring);
    }
    if (cJSON_IsString(json_get(i, "cooling_until"))) {
        buf_text(&b, ", cooling until ");
        buf_str(&b, json_text(i, "cooling_until"));
    }
    grid_add(t, buf_as_str(&b));
    buf_fini(&b);
}

/* The limit in force: "4", "-" without one, "7 adaptive". */
static void add_limit(struct grid *t, const cJSON *i)
{
    char room[NUMBER_SIZE + 16];
    double set = 0;
    double adaptive = 0;

    (void)json_number(i, "concurrency", &set);
    bool is_adaptive = json_number(i, "limit", &adaptive);
    if (is_adaptive && (set <= 0 || adaptive < set)) {
        (void)snprintf(room, sizeof room, "%.0f adaptive", adaptive);
        grid_add(t, str_of(room));
    } else if (set > 0) {
        add_member(t, i, "concurrency");
    } else {
        grid_add(t, (struct str){"", 0});
    }
}

static void add_instance(struct grid *t, const char *name, const cJSON *i)
{
    grid_add(t, str_of(name));
    add_member(t, i, "url");
    add_state(t, i);
    add_member(t, i, "running");
    add_limit(t, i);
    add_member(t, i, "source");
    add_member(t, i, "expires_at");
}

static void init_instances(struct grid *t)
{
    static const struct column columns[] = {
        {"INSTANCE", false},   {"URL", false},    {"STATE", false}, {"RUNNING", true},
        {"CONCURRENCY", true}, {"SOURCE", false}, {"LEAVES", false}};

    grid_init(t, columns, sizeof columns / sizeof columns[0]);
}

int show_instance(const char *name, struct str json, struct buf *out)
{
    cJSON *tree = json_parse(json);
    struct grid t;

    if (!cJSON_IsObject(tree)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    init_instances(&t);
    add_instance(&t, name, tree);
    grid_print(&t, out);
    grid_fini(&t);
    json_free(tree);
    return ERR_OK;
}

static void add_tree(struct grid *t, const cJSON *v, const char *path, unsigned int depth);

/* What is set, but for the instances, which have a table of their own. */
static void add_settings(struct grid *t, const cJSON *settings)
{
    const cJSON *s;

    cJSON_ArrayForEach(s, settings)
    {
        if (strcmp(s->string, "instances") != 0) {
            add_tree(t, s, s->string, DEPTH_MAX);
        }
    }
}

static void print_tenant(const char *name, const cJSON *tenant, struct buf *out)
{
    static const char *const figures[] = {"queued", "delayed", "running", "in_doubt", "capacity"};
    const cJSON *paused = json_get(tenant, "paused");
    const cJSON *instances = json_get(tenant, "instances");
    const cJSON *i;
    struct grid t;

    grid_init(&t, pair, 2);
    add_pair(&t, "tenant", str_of(name));
    add_pair(&t, "source", json_text(tenant, "source"));
    if (cJSON_IsObject(paused)) {
        add_pair(&t, "paused", json_text(paused, "note"));
        add_pair(&t, "since", json_text(paused, "since"));
    }
    for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++) {
        grid_add(&t, str_of(figures[k]));
        add_member(&t, tenant, figures[k]);
    }
    add_settings(&t, json_get(tenant, "settings"));
    grid_print(&t, out);
    grid_fini(&t);
    if (cJSON_GetArraySize(instances) == 0) {
        buf_text(out, "\nno instances: its jobs wait; sluice tenants add gives it one\n");
        return;
    }
    buf_char(out, '\n');
    init_instances(&t);
    cJSON_ArrayForEach(i, instances)
    {
        add_instance(&t, i->string, i);
    }
    grid_print(&t, out);
    grid_fini(&t);
}

int show_tenant(const char *name, struct str json, struct buf *out)
{
    cJSON *tree = json_parse(json);
    int rc = cJSON_IsObject(tree) ? ERR_OK : ERR_PROTOCOL;

    if (rc == ERR_OK) {
        print_tenant(name, tree, out);
    }
    json_free(tree);
    return rc;
}

/* --- schedules -------------------------------------------------------------------------------- */

/* A scalar, or the scalars of a list. */
static void add_list(struct grid *t, const cJSON *v)
{
    char room[NUMBER_SIZE];
    struct buf b = {0};
    const cJSON *item;

    if (!cJSON_IsArray(v)) {
        grid_add(t, scalar(v, room));
        return;
    }
    cJSON_ArrayForEach(item, v)
    {
        buf_text(&b, b.n > 0 ? "; " : "");
        buf_str(&b, scalar(item, room));
    }
    grid_add(t, buf_as_str(&b));
    buf_fini(&b);
}

/* "active", "paused", "paused by failure"; "over" when nothing will ever fire it. */
static struct str schedule_state(const cJSON *s)
{
    const cJSON *paused = json_get(s, "paused");
    double runs_left;
    bool is_used_up = json_number(s, "runs_left", &runs_left) && runs_left <= 0;

    if (cJSON_IsObject(paused)) {
        return str_is(json_text(paused, "by"), STR("failure")) ? STR("paused by failure")
                                                               : STR("paused");
    }
    return is_used_up || cJSON_IsNull(json_get(s, "next")) ? STR("over") : STR("active");
}

static int add_schedules(struct grid *t, const cJSON *schedules)
{
    size_t n;
    const cJSON **all = sorted(schedules, &n);

    for (size_t k = 0; k < n; k++) {
        const cJSON *s = all[k];
        struct str tenant = json_text(s, "tenant");
        grid_add(t, str_of(s->string));
        grid_add(t, tenant.n > 0 ? tenant : json_text(json_get(s, "job"), "tenant"));
        grid_add(t, schedule_state(s));
        add_list(t, json_get(s, "last"));
        add_list(t, json_get(s, "next"));
        add_list(t, json_get(s, "cron"));
        add_member(t, s, "timezone");
    }
    free(all);
    return all == NULL ? ERR_NOMEM : ERR_OK;
}

int show_schedules(struct str json, struct buf *out)
{
    static const struct column columns[] = {
        {"SCHEDULE", false}, {"TENANT", false}, {"STATE", false},   {"LAST", false},
        {"NEXT", false},     {"CRON", false},   {"TIMEZONE", false}};
    cJSON *tree = json_parse(json);
    const cJSON *all = json_get(tree, "schedules");
    struct grid t;
    int rc = ERR_PROTOCOL;

    if (cJSON_IsObject(all)) {
        grid_init(&t, columns, sizeof columns / sizeof columns[0]);
        rc = add_schedules(&t, all);
        grid_print(&t, out);
        grid_fini(&t);
    }
    json_free(tree);
    return rc;
}

static void add_bounds(struct grid *t, const cJSON *s)
{
    static const char *const names[][2] = {
        {"last", "last"}, {"next", "next"}, {"fired", "fired"}, {"skipped", "skipped"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        grid_add(t, str_of(names[i][1]));
        add_member(t, s, names[i][0]);
    }
    if (cJSON_IsNumber(json_get(s, "runs_left"))) {
        grid_add(t, STR("runs left"));
        add_member(t, s, "runs_left");
    }
}

static void add_schedule(struct grid *t, const char *name, const cJSON *s)
{
    const cJSON *paused = json_get(s, "paused");
    const cJSON *setting;

    add_pair(t, "schedule", str_of(name));
    add_pair(t, "state", schedule_state(s));
    if (cJSON_IsObject(paused)) {
        add_pair(t, "since", json_text(paused, "since"));
        add_pair(t, "note", json_text(paused, "note"));
    }
    add_pair(t, "tenant", json_text(s, "tenant"));
    add_request(t, s);
    grid_add(t, STR("cron"));
    add_list(t, json_get(s, "cron"));
    add_pair(t, "timezone", json_text(s, "timezone"));
    add_pair(t, "source", json_text(s, "source"));
    add_bounds(t, s);
    cJSON_ArrayForEach(setting, json_get(s, "document"))
    {
        if (strcmp(setting->string, "cron") != 0 && strcmp(setting->string, "timezone") != 0) {
            add_tree(t, setting, setting->string, DEPTH_MAX);
        }
    }
}

int show_schedule(const char *name, struct str json, struct buf *out)
{
    cJSON *tree = json_parse(json);
    struct grid t;

    if (!cJSON_IsObject(tree)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    grid_init(&t, pair, 2);
    add_schedule(&t, name, tree);
    grid_print(&t, out);
    grid_fini(&t);
    json_free(tree);
    return ERR_OK;
}

int show_history(struct str json, struct buf *out)
{
    static const struct column columns[] = {
        {"TIME", false}, {"FIRED", false}, {"KIND", false}, {"STATE", false}, {"JOB", false}};
    static const char *const members[] = {"time", "fired_at", "kind", "state", "job"};
    cJSON *tree = json_parse(json);
    const cJSON *fires = json_get(tree, "fires");
    const cJSON *fire;
    struct grid t;

    if (!cJSON_IsArray(fires)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    grid_init(&t, columns, sizeof columns / sizeof columns[0]);
    cJSON_ArrayForEach(fire, fires)
    {
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
            add_member(&t, fire, members[i]);
        }
    }
    grid_print(&t, out);
    grid_fini(&t);
    json_free(tree);
    return ERR_OK;
}

/* Lists of texts that stand beside each other, under the names of the columns; NULL: without. */
static int show_lists(struct str json, const char *const *members, const struct column *columns,
                      size_t n, struct buf *out)
{
    char room[NUMBER_SIZE];
    cJSON *tree = json_parse(json);
    const cJSON *first = json_get(tree, members[0]);
    int n_rows = cJSON_GetArraySize(first);
    struct grid t;

    if (!cJSON_IsArray(first)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    while (n > 1 && json_get(tree, members[n - 1]) == NULL) {
        n--; /* an older dispatcher's */
    }
    grid_init(&t, columns, n);
    for (int row = 0; row < n_rows; row++) {
        for (size_t i = 0; i < n; i++) {
            grid_add(&t, scalar(cJSON_GetArrayItem(json_get(tree, members[i]), row), room));
        }
    }
    grid_print(&t, out);
    grid_fini(&t);
    json_free(tree);
    return ERR_OK;
}

int show_times(struct str json, struct buf *out)
{
    static const char *const members[] = {"times", "local"};

    return show_lists(json, members, pair, 2, out);
}

int show_backfill(struct str json, struct buf *out)
{
    static const char *const members[] = {"times", "jobs"};
    static const struct column columns[] = {{"TIME", false}, {"JOB", false}};

    return show_lists(json, members, columns, 2, out);
}

/* --- any document ----------------------------------------------------------------------------- */

/* Recursive; bounded by `depth`. */
static void add_tree(struct grid *t, const cJSON *v, const char *path, unsigned int depth)
{
    char room[NUMBER_SIZE];
    char below[PATH_SIZE];
    const cJSON *member;
    int i = 0;

    if (!cJSON_IsObject(v) && !cJSON_IsArray(v)) {
        add_pair(t, path, scalar(v, room));
        return;
    }
    cJSON_ArrayForEach(member, v)
    {
        const char *dot = path[0] == '\0' ? "" : ".";
        if (depth == 0) {
            break;
        }
        if (member->string != NULL) {
            (void)snprintf(below, sizeof below, "%s%s%s", path, dot, member->string);
        } else {
            (void)snprintf(below, sizeof below, "%s%s%d", path, dot, i++);
        }
        add_tree(t, member, below, depth - 1);
    }
}

int show_document(struct str json, struct buf *out)
{
    cJSON *tree = json_parse(json);
    struct grid t;

    if (!cJSON_IsObject(tree)) {
        json_free(tree);
        return ERR_PROTOCOL;
    }
    grid_init(&t, pair, 2);
    add_tree(&t, tree, "", DEPTH_MAX);
    grid_print(&t, out);
    grid_fini(&t);
    json_free(tree);
    return ERR_OK;
}
