/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keyring.h"

#include "daemon/problem.h"
#include "job/document.h"

#include <stdlib.h>

struct key {
    char *name;
    unsigned char hash[32];
    char **tenants;
    size_t n_tenants;
    unsigned int scopes;
    /* A token bucket of this process: `rate.limit` each period, `burst` at once. */
    struct tenant_rate rate;
    double tokens;
    struct mono filled;
};

struct keyring {
    struct key *keys;
    size_t n;
    bool leaves_submissions;
};

static void key_fini(struct key *k)
{
    free(k->name);
    for (size_t i = 0; i < k->n_tenants; i++) {
        free(k->tenants[i]);
    }
    free(k->tenants);
}

void keyring_free(struct keyring *k)
{
    if (k == NULL) {
        return;
    }
    for (size_t i = 0; i < k->n; i++) {
        key_fini(&k->keys[i]);
    }
    free(k->keys);
    free(k);
}

static int copy_key(struct key *to, const struct config_key *from)
{
    to->scopes = from->scopes;
    to->rate = from->rate;
    to->tokens = from->rate.burst > 1 ? from->rate.burst : 1;
    memcpy(to->hash, from->hash, sizeof to->hash);
    to->name = str_dup(str_of(from->name));
    to->tenants = calloc(from->n_tenants + 1, sizeof *to->tenants);
    if (to->name == NULL || to->tenants == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < from->n_tenants; i++) {
        to->tenants[i] = str_dup(str_of(from->tenants[i]));
        if (to->tenants[i] == NULL) {
            return ERR_NOMEM;
        }
        to->n_tenants++;
    }
    return ERR_OK;
}

int keyring_new(const struct config *c, struct keyring **ret)
{
    struct keyring *k = calloc(1, sizeof *k);

    if (k == NULL) {
        return ERR_NOMEM;
    }
    k->keys = calloc(c->n_keys + 1, sizeof *k->keys);
    if (k->keys == NULL) {
        free(k);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < c->n_keys; i++) {
        k->n++;
        if (copy_key(&k->keys[i], &c->keys[i]) != ERR_OK) {
            keyring_free(k);
            return ERR_NOMEM;
        }
    }
    *ret = k;
    return ERR_OK;
}

void keyring_leave_submissions(struct keyring *k)
{
    k->leaves_submissions = true;
}

/* Every key is compared, whichever fits: the time tells nothing about which exist. */
static struct key *find(struct keyring *k, struct str token)
{
    unsigned char hash[32];
    struct key *found = NULL;

    if (token.n == 0) {
        return NULL;
    }
    job_sha256(token, hash);
    for (size_t i = 0; i < k->n; i++) {
        struct str mine = {(const char *)k->keys[i].hash, sizeof hash};
        if (str_is_constant_time(mine, (struct str){(const char *)hash, sizeof hash})) {
            found = &k->keys[i];
        }
    }
    return found;
}

static struct str bearer(const struct httpd_req *r)
{
    struct str value = httpd_header(r, "Authorization");
    struct str scheme;

    if (value.p == NULL || !str_cut(&value, ' ', &scheme) || value.p == NULL ||
        !str_is_nocase(scheme, STR("Bearer"))) {
        return (struct str){NULL, 0};
    }
    return str_trim(value);
}

static bool may_tenant(const struct key *k, struct str tenant)
{
    if (k->n_tenants == 0 || tenant.n == 0) {
        return true;
    }
    for (size_t i = 0; i < k->n_tenants; i++) {
        if (str_is(str_of(k->tenants[i]), tenant)) {
            return true;
        }
    }
    return false;
}

static bool may_now(struct key *k, struct mono now)
{
    if (!k->rate.is_set || k->rate.period_ms <= 0) {
        return true;
    }
    double room = k->rate.burst > 1 ? k->rate.burst : 1;
    double gained =
        (double)mono_since_ms(k->filled, now) * k->rate.limit / (double)k->rate.period_ms;
    k->tokens = k->tokens + gained < room ? k->tokens + gained : room;
    k->filled = now;
    if (k->tokens < 1) {
        return false;
    }
    k->tokens -= 1;
    return true;
}

