/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    char dir[32];
    char path[64];
    char crontab[64];
    struct config *config;
    struct buf mistakes;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/config_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/c.yaml", f->dir);
    (void)snprintf(f->crontab, sizeof f->crontab, "%s/tab", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    config_free(f->config);
    buf_fini(&f->mistakes);
    (void)unlink(f->path);
    (void)unlink(f->crontab);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int load(struct fixture *f, const char *text)
{
    write_file(f->path, text);
    config_free(f->config);
    f->config = NULL;
    buf_clear(&f->mistakes);
    return config_load(f->path, NULL, &f->config, &f->mistakes);
}

static struct config *must_load(struct fixture *f, const char *text)
{
    int rc = load(f, text);

    if (rc != ERR_OK) {
        print_message("%s", f->mistakes.p);
    }
    assert_int_equal(rc, ERR_OK);
    return f->config;
}

/* Compares the mistakes without the directory's name. */
static void assert_mistakes(struct fixture *f, const char *text, const char *expected)
{
    struct buf short_names = {0};
    size_t n = strlen(f->dir) + 1;

    assert_int_equal(load(f, text), ERR_INVALID);
    assert_null(f->config);
    for (const char *p = f->mistakes.p; *p != '\0';) {
        if (strncmp(p, f->dir, n - 1) == 0) {
            p += n;
        } else {
            buf_char(&short_names, *p++);
        }
    }
    assert_string_equal(short_names.p, expected);
    buf_fini(&short_names);
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(config_load(NULL, NULL, &f->config, &f->mistakes), ERR_OK);
    const struct config *c = f->config;
    assert_string_equal(c->broker.url, "amqp://guest:guest@127.0.0.1:5672/%2f");
    assert_true(c->broker.is_quorum);
    assert_string_equal(c->store.url, "redis://127.0.0.1:6379/0");
    assert_true(c->store.is_strict);
    assert_int_equal(c->store.shelf_max_bytes, 268435456);
    assert_string_equal(c->ingress.listen, "127.0.0.1:8080");
    assert_false(c->ingress.is_insecure_listen);
    assert_int_equal(c->ingress.max_body_bytes, 8388608);
    assert_int_equal(c->ingress.max_header_bytes, 16384);
    assert_int_equal(c->ingress.max_connections, 20000);
    assert_int_equal(c->ingress.drain_ms, 30000);
    assert_string_equal(c->dispatcher.listen, "127.0.0.1:8081");
    assert_int_equal(c->dispatcher.leader_lease_ms, 5000);
    assert_string_equal(c->worker.listen, "127.0.0.1:8082");
    assert_int_equal(c->worker.concurrency, 256);
    assert_int_equal(c->worker.lease_ms, 15000);
    assert_null(c->worker.region);
    assert_int_equal(c->worker.drain_ms, -1);
    assert_int_equal(c->n_keys, 0);
    assert_int_equal(c->n_tenants, 0);
    assert_int_equal(c->n_schedules, 0);
    assert_int_equal(c->n_crontabs, 0);
}

static void test_tenants_merge_with_defaults(void **state)
{
    struct fixture *f = *state;
    const struct config *c =
        must_load(f, "defaults:\n"
                     "  retry: {max_attempts: 2, factor: 3, statuses: [500]}\n"
                     "  per_key: {header: X-A}\n"
                     "  rate: {limit: 5, burst: 50}\n"
                     "  concurrency: 9\n"
                     "tenants:\n"
                     "  b: {retry: {factor: 4, statuses: [502, 503]}, per_key: {label: l}, "
                     "rate: {limit: 6}}\n"
                     "  a: {concurrency: null, retry: {max_attempts: null}}\n"
                     "  c:\n");
    struct tenant *a = config_tenant(c, STR("a"));
    struct tenant *b = config_tenant(c, STR("b"));

    assert_int_equal(c->n_tenants, 3);
    assert_null(config_tenant(c, STR("d")));
    assert_null(config_tenant(c, STR("")));
    assert_null(config_tenant(c, STR("aa")));
    assert_string_equal(config_tenant(c, STR("c"))->per_key.header, "X-A");
    assert_int_equal(a->concurrency, 0);
    assert_int_equal(a->retry.max_attempts, 5);
    assert_true(a->retry.factor == 3.0);
    assert_int_equal(a->retry.n_statuses, 1);
    assert_int_equal(b->concurrency, 9);
    assert_int_equal(b->retry.max_attempts, 2);
    assert_true(b->retry.factor == 4.0);
    assert_int_equal(b->retry.n_statuses, 2);
    assert_null(b->per_key.header);
    assert_string_equal(b->per_key.label, "l");
    assert_true(b->rate.burst == 6.0);
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    const struct config *c = must_load(
        f, "keys:\n"
           "  - name: shop\n"
           "    hash: sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n"
           "    tenants: [erp]\n"
           "    scopes: [read, admin]\n"
           "    rate: {limit: 10}\n"
           "  - {name: other, hash: "
           "sha256:ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff}\n");

    assert_int_equal(c->n_keys, 2);
    assert_string_equal(c->keys[0].name, "shop");
    assert_int_equal(c->keys[0].hash[1], 0x11);
    assert_int_equal(c->keys[0].hash[31], 0xFF);
    assert_int_equal(c->keys[0].n_tenants, 1);
    assert_int_equal(c->keys[0].scopes, CONFIG_READ | CONFIG_ADMIN);
    assert_true(c->keys[0].rate.burst == 10.0);
    assert_int_equal(c->keys[1].scopes, CONFIG_SUBMIT | CONFIG_READ);
    assert_int_equal(c->keys[1].n_tenants, 0);
}

static void test_every_mistake_at_once(void **state)
{
    assert_mistakes(
        *state,
        "ingres: {}\n"
        "worker:\n"
        "  concurency: 5\n"
        "  lease_s: 0\n"
        "defaults:\n"
        "  timeouts: {total_s: 2000}\n"
        "tenants:\n"
        "  erp:\n"
        "    instances: [ftp://x]\n"
        "    apis: [orders, /a]\n"
        "  SHOP: {apis: [/a/]}\n"
        "schedules:\n"
        "  nightly:\n"
        "    cron: '@daily'\n"
        "    job: {tenant: hsop, request: {path: /x}}\n",
        "c.yaml:1: ingres: unknown key; did you mean ingress?\n"
        "c.yaml:3: worker.concurency: unknown key; did you mean concurrency?\n"
        "c.yaml:4: worker.lease_s: expected seconds from 1 to 1800, found 0\n"
        "c.yaml:6: defaults.timeouts.total_s: expected seconds from 0.001 to 1500, "
        "found 2000\n"
        "c.yaml:9: tenants.erp.instances[0]: expected http://HOST:PORT/BASE (or https)\n"
        "c.yaml:10: tenants.erp.apis[0]: expected a path that begins with '/'\n"
        "c.yaml:11: tenants.SHOP: a name is 1 to 64 characters of a-z, 0-9, '_' and "
        "'-'\n"
        "c.yaml:11: tenants.SHOP.apis[0]: /a/ is an api of the tenant erp already\n"
        "c.yaml:15: schedules.nightly.job.tenant: the tenant hsop is not configured\n");
}

static void test_mistakes_of_jobs_have_lines(void **state)
{
    struct fixture *f = *state;

    assert_mistakes(
        f,
        "tenants: {erp: }\n"
        "schedules:\n"
        "  a:\n"
        "    cron: '@daily'\n"
        "    job:\n"
        "      tenant: erp\n"
        "      request:\n"
        "        path: /\n"
        "        headers:\n"
        "          X: 'yes'\n"
        "          X-Part: 1\n"
        "  b:\n"
        "    cron: '@daily'\n"
        "    job:\n"
        "      tenant: erp\n"
        "      request:\n"
        "        method: get\n"
        "        path: /\n"
        "  c:\n"
        "    cron: '@daily'\n"
        "    job:\n"
        "      request: {path: /}\n"
        "      tenant: shop\n"
        "      ttl_s: 0\n"
        "  d:\n"
        "    cron: '@daily'\n"
        "    job:\n"
        "      request: {path: /}\n"
        "  e:\n"
        "    cron: '@daily'\n"
        "    job: erp POST /\n",
        "c.yaml:11: schedules.a.job: request.headers.X-Part must be a string of at most 8192 bytes "
        "without control characters, or an array of such strings.\n"
        "c.yaml:17: schedules.b.job: request.method must be in upper case: HTTP methods are "
        "case-sensitive.\n"
        "c.yaml:24: schedules.c.job: ttl_s must be a number of seconds above 0, at most "
        "316224000.\n"
        "c.yaml:23: schedules.c.job.tenant: the tenant shop is not configured\n"
        "c.yaml:28: schedules.d.job: tenant is required.\n"
        "c.yaml:31: schedules.e.job: The document must be an object.\n");
}

static void test_files_that_are_not_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(config_load("/nowhere/c.yaml", NULL, &f->config, &f->mistakes), ERR_INVALID);
    assert_string_equal(f->mistakes.p,
                        "/nowhere/c.yaml: cannot be read: No such file or directory\n");
    buf_clear(&f->mistakes);
    assert_int_equal(config_load("/tmp", NULL, &f->config, &f->mistakes), ERR_INVALID);
    assert_string_equal(f->mistakes.p, "/tmp: cannot be read: Is a directory\n");
    assert_mistakes(f, "a: [\n",
                    "c.yaml:2: did not find expected node content while parsing a "
                    "flow node (which begins in line 2)\n");
    assert_mistakes(
        f, "- 1\n",
        "c.yaml:1: expected a map of broker, store, ingress, tenants, …, found a list\n");
}

