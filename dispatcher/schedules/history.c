/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

/* kind, instant, when, name, state */
enum { KIND, INSTANT, FIRED, NAME, STATE, ROW };

static void print_fire(const struct store_value *v, size_t at, struct str tenant, struct buf *out)
{
    char instant[WALL_TEXT_SIZE];
    char fired[WALL_TEXT_SIZE];
    struct str name = store_word(v, at + NAME);
    struct str state = store_word(v, at + STATE);

    wall_format_seconds((struct wall){store_number(v, at + INSTANT)}, instant);
    wall_format((struct wall){store_number(v, at + FIRED)}, fired);
    buf_printf(out, "%s{\"time\":\"%s\",\"fired_at\":\"%s\",\"job\":\"%.*s.%.*s\",\"kind\":",
               at == 0 ? "" : ",", instant, fired, STR_ARG(tenant), STR_ARG(name));
    buf_json_str(out, store_word(v, at + KIND));
    buf_text(out, ",\"state\":");
    if (state.n == 0) {
        buf_text(out, "null");
    } else {
        buf_json_str(out, state);
    }
    buf_char(out, '}');
}

static void on_fires(int rc, const struct store_value *v, void *arg)
{
    struct schedules_op *op = arg;
    const struct schedule *s = schedules_op_schedule(op);
    struct buf body = {0};

    rc = rc == ERR_OK && s == NULL ? ERR_MISSING : rc;
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
        return;
    }
    buf_text(&body, "{\"fires\":[");
    for (size_t at = 0; v->type == STORE_ARRAY && at + ROW <= v->n_items; at += ROW) {
        print_fire(v, at, str_of(s->job.tenant), &body);
    }
    buf_text(&body, "]}");
    schedules_op_answer(op, 200, &body);
}

void schedules_history(struct schedules_op *op, const struct schedule *s)
{
    struct str args[] = {str_of(s->name)};
    int rc = store_call_tenant(op->schedules->dispatcher->store, STORE_FIRES, str_of(s->job.tenant),
                               args, 1, on_fires, op);

    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}
