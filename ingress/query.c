/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int decode(struct str s, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            buf_char(out, s.p[i] == '+' ? ' ' : s.p[i]);
            continue;
        }
        int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
        int low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return ERR_SYNTAX;
        }
        buf_char(out, (char)(high * 16 + low));
        i += 2;
    }
    return buf_failed(out) ? ERR_NOMEM : ERR_OK;
}

int query_next(struct str *rest, struct buf *ret_name, struct buf *ret_value)
{
    struct str piece = {"", 0};
    struct str name = {"", 0};

    while (piece.n == 0) {
        if (!str_cut(rest, '&', &piece)) {
            return ERR_MISSING;
        }
    }
    (void)str_cut(&piece, '=', &name);
    int rc = decode(name, ret_name);
    return rc == ERR_OK ? decode(piece, ret_value) : rc;
}