static void test_crontabs(void **state)
{
    struct fixture *f = *state;

    write_file(f->crontab, "CRON_TZ=Europe/Berlin\n15 2 * * * erp POST /r {\"a\":1}\n");
    const struct config *c = must_load(f, "tenants: {erp: }\n"
                                          "schedules:\n"
                                          "  own: {cron: '@daily', job: {tenant: erp, request: "
                                          "{path: /}}}\n"
                                          "crontabs: [tab]\n");
    assert_int_equal(c->n_schedules, 2);
    assert_string_equal(c->schedules[0].name, "own");
    assert_int_equal(strncmp(c->schedules[1].name, "crontab-tab-", 12), 0);
    assert_string_equal(c->schedules[1].timezone, "Europe/Berlin");
    assert_int_equal(c->n_crontabs, 1);
    assert_string_equal(c->crontabs[0], f->crontab);

    write_file(f->crontab, "\n@daily shop GET /x\n");
    assert_mistakes(f, "crontabs: [tab, missing]\n",
                    "tab:2: tenant: the tenant shop is not configured\n"
                    "missing: cannot be read: No such file or directory\n");
}

static int load_crontab(struct fixture *f, const char *config, const char *crontab)
{
    config_free(f->config);
    f->config = NULL;
    buf_clear(&f->mistakes);
    return config_load_crontab(config, "tab", str_of(crontab), NULL, &f->config, &f->mistakes);
}

