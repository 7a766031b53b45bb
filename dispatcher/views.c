/* SPDX-License-Identifier: Apache-2.0 */
#include "views.h"

#include "daemon/keyring.h"
#include "figures.h"
#include "health.h"
#include "leader.h"
#include "moods.h"
#include "overlay.h"
#include "schedules/restore.h"
#include "schedules/schedules.h"
#include "services.h"
#include "snapshot.h"

#include <stdlib.h>

static void answer_json(struct httpd_req *r, struct buf *body)
{
    struct httpd_answer a = {
        .status = 200, .content_type = "application/json", .body = buf_as_str(body)};

    if (buf_failed(body)) {
        problem_answer(r, PROBLEM_UNAVAILABLE, NULL);
    } else {
        httpd_answer(r, &a);
    }
    buf_fini(body);
}

static void print_figure(const struct figure *g, struct buf *out)
{
    buf_printf(out, "\"queued\":%lld,\"running\":%lld,\"capacity\":", (long long)g->queued,
               (long long)g->running);
    if (g->capacity < 0) {
        buf_text(out, "null");
    } else {
        buf_printf(out, "%lld", (long long)g->capacity);
    }
    buf_printf(out, ",\"runnable\":%lld,\"oldest_s\":%.3f,\"desired_workers\":%lld",
               (long long)g->runnable, g->oldest_s, (long long)g->desired_workers);
}

static void print_scale(struct dispatcher *d, struct buf *out)
{
    size_t cursor = 0;
    struct registry_entry *e;
    struct figure g;
    bool is_first = true;

    figures_total(d->figures, &g);
    buf_char(out, '{');
    print_figure(&g, out);
    buf_text(out, ",\"tenants\":{");
    while (registry_next(d->registry, &cursor, &e)) {
        if (!figures_of(d->figures, e->tenant, &g)) {
            continue;
        }
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, str_of(e->tenant->name));
        buf_text(out, ":{");
        print_figure(&g, out);
        buf_char(out, '}');
        is_first = false;
    }
    buf_text(out, "}}");
}

static void print_time(int64_t ms, struct buf *out)
{
    char text[WALL_TEXT_SIZE];

    wall_format((struct wall){ms}, text);
    buf_printf(out, "\"%s\"", text);
}

/* How it came into the pool, and whether it goes. */
static void print_standing(struct dispatcher *d, const struct tenant *t,
                           const struct tenant_instance *i, struct buf *out)
{
    const struct overlay *o = d->overlay;
    struct str tenant = str_of(t->name);
    struct str name = str_of(i->name);
    struct str drains = overlay_get(o, 'd', tenant, name);
    struct str ends = overlay_get(o, 'e', tenant, name);
    int64_t taken = health_taken(d->health, t->name, i->name);
    int64_t ends_ms = 0;

    if (taken < 0 && (t->concurrency > 0 || i->concurrency > 0)) {
        taken = 0; /* counted, and none was yet */
    }
    buf_printf(out, ",\"state\":\"%s\",\"running\":", drains.p != NULL ? "draining" : "active");
    if (taken < 0) {
        buf_text(out, "null");
    } else {
        buf_printf(out, "%lld", (long long)taken);
    }
    buf_printf(out, ",\"source\":\"%s\",\"expires_at\":",
               overlay_get(o, 'i', tenant, name).p != NULL ? "http" : "document");
    if (ends.p != NULL && str_to_i64(ends, &ends_ms) == ERR_OK) {
        print_time(ends_ms, out);
    } else {
        buf_text(out, "null");
    }
}

void views_instance(struct dispatcher *d, const struct tenant *t, const struct tenant_instance *i,
                    struct buf *out)
{
    struct mood mood = moods_of(d->moods, t, i->name);

    buf_text(out, "{\"url\":");
    buf_json_str(out, str_of(i->url));
    buf_printf(out, ",\"concurrency\":%u,\"healthy\":%s", i->concurrency,
               health_is_up(d->health, t->name, i->name) ? "true" : "false");
    mood_print(&mood, out);
    print_standing(d, t, i, out);
    buf_char(out, '}');
}

/* Who says that there is this tenant. */
static const char *source_of(struct dispatcher *d, struct str tenant)
{
    if (overlay_get(d->overlay, 't', tenant, (struct str){"", 0}).p != NULL) {
        return "http";
    }
    return config_tenant(daemon_config(d->daemon), tenant) != NULL ? "file" : "leaving";
}

static void print_pause(struct dispatcher *d, struct str tenant, struct buf *out)
{
    struct wall since;
    struct str note = overlay_pause(d->overlay, tenant, &since);

    if (note.p == NULL) {
        buf_text(out, "null");
        return;
    }
    buf_text(out, "{\"note\":");
    buf_json_str(out, note);
    buf_text(out, ",\"since\":");
    print_time(since.ms, out);
    buf_char(out, '}');
}

