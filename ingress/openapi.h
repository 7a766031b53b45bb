/* SPDX-License-Identifier: Apache-2.0 */
/* openapi — schemas/openapi.json, as it was when this binary was built. */
#pragma once

#include "httpd/httpd.h"

void openapi_answer(struct httpd_req *r);
