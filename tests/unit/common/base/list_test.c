/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct thing {
    int before;
    struct list link;
    int number;
};

static void fill(struct list *head, struct thing *things, int n)
{
    list_init(head);
    for (int i = 0; i < n; i++) {
        things[i] = (struct thing){.number = i};
        list_push_back(head, &things[i].link);
    }
}

/* The numbers, as digits, forwards and backwards. */
static void assert_order(struct list *head, const char *there, const char *back)
{
    char got[8] = "";
    size_t n = 0;

    for (struct list *l = head->next; l != head && n < sizeof got - 1; l = l->next) {
        got[n++] = (char)('0' + LIST_OF(l, struct thing, link)->number);
    }
    got[n] = '\0';
    assert_string_equal(got, there);
    n = 0;
    for (struct list *l = head->prev; l != head && n < sizeof got - 1; l = l->prev) {
        got[n++] = (char)('0' + LIST_OF(l, struct thing, link)->number);
    }
    got[n] = '\0';
    assert_string_equal(got, back);
}

static void test_order(void **state)
{
    struct list head;
    struct thing things[3];

    (void)state;
    fill(&head, things, 3);
    assert_order(&head, "012", "210");
    assert_false(list_is_empty(&head));
}

static void test_empty(void **state)
{
    struct list head;
    struct list zeroed = {0};

    (void)state;
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_pop_front(&head));
    assert_false(list_is_linked(&zeroed));
    list_remove(&zeroed);
    assert_false(list_is_linked(&zeroed));
}

static void test_remove_anywhere(void **state)
{
    static const char *const left[][2] = {{"12", "21"}, {"02", "20"}, {"01", "10"}};
    struct list head;
    struct thing things[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        fill(&head, things, 3);
        assert_true(list_is_linked(&things[i].link));
        list_remove(&things[i].link);
        assert_false(list_is_linked(&things[i].link));
        assert_order(&head, left[i][0], left[i][1]);
        list_remove(&things[i].link);
        assert_order(&head, left[i][0], left[i][1]);
    }
}

static void test_pop_and_push_again(void **state)
{
    struct list head;
    struct thing things[3];

    (void)state;
    fill(&head, things, 3);
    struct list *first = list_pop_front(&head);
    assert_ptr_equal(first, &things[0].link);
    assert_false(list_is_linked(first));
    list_push_back(&head, first);
    assert_order(&head, "120", "021");
    assert_ptr_equal(list_pop_front(&head), &things[1].link);
    assert_ptr_equal(list_pop_front(&head), &things[2].link);
    assert_ptr_equal(list_pop_front(&head), &things[0].link);
    assert_null(list_pop_front(&head));
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_remove_anywhere),
        cmocka_unit_test(test_pop_and_push_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
