/* SPDX-License-Identifier: Apache-2.0 */
#include "preview.h"

#include "daemon/keyring.h"
#include "daemon/problem.h"
#include "schedules.h"

static void print_times(const struct wall *times, size_t n, struct buf *out)
{
    char text[WALL_TEXT_SIZE];

    buf_text(out, "{\"times\":[");
    for (size_t i = 0; i < n; i++) {
        wall_format_seconds(times[i], text);
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    buf_char(out, ']');
}

/* The same, as the clocks of the place show them. */
static void print_local(const struct zone *zone, const struct wall *times, size_t n,
                        struct buf *out)
{
    char text[WALL_TEXT_SIZE];

    buf_text(out, ",\"local\":[");
    for (size_t i = 0; i < n; i++) {
        zone_format(zone, times[i], text);
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    buf_char(out, ']');
}

static void print_looked(struct wall looked, struct buf *out)
{
    char text[WALL_TEXT_SIZE];

    wall_format_seconds(looked, text);
    buf_printf(out, ",\"looked_until\":\"%s\"", text);
}

static int list(const struct config_preview *p, struct buf *out)
{
    struct schedule_times s = {0};
    struct zone *zone = NULL;
    struct wall times[CONFIG_PREVIEW_MAX];
    struct wall looked = {0};
    size_t n = 0;
    int rc = zone_load(p->schedule.timezone, &zone);

    if (rc == ERR_OK) {
        rc = schedule_times_init(&s, &p->schedule, zone, /* always_ms= */ 0);
    }
    if (rc == ERR_OK) {
        int ended = schedule_list(&s, (struct wall){p->from_ms}, (struct wall){p->until_ms},
                                  p->count, times, &n, &looked);
        print_times(times, n, out);
        print_local(zone, times, n, out);
        if (ended == ERR_LIMIT) {
            print_looked(looked, out);
        }
        buf_char(out, '}');
        rc = buf_failed(out) ? ERR_NOMEM : ERR_OK;
    }
    schedule_times_fini(&s);
    zone_free(zone);
    return rc;
}

static void answer(struct httpd_req *r)
{
    struct config_preview *p = NULL;
    struct buf mistakes = {0};
    struct buf body = {0};
    struct httpd_answer a = {.status = 200, .content_type = "application/json"};
    int rc = config_preview_decode(httpd_body(r), clock_wall(), cron_check, &p, &mistakes);

    if (rc == ERR_SYNTAX || rc == ERR_INVALID) {
        problem_answer_mistakes(r, PROBLEM_INVALID, &mistakes);
        goto out;
    }
    if (rc == ERR_OK) {
        rc = list(p, &body);
    }
    if (rc == ERR_OK) {
        a.body = buf_as_str(&body);
        httpd_answer(r, &a);
    } else {
        struct problem_more more = {.detail = err_text(rc)};
        problem_answer(r, PROBLEM_INTERNAL, &more);
    }
out:
    config_preview_free(p);
    buf_fini(&mistakes);
    buf_fini(&body);
}

bool preview_request(struct dispatcher *d, struct httpd_req *r)
{
    /* With another method it is the schedule of that name. */
    if (!str_is(httpd_path(r), STR("/v1/schedules/preview")) ||
        !str_is(httpd_method(r), STR("POST"))) {
        return false;
    }
    /* It changes nothing, and tells nothing: any key may ask. */
    struct keyring_pass pass = keyring_check(d->keys, r, CONFIG_READ | CONFIG_SUBMIT | CONFIG_ADMIN,
                                             (struct str){"", 0}, loop_now(d->loop));
    if (!keyring_refuse(&pass, r)) {
        answer(r);
    }
    return true;
}
