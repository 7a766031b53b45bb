/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BYTES(literal) ((struct str){(literal), sizeof(literal) - 1})

struct row {
    const char *name;
    struct str in;
    int rc;
    size_t used;
};

static const struct row ROWS[] = {
    {"nothing", {"", 0}, 0, 0},
    {"six bytes", {"\x08\0\0\0\0\0", 6}, 0, 0},
    {"no end mark yet", {"\x08\0\0\0\0\0\0", 7}, 0, 0},
    {"a heartbeat", {"\x08\0\0\0\0\0\0\xCE", 8}, 0, 8},
    {"a heartbeat and more", {"\x08\0\0\0\0\0\0\xCE\x08", 9}, 0, 8},
    {"a wrong end mark", {"\x08\0\0\0\0\0\0\xCD", 8}, ERR_PROTOCOL, 0},
    {"three bytes of payload",
     {"\x03\0\x05\0\0\0\x03"
      "abc\xCE",
      11},
     0,
     11},
    {"payload cut",
     {"\x03\0\x05\0\0\0\x03"
      "ab",
      9},
     0,
     0},
    {"larger than frame_max, before it has come", {"\x03\0\x05\0\x01\0\0", 7}, ERR_PROTOCOL, 0},
    {"the broker speaks another version", {"AMQP\0\0\x09\x01", 8}, ERR_PROTOCOL, 0},
    {"it is an HTTP server", {"HTTP/1.1 400", 12}, ERR_PROTOCOL, 0},
};

static void test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct frame f;
        size_t used = 99;
        int rc = bus_wire_cut(ROWS[i].in, 4096, &f, &used);
        if (rc != ROWS[i].rc || used != ROWS[i].used) {
            fail_msg("%s: rc %d, used %zu", ROWS[i].name, rc, used);
        }
    }
}

static void test_cut_fields(void **state)
{
    struct frame f;
    size_t used;

    (void)state;
    assert_int_equal(bus_wire_cut(BYTES("\x03\x01\x05\0\0\0\x03"
                                        "abc\xCE"),
                                  4096, &f, &used),
                     0);
    assert_int_equal(f.type, 3);
    assert_int_equal(f.channel, 0x105);
    assert_true(str_is(f.payload, STR("abc")));
}

static void test_method_bytes(void **state)
{
    struct buf out = {0};
    amqp_basic_ack_t ack = {.delivery_tag = 0x0102, .multiple = 1};

    (void)state;
    bus_wire_put(&out, 7, AMQP_BASIC_ACK_METHOD, &ack);
    /* method, channel 7, 13 bytes: class 60, method 80, tag, bits, end. */
    assert_true(
        str_is(buf_as_str(&out), BYTES("\x01\0\x07\0\0\0\x0D\0\x3C\0\x50\0\0\0\0\0\0\x01\x02"
                                       "\x01\xCE")));
    buf_fini(&out);
}

static void test_method_round_trip(void **state)
{
    struct buf out = {0};
    amqp_pool_t pool;
    amqp_method_t m;
    struct frame f;
    size_t used;
    amqp_queue_declare_t declare = {.queue = bus_wire_text("q"), .durable = 1};

    (void)state;
    init_amqp_pool(&pool, 4096);
    bus_wire_put(&out, 2, AMQP_QUEUE_DECLARE_METHOD, &declare);
    assert_int_equal(bus_wire_cut(buf_as_str(&out), 4096, &f, &used), 0);
    assert_int_equal(used, out.n);
    assert_int_equal(bus_wire_method(&f, &pool, &m), 0);
    assert_int_equal(m.id, AMQP_QUEUE_DECLARE_METHOD);
    const amqp_queue_declare_t *got = m.decoded;
    assert_true(str_is(bus_wire_str(got->queue), STR("q")));
    assert_true(got->durable);
    assert_false(got->passive);
    empty_amqp_pool(&pool);
    buf_fini(&out);
}