static void test_one_crontab(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load_crontab(f, NULL, "@daily shop GET /a\n@daily shop GET /a\n"), ERR_OK);
    assert_int_equal(f->config->n_schedules, 2);
    assert_string_not_equal(f->config->schedules[0].name, f->config->schedules[1].name);
    /* Its tenants count, the crontabs that it names do not. */
    write_file(f->path, "tenants: {erp: }\nschedules: {own: 3}\ncrontabs: [missing]\n");
    assert_int_equal(load_crontab(f, f->path, "@daily erp GET /a\n"), ERR_OK);
    assert_int_equal(f->config->n_schedules, 1);
    assert_int_equal(load_crontab(f, f->path, "\n@daily shop GET /a\n"), ERR_INVALID);
    assert_string_equal(f->mistakes.p, "tab:2: tenant: the tenant shop is not configured\n");
    assert_null(f->config);
    /* Without a configuration that can be read, nothing is said of tenants. */
    assert_int_equal(load_crontab(f, "/nowhere", "@daily shop GET /a\n@never\n"), ERR_INVALID);
    assert_string_equal(f->mistakes.p,
                        "/nowhere: cannot be read: No such file or directory\n"
                        "tab:2: expected MIN HOUR DOM MON DOW tenant METHOD /path [body]\n");
}

