/* SPDX-License-Identifier: Apache-2.0 */
#include "forgotten.h"

#include "attempt_inside.h"
#include "base/fault.h"

static int say_again(struct attempt *a, store_cb cb, void *arg)
{
    struct calls_job j = attempt_job(a);
    struct calls_running r = {.worker = a->claimant,
                              .instance = a->instance == NULL ? "" : a->instance,
                              .slot_end_ms = a->slot_end_ms,
                              .counted = a->counted};

    return calls_reregister(&j, &r, cb, arg);
}

static void on_registered(int rc, const struct store_value *v, void *arg)
{
    struct attempt *a = arg;

    if (rc != ERR_OK || str_is(store_word(v, 0), STR("memory"))) {
        attempt_again(a, ATTEMPT_AGAIN_MS);
        return;
    }
    if (str_is(store_word(v, 0), STR("restored"))) {
        metric_add(a->worker->metrics.rebuilt, NULL, 1);
    }
    attempt_settle(a);
}

void forgotten_register(struct attempt *a)
{
    a->step = STEP_REGISTER;
    if (say_again(a, on_registered, a) != ERR_OK) {
        attempt_again(a, ATTEMPT_AGAIN_MS);
    }
}

void attempt_say_again(struct worker *w)
{
    for (struct list *l = w->attempts.next; l != &w->attempts; l = l->next) {
        struct attempt *a = LIST_OF(l, struct attempt, all);
        /* Nobody waits for the answer: it is said again each second for a lease. */
        if (RULE(running_is_said_again) && a->is_running && say_again(a, NULL, NULL) != ERR_OK) {
            return;
        }
    }
}