static void test_broken_frames(void **state)
{
    amqp_pool_t pool;
    amqp_method_t m;
    uint64_t n;
    amqp_basic_properties_t *p;
    const struct frame short_method = {1, 1, BYTES("\0\x3C\0")};
    const struct frame unknown = {1, 1, BYTES("\x7F\xFF\x7F\xFF")};
    const struct frame cut_ack = {1, 1, BYTES("\0\x3C\0\x50\0\0")};
    const struct frame short_header = {2, 1, BYTES("\0\x3C\0\0\0\0\0\0")};
    const struct frame other_class = {2, 1, BYTES("\0\x32\0\0\0\0\0\0\0\0\0\0\0\0")};

    (void)state;
    init_amqp_pool(&pool, 4096);
    assert_int_equal(bus_wire_method(&short_method, &pool, &m), ERR_PROTOCOL);
    assert_int_equal(bus_wire_method(&unknown, &pool, &m), ERR_PROTOCOL);
    assert_int_equal(bus_wire_method(&cut_ack, &pool, &m), ERR_PROTOCOL);
    assert_int_equal(bus_wire_header(&short_header, &pool, &n, &p), ERR_PROTOCOL);
    assert_int_equal(bus_wire_header(&other_class, &pool, &n, &p), ERR_PROTOCOL);
    empty_amqp_pool(&pool);
}

/* The number of body frames, and that they give the body back. */
static size_t body_frames(size_t body_n, size_t frame_max)
{
    struct buf out = {0};
    struct buf body = {0};
    struct frame f;
    size_t used;
    size_t at = 0;
    size_t frames = 0;
    size_t got = 0;
    amqp_basic_properties_t p = {0};

    for (size_t i = 0; i < body_n; i++) {
        buf_char(&body, (char)(i * 31));
    }
    assert_int_equal(bus_wire_put_content(&out, 1, frame_max, &p, 64, buf_as_str(&body)), 0);
    while (at < out.n) {
        struct str rest = {out.p + at, out.n - at};
        assert_int_equal(bus_wire_cut(rest, frame_max, &f, &used), 0);
        assert_true(used > 0);
        if (f.type == AMQP_FRAME_BODY) {
            assert_memory_equal(f.payload.p, body.p + got, f.payload.n);
            got += f.payload.n;
            frames++;
        }
        at += used;
    }
    assert_int_equal(got, body_n);
    assert_int_equal(frames * 8, bus_wire_body_overhead(body_n, frame_max));
    buf_fini(&out);
    buf_fini(&body);
    return frames;
}

static void test_bodies(void **state)
{
    (void)state;
    assert_int_equal(body_frames(0, 4096), 0);
    assert_int_equal(body_frames(1, 4096), 1);
    assert_int_equal(body_frames(4088, 4096), 1);
    assert_int_equal(body_frames(4089, 4096), 2);
    assert_int_equal(body_frames(8176, 4096), 2);
    assert_int_equal(body_frames(10000, 4096), 3);
}

static void test_too_large(void **state)
{
    struct buf out = {0};
    char name[9000];
    amqp_table_entry_t entry = {.key = bus_wire_text("k"), .value.kind = AMQP_FIELD_KIND_UTF8};
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                 .headers = {.num_entries = 1, .entries = &entry}};
    amqp_queue_declare_t declare = {.queue = bus_wire_text("q"), .arguments = p.headers};

    (void)state;
    memset(name, 'x', sizeof name);
    entry.value.value.bytes = bus_wire_bytes((struct str){name, sizeof name});
    assert_int_equal(bus_wire_put_method(&out, 1, AMQP_QUEUE_DECLARE_METHOD, &declare),
                     ERR_TOO_LARGE);
    assert_int_equal(bus_wire_put_content(&out, 1, 4096, &p, 9100, STR("")), ERR_TOO_LARGE);
    assert_int_equal(bus_wire_put_content(&out, 1, 131072, &p, 100, STR("")), ERR_TOO_LARGE);
    assert_int_equal(out.n, 0);
    assert_int_equal(bus_wire_put_content(&out, 1, 131072, &p, 9100, STR("")), 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),           cmocka_unit_test(test_cut_fields),
        cmocka_unit_test(test_method_bytes),  cmocka_unit_test(test_method_round_trip),
        cmocka_unit_test(test_broken_frames), cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
