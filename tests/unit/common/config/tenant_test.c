/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "config/tenant.h"

#include <stdlib.h>

static struct tenant *decode(const char *json)
{
    struct tenant *t = NULL;
    struct buf mistakes = {0};
    int rc = tenant_decode(STR("erp"), str_of(json), &t, &mistakes);

    if (rc != ERR_OK) {
        print_message("%s", mistakes.p == NULL ? "" : mistakes.p);
    }
    assert_int_equal(rc, ERR_OK);
    buf_fini(&mistakes);
    return t;
}

static void test_defaults(void **state)
{
    struct tenant *t = decode("{}");

    (void)state;
    assert_string_equal(t->name, "erp");
    assert_int_equal(t->n_instances, 0);
    assert_int_equal(t->n_apis, 0);
    assert_int_equal(t->balance, TENANT_ROUND_ROBIN);
    assert_int_equal(t->concurrency, 0);
    assert_int_equal(t->slot_linger_ms, 0);
    assert_true(t->sync_share == 0.8);
    assert_null(t->fair_by);
    assert_null(t->queue_group);
    assert_false(t->rate.is_set);
    assert_false(t->per_key.is_set);
    assert_int_equal(t->timeouts.connect_ms, 1000);
    assert_int_equal(t->timeouts.first_byte_ms, 30000);
    assert_int_equal(t->timeouts.total_ms, 60000);
    assert_int_equal(t->timeouts.sync_ms, 30000);
    assert_int_equal(t->retry.max_attempts, 5);
    assert_int_equal(t->retry.initial_ms, 500);
    assert_true(t->retry.factor == 2.0);
    assert_int_equal(t->retry.max_ms, 60000);
    assert_false(t->retry.is_sync_full);
    assert_null(t->retry.statuses);
    assert_int_equal(t->in_doubt.policy, TENANT_DOUBT_BY_METHOD);
    assert_false(t->idempotency.is_required);
    assert_int_equal(t->idempotency.window_ms, 86400000);
    assert_int_equal(t->result_ttl_ms, 86400000);
    assert_int_equal(t->sync_result_ttl_ms, 60000);
    assert_int_equal(t->max_result_bytes, 8388608);
    assert_int_equal(t->polling.method, TENANT_POLL_NONE);
    assert_string_equal(t->polling.endpoint, "/health");
    assert_int_equal(t->polling.frequency_ms, 60000);
    assert_int_equal(t->polling.retries, 3);
    assert_int_equal(t->polling.retry_delay_ms, 1000);
    assert_int_equal(t->polling.packet_limit, 5000);
    assert_false(t->breaker.is_set);
    assert_false(t->adaptive.is_enabled);
    assert_int_equal(t->adaptive.minimum, 1);
    assert_int_equal(t->adaptive.maximum, 256);
    assert_false(t->cools_tenant);
    assert_false(t->offload.is_enabled);
    assert_string_equal(t->offload.location_header, "Location");
    assert_int_equal(t->offload.n_pending_statuses, 1);
    assert_int_equal(t->offload.pending_statuses[0], 202);
    assert_int_equal(t->offload.poll_ms, 500);
    assert_int_equal(t->offload.max_ms, 86400000);
    assert_int_equal(t->max_queue, 1000000);
    assert_int_equal(t->lost_after_ms, 3600000);
    tenant_free(t);
}

static void test_instances(void **state)
{
    struct tenant *t =
        decode("{\"instances\":[\"127.0.0.1:9001/\",{\"url\":\"http://127.0.0.1:9001/base/\","
               "\"priority\":\"high\",\"rate\":{\"limit\":100}},"
               "{\"name\":\"127.0.0.1:9001-2\",\"url\":\"https://example.org\",\"weight\":0,"
               "\"polling\":{\"method\":\"ping\",\"retries\":2,\"retry_delay\":0.25}},"
               "\"https://example.org\"]}");

    (void)state;
    assert_int_equal(t->n_instances, 4);
    assert_string_equal(t->instances[0].url, "http://127.0.0.1:9001");
    assert_string_equal(t->instances[0].name, "127.0.0.1:9001");
    assert_int_equal(t->instances[0].priority, TENANT_MED);
    assert_int_equal(t->instances[0].weight, 1);
    assert_string_equal(t->instances[1].url, "http://127.0.0.1:9001/base");
    assert_string_equal(t->instances[1].name, "127.0.0.1:9001-3");
    assert_int_equal(t->instances[1].priority, TENANT_HIGH);
    assert_true(t->instances[1].rate.is_set);
    assert_int_equal(t->instances[1].rate.period_ms, 1000);
    assert_true(t->instances[1].rate.burst == 100.0);
    assert_string_equal(t->instances[2].name, "127.0.0.1:9001-2");
    assert_int_equal(t->instances[2].weight, 0);
    assert_string_equal(t->instances[3].name, "example.org:443");
    assert_ptr_equal(tenant_polling_of(t, &t->instances[0]), &t->polling);
    assert_int_equal(tenant_polling_of(t, &t->instances[2])->retry_delay_ms, 250);
    assert_int_equal(tenant_polling_of(t, &t->instances[2])->method, TENANT_POLL_PING);
    tenant_free(t);
}

