/* SPDX-License-Identifier: Apache-2.0 */
#include "orphans.h"

#include "bus/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define LONGEST "a123456789012345678901234567890123456789012345678901234567890_-z"

static void expect(const char *key, const char *tenant, const char *class, bool is_copy)
{
    struct orphan_key found;

    if (!orphan_key_read(str_of(key), &found)) {
        fail_msg("\"%s\": no tenant", key);
        return;
    }
    if (strcmp(found.tenant, tenant) != 0 || strcmp(found.class, class) != 0 ||
        found.is_copy != is_copy) {
        fail_msg("\"%s\": %s %s %d", key, found.tenant, found.class, found.is_copy);
    }
}

static void test_keys(void **state)
{
    (void)state;
    expect("erp.normal", "erp", "normal", false);
    expect("erp.sync", "erp", "sync", false);
    expect("0.1.0.erp.normal", "erp", "normal", false);
    expect("1.0.1.1.sync", "1", "sync", false);
    expect("erp.high", "erp", "high", false);
    expect("erp.low.7", "erp", "low", false);
    expect("0.1.0.1.normal.0", "1", "normal", false);
    expect("erp.normal.sync", "normal", "sync", false);
    expect("erp", "erp", "normal", true);
    expect("sync", "sync", "normal", true);
    expect(LONGEST ".normal", LONGEST, "normal", false);
}

/* What the ladder publishes with. */
static void test_ladder(void **state)
{
    char exchange[TOPOLOGY_KEY_SIZE];
    char key[TOPOLOGY_KEY_SIZE];

    (void)state;
    topology_delay(12345678, "erp", "normal", exchange, key);
    expect(key, "erp", "normal", false);
}

static void test_no_keys(void **state)
{
    static const char *const rows[] = {
        "",           ".",        "..",          "erp.other",        "erp.",     ".normal",
        "ERP.normal", "a b",      "erp.normal.", "x.ERP.normal",     "..normal", "erp.normal.8",
        "erp.1",      "normal.3", ".low.3",      LONGEST "x.normal", LONGEST "x"};
    struct orphan_key found;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (orphan_key_read(str_of(rows[i]), &found)) {
            fail_msg("\"%s\" names %s", rows[i], found.tenant);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_ladder),
                                       cmocka_unit_test(test_no_keys)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
