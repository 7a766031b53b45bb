/* SPDX-License-Identifier: Apache-2.0 */
/* tenants_inside — what the files of tenants share. Nobody else includes it.
 *
 * tenants.c takes a request and finds its verb. tenants_steps.c leads it from step to step, by way
 * of the verb's plan: tenants_tenant.c, tenants_instance.c, tenants_restore.c. A plan judges by
 * what stands (tenants_standing.c), says what is to hold (tenants_say.c), and goes on or refuses.
 * tenants_op.c: the life of what is asked for, and its answers. */
#pragma once

#include "tenants.h"

#include "base/list.h"
#include "enroll.h"
#include "overlay.h"

enum { TENANTS_NAME_SIZE = 80, TENANTS_INSTANCE_SIZE = 136 };

struct tenants_op;

struct tenants {
    struct dispatcher *dispatcher;
    struct list ops;
    bool is_freed;
};

struct tenants_verb {
    const char *method;
    const char *word; /* the path's last piece; NULL: the thing itself */
    bool is_instance;
    /* Judges the request by the fresh overlay, adds what is to be said and goes on; false: it was
     * answered, and nothing is under way. */
    bool (*plan)(struct tenants_op *op);
};

/* A word of the overlay, owned. */
struct tenants_saying {
    const char *word;
    char *field;
    char *value;
};

/* What was asked for: exactly one answer is awaited at a time, or the timer. */
struct tenants_op {
    struct list link;
    struct tenants *tenants;
    struct httpd_req *req; /* NULL: answered, or its caller has gone; a plan may find it gone */
    const struct tenants_verb *verb;
    char tenant[TENANTS_NAME_SIZE];
    char instance[TENANTS_INSTANCE_SIZE];
    char *body;
    size_t body_n;
    struct tenants_saying *says;
    size_t n_says;
    bool has_failed; /* without memory */
    bool is_new;     /* tenant or instance */
    bool is_removal;
    bool is_put_back; /* a removal that was refused */
    char fresh[TENANTS_INSTANCE_SIZE];
    int64_t exact_after_ms;
    struct loop_timer *timer;
    struct mono enrolled;
    char version[ENROLL_VERSION_SIZE];
};

static inline struct dispatcher *tenants_dispatcher(const struct tenants_op *op)
{
    return op->tenants->dispatcher;
}

/* --- an op's life and its answers (tenants_op.c) ---------------------------------------------- */

/* Borrowed; never {NULL, 0}. */
struct str tenants_body(const struct tenants_op *op);
/* Leaves the list to the caller. */
void tenants_op_release(struct tenants_op *op);
/* Out of the list, too; with the last op the freed tenants go. */
void tenants_op_free(struct tenants_op *op);
void tenants_let_go(struct tenants *t);
/* Answers, if anybody still waits. detail: may be NULL. `op` stays. */
void tenants_refuse(struct tenants_op *op, enum problem p, const char *detail);
/* mistakes: one a line; they become one sentence. */
void tenants_refuse_mistakes(struct tenants_op *op, const struct buf *mistakes);
/* Frees `body`. */
void tenants_answer(struct tenants_op *op, int status, struct buf *body);
/* A step failed, with an error of the store: answers, and `op` is gone. */
void tenants_fail(struct tenants_op *op, int rc);
/* All is done: answers with what stands now, and `op` is gone. */
void tenants_answer_enrolled(struct tenants_op *op);

/* --- what is said (tenants_say.c) ------------------------------------------------------------- */

/* Adds a word of overlay.lua; copies the texts. Without memory op->has_failed says so. */
void tenants_say(struct tenants_op *op, const char *word, struct str field, struct str value);
/* About the tenant (instance empty) or an instance of it. */
void tenants_say_of(struct tenants_op *op, const char *word, char kind, const char *instance,
                    struct str value);
/* The op's instance lives for `ttl_ms`; 0: until it is removed. */
void tenants_say_time(struct tenants_op *op, int64_t ttl_ms);
/* As overlay_apply; ERR_NOMEM, too, when a word could not be added. */
MUST_CHECK int tenants_send_says(struct tenants_op *op, overlay_cb cb);
void tenants_forget_says(struct tenants_op *op);

/* --- what stands (tenants_standing.c) --------------------------------------------------------- */

/* The tenant as it stands; NULL: answered. The caller frees. */
struct tenant *tenants_standing(struct tenants_op *op);
/* Notes when the limits of `after` count all that runs. */
void tenants_note_exact(struct tenants_op *op, const struct tenant *after);

/* --- the steps (tenants_steps.c) -------------------------------------------------------------- */

/* Reads the overlay and calls the verb's plan. Keeps the request. The texts are copied; instance
 * may be "". */
void tenants_begin(struct tenants *t, struct httpd_req *r, const struct tenants_verb *verb,
                   const char *tenant, const char *instance);
/* The plan is made: says it. False: answered. */
bool tenants_go_on(struct tenants_op *op);
/* It was said (an overlay_cb): the tenant is registered, and then answered. */
void tenants_on_said(int rc, void *arg);

/* --- the plans of the verbs ------------------------------------------------------------------- */

bool tenants_plan_put(struct tenants_op *op);
bool tenants_plan_delete(struct tenants_op *op);
bool tenants_plan_pause(struct tenants_op *op);
bool tenants_plan_resume(struct tenants_op *op);
bool tenants_plan_put_instance(struct tenants_op *op);
bool tenants_plan_delete_instance(struct tenants_op *op);
bool tenants_plan_drain(struct tenants_op *op);
bool tenants_plan_restore(struct tenants_op *op);
bool tenants_plan_restore_dry(struct tenants_op *op);
bool tenants_plan_discard(struct tenants_op *op);
