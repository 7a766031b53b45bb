/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include "daemon/keyring.h"
#include "keep.h"
#include "note.h"
#include "op.h"
#include "views.h"

#include <inttypes.h>
#include <stdio.h>

/* --- pause and resume ------------------------------------------------------------------------- */

static void on_governed(int rc, const struct store_value *v, void *arg)
{
    struct schedules_op *op = arg;

    if (schedules_op_went_well(op, rc, v)) {
        if (str_is(store_word(v, 0), STR("goes_on")) && !op->schedules->is_freed &&
            schedules_store_is_read(op->schedules->store)) {
            schedules_keep_resumed(op->schedules->keep, str_of(op->name));
        }
        schedules_op_show(op); /* a pause is kept when it is shown */
    }
}

static void govern(struct schedules_op *op, const struct schedule *s, struct str word,
                   struct str note)
{
    struct store_args a = {.n = 0};

    store_args_add(&a, str_of(s->name));
    store_args_add(&a, word);
    store_args_add(&a, note);
    store_args_number(&a, schedule_past(&s->times, clock_wall()).ms);
    int rc = store_call_tenant(op->schedules->dispatcher->store, STORE_PAUSE, str_of(s->job.tenant),
                               a.at, a.n, on_governed, op);
    if (rc != ERR_OK) {
        schedules_op_fail(op, rc);
    }
}

static void begin_pause(struct schedules_op *op, const struct schedule *s)
{
    struct buf note = {0};

    if (!note_read(httpd_body(op->req), &note)) {
        schedules_op_refuse(op, PROBLEM_INVALID, note_expected());
    } else if (buf_failed(&note)) {
        schedules_op_fail(op, ERR_NOMEM);
    } else {
        govern(op, s, STR("pause"), note.n == 0 ? (struct str){"", 0} : buf_as_str(&note));
    }
    buf_fini(&note);
}

static void begin_resume(struct schedules_op *op, const struct schedule *s)
{
    govern(op, s, STR("resume"), (struct str){"", 0});
}

/* --- requests --------------------------------------------------------------------------------- */

static const struct verb {
    const char *method;
    const char *word;
    unsigned int scopes;
    /* Begins; the request is still there. */
    void (*begin)(struct schedules_op *op, const struct schedule *s);
} verbs[] = {{"POST", "pause", CONFIG_ADMIN | CONFIG_SUBMIT, begin_pause},
             {"POST", "resume", CONFIG_ADMIN | CONFIG_SUBMIT, begin_resume},
             {"POST", "run", CONFIG_ADMIN | CONFIG_SUBMIT, schedules_run},
             {"POST", "backfill", CONFIG_ADMIN | CONFIG_SUBMIT, schedules_backfill},
             {"POST", "rewind", CONFIG_ADMIN | CONFIG_SUBMIT, schedules_rewind},
             {"GET", "history", CONFIG_ADMIN | CONFIG_READ, schedules_history}};

static struct str prefix(void)
{
    return STR("/v1/schedules/");
}

