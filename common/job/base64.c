/* SPDX-License-Identifier: Apache-2.0 */
#include "job/base64.h"

static int32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, of which the last `n_pad` are padding. Unused bits must be zero: two texts of
 * the same bytes would be two ways to say one thing. */
static int decode_group(const char *text, size_t n_pad, char *out)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4 - n_pad; i++) {
        int32_t value = value_of(text[i]);
        if (value < 0) {
            return ERR_SYNTAX;
        }
        bits |= (uint32_t)value << (18 - 6 * i);
    }
    for (size_t i = 0; i < 3 - n_pad; i++) {
        out[i] = (char)(bits >> (16 - 8 * i));
    }
    return (bits & ((1U << (8 * n_pad)) - 1)) == 0 ? ERR_OK : ERR_SYNTAX;
}

static size_t padding_of(struct str text)
{
    if (text.n < 4 || text.p[text.n - 1] != '=') {
        return 0;
    }
    return text.p[text.n - 2] == '=' ? 2 : 1;
}

int base64_decode(struct str text, struct buf *out)
{
    size_t n_pad = padding_of(text);

    if (text.n % 4 != 0) {
        return ERR_SYNTAX;
    }
    char *to = buf_reserve(out, text.n / 4 * 3);
    if (to == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < text.n; i += 4) {
        size_t n = i + 4 == text.n ? n_pad : 0;
        int rc = decode_group(text.p + i, n, out->p + out->n);
        if (rc != ERR_OK) {
            return rc;
        }
        out->n += 3 - n;
    }
    out->p[out->n] = '\0';
    return ERR_OK;
}
