/* SPDX-License-Identifier: Apache-2.0 */
#include "brisk.h"

#include "base/fault.h"
#include "base/map.h"

#include <stdlib.h>

enum { HOLDS_MS = 200 };

struct brisk {
    struct map tenants; /* tenant → struct mono, when it was last said to be brisk */
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

static struct mono *entry_of(struct brisk *b, struct str tenant)
{
    struct mono *said = map_get(&b->tenants, tenant);

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

void brisk_note(struct brisk *b, struct str tenant, bool is_brisk, int64_t store_ms,
                struct mono now)
{
    struct mono *said = is_brisk ? entry_of(b, tenant) : map_get(&b->tenants, tenant);

    if (said != NULL) {
        *said = is_brisk ? now : (struct mono){0};
    }
    if (store_ms > 0) { /* a store that is new says no time */
        b->store_ms = store_ms;
        b->heard = now;
    }
}

bool brisk_is(const struct brisk *b, struct str tenant, struct mono now)
{
    const struct mono *said = map_get(&b->tenants, tenant);

    return said != NULL && said->ns != 0 && mono_since_ms(*said, now) < TUNED(brisk_ms, HOLDS_MS);
}

int64_t brisk_store_ms(const struct brisk *b, struct mono now)
{
    return b->store_ms + mono_since_ms(b->heard, now);
}
