/* SPDX-License-Identifier: Apache-2.0 */
#include "per_key.h"

#include "job/document.h"
#include "job/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool header_of(struct str head, struct str name, struct str *ret)
{
    while (head.n > 0) {
        const char *end = memchr(head.p, '\n', head.n);
        size_t n = end == NULL ? head.n : (size_t)(end - head.p);
        if (n > name.n && head.p[name.n] == ':' && strncasecmp(head.p, name.p, name.n) == 0) {
            *ret = json_trim((struct str){head.p + name.n + 1, n - name.n - 1});
            return true;
        }
        n += end == NULL ? 0 : 1;
        head = (struct str){head.p + n, head.n - n};
    }
    return false;
}

static bool label_of(struct str labels, struct str name, struct str *ret)
{
    struct str rest = labels.n > 0 ? json_members(labels) : labels;
    struct str label;

    while (json_next(&rest, &label, ret)) {
        if (json_string_is(label, name)) {
            return true;
        }
    }
    return false;
}

bool per_key_of(const struct tenant *t, const struct job_message *m, char out[PER_KEY_SIZE])
{
    unsigned char digest[32];
    struct str value;

    if (!t->per_key.is_set) {
        return false;
    }
    if (t->per_key.header != NULL ? !header_of(m->head, str_of(t->per_key.header), &value)
                                  : !label_of(m->labels, str_of(t->per_key.label), &value)) {
        return false;
    }
    job_sha256(value, digest);
    for (size_t i = 0; i < (PER_KEY_SIZE - 1) / 2; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
    return true;
}