void views_tenant(struct dispatcher *d, const struct tenant *t, bool has_settings, struct buf *out)
{
    struct figure g = {0};

    (void)figures_of(d->figures, t, &g);
    buf_text(out, "{\"instances\":{");
    for (size_t k = 0; k < t->n_instances; k++) {
        buf_text(out, k == 0 ? "" : ",");
        buf_json_str(out, str_of(t->instances[k].name));
        buf_char(out, ':');
        views_instance(d, t, &t->instances[k], out);
    }
    buf_printf(out, "},\"in_doubt\":%lld,\"delayed\":%lld,", (long long)g.in_doubt,
               (long long)g.delayed);
    print_figure(&g, out);
    buf_printf(out, ",\"source\":\"%s\",\"paused\":", source_of(d, str_of(t->name)));
    print_pause(d, str_of(t->name), out);
    if (has_settings) {
        char *json = tenant_to_json(t);
        buf_printf(out, ",\"settings\":%s", json == NULL ? "null" : json);
        free(json);
    }
    buf_char(out, '}');
}

static void print_tenants(struct dispatcher *d, struct buf *out)
{
    size_t cursor = 0;
    struct registry_entry *e;
    bool is_first = true;

    buf_char(out, '{');
    while (registry_next(d->registry, &cursor, &e)) {
        buf_text(out, is_first ? "" : ",");
        buf_json_str(out, str_of(e->tenant->name));
        buf_char(out, ':');
        views_tenant(d, e->tenant, /* has_settings= */ false, out);
        is_first = false;
    }
    buf_char(out, '}');
}

/* What was said over HTTP, is lost, and waits for a person's word. */
static void print_snapshot(struct dispatcher *d, struct buf *out)
{
    const struct snapshot *s = overlay_snapshot(d->overlay);
    size_t tenants = s == NULL ? 0 : snapshot_n_lost(s, 't');
    size_t instances = s == NULL ? 0 : snapshot_n_lost(s, 'i');
    size_t others =
        s == NULL ? 0 : snapshot_n_lost(s, 'p') + snapshot_n_lost(s, 'd') + snapshot_n_lost(s, 'x');

    if (s == NULL) {
        buf_text(out, ",\"snapshot\":null");
        return;
    }
    struct schedules_losses lost = schedules_losses(d->schedules);
    bool is_lost = tenants + instances + others + lost.n_put + lost.n_paused > 0;
    buf_printf(out,
               ",\"snapshot\":{\"tenants\":%zu,\"instances\":%zu,\"schedules\":%zu,"
               "\"state\":\"%s\"}",
               tenants, instances, lost.n_put,
               is_lost                                 ? "not restored"
               : snapshot_is_stale(s) || lost.is_stale ? "not written"
                                                       : "kept");
}

static void print_health(struct dispatcher *d, struct buf *out)
{
    bool is_ok = store_is_open(d->store) && bus_link_state(d->publisher) == BUS_OPEN;

    buf_printf(out, "{\"status\":\"%s\",\"leader\":%s,\"store\":\"%s\",\"broker\":\"%s\"",
               is_ok ? "ok" : "degraded", leader_leads(d->leader) ? "true" : "false",
               store_is_open(d->store) ? "open" : "down",
               bus_link_state(d->publisher) == BUS_OPEN      ? "open"
               : bus_link_state(d->publisher) == BUS_BLOCKED ? "blocked"
                                                             : "down");
    print_snapshot(d, out);
    buf_char(out, '}');
}

static void print_stats(struct dispatcher *d, struct buf *out)
{
    buf_text(out, "{\"tenants\":");
    print_tenants(d, out);
    buf_char(out, '}');
}

static void print_stats_and_services(struct dispatcher *d, struct buf *out)
{
    buf_text(out, "{\"tenants\":");
    print_tenants(d, out);
    buf_text(out, ",\"services\":");
    services_print(d->services, /* with_history= */ false, out);
    buf_char(out, '}');
}

static void print_dump(struct dispatcher *d, struct buf *out)
{
    buf_text(out, "{\"health\":");
    print_health(d, out);
    buf_text(out, ",\"scale\":");
    print_scale(d, out);
    buf_text(out, ",\"tenants\":");
    print_tenants(d, out);
    buf_text(out, ",\"schedules\":");
    (void)schedules_print(d->schedules, (struct str){"", 0}, out);
    buf_text(out, ",\"services\":");
    services_print(d->services, /* with_history= */ true, out);
    buf_text(out, ",\"configuration\":");
    services_print_configuration(d->services, out);
    buf_char(out, '}');
}

