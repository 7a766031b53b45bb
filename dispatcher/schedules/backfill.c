/* SPDX-License-Identifier: Apache-2.0 */
/* One job after the other: a thousand requests at once would fill the link. Sent again it goes on
 * where it stood, since what was made is not made again. */
#include "op.h"

#include "config/node.h"
#include "outbox.h"

#include <stdio.h>
#include <stdlib.h>

enum { INSTANTS_MAX = 1000 };

struct range {
    struct wall from, until;
};

static bool read_time(const struct node *tree, const char *member, struct wall *ret)
{
    const struct node *n = node_get(tree, member);

    return n != NULL && n->kind == NODE_TEXT &&
           wall_parse(node_text(n).p, node_text(n).n, ret) == ERR_OK;
}

/* NULL: it is sound; else what is wrong with it. */
static const char *read_range(struct str body, struct wall now, struct range *ret)
{
    struct node *tree = NULL;
    struct buf why = {0};
    int line = 0;
    int rc = node_parse(body, &tree, &line, &why);
    bool is_sound = rc == ERR_OK && tree->kind == NODE_MAP && tree->n == 2 &&
                    read_time(tree, "from", &ret->from) && read_time(tree, "until", &ret->until);

    node_free(tree);
    buf_fini(&why);
    if (!is_sound) {
        return "Expected {\"from\": time, \"until\": time}, as in RFC 3339.";
    }
    if (ret->from.ms >= ret->until.ms) {
        return "The range is empty: until must be later than from.";
    }
    return ret->until.ms > now.ms ? "The range must be over: until lies in the future." : NULL;
}

/* The instants of the range. ERR_LIMIT: too many, or too much to look at. */
static int find_instants(struct schedules_op *op, const struct schedule *s, const struct range *r)
{
    struct wall looked;

    op->instants = calloc(INSTANTS_MAX + 1, sizeof *op->instants);
    if (op->instants == NULL) {
        return ERR_NOMEM;
    }
    int rc = schedule_list(&s->times, (struct wall){r->from.ms - 1}, r->until, INSTANTS_MAX + 1,
                           op->instants, &op->n_instants, &looked);
    return op->n_instants > INSTANTS_MAX ? ERR_LIMIT : rc;
}

static void answer(struct schedules_op *op, const struct schedule *s)
{
    struct buf body = {0};
    char text[WALL_TEXT_SIZE];
    char name[RANDOM_NAME_SIZE];

    buf_text(&body, "{\"times\":[");
    for (size_t i = 0; i < op->n_instants; i++) {
        wall_format_seconds(op->instants[i], text);
        buf_printf(&body, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    buf_text(&body, "],\"jobs\":[");
    for (size_t i = 0; i < op->n_instants; i++) {
        schedule_name_fire(s, op->instants[i], name);
        buf_printf(&body, "%s\"%s.%s\"", i == 0 ? "" : ",", s->job.tenant, name);
    }
    buf_text(&body, "]}");
    outbox_look(op->schedules->dispatcher->outbox, s->job.tenant);
    schedules_op_answer(op, 202, &body);
}

static void go_on(struct schedules_op *op);

static void on_made(int rc, const struct store_value *v, void *arg)
{
    struct schedules_op *op = arg;

    if (schedules_op_went_well(op, rc, v)) {
        op->n_made++;
        go_on(op);
    }
}

static void go_on(struct schedules_op *op)
{
    const struct schedule *s = schedules_op_schedule(op);

    if (s == NULL || strcmp(s->job.tenant, op->tenant) != 0) { /* whom the key was judged by */
        schedules_op_fail(op, ERR_MISSING);
        return;
    }
    if (op->n_made == op->n_instants) {
        answer(op, s);
        return;
    }
    struct schedule_job j = {.instant = op->instants[op->n_made]};
    schedule_name_fire(s, j.instant, j.name);
    int rc = schedules_make_job(op, s, STR("backfill"), &j, on_made);
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}

void schedules_backfill(struct schedules_op *op, const struct schedule *s)
{
    struct range range = {{0}, {0}};

    (void)snprintf(op->tenant, sizeof op->tenant, "%s", s->job.tenant);
    const char *mistake = read_range(httpd_body(op->req), clock_wall(), &range);
    int rc = mistake == NULL ? find_instants(op, s, &range) : ERR_INVALID;

    if (mistake != NULL) {
        schedules_op_refuse(op, PROBLEM_INVALID, mistake);
    } else if (rc == ERR_LIMIT) {
        schedules_op_refuse(op, PROBLEM_INVALID,
                            "The range has more than 1000 instants, or too many that are excluded: "
                            "send it in parts.");
    } else if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    } else {
        go_on(op);
    }
}
