/* SPDX-License-Identifier: Apache-2.0 */
#include "openapi.h"

#include "openapi_text.h"

void openapi_answer(struct httpd_req *r)
{
    struct httpd_answer a = {.status = 200,
                             .content_type = "application/json",
                             .body = {(const char *)openapi_text, sizeof openapi_text}};

    httpd_answer(r, &a);
}