struct canonical_case {
    const char *name;
    const char *given;
    const char *canonical;
};

static const struct canonical_case canonical_cases[] = {
    {"empty", "{}", "{}"},
    {"defaults vanish",
     "{\"retry\":{\"factor\":2,\"max_attempts\":5},\"balance\":\"round_robin\",\"concurrency\":"
     "null,"
     "\"cooldown\":\"instance\",\"apis\":[],\"offload\":{\"pending_statuses\":[202]}}",
     "{}"},
    {"keys are sorted",
     "{\"sync_share\":0.25,\"concurrency\":7,\"apis\":[\"/b\",\"/a\"],"
     "\"retry\":{\"sync\":\"full\",\"factor\":1.5}}",
     "{\"apis\":[\"/b\",\"/a\"],\"concurrency\":7,\"retry\":{\"factor\":1.5,\"sync\":\"full\"},"
     "\"sync_share\":0.25}"},
    {"fractions of seconds",
     "{\"timeouts\":{\"connect_s\":0.25,\"total_s\":12.5,\"sync_s\":0.001}}",
     "{\"timeouts\":{\"connect_s\":0.25,\"sync_s\":0.001,\"total_s\":12.5}}"},
    {"rates have a burst", "{\"rate\":{\"limit\":0.5}}", "{\"rate\":{\"burst\":1,\"limit\":0.5}}"},
    {"a burst of one", "{\"rate\":{\"limit\":9,\"burst\":1,\"period_s\":60}}",
     "{\"rate\":{\"burst\":1,\"limit\":9,\"period_s\":60}}"},
    {"an instance", "{\"instances\":[\"h:1\"]}",
     "{\"instances\":[{\"name\":\"h:1\",\"url\":\"http://h:1\"}]}"},
    {"no statuses", "{\"retry\":{\"statuses\":[]}}", "{\"retry\":{\"statuses\":[]}}"},
    {"a breaker of defaults", "{\"breaker\":{\"probes\":3}}", "{\"breaker\":{}}"},
    {"per key", "{\"per_key\":{\"label\":\"l\",\"header\":null,\"concurrency\":1}}",
     "{\"per_key\":{\"label\":\"l\"}}"},
    {"ask", "{\"in_doubt\":{\"policy\":\"ask\",\"ask\":{\"path\":\"/j/{id}\"}}}",
     "{\"in_doubt\":{\"ask\":{\"path\":\"/j/{id}\"},\"policy\":\"ask\"}}"},
    {"retries take their delay along",
     "{\"polling\":{\"method\":\"health\",\"retries\":2,\"retry_delay\":1}}",
     "{\"polling\":{\"method\":\"health\",\"retries\":2,\"retry_delay\":1}}"},
    {"an instance's own polling",
     "{\"instances\":[{\"url\":\"h:1\",\"polling\":{\"method\":\"ping\"}}]}",
     "{\"instances\":[{\"name\":\"h:1\",\"polling\":{\"method\":\"ping\"},\"url\":\"http://"
     "h:1\"}]}"},
    {"yaml is taken, too", "{concurrency: 3, fair_by: X-Customer}",
     "{\"concurrency\":3,\"fair_by\":\"X-Customer\"}"},
};

static void test_canonical_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof canonical_cases / sizeof *canonical_cases; i++) {
        const struct canonical_case *c = &canonical_cases[i];
        print_message("case: %s\n", c->name);
        struct tenant *t = decode(c->given);
        char *json = tenant_to_json(t);
        assert_string_equal(json, c->canonical);
        struct tenant *again = decode(json);
        char *json_again = tenant_to_json(again);
        assert_string_equal(json_again, json);
        free(json);
        free(json_again);
        tenant_free(t);
        tenant_free(again);
    }
}

struct refusal_case {
    const char *name;
    const char *json;
    int rc;
    const char *mistakes;
};

