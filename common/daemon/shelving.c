/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/shelving.h"

#include "job/id.h"

static void add_field(struct store_args *a, const char *name, struct str value)
{
    if (value.n > 0) {
        store_args_add(a, str_of(name));
        store_args_add(a, value);
    }
}

void shelving_add_request(struct store_args *a, const struct job_message *m)
{
    add_field(a, "m", m->method);
    add_field(a, "p", m->path);
    add_field(a, "cr", m->caller);
    add_field(a, "lb", m->labels);
    add_field(a, "sc", m->schedule);
    add_field(a, "ok", m->ordering_key);
}

int shelving_call(struct store *s, const struct job_message *m, const struct shelving *how,
                  store_cb cb, void *arg)
{
    struct job_message copy = *m;
    struct store_args a = {.n = 0};
    struct buf head = {0};
    struct job_id id;

    if (!job_id_parse(m->id, &id)) {
        return ERR_INVALID;
    }
    copy.was_attempted = true; /* or may have been: as all that is on the shelf */
    job_message_pack(&copy, &head);
    store_args_add(&a, id.name);
    store_args_number(&a, how->seen_number);
    store_args_add(&a, how->seen_token);
    store_args_add(&a, str_of(how->reason));
    store_args_add(&a, buf_as_str(&head));
    store_args_add(&a, m->body);
    store_args_number(&a, (int64_t)how->max_bytes);
    store_args_add(&a, how->is_dead ? STR("failed") : STR("in_doubt"));
    store_args_number(&a, how->window_ms);
    add_field(&a, "cl", m->class);
    add_field(&a, "k", m->key);
    add_field(&a, "fp", m->fingerprint);
    shelving_add_request(&a, m);
    int rc = buf_failed(&head) ? ERR_NOMEM
                               : store_call_tenant(s, STORE_SHELVE, id.tenant, a.at, a.n, cb, arg);
    buf_fini(&head);
    return rc;
}