static const struct verb *verb_of(struct str path, struct str *ret_name)
{
    struct str rest = {path.p + prefix().n, path.n - prefix().n};

    if (!str_starts(path, prefix()) || !str_cut(&rest, '/', ret_name) || rest.p == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (str_is(rest, str_of(verbs[i].word))) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* Whoever may GET may ask for the head. */
static bool is_method(const struct httpd_req *r, const struct verb *v)
{
    struct str method = httpd_method(r);

    return str_is(method, str_of(v->method)) ||
           (str_is(method, STR("HEAD")) && str_is(str_of(v->method), STR("GET")));
}

static void refuse_method(struct httpd_req *r, const struct verb *v)
{
    bool is_read = str_is(str_of(v->method), STR("GET"));
    struct httpd_field allow[] = {{STR("Allow"), is_read ? STR("GET, HEAD") : str_of(v->method)}};
    struct problem_more more = {.fields = allow, .n_fields = 1};

    problem_answer(r, PROBLEM_METHOD, &more);
}

static void begin(struct schedules *s, struct httpd_req *r, const struct verb *v, struct str name)
{
    struct dispatcher *d = s->dispatcher;
    const struct schedule *one = map_get(&s->by_name, name);
    struct str tenant = one == NULL ? (struct str){"", 0} : str_of(one->job.tenant);
    struct keyring_pass pass = keyring_check(d->keys, r, v->scopes, tenant, loop_now(d->loop));

    if (keyring_refuse(&pass, r)) {
        return;
    }
    if (one == NULL) {
        struct problem_more unknown = {.detail = SCHEDULES_UNKNOWN};
        problem_answer(r, PROBLEM_NOT_FOUND, &unknown);
        return;
    }
    struct schedules_op *op = schedules_op_new(s, r, name);
    if (op != NULL) {
        v->begin(op, one);
    }
}

/* A parameter's value, as it stands; {NULL, 0} without. */
static struct str parameter(const struct httpd_req *r, struct str wanted)
{
    struct str rest = httpd_query(r);
    struct str piece, name;

    while (rest.p != NULL && str_cut(&rest, '&', &piece)) {
        if (str_cut(&piece, '=', &name) && str_is(name, wanted)) {
            return piece.p == NULL ? STR("") : piece;
        }
    }
    return (struct str){NULL, 0};
}

/* --- views ------------------------------------------------------------------------------------ */

static void show(struct schedules_op *op)
{
    struct buf body = {0};

    if (op->limit > 0) {
        schedules_print_page(op->schedules, str_of(op->name), op->limit, &body);
        schedules_op_answer(op, 200, &body);
        return;
    }
    if (op->req != NULL) {
        views_request(op->schedules->dispatcher, op->req);
    }
    schedules_op_free(op);
}

static void on_view_facts(int rc, void *arg)
{
    struct schedules_op *op = arg;

    if (op->schedules->is_freed || rc != ERR_OK) {
        schedules_op_refuse(op, PROBLEM_UNAVAILABLE, "The store does not answer.");
    } else {
        show(op);
    }
}

/* A view shows what the store says now. list: what is shown. */
static void view(struct schedules_op *op, struct schedule *const *list, size_t n)
{
    int rc = schedules_read_facts(op->schedules, list, n, on_view_facts, op);

    if (rc != ERR_OK) {
        on_view_facts(rc == ERR_MISSING ? ERR_OK : rc, op); /* there is none */
    }
}

static void view_page(struct schedules *s, struct httpd_req *r, struct str after, size_t limit,
                      bool is_list)
{
    size_t n = 0;
    struct schedule **page = schedules_page(s, after, limit, &n);
    struct schedules_op *op = schedules_op_new(s, r, after);

    if (op == NULL) {
        return;
    }
    op->limit = is_list ? limit : 0;
    if (page == NULL) {
        schedules_op_fail(op, ERR_NOMEM);
    } else {
        view(op, page, n);
    }
}

static void list(struct schedules *s, struct httpd_req *r)
{
    struct dispatcher *d = s->dispatcher;
    struct keyring_pass pass = keyring_check(d->keys, r, CONFIG_READ | CONFIG_ADMIN,
                                             (struct str){"", 0}, loop_now(d->loop));
    struct problem_more more = {.detail = "limit is a whole number from 1 to 1000: go on with the "
                                          "cursor."};
    struct str limit = parameter(r, STR("limit"));
    struct str cursor = parameter(r, STR("cursor"));
    uint64_t n = SCHEDULES_PAGE;

    if (keyring_refuse(&pass, r)) {
        return;
    }
    if (limit.p != NULL && (str_to_u64(limit, SCHEDULES_PAGE, &n) != ERR_OK || n == 0)) {
        problem_answer(r, PROBLEM_INVALID, &more);
        return;
    }
    view_page(s, r, cursor.p == NULL ? STR("") : cursor, n, /* is_list= */ true);
}

static bool is_read(const struct httpd_req *r)
{
    return str_is(httpd_method(r), STR("GET")) || str_is(httpd_method(r), STR("HEAD"));
}

/* Whom the view will refuse for want of a key. */
static bool is_stranger(const struct dispatcher *d, const struct httpd_req *r)
{
    return daemon_config(d->daemon)->n_keys > 0 && keyring_identify(d->keys, r).caller.n == 0;
}

/* True: it is under way. */
static bool view_request(struct schedules *s, struct httpd_req *r)
{
    struct str path = httpd_path(r);

    if (!is_read(r)) {
        return false;
    }
    if (str_is(path, STR("/v1/schedules"))) {
        list(s, r);
        return true;
    }
    if (is_stranger(s->dispatcher, r)) {
        return false; /* the view itself says so */
    }
    if (str_is(path, STR("/dump"))) {
        view_page(s, r, STR(""), SCHEDULES_PAGE, /* is_list= */ false);
        return true;
    }
    if (!str_starts(path, prefix())) {
        return false;
    }
    struct str name = {path.p + prefix().n, path.n - prefix().n};
    struct schedule *one = map_get(&s->by_name, name);
    struct schedules_op *op = one == NULL ? NULL : schedules_op_new(s, r, name);
    if (op != NULL) {
        view(op, &one, 1);
    }
    return one != NULL;
}

/* PUT and DELETE read what stands themselves. */
static bool is_of_what_stands(const struct httpd_req *r)
{
    struct str path = httpd_path(r);
    struct str method = httpd_method(r);

    return (str_is(path, STR("/v1/schedules")) || str_starts(path, prefix())) &&
           !str_is(method, STR("PUT")) && !str_is(method, STR("DELETE"));
}

/* Whoever has no key learns nothing, not even that. */
static void refuse_for_now(const struct schedules *s, struct httpd_req *r)
{
    struct keyring_pass pass =
        keyring_check(s->dispatcher->keys, r, CONFIG_READ | CONFIG_ADMIN | CONFIG_SUBMIT,
                      (struct str){"", 0}, loop_now(s->dispatcher->loop));
    struct problem_more more = {
        .detail = "This dispatcher has just started, and reads which schedules were put.",
        .retry_after_s = 1};

    if (!keyring_refuse(&pass, r)) {
        problem_answer(r, PROBLEM_UNAVAILABLE, &more);
    }
}

bool schedules_control_request(struct schedules *s, struct httpd_req *r)
{
    struct str name = {"", 0};
    const struct verb *v = verb_of(httpd_path(r), &name);

    if (!schedules_are_known(s) && is_of_what_stands(r)) {
        refuse_for_now(s, r);
        return true;
    }
    if (v == NULL) {
        return view_request(s, r);
    }
    if (is_method(r, v)) {
        begin(s, r, v, name);
    } else {
        refuse_method(r, v);
    }
    return true;
}