static const struct refusal_case refusal_cases[] = {
    {"syntax", "{\"a\":", ERR_SYNTAX, NULL},
    {"twice", "{\"apis\":[],\"apis\":[]}", ERR_SYNTAX,
     "line 1: the key \"apis\" stands here twice\n"},
    {"a list", "[]", ERR_INVALID, "expected a map, found a list\n"},
    {"all at once", "{\"retri\":{},\"concurrency\":0,\"retry\":{\"factor\":\"2\"}}", ERR_INVALID,
     "retri: unknown key; did you mean retry?\n"
     "concurrency: expected a whole number from 1 to 1000000, found 0\n"
     "retry.factor: expected a number from 1 to 100, found the text \"2\"\n"},
    {"instance",
     "{\"instances\":[{\"name\":\"a\"},5,{\"url\":\"h\",\"name\":\"b\"},"
     "{\"url\":\"h\",\"name\":\"b\"}]}",
     ERR_INVALID,
     "instances[0]: the key url is missing\n"
     "instances[1]: expected a URL or a map, found 5\n"
     "instances[3].name: the instance of line 1 has this name already\n"},
    {"ask without a path", "{\"in_doubt\":{\"policy\":\"ask\"}}", ERR_INVALID,
     "in_doubt: the policy ask needs ask.path, as {policy: ask, ask: {path: /jobs/{id}}}\n"},
    {"choice", "{\"balance\":\"random\"}", ERR_INVALID,
     "balance: expected one of round_robin, least_busy, least_latency, priority, weighted, region, "
     "found the text \"random\"\n"},
    {"seconds", "{\"timeouts\":{\"total_s\":1501}}", ERR_INVALID,
     "timeouts.total_s: expected seconds from 0.001 to 1500, found 1501\n"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusal_cases / sizeof *refusal_cases; i++) {
        const struct refusal_case *c = &refusal_cases[i];
        struct tenant *t = NULL;
        struct buf mistakes = {0};
        print_message("case: %s\n", c->name);
        assert_int_equal(tenant_decode(STR("erp"), str_of(c->json), &t, &mistakes), c->rc);
        assert_null(t);
        if (c->mistakes != NULL) {
            assert_string_equal(mistakes.p, c->mistakes);
        }
        assert_int_equal(tenant_from_json(STR("erp"), str_of(c->json), &t), c->rc);
        buf_fini(&mistakes);
    }
    struct tenant *t = NULL;
    assert_int_equal(tenant_from_json(STR("E"), STR("{}"), &t), ERR_INVALID);
    assert_null(t);
}

struct status_case {
    const char *tenant;
    const char *method;
    int status;
    bool is_retried;
};

static const struct status_case status_cases[] = {
    {"{}", "GET", 500, true},
    {"{}", "HEAD", 502, true},
    {"{}", "OPTIONS", 504, true},
    {"{}", "PUT", 408, true},
    {"{}", "DELETE", 425, true},
    {"{}", "GET", 501, false},
    {"{}", "GET", 404, false},
    {"{}", "GET", 200, false},
    {"{}", "POST", 500, false},
    {"{}", "POST", 502, false},
    {"{}", "POST", 504, false},
    {"{}", "POST", 503, true},
    {"{}", "POST", 429, true},
    {"{}", "PATCH", 408, true},
    {"{}", "get", 500, false}, /* methods are case-sensitive */
    {"{\"in_doubt\":{\"policy\":\"retry\"}}", "POST", 500, true},
    {"{\"in_doubt\":{\"policy\":\"hold\"}}", "POST", 500, false},
    {"{\"in_doubt\":{\"policy\":\"hold\"}}", "GET", 500, true},
    {"{\"retry\":{\"statuses\":[500]}}", "POST", 500, true},
    {"{\"retry\":{\"statuses\":[500]}}", "GET", 503, false},
    {"{\"retry\":{\"statuses\":[]}}", "GET", 503, false},
};

static void test_statuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof status_cases / sizeof *status_cases; i++) {
        const struct status_case *c = &status_cases[i];
        struct tenant *t = decode(c->tenant);
        print_message("case: %s %s %d\n", c->tenant, c->method, c->status);
        assert_int_equal(tenant_retries_status(t, str_of(c->method), c->status), c->is_retried);
        tenant_free(t);
    }
}

static void test_doubt(void **state)
{
    struct tenant *by_method = decode("{}");
    struct tenant *hold = decode("{\"in_doubt\":{\"policy\":\"hold\"}}");

    (void)state;
    assert_int_equal(tenant_doubt_policy(by_method, STR("GET")), TENANT_DOUBT_RETRY);
    assert_int_equal(tenant_doubt_policy(by_method, STR("DELETE")), TENANT_DOUBT_RETRY);
    assert_int_equal(tenant_doubt_policy(by_method, STR("POST")), TENANT_DOUBT_HOLD);
    assert_int_equal(tenant_doubt_policy(by_method, STR("PATCH")), TENANT_DOUBT_HOLD);
    assert_int_equal(tenant_doubt_policy(hold, STR("GET")), TENANT_DOUBT_HOLD);
    tenant_free(by_method);
    tenant_free(hold);
}

