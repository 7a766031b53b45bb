/* SPDX-License-Identifier: Apache-2.0 */
/* standing.c alone, with a broker that answers when it is told to. */
#include "daemon/standing.h"

#include "bus/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TENANTS = 100, WAVE = 32 };

/* One declare that was sent. */
struct sent {
    char tenant[80];
    topology_cb cb;
    void *arg;
};

static struct world {
    struct loop *loop;
    struct standing *standing;
    bool is_open;
    int refusal; /* of what is sent next, at once */
    struct sent sent[4 * TENANTS];
    size_t n_sent;
    size_t n_answered; /* the first of `sent` */
    size_t n_shared;
    unsigned int told; /* on_shared */
    unsigned int heard[TENANTS];
    int heard_rc;
    struct tenant tenants[TENANTS];
    struct registry_entry entries[TENANTS];
    size_t n_tenants;
    unsigned int stale_routes;
} world;

enum bus_state bus_link_state(const struct bus_link *k)
{
    (void)k;
    return world.is_open ? BUS_OPEN : BUS_DOWN;
}

static int put(const char *tenant, topology_cb cb, void *arg)
{
    if (world.refusal != ERR_OK || !world.is_open) {
        return world.is_open ? world.refusal : ERR_DOWN;
    }
    assert_in_range(world.n_sent, 0, sizeof world.sent / sizeof world.sent[0] - 1);
    struct sent *s = &world.sent[world.n_sent++];
    (void)snprintf(s->tenant, sizeof s->tenant, "%s", tenant);
    s->cb = cb;
    s->arg = arg;
    return ERR_OK;
}

int topology_declare_shared(struct bus_link *k, topology_cb cb, void *arg)
{
    (void)k;
    world.n_shared++;
    return put("", cb, arg);
}

int topology_declare_tenant(struct bus_link *k, const char *tenant, bool is_quorum, topology_cb cb,
                            void *arg)
{
    (void)k;
    (void)is_quorum;
    return put(tenant, cb, arg);
}

bool registry_next(const struct registry *r, size_t *cursor, struct registry_entry **ret)
{
    (void)r;
    if (*cursor >= world.n_tenants) {
        return false;
    }
    *ret = &world.entries[(*cursor)++];
    return true;
}

struct registry_entry *registry_find(const struct registry *r, struct str name)
{
    (void)r;
    for (size_t i = 0; i < world.n_tenants; i++) {
        if (str_is(name, str_of(world.tenants[i].name))) {
            return &world.entries[i];
        }
    }
    return NULL;
}

void routes_redeclare(struct routes *r)
{
    (void)r;
    world.stale_routes++;
}

static void on_shared(void *arg)
{
    (void)arg;
    world.told++;
}

static void on_tenant(const char *tenant, int rc, void *arg)
{
    (void)arg;
    world.heard[atoi(tenant + 1)]++;
    world.heard_rc = rc;
}

static size_t under_way(void)
{
    return world.n_sent - world.n_answered;
}

static void answer(int rc)
{
    assert_true(under_way() > 0);
    struct sent *s = &world.sent[world.n_answered++];
    s->cb(rc, s->arg);
}

static void answer_all(void)
{
    while (under_way() > 0) {
        answer(ERR_OK);
    }
}

/* As the link does it: what was under way first. */
static void cut(void)
{
    world.is_open = false;
    while (under_way() > 0) {
        answer(ERR_DOWN);
    }
    standing_link(world.standing, /* is_open= */ false);
}

static void open_link(void)
{
    world.is_open = true;
    world.n_sent = 0;
    world.n_answered = 0;
    standing_link(world.standing, /* is_open= */ true);
}

static size_t standing_now(void)
{
    size_t n = 0;

    for (size_t i = 0; i < TENANTS; i++) {
        n += standing_has(world.standing, str_of(world.tenants[i].name)) ? 1 : 0;
    }
    return n;
}

