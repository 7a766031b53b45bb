# SPDX-License-Identifier: Apache-2.0
"""The registry over HTTP, end to end: tenants and instances are put, drained, removed, paused while traffic runs; two dispatchers;
what is kept of it, and put back by a person's word."""
import hashlib
import threading
import time
from signal import SIGHUP

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem

FIRST_CALL_S = 5  # the promise is two seconds; a loaded machine of two cores gets more


class Registry:
    """Requests to a dispatcher of the stack."""

    def __init__(self, stack, dispatcher="dispatcher", key=None):
        self.stack = stack
        self.name = dispatcher
        self.headers = {"Sluice-Key": key} if key else {}

    def ask(self, method, path, status=None, **options):
        answer = self.stack.http.request(method, self.stack[self.name].url + path, headers=self.headers, timeout=20, **options)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def put(self, tenant, document, status=200):
        return self.ask("PUT", f"/v1/tenants/{tenant}", status, json=document).json()

    def get(self, tenant):
        return self.ask("GET", f"/v1/tenants/{tenant}", 200).json()

    def add(self, tenant, instance, status=201, **document):
        return self.ask("PUT", f"/v1/tenants/{tenant}/instances/{instance}", status, json=document).json()

    def drain(self, tenant, instance):
        return self.ask("POST", f"/v1/tenants/{tenant}/instances/{instance}/drain", 200).json()

    def remove(self, tenant, instance):
        self.ask("DELETE", f"/v1/tenants/{tenant}/instances/{instance}", 204)

    def pause(self, tenant, note=None):
        return self.ask("POST", f"/v1/tenants/{tenant}/pause", 200, json={"note": note}).json()

    def resume(self, tenant):
        return self.ask("POST", f"/v1/tenants/{tenant}/resume", 200).json()


def submit(stack, tenant, n, path="/x?sleep_ms=20", **job):
    ids = []
    for _ in range(n):
        answer = stack.submit(path, tenant=tenant, **job)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    return ids


def all_succeed(stack, ids, timeout=60):
    for job in ids:
        assert stack.wait_job(job, timeout=timeout)["state"] == "succeeded"


def calls_of(stack, instance):
    return [r for r in stack.receipts() if r["instance"] == instance]


@pytest.fixture(scope="module")
def stack(make_module_stack):
    stack = make_module_stack(lambda stack: config_of(stack, {"filed": {}, "busy": {}}), start=False, dispatchers=2)
    for name in ("sample-2", "sample-3"):
        stack.add_tenant(name)
    return stack.start()


@pytest.fixture(scope="module")
def registry(stack):
    return Registry(stack)


@pytest.fixture(scope="module")
def second(stack):
    return Registry(stack, "dispatcher-2")


def instance(stack, name="sample-1", **more):
    return {"name": name, "url": stack[name].url, **more}


# --- tenants ---


def test_a_tenant_comes_changes_and_goes(stack, registry):
    expect_problem(registry.ask("GET", "/v1/tenants/come"), 404, "unknown_tenant")
    put = registry.put("come", {"instances": [instance(stack)], "concurrency": 3}, status=201)
    assert put["source"] == "http" and put["settings"]["concurrency"] == 3 and put["capacity"] == 3
    assert stack.call("POST", "/call/come/x", data=b"x").status_code == 200
    put = registry.put("come", {"instances": [instance(stack)], "concurrency": 4})
    assert put["settings"]["concurrency"] == 4 and registry.get("come")["settings"] == put["settings"]
    assert registry.ask("GET", "/v1/tenants").json()["tenants"]["come"]["capacity"] == 4
    registry.ask("DELETE", "/v1/tenants/come", 204)
    expect_problem(registry.ask("GET", "/v1/tenants/come"), 404, "unknown_tenant")
    expect_problem(registry.ask("DELETE", "/v1/tenants/come"), 404, "unknown_tenant")
    wait_until(lambda: stack.call("POST", "/call/come/x", data=b"x").status_code == 404, 5)


def test_what_is_put_replaces_the_files_until_it_is_deleted(stack, registry):
    assert registry.get("filed")["source"] == "file"
    expect_problem(registry.ask("DELETE", "/v1/tenants/filed"), 409, "owned_by_file")
    put = registry.put("filed", {"instances": [instance(stack)], "idempotency": {"required": True}})
    assert put["source"] == "http"
    stack["dispatcher"].signal(SIGHUP)
    stack["dispatcher-2"].signal(SIGHUP)
    wait_until(lambda: stack.call("POST", "/call/filed/x", data=b"x").status_code == 400, 5)
    back = registry.ask("DELETE", "/v1/tenants/filed", 200).json()
    assert back["source"] == "file"
    wait_until(lambda: stack.call("POST", "/call/filed/x", data=b"x").status_code == 200, 5)
