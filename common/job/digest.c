/* SPDX-License-Identifier: Apache-2.0 */
/* Digests that name things in the store. Parts are length-prefixed ("<bytes>:" before each), so
 * that no two lists of parts read as one text; a change of this form forgets every dedupe key. */
#include "base/panic.h"
#include "job/document.h"

#include <openssl/evp.h>

/* OpenSSL fails here without memory only. The callers have no error to give, and a wrong digest
 * would run one job in the place of another: stop instead.
 *
 * One context a thread, for good: to look the algorithm up anew takes as long as to digest a body
 * of 1 KiB. */
static EVP_MD_CTX *digest_begin(void)
{
    static _Thread_local EVP_MD_CTX *c;
    static _Thread_local EVP_MD *sha256;

    if (c == NULL) {
        c = EVP_MD_CTX_new();
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        CHECK(c != NULL && sha256 != NULL);
    }
    CHECK(EVP_DigestInit_ex(c, sha256, NULL) == 1);
    return c;
}

static void digest_end(EVP_MD_CTX *c, unsigned char out[32])
{
    unsigned int n = 0;

    CHECK(EVP_DigestFinal_ex(c, out, &n) == 1 && n == 32);
}

static void digest_part(EVP_MD_CTX *c, struct str part)
{
    char digits[STR_I64_SIZE];
    struct str length = str_from_i64((int64_t)part.n, digits);

    digits[length.n] = ':'; /* in the NUL's place */
    CHECK(EVP_DigestUpdate(c, digits, length.n + 1) == 1);
    CHECK(part.n == 0 || EVP_DigestUpdate(c, part.p, part.n) == 1);
}

static void print_hex(const unsigned char bytes[32], char out[65])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[64] = '\0';
}

static void digest_parts(const struct str *parts, size_t n, char out[65])
{
    EVP_MD_CTX *c = digest_begin();
    unsigned char bytes[32];

    for (size_t i = 0; i < n; i++) {
        digest_part(c, parts[i]);
    }
    digest_end(c, bytes);
    print_hex(bytes, out);
}

void job_key_digest(struct str caller, struct str key, char out[65])
{
    struct str parts[] = {caller, key};

    digest_parts(parts, 2, out);
}

void job_fingerprint(struct str method, struct str path, struct str body, char out[65])
{
    struct str parts[] = {method, path, body};

    digest_parts(parts, 3, out);
}

void job_sha256(struct str bytes, unsigned char out[32])
{
    EVP_MD_CTX *c = digest_begin();

    CHECK(bytes.n == 0 || EVP_DigestUpdate(c, bytes.p, bytes.n) == 1);
    digest_end(c, out);
}