static void test_discovery_file(void **state)
{
    struct fixture *f = *state;
    const struct config *c = must_load(
        f, "{\n\t\"stock\": {\n\t\t\"servers\": {\n"
           "\t\t\t\"stock-1.example\": {\"method\": \"ping\", \"frequency\": 20, \"retries\": 0, "
           "\"packet_limit\": 100, \"priority\": \"high\"},\n"
           "\t\t\t\"10.1.0.2:7000\": {\"method\": \"ping\"}\n\t\t},\n"
           "\t\t\"apis\": [\"/stock\", \"/shelf/free\"]\n\t},\n"
           "\t\"Price List\": {\n\t\t\"servers\": [\"10.1.0.9:7100\"],\n"
           "\t\t\"polling\": {\"method\": \"health\", \"endpoint\": \"/up\", \"retries\": 2, "
           "\"retry_delay\": 4, \"packet_limit\": 900},\n\t\t\"apis\": [\"/prices\"]\n\t},\n"
           "\t\"meta-info\": {\"discovery_server_name\": \"Finder\", "
           "\"discovery_server_port\": 9101, \"request_processor_port\": 9102}\n}\n");
    const struct tenant *one = config_tenant(c, STR("stock"));
    const struct tenant *two = config_tenant(c, STR("price-list"));

    assert_int_equal(c->n_tenants, 2);
    assert_string_equal(c->dispatcher.listen, "127.0.0.1:9101");
    assert_string_equal(c->ingress.listen, "127.0.0.1:9102");
    assert_string_equal(one->instances[0].url, "http://stock-1.example");
    assert_string_equal(one->instances[0].name, "stock-1.example:80");
    assert_int_equal(one->instances[0].priority, TENANT_HIGH);
    assert_int_equal(one->instances[1].priority, TENANT_MED);
    assert_int_equal(one->instances[0].polling->method, TENANT_POLL_PING);
    assert_int_equal(one->instances[0].polling->frequency_ms, 20000);
    assert_int_equal(one->balance, TENANT_PRIORITY);
    assert_int_equal(one->n_apis, 2);
    assert_int_equal(two->polling.method, TENANT_POLL_HEALTH);
    assert_string_equal(two->polling.endpoint, "/up");
    assert_int_equal(two->polling.retry_delay_ms, 4000);
    assert_int_equal(two->polling.packet_limit, 900);
    assert_int_equal(two->balance, TENANT_ROUND_ROBIN);
    assert_null(two->instances[0].polling);
    assert_mistakes(f, "a:\n  servers: [h]\n  polling: {method: ping, retries: 1}\n",
                    "c.yaml:3: a.polling: retries needs retry_delay beside it\n");
}