static const struct view {
    const char *path;
    void (*print)(struct dispatcher *d, struct buf *out);
} views[] = {{"/health", print_health},
             {"/stats", print_stats_and_services},
             {"/dump", print_dump},
             {"/v1/scale", print_scale},
             {"/v1/tenants", print_stats}};

static bool answer_one(struct dispatcher *d, struct httpd_req *r, struct str path)
{
    static const struct str tenants = {"/v1/tenants/", 12};
    static const struct str schedules = {"/v1/schedules/", 14};
    struct buf body = {0};

    if (str_starts(path, tenants)) {
        struct str name = {path.p + tenants.n, path.n - tenants.n};
        struct registry_entry *e = registry_find(d->registry, name);
        if (e == NULL) {
            problem_answer(r, PROBLEM_UNKNOWN_TENANT, NULL);
            return true;
        }
        views_tenant(d, e->tenant, /* has_settings= */ true, &body);
    } else if (str_starts(path, schedules)) {
        struct str name = {path.p + schedules.n, path.n - schedules.n};
        if (name.n == 0 || !schedules_print(d->schedules, name, &body)) {
            schedules_refuse_unknown(r);
            return true;
        }
    } else {
        return false;
    }
    answer_json(r, &body);
    return true;
}

void views_request(struct dispatcher *d, struct httpd_req *r)
{
    struct httpd_field allow[] = {{STR("Allow"), STR("GET, HEAD")}};
    struct problem_more more = {.fields = allow, .n_fields = 1};
    struct str path = httpd_path(r);
    struct buf body = {0};

    if (!str_is(httpd_method(r), STR("GET")) && !str_is(httpd_method(r), STR("HEAD"))) {
        problem_answer(r, PROBLEM_METHOD, &more);
        return;
    }
    /* Its own health is nobody's secret: load balancers ask without a key. */
    if (!str_is(path, STR("/health"))) {
        struct keyring_pass pass = keyring_check(d->keys, r, CONFIG_READ | CONFIG_ADMIN,
                                                 (struct str){"", 0}, loop_now(d->loop));
        if (keyring_refuse(&pass, r)) {
            return;
        }
    }
    if (str_is(path, STR("/v1/scale")) && !figures_are_fresh(d->figures)) {
        more = (struct problem_more){.detail = store_is_open(d->store)
                                                   ? "There are no fresh figures yet."
                                                   : "The store does not answer: there are no "
                                                     "fresh figures."};
        problem_answer(r, PROBLEM_UNAVAILABLE, &more);
        return;
    }
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        if (str_is(path, str_of(views[i].path))) {
            views[i].print(d, &body);
            answer_json(r, &body);
            return;
        }
    }
    if (!answer_one(d, r, path)) {
        problem_answer(r, PROBLEM_NOT_FOUND, NULL);
    }
}

void views_scrape(void *self)
{
    struct dispatcher *d = self;
    size_t cursor = 0;
    struct registry_entry *e;
    struct figure g;

    struct wall until;
    size_t ahead = schedules_ahead(d->schedules, clock_wall(), &until);

    metric_set(d->metrics.leader, NULL, leader_leads(d->leader) ? 1 : 0);
    metric_set(d->metrics.schedules_ahead, NULL, leader_leads(d->leader) ? (double)ahead : 0);
    /* No figure is better than an old one, by which somebody would scale. */
    metric_reset(d->metrics.desired);
    if (figures_are_fresh(d->figures)) {
        figures_total(d->figures, &g);
        metric_set(d->metrics.desired, NULL, (double)g.desired_workers);
    }
    metric_reset(d->metrics.queue_ready);
    metric_reset(d->metrics.running);
    metric_reset(d->metrics.in_doubt);
    metric_reset(d->metrics.dead);
    metric_reset(d->metrics.instance_up);
    metric_reset(d->metrics.breaker_state);
    while (registry_next(d->registry, &cursor, &e)) {
        struct str tenant = str_of(e->tenant->name);
        if (figures_of(d->figures, e->tenant, &g)) {
            metric_set(d->metrics.queue_ready, &tenant, (double)g.queued);
            metric_set(d->metrics.running, &tenant, (double)g.running);
            metric_set(d->metrics.in_doubt, &tenant, (double)g.in_doubt);
            metric_set(d->metrics.dead, &tenant, (double)g.shelved);
        }
        for (size_t k = 0; k < e->tenant->n_instances; k++) {
            struct str labels[] = {tenant, str_of(e->tenant->instances[k].name)};
            metric_set(d->metrics.instance_up, labels,
                       health_is_up(d->health, e->tenant->name, e->tenant->instances[k].name) ? 1
                                                                                              : 0);
            metric_set(d->metrics.breaker_state, labels,
                       moods_of(d->moods, e->tenant, e->tenant->instances[k].name).breaker);
        }
    }
}
