/* SPDX-License-Identifier: Apache-2.0 */
/* chars — what a text may consist of. */
#pragma once

#include "base/str.h"

enum chars {
    CHARS_TOKEN = 1,  /* RFC 9110, section 5.6.2: methods and field names */
    CHARS_FIELD = 2,  /* of a field's value: no control characters but tab, no DEL */
    CHARS_TENANT = 4, /* a-z, 0-9, '_', '-' */
    CHARS_NAME = 8    /* base32 in lower case (RFC 4648): a-z, 2-7 */
};

/* Every byte is one of `kind`; so is nothing. */
bool chars_all(struct str s, enum chars kind);
