/* SPDX-License-Identifier: Apache-2.0 */
#include "job/id.h"

#include "base/chars.h"

enum { NAME_LENGTH = RANDOM_NAME_SIZE - 1 };

bool job_id_parse(struct str text, struct job_id *ret)
{
    if (text.n < NAME_LENGTH + 2 || text.n > JOB_ID_SIZE - 1 ||
        text.p[text.n - NAME_LENGTH - 1] != '.') {
        return false;
    }
    struct str tenant = {text.p, text.n - NAME_LENGTH - 1};
    struct str name = {text.p + text.n - NAME_LENGTH, NAME_LENGTH};
    if (!chars_all(tenant, CHARS_TENANT) || !chars_all(name, CHARS_NAME)) {
        return false;
    }
    ret->tenant = tenant;
    ret->name = name;
    return true;
}

void job_id_print(struct str tenant, const char *name, char out[JOB_ID_SIZE])
{
    size_t n = str_put(tenant, out, JOB_ID_SIZE, 0);

    n = str_put(STR("."), out, JOB_ID_SIZE, n);
    (void)str_put(str_of(name), out, JOB_ID_SIZE, n);
}