/* The defaults lie under the document, as in a configuration; null takes one back. */
static void test_over_defaults(void **state)
{
    struct tenant *t;
    struct buf mistakes = {0};

    (void)state;
    assert_int_equal(tenant_decode_over(STR("erp"), STR("{\"concurrency\":3,\"max_queue\":7}"),
                                        STR("{\"concurrency\":null,\"result_ttl_s\":9}"), &t,
                                        &mistakes),
                     ERR_OK);
    assert_int_equal(t->concurrency, 0);
    assert_int_equal(t->max_queue, 7);
    assert_int_equal(t->result_ttl_ms, 9000);
    tenant_free(t);
    buf_fini(&mistakes);
}

static void test_lone_instances(void **state)
{
    static const struct {
        const char *json;
        const char *says; /* NULL: sound */
        int64_t ttl_ms;
    } rows[] = {
        {"{\"url\":\"h:1/\"}", NULL, 0},
        {"\"h:1\"", NULL, 0},
        {"url: h:1\nttl_s: 2.5\nname: a", NULL, 2500},
        {"{\"url\":\"h:1\",\"ttl_s\":null}", NULL, 0},
        {"{\"url\":\"h:1\",\"ttl_s\":0}", "ttl_s", 0},
        {"{\"url\":\"h:1\",\"name\":\"b\"}", "name: the path says a", 0},
        {"{\"concurrency\":1}", "url", 0},
        {"{\"url\":\"h:1\",\"ttl\":1}", "ttl: unknown key", 0},
        {"[]", "expected", 0},
        {"{", "line 2", 0},
    };

    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct tenant_instance *i = NULL;
        struct buf mistakes = {0};
        int64_t ttl_ms = -1;
        int rc = tenant_instance_decode(STR("a"), str_of(rows[k].json), &i, &ttl_ms, &mistakes);
        if (rows[k].says == NULL) {
            assert_int_equal(rc, ERR_OK);
            assert_string_equal(i->url, "http://h:1");
            assert_string_equal(i->name, "a");
            assert_int_equal(ttl_ms, rows[k].ttl_ms);
            char *json = tenant_instance_to_json(i, ttl_ms);
            assert_string_equal(
                json, ttl_ms > 0 ? "{\"name\":\"a\",\"url\":\"http://h:1\",\"ttl_s\":2.500}"
                                 : "{\"name\":\"a\",\"url\":\"http://h:1\"}");
            free(json);
            tenant_instance_free(i);
        } else {
            assert_int_not_equal(rc, ERR_OK);
            if (strstr(mistakes.p, rows[k].says) == NULL) {
                fail_msg("%s: %s", rows[k].json, mistakes.p);
            }
        }
        buf_fini(&mistakes);
    }
}

static void test_instances_come_and_go(void **state)
{
    struct tenant *t;
    struct tenant_instance *i;
    int64_t ttl_ms;

    (void)state;
    assert_int_equal(tenant_from_json(STR("erp"), STR("{\"instances\":[\"h:1\",\"h:2\"]}"), &t),
                     ERR_OK);
    assert_int_equal(tenant_instance_decode(STR("h:1"), STR("\"other:1\""), &i, &ttl_ms, NULL),
                     ERR_OK);
    assert_int_equal(tenant_take_instance(t, i), ERR_OK);
    assert_int_equal(tenant_instance_decode(STR("new"), STR("\"new:1\""), &i, &ttl_ms, NULL),
                     ERR_OK);
    assert_int_equal(tenant_take_instance(t, i), ERR_OK);
    assert_int_equal(t->n_instances, 3);
    assert_string_equal(t->instances[0].url, "http://other:1");
    assert_string_equal(t->instances[2].name, "new");
    tenant_drop_instance(t, STR("h:2"));
    tenant_drop_instance(t, STR("nobody"));
    assert_int_equal(t->n_instances, 2);
    assert_string_equal(t->instances[1].name, "new");
    assert_null(tenant_instance_of(t, STR("h:2")));
    tenant_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_instances),
        cmocka_unit_test(test_canonical_and_back),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_over_defaults),
        cmocka_unit_test(test_lone_instances),
        cmocka_unit_test(test_instances_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
