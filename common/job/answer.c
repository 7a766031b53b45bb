/* SPDX-License-Identifier: Apache-2.0 */
#include "job/answer.h"

void job_answer_pack(const struct job_answer *a, struct buf *ret)
{
    (void)buf_reserve(ret, STR_I64_SIZE + a->head.n + a->body.n + 3);
    buf_i64(ret, a->status);
    buf_char(ret, '\n');
    buf_str(ret, a->head);
    buf_text(ret, "\r\n");
    buf_str(ret, a->body);
}

bool job_head_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    const char *end = rest->n >= 2 ? memmem(rest->p, rest->n, "\r\n", 2) : NULL;

    if (end == NULL || end == rest->p) {
        return false;
    }
    struct str line = {rest->p, (size_t)(end - rest->p)};
    *rest = (struct str){end + 2, rest->n - line.n - 2};
    if (!str_cut(&line, ':', ret_name)) {
        return false;
    }
    *ret_value = line.p == NULL ? (struct str){"", 0} : str_trim(line);
    return true;
}

int job_answer_unpack(struct str packed, struct job_answer *ret)
{
    struct str line;
    uint64_t status;
    struct str name;
    struct str value;

    if (!str_cut(&packed, '\n', &line) || packed.p == NULL ||
        str_to_u64(line, 999, &status) != ERR_OK) {
        return ERR_SYNTAX;
    }
    struct str rest = packed;
    while (job_head_next(&rest, &name, &value)) {
    }
    if (rest.n < 2 || memcmp(rest.p, "\r\n", 2) != 0) {
        return ERR_SYNTAX;
    }
    ret->status = (int)status;
    ret->head = (struct str){packed.p, packed.n - rest.n};
    ret->body = (struct str){rest.p + 2, rest.n - 2};
    return ERR_OK;
}
