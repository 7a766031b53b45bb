# SPDX-License-Identifier: Apache-2.0
"""API keys: scopes, tenants, and what becomes of the key itself."""
import hashlib

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem

TOKENS = {name: f"sluice-token-of-{name}" for name in ("all", "submit", "read", "admin", "other", "free")}
SCOPES = {"all": ["submit", "read", "admin"], "submit": ["submit"], "read": ["read"], "admin": ["admin"],
          "other": ["submit", "read", "admin"], "free": ["submit", "read"]}
TENANTS = {"all": ["erp"], "submit": ["erp"], "read": ["erp"], "admin": ["erp"], "other": ["crm"]}


def key(name):
    digest = hashlib.sha256(TOKENS[name].encode()).hexdigest()
    entry = {"name": name, "hash": f"sha256:{digest}", "scopes": SCOPES[name]}
    return {**entry, "tenants": TENANTS[name]} if name in TENANTS else entry


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(
        stack, {"erp": {"in_doubt": {"policy": "hold"}}, "crm": {}}, keys=[key(name) for name in TOKENS]))


def bearer(name):
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def headers_at_tenant(answer):
    return {name.lower(): value for name, value in answer.json()["headers"]}


@pytest.mark.parametrize("method, path", [
    ("POST", "/call/erp/x"), ("GET", "/call/erp/x"), ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa"), ("DELETE", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("POST", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa/retry")])
def test_without_a_key_or_with_a_wrong_one(stack, method, path):
    document = '{"tenant": "erp", "request": {"path": "/x"}}' if path == "/v1/jobs" else None
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Sluice-Key": "wrong"},
                    {"Authorization": "Basic eDp5"}, {"Authorization": TOKENS["all"]},
                    {"Authorization": "Bearer "}, {"Sluice-Key": hashlib.sha256(b"x").hexdigest()}):
        answer = stack.call(method, path, data=document, headers=headers)
        expect_problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert stack.receipts(path="/x") == []


def test_probes_need_no_key(stack):
    for path in ("/livez", "/readyz", "/metrics"):
        assert stack.call("GET", path).status_code == 200


@pytest.mark.parametrize("name, status", [("all", 200), ("submit", 200), ("free", 200), ("read", 403),
                                          ("admin", 403), ("other", 403)])
def test_who_may_call(stack, name, status):
    answer = stack.call("POST", f"/call/erp/who/{name}", data=b"x", headers=bearer(name))
    assert answer.status_code == status
    if status != 200:
        expect_problem(answer, 403, "forbidden")
    assert len(stack.receipts(path=f"/who/{name}")) == (status == 200)
    job = stack.submit(f"/who-job/{name}", "erp", headers=bearer(name))
    assert job.status_code == (202 if status == 200 else 403)


@pytest.fixture(scope="module")
def job(stack):
    return stack.submit("/mine?drop=1", "erp", headers=bearer("submit")).json()["id"]


@pytest.mark.parametrize("name, status", [("all", 200), ("read", 200), ("free", 200), ("submit", 404),
                                          ("admin", 404), ("other", 404)])
def test_who_may_read(stack, job, name, status):
    """To others a job is not there: that it exists is nobody else's knowledge."""
    answer = stack.call("GET", f"/v1/jobs/{job}", headers=bearer(name))
    assert answer.status_code in ((200,) if status == 200 else (403, 404))
    if name == "other":
        expect_problem(answer, 404, "unknown_job")
        expect_problem(stack.call("GET", f"/v1/jobs/{job}/result", headers=bearer(name)), 404, "unknown_job")


@pytest.mark.parametrize("name, status", [("read", 403), ("submit", 403), ("other", 403), ("admin", 200)])
def test_who_may_settle(stack, job, name, status):
    wait_until(lambda: stack.call("GET", f"/v1/jobs/{job}", headers=bearer("read")).json()["state"] in
               ("in_doubt", "failed"))
    answer = stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": "failed"}, headers=bearer(name))
    assert answer.status_code in ((200,) if status == 200 else (403, 404)), answer.text


def test_who_may_cancel(stack):
    job = stack.submit("/cancel", "erp", delay_s=60, headers=bearer("submit")).json()["id"]
    for name in ("read", "other"):
        assert stack.call("DELETE", f"/v1/jobs/{job}", headers=bearer(name)).status_code in (403, 404)
    assert stack.call("DELETE", f"/v1/jobs/{job}", headers=bearer("submit")).status_code == 200


def test_an_unknown_tenant_is_no_secret_of_those_who_may_ask_for_all(stack):
    expect_problem(stack.call("GET", "/call/nobody/x", headers=bearer("free")), 404, "unknown_tenant")
    expect_problem(stack.call("GET", "/call/nobody/x", headers=bearer("all")), 403, "forbidden")


def test_the_key_that_matched_is_not_forwarded(stack):
    sent = headers_at_tenant(stack.call("POST", "/call/erp/headers", headers=bearer("all")))
    assert "authorization" not in sent and "sluice-key" not in sent
    sent = headers_at_tenant(stack.call(
        "POST", "/call/erp/headers", headers={"Sluice-Key": TOKENS["all"], "Authorization": "Bearer theirs"}))
    assert sent["authorization"] == "Bearer theirs" and "sluice-key" not in sent
    # Both at once: one of them matched by Sluice-Key, the other is the tenant's own, whatever it is.
    answer = stack.call("POST", "/call/erp/headers",
                        headers={"Sluice-Key": TOKENS["all"], "Authorization": "Basic eDp5"})
    assert headers_at_tenant(answer)["authorization"] == "Basic eDp5"


def test_no_token_is_kept_anywhere(stack):
    stack.call("POST", "/call/erp/kept", data=b"x", headers=bearer("all"))
    stack.submit("/kept", "erp", delay_s=60, headers={"Sluice-Key": TOKENS["submit"]})
    for path in stack.directory.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert not any(token.encode() in text for token in TOKENS.values()), path


def test_keys_name_dedupe_keys_apart(stack):
    """(tenant, caller, value): another caller's key is another key."""
    def send(name):
        return stack.submit("/apart", "erp", headers={**bearer(name), "Idempotency-Key": "same"}).json()["id"]

    assert send("all") != send("free")
