/* SPDX-License-Identifier: Apache-2.0 */
#include "ease.h"

enum { PART = 4, MOST_S = 60 };

int ease_off_s(int64_t wait_ms, int64_t before_ms, int64_t deadline_ms)
{
    int64_t over_ms = wait_ms - deadline_ms / PART;

    if (over_ms <= 0 || wait_ms * 5 < before_ms * 6) {
        return 0;
    }
    int64_t s = (over_ms + 999) / 1000;
    return s < MOST_S ? (int)s : MOST_S;
}
