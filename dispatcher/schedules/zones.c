/* SPDX-License-Identifier: Apache-2.0 */
#include "zones.h"

void zones_fini(struct map *zones)
{
    size_t cursor = 0;
    struct str name;
    void *zone;

    while (map_next(zones, &cursor, &name, &zone)) {
        zone_free(zone);
    }
    map_fini(zones);
}

int zones_find(struct map *zones, const char *name, struct zone **ret)
{
    struct zone *z = map_get(zones, str_of(name));

    if (z != NULL) {
        *ret = z;
        return ERR_OK;
    }
    int rc = zone_load(name, &z);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = map_put(zones, str_of(name), z);
    if (rc != ERR_OK) {
        zone_free(z);
        return rc;
    }
    *ret = z;
    return ERR_OK;
}
