/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/panic.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* A system call for each 8 bytes would cost more than the 8 bytes are worth. */
static unsigned char pool[512];
static size_t pool_left;

static void fill(void *to, size_t n)
{
    unsigned char *p = to;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            PANIC("getrandom: errno %d", errno);
        }
        p += got;
        n -= (size_t)got;
    }
}

void random_bytes(void *to, size_t n)
{
    if (n > sizeof pool) {
        fill(to, n);
        return;
    }
    if (pool_left < n) {
        fill(pool, sizeof pool);
        pool_left = sizeof pool;
    }
    pool_left -= n;
    memcpy(to, pool + pool_left, n);
    memset(pool + pool_left, 0, n);
}

uint64_t random_u64(void)
{
    uint64_t value;

    random_bytes(&value, sizeof value);
    return value;
}

double random_unit(void)
{
    return (double)(random_u64() >> 11) / 9007199254740992.0;
}

void random_token(char out[RANDOM_TOKEN_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = random_u64();

    for (int i = 0; i < RANDOM_TOKEN_SIZE - 1; i++) {
        out[i] = digits[bits & 15u];
        bits >>= 4;
    }
    out[RANDOM_TOKEN_SIZE - 1] = '\0';
}

void random_name_of(const unsigned char *digest, char out[RANDOM_NAME_SIZE])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned int bits = 0;
    int n_bits = 0;

    for (int i = 0; i < RANDOM_NAME_SIZE - 1; i++) {
        if (n_bits < 5) {
            bits = (bits << 8) | *digest++;
            n_bits += 8;
        }
        n_bits -= 5;
        out[i] = alphabet[(bits >> n_bits) & 31u];
    }
    out[RANDOM_NAME_SIZE - 1] = '\0';
}

void random_name(char out[RANDOM_NAME_SIZE])
{
    unsigned char bytes[17];

    random_bytes(bytes, sizeof bytes);
    random_name_of(bytes, out);
}