static int set_up(void **state)
{
    (void)state;
    world = (struct world){.n_tenants = TENANTS};
    assert_int_equal(loop_new(&world.loop), 0);
    for (size_t i = 0; i < TENANTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%zu", i);
        world.tenants[i].name = str_dup(str_of(name));
        world.entries[i].tenant = &world.tenants[i];
    }
    struct standing_options o = {
        .loop = world.loop, .on_shared = on_shared, .on_tenant = on_tenant};
    assert_int_equal(standing_new(&o, &world.standing), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    standing_free(world.standing);
    for (size_t i = 0; i < TENANTS; i++) {
        free(world.tenants[i].name);
    }
    loop_free(world.loop);
    return 0;
}

static void test_in_waves(void **state)
{
    (void)state;
    standing_turn(world.standing);
    assert_int_equal(world.n_sent, 0); /* the link is down */
    open_link();
    assert_int_equal(under_way(), 1);
    standing_turn(world.standing);
    assert_int_equal(under_way(), 1); /* the shared part first, once */
    assert_false(standing_is_ready(world.standing));
    answer(ERR_OK);
    assert_true(standing_is_ready(world.standing));
    assert_int_equal(world.told, 1);
    assert_int_equal(under_way(), WAVE);
    for (int i = 0; i < 100; i++) {
        standing_turn(world.standing); /* nobody gets into the line twice */
    }
    assert_int_equal(under_way(), WAVE);
    answer(ERR_OK);
    assert_int_equal(under_way(), WAVE); /* the next one went */
    assert_false(standing_was_whole(world.standing));
    answer_all();
    assert_int_equal(world.n_sent, 1 + TENANTS);
    for (size_t i = 0; i < TENANTS; i++) {
        assert_int_equal(world.heard[i], 1);
    }
    assert_int_equal(standing_now(), TENANTS);
    assert_true(standing_was_whole(world.standing));
}

static void test_cut_in_the_middle(void **state)
{
    (void)state;
    open_link();
    answer(ERR_OK);
    for (int i = 0; i < 50; i++) {
        answer(ERR_OK);
    }
    assert_int_equal(standing_now(), 50);
    cut();
    assert_int_equal(standing_now(), 0);
    assert_false(standing_is_ready(world.standing));
    standing_turn(world.standing);
    assert_int_equal(under_way(), 0);
    open_link();
    answer_all();
    assert_int_equal(world.n_sent, 1 + TENANTS); /* all of them, from the start */
    assert_int_equal(standing_now(), TENANTS);
    assert_int_equal(world.told, 2);
}

static void test_a_failure_is_tried_again(void **state)
{
    (void)state;
    open_link();
    answer(ERR_OK);
    answer(ERR_TIMEOUT);
    assert_int_equal(world.heard_rc, ERR_TIMEOUT);
    answer_all();
    assert_int_equal(standing_now(), TENANTS - 1);
    standing_turn(world.standing);
    assert_int_equal(under_way(), 1);
    answer_all();
    assert_int_equal(standing_now(), TENANTS);
}

/* The line of the link is full, or memory is short: those who are next stay next. */
static void test_what_cannot_be_sent_waits(void **state)
{
    (void)state;
    open_link();
    world.refusal = ERR_LIMIT;
    answer(ERR_OK);
    assert_int_equal(under_way(), 0);
    standing_turn(world.standing);
    assert_int_equal(under_way(), 0);
    world.refusal = ERR_OK;
    standing_turn(world.standing);
    assert_int_equal(under_way(), WAVE);
    answer_all();
    assert_int_equal(standing_now(), TENANTS);
}

static void test_who_is_asked_for_is_next(void **state)
{
    (void)state;
    open_link();
    answer(ERR_OK);
    standing_hurry(world.standing, STR("t99"));
    answer(ERR_OK);
    assert_string_equal(world.sent[world.n_sent - 1].tenant, "t99");
    answer_all();
    standing_hurry(world.standing, STR("t99")); /* it stands */
    standing_hurry(world.standing, STR("unknown"));
    assert_int_equal(world.n_sent, 1 + TENANTS);
}

static void test_missing(void **state)
{
    (void)state;
    open_link();
    answer_all();
    standing_missing(world.standing, STR("t7"));
    assert_false(standing_has(world.standing, STR("t7")));
    assert_int_equal(under_way(), 1);
    answer_all();
    assert_true(standing_has(world.standing, STR("t7")));
    assert_int_equal(world.heard[7], 2);
}

/* All again, the one in doubt first, the others a part a turn, so that it costs little. */
static void test_doubt(void **state)
{
    (void)state;
    open_link();
    answer_all();
    standing_doubt(world.standing, STR("t9"), BUS_CONFIRMED);
    assert_int_equal(under_way(), 0);
    world.n_sent = world.n_answered = 0;
    standing_doubt(world.standing, STR("t9"), BUS_RETURNED);
    assert_int_equal(under_way(), 1); /* the shared part */
    standing_doubt(world.standing, STR("t9"), BUS_RETURNED);
    assert_int_equal(under_way(), 1);
    assert_true(standing_has(world.standing, STR("t9"))); /* nothing stops meanwhile */
    answer(ERR_OK);
    assert_int_equal(world.told, 1); /* it is no new life */
    assert_int_equal(world.stale_routes, 1);
    assert_string_equal(world.sent[1].tenant, "t9");
    answer_all();
    assert_in_range(world.n_sent, 2, TENANTS / 2 + 1);
    standing_turn(world.standing);
    answer_all();
    standing_turn(world.standing);
    assert_int_equal(under_way(), 0);
    assert_int_equal(world.n_sent, 1 + TENANTS);
}

static void test_a_tenant_comes_and_goes(void **state)
{
    (void)state;
    world.n_tenants = 1;
    open_link();
    answer_all();
    assert_int_equal(standing_now(), 1);
    world.n_tenants = 2;
    standing_add(world.standing, STR("t1"));
    standing_turn(world.standing);
    assert_int_equal(under_way(), 1);
    world.n_tenants = 1; /* before the answer */
    standing_turn(world.standing);
    unsigned int heard = world.heard[1];
    answer(ERR_OK);
    assert_int_equal(world.heard[1], heard);
    assert_false(standing_has(world.standing, STR("t1")));
    assert_true(standing_has(world.standing, STR("t0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_waves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_sent_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_asked_for_is_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tenant_comes_and_goes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
