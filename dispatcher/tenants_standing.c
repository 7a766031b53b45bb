/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

struct tenant *tenants_standing(struct tenants_op *op)
{
    struct str none = {"", 0};
    struct tenant *t;
    int rc = overlay_effective(tenants_dispatcher(op)->overlay, str_of(op->tenant), &t);

    if (rc == ERR_OK) {
        if (overlay_get(tenants_dispatcher(op)->overlay, 't', str_of(op->tenant), none).p != NULL) {
            tenants_say_of(op, "only", 't', "", none); /* another dispatcher may be removing it */
        }
        return t;
    }
    if (rc == ERR_NOMEM) {
        tenants_refuse(op, PROBLEM_INTERNAL, "Out of memory.");
    } else {
        tenants_refuse(op, PROBLEM_UNKNOWN_TENANT, NULL);
    }
    return NULL;
}

/* Slots are counted where something is limited. */
static bool is_counted(const struct tenant *t, const struct tenant_instance *i)
{
    return t->concurrency > 0 || i->concurrency > 0;
}

/* What runs uncounted when a limit comes is over by then. 0: nothing does. */
static int64_t exact_after_ms(const struct tenant *before, const struct tenant *after)
{
    for (size_t k = 0; before != NULL && k < before->n_instances; k++) {
        const struct tenant_instance *was = &before->instances[k];
        const struct tenant_instance *is = tenant_instance_of(after, str_of(was->name));
        bool is_limited = after->concurrency > 0 || (is != NULL && is_counted(after, is));
        if (is_limited && !is_counted(before, was)) {
            return before->timeouts.total_ms + before->slot_linger_ms;
        }
    }
    return 0;
}

void tenants_note_exact(struct tenants_op *op, const struct tenant *after)
{
    struct registry_entry *before =
        registry_find(tenants_dispatcher(op)->registry, str_of(op->tenant));

    op->exact_after_ms = exact_after_ms(before == NULL ? NULL : before->tenant, after);
}
