/* SPDX-License-Identifier: Apache-2.0 */
/* A keyring looks at nothing of a request but its fields: these are laid out here, without a
 * server. */
#include "daemon/keyring.h"

#include "httpd/internal.h"
#include "job/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { ALL = CONFIG_SUBMIT | CONFIG_READ | CONFIG_ADMIN };

static const struct mono START = {1000000000000};

struct ring {
    struct config_key keys[3];
    struct config config;
    struct keyring *keyring;
};

static void make_key(struct config_key *k, char *name, const char *token, unsigned int scopes)
{
    *k = (struct config_key){.name = name, .scopes = scopes};
    job_sha256(str_of(token), k->hash);
}

static void make_ring(struct ring *r)
{
    static char root[] = "root";
    static char reader[] = "reader";
    static char shop[] = "shop";
    static char erp[] = "erp";
    static char crm[] = "crm";
    static char *only[] = {erp, crm};

    *r = (struct ring){0};
    make_key(&r->keys[0], root, "token-root", ALL);
    make_key(&r->keys[1], reader, "token-reader", CONFIG_READ);
    make_key(&r->keys[2], shop, "token-shop", CONFIG_SUBMIT);
    r->keys[2].tenants = only;
    r->keys[2].n_tenants = 2;
    r->keys[2].rate =
        (struct tenant_rate){.is_set = true, .limit = 10, .period_ms = 1000, .burst = 3};
    r->config.keys = r->keys;
    r->config.n_keys = 3;
}

static int setup(void **state)
{
    static struct ring r;

    make_ring(&r);
    assert_int_equal(keyring_new(&r.config, &r.keyring), ERR_OK);
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    struct ring *r = *state;

    keyring_free(r->keyring);
    return 0;
}

static struct keyring_pass check(struct keyring *k, const char *authorization, const char *own,
                                 unsigned int scope, const char *tenant, struct mono now)
{
    struct httpd_field fields[3] = {{STR("Host"), STR("h")}};
    struct httpd_req request = {.fields = fields, .head = {.n_fields = 1}};

    if (authorization != NULL) {
        fields[request.head.n_fields++] =
            (struct httpd_field){STR("authorization"), str_of(authorization)};
    }
    if (own != NULL) {
        fields[request.head.n_fields++] = (struct httpd_field){STR("sluice-key"), str_of(own)};
    }
    return keyring_check(k, &request, scope, str_of(tenant), now);
}

