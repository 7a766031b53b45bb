# SPDX-License-Identifier: Apache-2.0
"""Tenants come, change and go without a restart; instances go out and come back."""
from signal import SIGHUP

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, together

DAEMONS = ("ingress", "worker-1", "dispatcher")


def configure(stack, tenants):
    stack.configure(lambda stack: config_of(stack, tenants))


def call_until(stack, path, status=200, timeout=20):
    """Repeats a call until it is answered so; in between only clear refusals are met."""
    def answered():
        answer = stack.call("POST", path, data=b"x")
        if answer.status_code >= 400:
            expect_problem(answer, answer.status_code)
        return [answer] if answer.status_code == status else None

    return wait_until(answered, timeout, f"{status} of {path}")[0]


@pytest.fixture
def stack(make_stack):
    return make_stack(lambda stack: config_of(stack, {"old": {}, "leaves": {}}))


@pytest.mark.parametrize("is_told", [True, False], ids=["by SIGHUP", "by the file alone"])
def test_a_tenant_comes_and_another_goes(stack, is_told):
    pids = {name: stack.pid(name) for name in DAEMONS}
    expect_problem(stack.call("POST", "/call/comes/x", data=b"x"), 404, "unknown_tenant")
    assert stack.call("POST", "/call/leaves/x", data=b"x").status_code == 200
    configure(stack, {"old": {}, "comes": {"apis": ["/declared"]}})
    if is_told:
        stack["dispatcher"].signal(SIGHUP)
    call_until(stack, "/call/comes/new")
    assert len(stack.receipts(path="/new")) == 1
    call_until(stack, "/declared/x")
    call_until(stack, "/call/leaves/x", 404)
    assert stack.call("POST", "/call/old/still", data=b"x").status_code == 200
    assert {name: stack.pid(name) for name in DAEMONS} == pids


def test_a_setting_changes(stack):
    answer = stack.call("POST", "/call/old/x", data=b"x")
    assert answer.status_code == 200
    configure(stack, {"old": {"idempotency": {"required": True}}, "leaves": {}})
    stack["dispatcher"].signal(SIGHUP)
    expect_problem(call_until(stack, "/call/old/x", 400), 400, "idempotency_key_required")


def test_a_wrong_file_changes_nothing(stack):
    before = stack.config_file.read_text()
    stack.config_file.write_text(before.replace("tenants:", "tenants: {old: {nonsense: 1}}\nnonsense:"))
    stack["dispatcher"].signal(SIGHUP)
    wait_until(lambda: stack.metric("sluice_config_reload_failures_total", "dispatcher") >= 1)
    assert stack.call("POST", "/call/old/x", data=b"x").status_code == 200
    configure(stack, {"old": {}, "leaves": {}, "next": {}})
    stack["dispatcher"].signal(SIGHUP)
    call_until(stack, "/call/next/x")


def test_an_instance_is_added_and_taken_away_under_traffic(make_stack):
    def config(*names):
        return lambda stack: config_of(stack, {"pool": {"instances": [
            {"name": n, "url": stack.processes[n].url} for n in names]}})

    stack = make_stack(config("sample-1"), start=False)
    stack.add_tenant("sample-2")
    stack.start()

    def served():
        answers = together(4, lambda n: stack.call("POST", "/call/pool/x", data=b"x"), range(8))
        assert {a.status_code for a in answers} == {200}
        return {a.headers["X-Instance"] for a in answers}

    assert served() == {"sample-1"}
    stack.configure(config("sample-1", "sample-2"))
    wait_until(lambda: served() == {"sample-1", "sample-2"}, 20)
    stack.configure(config("sample-2"))
    wait_until(lambda: served() == {"sample-2"}, 20)


@pytest.fixture(scope="module")
def pair(make_module_stack):
    def config(stack):
        polling = {"method": "health", "endpoint": "/health", "frequency": 1, "retries": 1, "retry_delay": 0.2}
        return config_of(stack, {"pair": {"polling": polling, "instances": [
            {"name": n, "url": stack.processes[n].url} for n in ("sample-1", "sample-2")]}})

    stack = make_module_stack(config, start=False)
    stack.add_tenant("sample-2")
    return stack.start()


def served_by(stack):
    answers = [stack.call("POST", "/call/pair/x", data=b"x") for _ in range(6)]
    assert {a.status_code for a in answers} == {200}
    return {a.headers["X-Instance"] for a in answers}


@pytest.mark.parametrize("out, back", [({"health": 503}, {"health": 200}), ({"pause": 1}, {"pause": 0}),
                                       ({"refuse": 1}, {"refuse": 0})], ids=["sick", "hanging", "refusing"])
@pytest.mark.timeout_s(90)
def test_a_poll_takes_an_instance_out_and_brings_it_back(pair, out, back):
    wait_until(lambda: served_by(pair) == {"sample-1", "sample-2"}, 30)
    pair.processes["sample-2"].control(**out)
    try:
        wait_until(lambda: pair.metric("sluice_instance_up", "dispatcher", instance="sample-2") == 0, 30)
        assert served_by(pair) == {"sample-1"}
    finally:
        pair.processes["sample-2"].control(**back)
    wait_until(lambda: served_by(pair) == {"sample-1", "sample-2"}, 30)
    wait_until(lambda: pair.metric("sluice_instance_up", "dispatcher", instance="sample-2") == 1, 10)


def test_the_dispatcher_shows_it_all(pair):
    health = pair.ask("/health")
    assert health.status_code == 200
    wait_until(lambda: "pair" in pair.ask("/v1/scale").json()["tenants"], 10)
    scale = pair.ask("/v1/scale").json()
    assert {"queued", "running", "capacity", "runnable", "oldest_s", "desired_workers", "tenants"} <= set(scale)
    assert pair.ask("/stats").status_code == 200
