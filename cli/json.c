/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <cjson/cJSON.h>

struct cJSON *json_parse(struct str text)
{
    const char *end = NULL;

    /* cJSON ends at a NUL byte and would take what stands before it for the whole. */
    if (text.n == 0 || memchr(text.p, 0, text.n) != NULL || !str_is_utf8(text)) {
        return NULL;
    }
    cJSON *tree = cJSON_ParseWithLengthOpts(text.p, text.n, &end, 0);
    if (tree == NULL) {
        return NULL;
    }
    for (; end < text.p + text.n; end++) {
        if (strchr(" \t\r\n", *end) == NULL) {
            cJSON_Delete(tree);
            return NULL;
        }
    }
    return tree;
}

void json_free(struct cJSON *tree)
{
    cJSON_Delete(tree);
}

const struct cJSON *json_get(const struct cJSON *tree, const char *name)
{
    return tree == NULL ? NULL : cJSON_GetObjectItemCaseSensitive(tree, name);
}

struct str json_text(const struct cJSON *tree, const char *name)
{
    const cJSON *member = json_get(tree, name);

    return cJSON_IsString(member) ? str_of(member->valuestring) : (struct str){"", 0};
}

bool json_number(const struct cJSON *tree, const char *name, double *ret)
{
    const cJSON *member = json_get(tree, name);

    if (!cJSON_IsNumber(member)) {
        return false;
    }
    *ret = member->valuedouble;
    return true;
}
