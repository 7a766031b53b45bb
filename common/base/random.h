/* SPDX-License-Identifier: Apache-2.0 */
/* random — from the kernel (getrandom); panics if the kernel has none. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *to, size_t n);
uint64_t random_u64(void);
/* In [0, 1). */
double random_unit(void);

/* A fresh 64-bit token: 16 lower-case hexadecimal digits. */
enum { RANDOM_TOKEN_SIZE = 17 };
void random_token(char out[RANDOM_TOKEN_SIZE]);

/* A fresh 130-bit name: 26 characters of lower-case base32 (RFC 4648), NUL-terminated. */
enum { RANDOM_NAME_SIZE = 27 };
void random_name(char out[RANDOM_NAME_SIZE]);
/* The same name for the same 17 bytes or more of a digest. */
void random_name_of(const unsigned char *digest, char out[RANDOM_NAME_SIZE]);
