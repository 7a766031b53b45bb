/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void tenants_forget_says(struct tenants_op *op)
{
    for (size_t i = 0; i < op->n_says; i++) {
        free(op->says[i].field);
        free(op->says[i].value);
    }
    free(op->says);
    op->says = NULL;
    op->n_says = 0;
}

void tenants_say(struct tenants_op *op, const char *word, struct str field, struct str value)
{
    struct tenants_saying *more = realloc(op->says, (op->n_says + 1) * sizeof *more);

    if (more == NULL) {
        op->has_failed = true;
        return;
    }
    op->says = more;
    struct tenants_saying *s = &more[op->n_says++];
    *s = (struct tenants_saying){word, str_dup(field), str_dup(value)};
    op->has_failed = op->has_failed || s->field == NULL || s->value == NULL;
}

void tenants_say_of(struct tenants_op *op, const char *word, char kind, const char *instance,
                    struct str value)
{
    struct buf field = {0};

    overlay_field(kind, str_of(op->tenant), str_of(instance), &field);
    if (buf_failed(&field)) {
        op->has_failed = true;
    } else {
        tenants_say(op, word, buf_as_str(&field), value);
    }
    buf_fini(&field);
}

/* The words ttl and forever name the instance alone. */
void tenants_say_time(struct tenants_op *op, int64_t ttl_ms)
{
    struct buf name = {0};
    char number[24] = "";

    if (ttl_ms > 0) {
        (void)snprintf(number, sizeof number, "%" PRId64, ttl_ms);
    }
    buf_printf(&name, "%s %s", op->tenant, op->instance);
    if (buf_failed(&name)) {
        op->has_failed = true;
    } else {
        tenants_say(op, ttl_ms > 0 ? "ttl" : "forever", buf_as_str(&name), str_of(number));
    }
    buf_fini(&name);
}

int tenants_send_says(struct tenants_op *op, overlay_cb cb)
{
    struct overlay_op *ops = calloc(op->n_says + 1, sizeof *ops);

    if (ops == NULL || op->has_failed) {
        free(ops);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < op->n_says; i++) {
        ops[i] = (struct overlay_op){op->says[i].word, str_of(op->says[i].field),
                                     str_of(op->says[i].value)};
    }
    int rc = overlay_apply(tenants_dispatcher(op)->overlay, ops, op->n_says, cb, op);
    free(ops);
    return rc;
}