static const struct tenant_rate *rate_of(const struct key *k)
{
    return k != NULL && k->rate.is_set && k->rate.period_ms > 0 && k->rate.limit > 0 ? &k->rate
                                                                                     : NULL;
}

/* The key that the request carries, and by which header. */
static struct key *identify(struct keyring *k, const struct httpd_req *r, enum keyring_source *ret)
{
    struct key *key = find(k, httpd_header(r, "Sluice-Key"));

    *ret = key != NULL ? KEYRING_SLUICE_KEY : KEYRING_AUTHORIZATION;
    return key != NULL ? key : find(k, bearer(r));
}

struct keyring_pass keyring_identify(struct keyring *k, const struct httpd_req *r)
{
    struct keyring_pass pass = {.verdict = KEYRING_OK, .source = KEYRING_NONE};
    struct key *key = k->n == 0 ? NULL : identify(k, r, &pass.source);

    pass.caller = key == NULL ? (struct str){"", 0} : str_of(key->name);
    pass.rate = rate_of(key);
    return pass;
}

/* ret_key: NULL without keys, or where none fits. */
static struct keyring_pass judge(struct keyring *k, const struct httpd_req *r, unsigned int scope,
                                 struct str tenant, struct key **ret_key)
{
    struct keyring_pass pass = {.verdict = KEYRING_OK, .source = KEYRING_NONE};

    *ret_key = NULL;
    if (k->n == 0) {
        return pass;
    }
    struct key *key = identify(k, r, &pass.source);
    if (key == NULL) {
        bool has_token = httpd_header(r, "Sluice-Key").n > 0 || bearer(r).n > 0;
        pass.verdict = has_token ? KEYRING_BAD_TOKEN : KEYRING_NO_TOKEN;
        return pass;
    }
    pass.caller = str_of(key->name);
    pass.rate = rate_of(key);
    if ((key->scopes & scope) == 0 || !may_tenant(key, tenant)) {
        pass.verdict = KEYRING_NOT_ALLOWED;
    }
    *ret_key = key;
    return pass;
}

struct keyring_pass keyring_check(struct keyring *k, const struct httpd_req *r, unsigned int scope,
                                  struct str tenant, struct mono now)
{
    struct key *key;
    struct keyring_pass pass = judge(k, r, scope, tenant, &key);
    bool is_charged = !k->leaves_submissions || scope != CONFIG_SUBMIT;

    if (pass.verdict == KEYRING_OK && key != NULL && is_charged && !may_now(key, now)) {
        pass.verdict = KEYRING_TOO_MANY;
    }
    return pass;
}

struct keyring_pass keyring_check_again(struct keyring *k, const struct httpd_req *r,
                                        unsigned int scope, struct str tenant)
{
    struct key *key;

    return judge(k, r, scope, tenant, &key);
}

bool keyring_refuse(const struct keyring_pass *p, struct httpd_req *r)
{
    struct httpd_field challenge[] = {{STR("WWW-Authenticate"), STR("Bearer realm=\"sluice\"")}};
    struct problem_more more = {.fields = challenge, .n_fields = 1};

    switch (p->verdict) {
    case KEYRING_OK:
        return false;
    case KEYRING_NO_TOKEN:
        more.detail = "Send a key as Authorization: Bearer or Sluice-Key.";
        problem_answer(r, PROBLEM_UNAUTHENTICATED, &more);
        break;
    case KEYRING_BAD_TOKEN:
        more.detail = "This key is not known here.";
        problem_answer(r, PROBLEM_UNAUTHENTICATED, &more);
        break;
    case KEYRING_NOT_ALLOWED:
        more = (struct problem_more){.detail = "The key lacks the scope or the tenant."};
        problem_answer(r, PROBLEM_FORBIDDEN, &more);
        break;
    case KEYRING_TOO_MANY:
        more = (struct problem_more){.detail = "The key's rate is used up.", .retry_after_s = 1};
        problem_answer(r, PROBLEM_TOO_MANY, &more);
        break;
    }
    return true;
}
