/* SPDX-License-Identifier: Apache-2.0 */
#include "fair.h"

#include "bus/topology.h"
#include "job/answer.h"

/* FNV-1a, 32 bits: short, and its low bits are well mixed after the fold below. */
static uint32_t hash_of(struct str s)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 16777619U;
    }
    return h ^ h >> 16;
}

struct str fair_lane(const char *fair_by, struct str value, struct str caller)
{
    static const char digits[] = "01234567";

    if (fair_by == NULL) {
        return (struct str){NULL, 0};
    }
    uint32_t lane = hash_of(value.p != NULL ? value : caller) % TOPOLOGY_LANES;
    return (struct str){digits + lane, 1};
}

struct str fair_value(struct str head, const char *name)
{
    struct str field;
    struct str value;

    while (name != NULL && job_head_next(&head, &field, &value)) {
        if (str_is_nocase(field, str_of(name))) {
            return value;
        }
    }
    return (struct str){NULL, 0};
}
