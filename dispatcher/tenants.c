/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants_inside.h"

#include "daemon/keyring.h"

#include <stdlib.h>

enum { PIECES = 4 };

static const struct tenants_verb verbs[] = {
    {"PUT", NULL, false, tenants_plan_put},
    {"DELETE", NULL, false, tenants_plan_delete},
    {"POST", "pause", false, tenants_plan_pause},
    {"POST", "resume", false, tenants_plan_resume},
    {"PUT", NULL, true, tenants_plan_put_instance},
    {"DELETE", NULL, true, tenants_plan_delete_instance},
    {"POST", "drain", true, tenants_plan_drain},
};

static const struct tenants_verb restore = {"POST", NULL, false, tenants_plan_restore};
static const struct tenants_verb restore_dry = {"POST", NULL, false, tenants_plan_restore_dry};
static const struct tenants_verb discard = {"POST", NULL, false, tenants_plan_discard};

/* --- paths ------------------------------------------------------------------------------------ */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* A piece of the path, percent-decoded; false: with a NUL. One that is too long for any name is
 * cut, and still too long. */
static bool decode_piece(struct str piece, char *to, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        if (c == '%' && i + 2 < piece.n && hex(piece.p[i + 1]) >= 0 && hex(piece.p[i + 2]) >= 0) {
            c = (char)(hex(piece.p[i + 1]) * 16 + hex(piece.p[i + 2]));
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        if (n + 1 < size) {
            to[n++] = c;
        }
    }
    to[n] = '\0';
    return n > 0;
}

/* What a path asks about. */
struct asked {
    char tenant[TENANTS_NAME_SIZE];
    char instance[TENANTS_INSTANCE_SIZE];
    struct str word; /* empty: the thing itself */
    bool is_instance;
};

static bool read_path(struct str path, struct asked *ret)
{
    struct str prefix = STR("/v1/tenants/");
    struct str pieces[PIECES] = {{"", 0}};
    struct str rest = {path.p + prefix.n, path.n - prefix.n};
    size_t n = 0;

    *ret = (struct asked){.word = {"", 0}};
    if (!str_starts(path, prefix)) {
        return false;
    }
    while (n < PIECES && rest.p != NULL && str_cut(&rest, '/', &pieces[n])) {
        n++;
    }
    /* A slash at the end names nothing: some take …/instances/.. for it. */
    if (n > 1 && pieces[n - 1].n == 0) {
        return false;
    }
    if (rest.p != NULL || !decode_piece(pieces[0], ret->tenant, sizeof ret->tenant)) {
        return false;
    }
    ret->is_instance = n >= 3 && str_is(pieces[1], STR("instances"));
    if (ret->is_instance) {
        ret->word = pieces[3];
        return decode_piece(pieces[2], ret->instance, sizeof ret->instance);
    }
    ret->word = pieces[1];
    return n <= 2;
}

static const struct tenants_verb *verb_of(const struct asked *a, struct str method,
                                          struct buf *allow)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct str word = verbs[i].word == NULL ? (struct str){"", 0} : str_of(verbs[i].word);
        if (verbs[i].is_instance != a->is_instance || !str_is(word, a->word)) {
            continue;
        }
        if (str_is(method, str_of(verbs[i].method))) {
            return &verbs[i];
        }
        buf_printf(allow, "%s%s", allow->n == 0 ? "" : ", ", verbs[i].method);
    }
    return NULL;
}

/* --- requests --------------------------------------------------------------------------------- */

static struct str restore_path(void)
{
    return STR("/v1/registry/restore");
}

/* True: refused, and answered. */
static bool refuse_key(struct tenants *t, struct httpd_req *r, struct str tenant)
{
    struct dispatcher *d = t->dispatcher;
    struct keyring_pass pass = keyring_check(d->keys, r, CONFIG_ADMIN, tenant, loop_now(d->loop));

    return keyring_refuse(&pass, r);
}

static void refuse_method(struct httpd_req *r, struct str allowed)
{
    struct httpd_field allow[] = {{STR("Allow"), allowed}};
    struct problem_more more = {.fields = allow, .n_fields = 1};

    problem_answer(r, PROBLEM_METHOD, &more);
}

static bool has_parameter(const struct httpd_req *r, struct str wanted)
{
    struct str rest = httpd_query(r);
    struct str piece;

    while (rest.p != NULL && str_cut(&rest, '&', &piece)) {
        if (str_is(piece, wanted)) {
            return true;
        }
    }
    return false;
}

/* Now: by the time of the plan the caller, and with it the query, may have gone. */
static const struct tenants_verb *restore_verb(const struct httpd_req *r)
{
    if (has_parameter(r, STR("dry_run=1"))) {
        return &restore_dry;
    }
    return has_parameter(r, STR("discard=1")) ? &discard : &restore;
}

static bool restore_request(struct tenants *t, struct httpd_req *r)
{
    if (!str_is(httpd_path(r), restore_path())) {
        return false;
    }
    if (!str_is(httpd_method(r), STR("POST"))) {
        refuse_method(r, STR("POST"));
    } else if (!refuse_key(t, r, STR("*"))) { /* a key of some tenants may not */
        tenants_begin(t, r, restore_verb(r), "", "");
    }
    return true;
}

bool tenants_request(struct tenants *t, struct httpd_req *r)
{
    struct str method = httpd_method(r);
    bool is_read = str_is(method, STR("GET")) || str_is(method, STR("HEAD"));
    struct asked asked;
    struct buf allow = {0};

    if (restore_request(t, r)) {
        return true;
    }
    if (!read_path(httpd_path(r), &asked) || (is_read && !asked.is_instance && asked.word.n == 0)) {
        return false;
    }
    const struct tenants_verb *verb = verb_of(&asked, method, &allow);
    if (verb == NULL && allow.n == 0) {
        return false;
    }
    if (verb == NULL) {
        bool is_readable = !asked.is_instance && asked.word.n == 0;
        if (is_readable) {
            buf_text(&allow, ", GET, HEAD");
        }
        refuse_method(r, buf_as_str(&allow));
    } else if (!refuse_key(t, r, str_of(asked.tenant))) {
        tenants_begin(t, r, verb, asked.tenant, asked.instance);
    }
    buf_fini(&allow);
    return true;
}

/* --- life ------------------------------------------------------------------------------------- */

int tenants_new(struct dispatcher *d, struct tenants **ret)
{
    struct tenants *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->dispatcher = d;
    list_init(&t->ops);
    *ret = t;
    return ERR_OK;
}

void tenants_free(struct tenants *t)
{
    struct list *at;

    if (t == NULL) {
        return;
    }
    t->is_freed = true;
    at = t->ops.next;
    while (at != &t->ops) {
        struct tenants_op *op = LIST_OF(at, struct tenants_op, link);
        at = at->next;
        tenants_refuse(
            op, PROBLEM_UNAVAILABLE,
            "This dispatcher is stopping: it is not known whether this holds. Send it again.");
        /* The others end with the answer that they wait for, at the latest when the store goes. */
        if (loop_timer_is_set(op->timer)) {
            list_remove(&op->link);
            tenants_op_release(op);
        }
    }
    tenants_let_go(t);
}
