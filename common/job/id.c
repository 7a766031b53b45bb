/* SPDX-License-Identifier: Apache-2.0 */
#include "job/id.h"

#include <stdio.h>

enum { NAME_LENGTH = RANDOM_NAME_SIZE - 1 };

static bool is_tenant_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
}

static bool all(struct str s, bool (*is)(char))
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

bool job_id_parse(struct str text, struct job_id *ret)
{
    if (text.n < NAME_LENGTH + 2 || text.n > JOB_ID_SIZE - 1 ||
        text.p[text.n - NAME_LENGTH - 1] != '.') {
        return false;
    }
    struct str tenant = {text.p, text.n - NAME_LENGTH - 1};
    struct str name = {text.p + text.n - NAME_LENGTH, NAME_LENGTH};
    if (!all(tenant, is_tenant_char) || !all(name, is_name_char)) {
        return false;
    }
    ret->tenant = tenant;
    ret->name = name;
    return true;
}

void job_id_print(struct str tenant, const char *name, char out[JOB_ID_SIZE])
{
    (void)snprintf(out, JOB_ID_SIZE, "%.*s.%s", STR_ARG(tenant), name);
}
