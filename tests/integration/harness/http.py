# SPDX-License-Identifier: Apache-2.0
import requests

# Functions of (response), called with every answer that a test sees: where the schema check hooks in.
AFTER_RESPONSE = []


def _after(response, *_args, **_kwargs):
    for check in AFTER_RESPONSE:
        check(response)
    return response


class _Strict(requests.adapters.HTTPAdapter):
    """A body shorter than its Content-Length is an error, which requests 2 does not say by itself."""

    def build_response(self, req, resp):
        resp.enforce_content_length = True
        return super().build_response(req, resp)


def new_session(pool=128):
    """A requests session that obeys no proxy variable and keeps its connections."""
    session = requests.Session()
    session.trust_env = False
    session.hooks["response"].append(_after)
    adapter = _Strict(pool_connections=16, pool_maxsize=pool)
    session.mount("http://", adapter)
    return session
