/* SPDX-License-Identifier: Apache-2.0 */
#include "job/complete_token.h"

#include "job/document.h"

#include <stdio.h>

enum { DIGITS = 32, TEXT_SIZE = 256 };

void job_complete_token(struct str id, uint32_t number, struct str fence,
                        char ret[JOB_COMPLETE_TOKEN_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char text[TEXT_SIZE];
    unsigned char sum[32];

    (void)snprintf(text, sizeof text, "complete:%.*s:%u:%.*s", STR_ARG(id), number, STR_ARG(fence));
    job_sha256(str_of(text), sum);
    int n = snprintf(ret, JOB_COMPLETE_TOKEN_SIZE, "%u.", number);
    for (size_t i = 0; i < DIGITS / 2; i++) {
        ret[n++] = digits[sum[i] >> 4];
        ret[n++] = digits[sum[i] & 15];
    }
    ret[n] = '\0';
}
