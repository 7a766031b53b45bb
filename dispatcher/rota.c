/* SPDX-License-Identifier: Apache-2.0 */
#include "rota.h"

size_t rota_share(size_t n)
{
    size_t share = (n + ROTA_ROUNDS - 1) / ROTA_ROUNDS;

    return share > ROTA_LEAST ? share : ROTA_LEAST;
}

void rota_begin(struct rota *r, const struct registry *tenants, size_t most)
{
    size_t n = registry_size(tenants);

    r->left = most < n ? most : n;
}

bool rota_next(struct rota *r, const struct registry *tenants, struct registry_entry **ret)
{
    if (r->left == 0) {
        return false;
    }
    r->left--;
    if (registry_next(tenants, &r->cursor, ret)) {
        return true;
    }
    r->cursor = 0; /* round and round */
    return registry_next(tenants, &r->cursor, ret);
}
