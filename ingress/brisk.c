/* SPDX-License-Identifier: Apache-2.0 */
#include "brisk.h"

#include "base/fault.h"
#include "base/map.h"

#include <stdlib.h>

enum { HOLDS_MS = 200 };

struct said {
    size_t together;
    struct mono at;
};

struct brisk {
    struct map tenants; /* tenant → struct said */
    int64_t store_ms;   /* the store's clock at `heard` */
    struct mono heard;
};

int brisk_new(struct brisk **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret != NULL ? ERR_OK : ERR_NOMEM;
}

void brisk_free(struct brisk *b)
{
    size_t cursor = 0;
    struct str name;
    void *value;

    if (b == NULL) {
        return;
    }
    while (map_next(&b->tenants, &cursor, &name, &value)) {
        free(value);
    }
    map_fini(&b->tenants);
    free(b);
}

static struct said *entry_of(struct brisk *b, struct str tenant)
{
    struct said *said = map_get(&b->tenants, tenant);

    if (said != NULL) {
        return said;
    }
    said = calloc(1, sizeof *said);
    if (said != NULL && map_put(&b->tenants, tenant, said) != ERR_OK) {
        free(said);
        said = NULL;
    }
    return said;
}

void brisk_note(struct brisk *b, struct str tenant, size_t together, int64_t store_ms,
                struct mono now)
{
    struct said *said = together > 0 ? entry_of(b, tenant) : map_get(&b->tenants, tenant);

    if (said != NULL) {
        *said = (struct said){.together = together, .at = now};
    }
    if (store_ms > 0) {
        b->store_ms = store_ms;
        b->heard = now;
    }
}

size_t brisk_together(const struct brisk *b, struct str tenant, struct mono now)
{
    const struct said *said = map_get(&b->tenants, tenant);
    bool is_fresh = said != NULL && mono_since_ms(said->at, now) < TUNED(brisk_ms, HOLDS_MS);

    return is_fresh ? said->together : 0;
}

int64_t brisk_store_ms(const struct brisk *b, struct mono now)
{
    return b->store_ms + mono_since_ms(b->heard, now);
}