static void test_environment(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("SLUICE_CFG_BROKER_URL", "amqp://env/", 1), 0);
    assert_int_equal(setenv("SLUICE_CFG_INGRESS_LISTEN", "127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("SLUICE_CFG_WORKER_DRAIN_S", "2.5", 1), 0);
    assert_int_equal(setenv("SLUICE_CFG_INGRESS_INSECURE_LISTEN", "true", 1), 0);
    assert_int_equal(setenv("SLUICE_CFG_STORE_DURABILITY", "fast", 1), 0);
    assert_int_equal(setenv("SLUICE_CFG_STORE_URL", "", 1), 0); /* empty: not set */
    const struct config *c = must_load(f, "broker: {urls: ['amqp://file-1/', 'amqp://file-2/']}\n"
                                          "store: {url: 'redis://file'}\n"
                                          "ingress: {listen: '127.0.0.1:2', drain_s: 7}\n");
    assert_string_equal(c->broker.url, "amqp://env/");
    assert_int_equal(c->broker.n_urls, 0);
    assert_string_equal(c->store.url, "redis://file");
    assert_false(c->store.is_strict);
    assert_string_equal(c->ingress.listen, "127.0.0.1:1");
    assert_true(c->ingress.is_insecure_listen);
    assert_int_equal(c->ingress.drain_ms, 7000);
    assert_int_equal(c->worker.drain_ms, 2500);
}

static void test_environment_mistakes(void **state)
{
    assert_int_equal(setenv("SLUICE_CFG_WORKER_LEASE_S", "soon", 1), 0);
    assert_int_equal(setenv("SLUICE_CFG_WORKER_CONCURENCY", "5", 1), 0);
    assert_mistakes(
        *state, "{}\n",
        "environment: SLUICE_CFG_WORKER_LEASE_S: expected seconds from 1 to 1800, found "
        "the text \"soon\"\n"
        "environment: SLUICE_CFG_WORKER_CONCURENCY: overrides no key; did you mean "
        "SLUICE_CFG_WORKER_CONCURRENCY?\n");
}

static int clear_environment(void **state)
{
    static const char *const names[] = {
        "SLUICE_CFG_BROKER_URL",       "SLUICE_CFG_INGRESS_LISTEN",
        "SLUICE_CFG_WORKER_DRAIN_S",   "SLUICE_CFG_INGRESS_INSECURE_LISTEN",
        "SLUICE_CFG_STORE_DURABILITY", "SLUICE_CFG_STORE_URL",
        "SLUICE_CFG_WORKER_LEASE_S",   "SLUICE_CFG_WORKER_CONCURENCY"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    return tear_down(state);
}

static void test_cluster(void **state)
{
    struct fixture *f = *state;
    const struct config *c =
        must_load(f, "broker: {urls: ['amqp://u:p@b1/', 'amqp://u:p@b2/']}\n"
                     "store: {sentinels: ['s1:26379', 'me:hush@s2:26379'], master: m}\n");

    assert_int_equal(c->broker.n_urls, 2);
    assert_string_equal(c->broker.url, "amqp://u:p@b1/");
    assert_int_equal(c->store.n_sentinels, 2);
    assert_string_equal(c->store.master, "m");
    assert_int_equal(c->store.wait_replicas, 1);
}

/* What a promise rests on: one replica where there are some, unless it is said. */
static void test_wait_replicas(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *text;
        uint32_t replicas;
        int64_t ms;
    } rows[] = {
        {"store: {}\n", 0, 1000},
        {"store: {wait_replicas: 2, wait_s: 0.3}\n", 2, 300},
        {"store: {sentinels: ['s1:26379'], master: m}\n", 1, 1000},
        {"store: {sentinels: ['s1:26379'], master: m, wait_replicas: null}\n", 1, 1000},
        {"store: {sentinels: ['s1:26379'], master: m, wait_replicas: 0}\n", 0, 1000},
        {"store: {sentinels: ['s1:26379'], master: m, durability: fast}\n", 0, 1000},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct config *c = must_load(f, rows[i].text);
        assert_int_equal(c->store.wait_replicas, rows[i].replicas);
        assert_int_equal(c->store.wait_ms, rows[i].ms);
    }
}

static void test_print(void **state)
{
    struct fixture *f = *state;
    const struct config *c = must_load(
        f, "broker: {url: 'amqp://u:hush1@b/'}\n"
           "store: {url: 'redis://:hush2@r/0', sentinels: ['me:hush6@s:1'], master: m}\n"
           "tenants:\n"
           "  erp: {instances: [h], breaker: {}, fair_by: X-C}\n"
           "schedules:\n"
           "  a: {cron: '@daily', job: {tenant: erp, request: {path: /, headers: "
           "{Authorization: hush3, X-Api-Key: [hush4, hush5], X-Part: [shown, seen]}}}}\n");
    struct buf first = {0};
    struct buf second = {0};

    config_print(c, &first);
    assert_null(strstr(first.p, "hush"));
    assert_non_null(strstr(first.p, "amqp://u:***@b/"));
    assert_non_null(
        strstr(first.p, "\"X-Api-Key\":[\"***\",\"***\"],\"X-Part\":[\"shown\",\"seen\"]"));
    assert_non_null(strstr(first.p, "lease_s: 15\n"));
    char *copy = str_dup(buf_as_str(&first));
    assert_non_null(copy);
    config_print(must_load(f, copy), &second);
    assert_string_equal(second.p, copy);
    free(copy);
    buf_fini(&first);
    buf_fini(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_tenants_merge_with_defaults),
        TEST(test_keys),
        TEST(test_every_mistake_at_once),
        TEST(test_mistakes_of_jobs_have_lines),
        TEST(test_files_that_are_not_read),
        TEST(test_crontabs),
        TEST(test_one_crontab),
        TEST(test_discovery_file),
        TEST(test_cluster),
        TEST(test_wait_replicas),
        TEST(test_print),
        cmocka_unit_test_setup_teardown(test_environment, set_up, clear_environment),
        cmocka_unit_test_setup_teardown(test_environment_mistakes, set_up, clear_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
