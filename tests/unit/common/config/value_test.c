/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/value.h"

struct value_case {
    value_check check;
    const char *text;
    bool is_sound;
};

static const struct value_case value_cases[] = {
    {value_name, "erp-1_x", true},
    {value_name, "", false},
    {value_name, "ERP", false},
    {value_name, "a.b", false},
    {value_name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
    {value_name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    {value_instance_name, "127.0.0.1:9001", true},
    {value_instance_name, "[::1]:80", true},
    {value_instance_name, "a/b", false},
    {value_some, "eu west", true},
    {value_some, "a\tb", false},
    {value_some, "", false},
    {value_broker_url, "amqp://guest:guest@127.0.0.1:5672/%2f", true},
    {value_broker_url, "amqp://rabbit", true},
    {value_broker_url, "amqp://[::1]:5672/", true},
    {value_broker_url, "amqp://h/a/b", false},
    {value_broker_url, "amqp://h/%2", false},
    {value_broker_url, "amqp://h/?heartbeat=5", false},
    {value_broker_url, "amqp://:5672/", false},
    {value_broker_url, "amqp://h:0/", false},
    {value_broker_url, "http://h/", false},
    {value_store_url, "redis://127.0.0.1:6379/0", true},
    {value_store_url, "redis://:secret@redis", true},
    {value_store_url, "redis://h/x", false},
    {value_store_url, "redis://h:99999/0", false},
    {value_sentinel, "sentinel-1:26379", true},
    {value_sentinel, "[::1]:26379", true},
    {value_sentinel, "me:p%40ss@sentinel-1:26379", true},
    {value_sentinel, ":pass@sentinel-1:26379", true},
    {value_sentinel, "sentinel-1", false},
    {value_sentinel, "a@b:1", false},
    {value_sentinel, "me:p%4@b:1", false},
    {value_sentinel, "s:1/0", false},
    {value_sentinel, "redis://s:1", false},
    {value_listen, "127.0.0.1:8080", true},
    {value_listen, "[::]:8080", true},
    {value_listen, ":0", true},
    {value_listen, "localhost:8080", false},
    {value_listen, "127.0.0.1", false},
    {value_listen, "127.0.0.256:80", false},
    {value_listen, "127.0.0.1:65536", false},
    {value_listen, "[::g]:80", false},
    {value_instance_url, "http://127.0.0.1:9001", true},
    {value_instance_url, "https://example.org/base/", true},
    {value_instance_url, "127.0.0.1:8080", true},
    {value_instance_url, "www.example.org", true},
    {value_instance_url, "[2001:db8::1]:80/x", true},
    {value_instance_url, "ftp://example.org", false},
    {value_instance_url, "http://", false},
    {value_instance_url, "http:///x", false},
    {value_instance_url, "http://h:70000", false},
    {value_instance_url, "http://h:", false},
    {value_instance_url, "http://me:it@h", false},
    {value_instance_url, "http://h/?a", false},
    {value_instance_url, "http://h/#a", false},
    {value_instance_url, "http://h/a b", false},
    {value_instance_url, "http://h\xC3\xA9", false},
    {value_instance_url, "", false},
    {value_path, "/", true},
    {value_path, "/a/%20b", true},
    {value_path, "/a?b", false},
    {value_path, "a", false},
    {value_target, "/a?b=c", true},
    {value_target, "/a#b", false},
    {value_target, "/a\r\nX: y", false},
    {value_target, "", false},
    {value_target, "/..", false},
    {value_target, "/a/./b", false},
    {value_target, "/a/%2e%2E", false},
    {value_target, "/a%2F../b", false},
    {value_target, "/a\\..\\b", false},
    {value_target, "/..a/.../b.?x=/../y", true},
    {value_header_name, "X-Customer", true},
    {value_header_name, "X Customer", false},
    {value_header_name, "X:", false},
    {value_header_name, "", false},
    {value_timezone, "Europe/Berlin", true},
    {value_timezone, "UTC", true},
    {value_timezone, "Etc/GMT+1", true},
    {value_timezone, "/etc/localtime", false},
    {value_timezone, "../secret", false},
    {value_timezone, "", false},
    {value_key_hash, "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF",
     true},
    {value_key_hash, "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
     false},
    {value_key_hash, "sha256:g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
     false},
    {value_key_hash, "sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
     false},
};

static void test_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof value_cases / sizeof *value_cases; i++) {
        const struct value_case *c = &value_cases[i];
        const char *why = c->check(str_of(c->text));
        print_message("case: %s: %s\n", c->text, why == NULL ? "sound" : why);
        assert_int_equal(why == NULL, c->is_sound);
    }
}

struct text_case {
    const char *in, *out;
};

static const struct text_case origin_cases[] = {
    {"http://a.example:81/x", "a.example:81"},
    {"http://a.example", "a.example:80"},
    {"https://a.example/", "a.example:443"},
    {"127.0.0.1:9001", "127.0.0.1:9001"},
    {"[::1]/x", "[::1]:80"},
};

static const struct text_case redacted_cases[] = {
    {"amqp://user:secret@h:5672/%2f", "amqp://user:***@h:5672/%2f"},
    {"amqp://user:se@cret@h/", "amqp://user:***@h/"},
    {"redis://:secret@h", "redis://:***@h"},
    {"redis://h:6379/0", "redis://h:6379/0"},
    {"amqp://user@h/", "amqp://user@h/"},
    {"user:se%2fcret@[::1]:26379", "user:***@[::1]:26379"},
    {"sentinel-1:26379", "sentinel-1:26379"},
};

static void check_texts(const struct text_case *cases, size_t n,
                        void (*make)(struct str, struct buf *))
{
    for (size_t i = 0; i < n; i++) {
        struct buf out = {0};
        make(str_of(cases[i].in), &out);
        assert_string_equal(out.p, cases[i].out);
        buf_fini(&out);
    }
}

static void test_texts(void **state)
{
    (void)state;
    check_texts(origin_cases, sizeof origin_cases / sizeof *origin_cases, value_origin);
    check_texts(redacted_cases, sizeof redacted_cases / sizeof *redacted_cases, value_redacted);
}

static void test_hash(void **state)
{
    unsigned char hash[32];

    (void)state;
    value_hash(STR("sha256:00ff7F000000000000000000000000000000000000000000000000000000a1B2"),
               hash);
    assert_int_equal(hash[0], 0x00);
    assert_int_equal(hash[1], 0xFF);
    assert_int_equal(hash[2], 0x7F);
    assert_int_equal(hash[30], 0xA1);
    assert_int_equal(hash[31], 0xB2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
