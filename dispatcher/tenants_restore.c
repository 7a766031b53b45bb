/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include "base/log.h"
#include "schedules/restore.h"
#include "snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Said anew meanwhile: that stands. */
static bool is_overtaken(const struct overlay *o, struct str field)
{
    struct str tenant, instance;
    char kind;

    if (!overlay_split(field, &kind, &tenant, &instance)) {
        return true;
    }
    return overlay_get(o, kind, tenant, instance).p != NULL ||
           ((kind == 'd' || kind == 'x') && overlay_get(o, 'i', tenant, instance).p != NULL);
}

/* --- what was lost ---------------------------------------------------------------------------- */

/* "erp", or "erp/erp-1". */
static void print_name(struct str field, struct buf *out)
{
    struct str tenant, instance;
    struct buf name = {0};
    char kind;

    if (overlay_split(field, &kind, &tenant, &instance)) {
        buf_printf(&name, "%.*s%s%.*s", STR_ARG(tenant), instance.n > 0 ? "/" : "",
                   STR_ARG(instance));
    }
    buf_json_str(out, buf_failed(&name) ? (struct str){"", 0} : buf_as_str(&name));
    buf_fini(&name);
}

static void print_lost(const struct snapshot *s, const struct overlay *o, char wanted,
                       const char *member, struct buf *out)
{
    size_t cursor = 0;
    struct str field, value;
    bool is_first = true;

    buf_printf(out, "\"%s\":[", member);
    while (snapshot_next_lost(s, &cursor, &field, &value)) {
        if (field.p[0] == wanted && !is_overtaken(o, field)) {
            buf_text(out, is_first ? "" : ",");
            print_name(field, out);
            is_first = false;
        }
    }
    buf_text(out, "],");
}

static void print_restore(const struct tenants_op *op, const char *done, struct buf *out)
{
    const struct overlay *o = tenants_dispatcher(op)->overlay;
    const struct snapshot *s = overlay_snapshot(o);

    buf_char(out, '{');
    print_lost(s, o, 't', "tenants", out);
    print_lost(s, o, 'i', "instances", out);
    print_lost(s, o, 'd', "draining", out);
    print_lost(s, o, 'x', "removed", out);
    print_lost(s, o, 'p', "paused", out);
    schedules_print_lost(tenants_dispatcher(op)->schedules, out);
    buf_printf(out, "\"done\":\"%s\"}", done);
}

static void say_lost(struct tenants_op *op, struct str field, struct str value)
{
    struct str tenant, instance;
    struct tenant_instance *i;
    int64_t ttl_ms;
    char kind;

    if (!overlay_split(field, &kind, &tenant, &instance)) {
        return;
    }
    tenants_say(op, "nx", field, value);
    if (kind == 'i' && tenant_instance_decode(instance, value, &i, &ttl_ms, NULL) == ERR_OK) {
        if (ttl_ms > 0) {
            char number[24];
            (void)snprintf(number, sizeof number, "%" PRId64, ttl_ms);
            tenants_say(op, "ttl", (struct str){field.p + 2, field.n - 2}, str_of(number));
        }
        tenant_instance_free(i);
    }
}

static void say_all_lost(struct tenants_op *op)
{
    const struct overlay *o = tenants_dispatcher(op)->overlay;
    size_t cursor = 0;
    struct str field, value;

    while (snapshot_next_lost(overlay_snapshot(o), &cursor, &field, &value)) {
        if (!is_overtaken(o, field)) {
            say_lost(op, field, value);
        }
    }
}

/* --- the verb --------------------------------------------------------------------------------- */

static void on_restored(int rc, void *arg)
{
    struct tenants_op *op = arg;
    struct buf body = {0};

    if (rc != ERR_OK) {
        tenants_fail(op, rc);
        return;
    }
    buf_str(&body, tenants_body(op)); /* printed before: what was lost is no longer known */
    tenants_answer(op, 200, &body);
    tenants_op_free(op);
}

static bool has_snapshot(struct tenants_op *op)
{
    bool has_one = overlay_snapshot(tenants_dispatcher(op)->overlay) != NULL;

    if (!has_one) {
        tenants_refuse(op, PROBLEM_NOT_FOUND,
                       "This dispatcher keeps no snapshot: dispatcher.state_dir is not set.");
    }
    return has_one;
}

/* The schedules are as they are to be: now the tenants. */
static void on_schedules(int rc, void *arg)
{
    struct tenants_op *op = arg;

    if (rc == ERR_OK) {
        rc = tenants_send_says(op, on_restored);
    }
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
    }
}

/* What was lost is lost no longer: said again before, or not. */
static int settle(struct tenants_op *op, const char *done, bool is_discard)
{
    struct buf body = {0};

    print_restore(op, done, &body);
    free(op->body);
    op->body = buf_take(&body, &op->body_n);
    op->has_failed = op->has_failed || op->body == NULL;
    tenants_say(op, "set", STR(":restored"), STR("1"));
    log_event(LOG_INFO, "registry_restored", "sayings=%zu schedules=%zu", op->n_says - 1,
              is_discard ? 0 : schedules_losses(tenants_dispatcher(op)->schedules).n_put);
    return op->has_failed
               ? ERR_NOMEM
               : schedules_restore(tenants_dispatcher(op)->schedules, is_discard, on_schedules, op);
}

/* --- the three words, when all is known ------------------------------------------------------- */

static void on_known_restore(int rc, void *arg)
{
    struct tenants_op *op = arg;

    if (rc == ERR_OK) {
        say_all_lost(op);
        rc = settle(op, "restored", /* is_discard= */ false);
    }
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
    }
}

static void on_known_discard(int rc, void *arg)
{
    struct tenants_op *op = arg;

    rc = rc != ERR_OK ? rc : settle(op, "discarded", /* is_discard= */ true);
    if (rc != ERR_OK) {
        tenants_fail(op, rc);
    }
}

static void on_known_dry(int rc, void *arg)
{
    struct tenants_op *op = arg;
    struct buf body = {0};

    if (rc != ERR_OK) {
        tenants_fail(op, rc);
        return;
    }
    print_restore(op, "nothing", &body);
    tenants_answer(op, 200, &body);
    tenants_op_free(op);
}

/* The overlay is fresh; of schedules, too, it must be known what was lost. */
static bool begin(struct tenants_op *op, schedules_restored_cb on_known)
{
    if (!has_snapshot(op)) {
        return false;
    }
    int rc = schedules_catch_up(tenants_dispatcher(op)->schedules, on_known, op);
    if (rc != ERR_OK) {
        tenants_refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer. Send it again.");
    }
    return rc == ERR_OK;
}

bool tenants_plan_restore_dry(struct tenants_op *op)
{
    return begin(op, on_known_dry);
}

bool tenants_plan_restore(struct tenants_op *op)
{
    return begin(op, on_known_restore);
}

bool tenants_plan_discard(struct tenants_op *op)
{
    return begin(op, on_known_discard);
}
