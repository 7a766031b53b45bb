/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/discovery.h"

struct shape_case {
    const char *document;
    bool is_discovery;
};

static const struct shape_case shape_cases[] = {
    {"{}", false},
    {"[]", false},
    {"{tenants: {a: {servers: [h]}}}", false},
    {"{worker: {concurrency: 5}}", false},
    {"{a: {servers: [h]}}", true},
    {"{meta-info: {}}", true},
    {"{a: {servers: [h]}, tenants: {}}", false},
};

static struct node *parse(const char *document)
{
    struct node *root = NULL;
    struct buf why = {0};
    int line = 0;

    assert_int_equal(node_parse(str_of(document), &root, &line, &why), ERR_OK);
    buf_fini(&why);
    return root;
}

static void test_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shape_cases / sizeof *shape_cases; i++) {
        struct node *root = parse(shape_cases[i].document);
        print_message("case: %s\n", shape_cases[i].document);
        assert_int_equal(discovery_is(root), shape_cases[i].is_discovery);
        node_free(root);
    }
}

struct translation {
    const char *name;
    const char *document;
    const char *json;     /* or NULL */
    const char *mistakes; /* or NULL */
};

static const struct translation translations[] = {
    {"list", "{Service 1: {servers: ['h:1', h], polling: {method: ping}, apis: [/a]}}",
     "{\"tenants\":{\"service-1\":{\"polling\":{\"method\":\"ping\"},\"apis\":[\"/a\"],"
     "\"instances\":[{\"url\":\"h:1\"},{\"url\":\"h\"}]}}}",
     NULL},
    {"map with a polling each",
     "{s: {servers: {h: {method: ping, priority: high}, i: {method: health, endpoint: /up}, "
     "j: {priority: low}, k: }}}",
     "{\"tenants\":{\"s\":{\"balance\":\"priority\",\"instances\":["
     "{\"url\":\"h\",\"priority\":\"high\",\"polling\":{\"method\":\"ping\"}},"
     "{\"url\":\"i\",\"polling\":{\"method\":\"health\",\"endpoint\":\"/up\"}},"
     "{\"url\":\"j\",\"priority\":\"low\"},{\"url\":\"k\"}]}}}",
     NULL},
    {"one priority for all",
     "{s: {servers: [h, i], polling: {method: ping, priority: low}, balance: weighted}}",
     "{\"tenants\":{\"s\":{\"polling\":{\"method\":\"ping\"},\"balance\":\"weighted\","
     "\"instances\":["
     "{\"url\":\"h\",\"priority\":\"low\"},{\"url\":\"i\",\"priority\":\"low\"}]}}}",
     NULL},
    {"ports",
     "{meta-info: {discovery_server_name: D, request_processor_name: R, discovery_server_port: "
     "8008, "
     "request_processor_port: 8081}}",
     "{\"dispatcher\":{\"listen\":\"127.0.0.1:8008\"},\"ingress\":{\"listen\":\"127.0.0.1:8081\"},"
     "\"tenants\":{}}",
     NULL},
    {"mistakes",
     "{meta-info: {discovery_server_port: '1', request_processor_prt: 5, discovery_server_name: "
     "5},\n"
     "a: {apis: [/a]},\nb: {servers: []},\nc: {servers: [h], polling: {retries: 0}},\n"
     "d: {servers: {h: {retries: 0}}},\ne: 5,\nD: {servers: [h], priority: low}}",
     NULL,
     "f:1: meta-info.discovery_server_port: expected a port from 1 to 65535, found the text \"1\"\n"
     "f:1: meta-info.request_processor_prt: unknown key; did you mean request_processor_port?\n"
     "f:1: meta-info.discovery_server_name: expected text, found 5\n"
     "f:2: a: the key servers is missing\n"
     "f:3: b.servers: expected a list or map of servers that is not empty, found a list\n"
     "f:4: c.polling: the key method is missing\n"
     "f:5: d.servers.h: the key method is missing\n"
     "f:6: e: expected a map with servers, polling and apis, found 5\n"
     "f:7: D: another service is named d, too\n"
     "f:7: D.priority: belongs into polling, of the service or of one server\n"},
};

static void test_translations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof translations / sizeof *translations; i++) {
        const struct translation *c = &translations[i];
        struct node *root = parse(c->document);
        struct buf out = {0};
        struct buf json = {0};
        struct mistakes m = {.file = "f", .out = &out};
        print_message("case: %s\n", c->name);
        struct node *ours = discovery_translate(&m, root);
        assert_non_null(ours);
        if (c->mistakes != NULL) {
            assert_string_equal(out.p, c->mistakes);
        } else {
            assert_null(out.p);
            node_to_json(ours, &json);
            assert_string_equal(json.p, c->json);
        }
        node_free(root);
        node_free(ours);
        buf_fini(&out);
        buf_fini(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_translations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