static void test_who(void **state)
{
    static const struct {
        const char *authorization, *own;
        enum keyring_verdict verdict;
        enum keyring_source source;
        const char *caller;
    } rows[] = {
        {NULL, NULL, KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {"", NULL, KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {NULL, "", KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {"Bearer", NULL, KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {"Bearer ", NULL, KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {"Basic dG9rZW46cm9vdA==", NULL, KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {"token-root", NULL, KEYRING_NO_TOKEN, KEYRING_NONE, ""},
        {"Bearer token-roo", NULL, KEYRING_BAD_TOKEN, KEYRING_NONE, ""},
        {"Bearer token-root2", NULL, KEYRING_BAD_TOKEN, KEYRING_NONE, ""},
        {"Bearer token-root x", NULL, KEYRING_BAD_TOKEN, KEYRING_NONE, ""},
        {"Bearer TOKEN-ROOT", NULL, KEYRING_BAD_TOKEN, KEYRING_NONE, ""},
        {NULL, "token-nobody", KEYRING_BAD_TOKEN, KEYRING_NONE, ""},
        {"Bearer token-root", NULL, KEYRING_OK, KEYRING_AUTHORIZATION, "root"},
        {"bEARER   token-reader ", NULL, KEYRING_OK, KEYRING_AUTHORIZATION, "reader"},
        {NULL, "token-reader", KEYRING_OK, KEYRING_SLUICE_KEY, "reader"},
        /* Our own header wins; the other then belongs to the tenant. */
        {"Bearer token-reader", "token-root", KEYRING_OK, KEYRING_SLUICE_KEY, "root"},
        {"Basic eDp5", "token-root", KEYRING_OK, KEYRING_SLUICE_KEY, "root"},
        {"Bearer of-the-tenant", "token-root", KEYRING_OK, KEYRING_SLUICE_KEY, "root"},
        {"Bearer token-reader", "token-nobody", KEYRING_OK, KEYRING_AUTHORIZATION, "reader"},
    };
    struct ring *r = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct keyring_pass p =
            check(r->keyring, rows[i].authorization, rows[i].own, CONFIG_READ, "", START);
        if (p.verdict != rows[i].verdict || !str_is(p.caller, str_of(rows[i].caller))) {
            fail_msg("row %zu: verdict %d, caller \"%.*s\"", i, (int)p.verdict, STR_ARG(p.caller));
        }
        if (p.verdict == KEYRING_OK && p.source != rows[i].source) {
            fail_msg("row %zu: source %d", i, (int)p.source);
        }
    }
}

static void test_what(void **state)
{
    static const struct {
        const char *token;
        unsigned int scope;
        const char *tenant;
        enum keyring_verdict verdict;
    } rows[] = {
        {"token-root", CONFIG_SUBMIT, "any", KEYRING_OK},
        {"token-root", CONFIG_READ, "", KEYRING_OK},
        {"token-root", CONFIG_ADMIN, "", KEYRING_OK},
        {"token-reader", CONFIG_READ, "any", KEYRING_OK},
        {"token-reader", CONFIG_SUBMIT, "any", KEYRING_NOT_ALLOWED},
        {"token-reader", CONFIG_ADMIN, "", KEYRING_NOT_ALLOWED},
        {"token-shop", CONFIG_SUBMIT, "erp", KEYRING_OK},
        {"token-shop", CONFIG_SUBMIT, "crm", KEYRING_OK},
        {"token-shop", CONFIG_SUBMIT, "", KEYRING_OK},
        {"token-shop", CONFIG_SUBMIT, "er", KEYRING_NOT_ALLOWED},
        {"token-shop", CONFIG_SUBMIT, "erp2", KEYRING_NOT_ALLOWED},
        {"token-shop", CONFIG_SUBMIT, "ERP", KEYRING_NOT_ALLOWED},
        {"token-shop", CONFIG_READ, "erp", KEYRING_NOT_ALLOWED},
    };
    struct ring *r = *state;
    struct mono now = START;

    for (size_t i = 0; i < COUNT(rows); i++) {
        now = mono_plus_ms(now, 1000);
        struct keyring_pass p =
            check(r->keyring, NULL, rows[i].token, rows[i].scope, rows[i].tenant, now);
        if (p.verdict != rows[i].verdict) {
            fail_msg("row %zu: verdict %d, not %d", i, (int)p.verdict, (int)rows[i].verdict);
        }
        assert_true(p.caller.n > 0);
    }
}

static enum keyring_verdict submit(const struct ring *r, int64_t at_ms)
{
    return check(r->keyring, NULL, "token-shop", CONFIG_SUBMIT, "erp", mono_plus_ms(START, at_ms))
        .verdict;
}

/* Three at once, then one each 100 ms, and never more than three saved up. */
static void test_rate(void **state)
{
    static const struct {
        int64_t at_ms;
        enum keyring_verdict verdict;
    } rows[] = {
        {0, KEYRING_OK},         {0, KEYRING_OK},        {0, KEYRING_OK},
        {0, KEYRING_TOO_MANY},   {99, KEYRING_TOO_MANY}, {101, KEYRING_OK},
        {102, KEYRING_TOO_MANY}, {202, KEYRING_OK},      {3600000, KEYRING_OK},
        {3600000, KEYRING_OK},   {3600000, KEYRING_OK},  {3600000, KEYRING_TOO_MANY},
    };
    struct ring *r = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        enum keyring_verdict v = submit(r, rows[i].at_ms);
        if (v != rows[i].verdict) {
            fail_msg("row %zu, at %d ms: verdict %d", i, (int)rows[i].at_ms, (int)v);
        }
    }
}

/* What is refused for another reason, and who only identifies himself, uses nothing up. */
static void test_rate_is_charged_for_passes_only(void **state)
{
    struct ring *r = *state;
    struct httpd_field fields[1] = {{STR("Sluice-Key"), STR("token-shop")}};
    struct httpd_req request = {.fields = fields, .head = {.n_fields = 1}};

    for (int i = 0; i < 10; i++) {
        assert_int_equal(check(r->keyring, NULL, "token-shop", CONFIG_READ, "erp", START).verdict,
                         KEYRING_NOT_ALLOWED);
        assert_int_equal(
            check(r->keyring, NULL, "token-shop", CONFIG_SUBMIT, "other", START).verdict,
            KEYRING_NOT_ALLOWED);
        struct keyring_pass p = keyring_identify(r->keyring, &request);
        assert_int_equal(p.verdict, KEYRING_OK);
        assert_int_equal(p.source, KEYRING_SLUICE_KEY);
        assert_true(str_is(p.caller, STR("shop")));
        /* Another key has a bucket of its own, or none. */
        assert_int_equal(check(r->keyring, NULL, "token-root", CONFIG_SUBMIT, "erp", START).verdict,
                         KEYRING_OK);
    }
    assert_int_equal(submit(r, 0), KEYRING_OK);
    assert_int_equal(submit(r, 0), KEYRING_OK);
    assert_int_equal(submit(r, 0), KEYRING_OK);
    assert_int_equal(submit(r, 0), KEYRING_TOO_MANY);
}

static void test_without_keys_all_may(void **state)
{
    struct config none = {0};
    struct keyring *k = NULL;

    (void)state;
    assert_int_equal(keyring_new(&none, &k), ERR_OK);
    struct keyring_pass p = check(k, "Bearer of-the-tenant", NULL, CONFIG_ADMIN, "erp", START);
    assert_int_equal(p.verdict, KEYRING_OK);
    /* Nobody's token: it is forwarded. */
    assert_int_equal(p.source, KEYRING_NONE);
    assert_int_equal(p.caller.n, 0);
    keyring_free(k);
    keyring_free(NULL);
}

#define KEYRING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEYRING_TEST(test_who),
        KEYRING_TEST(test_what),
        KEYRING_TEST(test_rate),
        KEYRING_TEST(test_rate_is_charged_for_passes_only),
        cmocka_unit_test(test_without_keys_all_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
