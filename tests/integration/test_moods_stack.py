# SPDX-License-Identifier: Apache-2.0
"""Cooling down, breakers and adaptive limits in the whole product: what one instance says is heard by all workers, goes
elsewhere uncounted, is shown by the dispatcher, and outlives workers."""
import time
from datetime import datetime, timezone

import pytest

from harness import wait_until
from harness.load import config_of, quiet, start, together

BREAKER = {"failure_ratio": 0.5, "minimum_calls": 4, "window_s": 60, "open_s": 3, "probes": 1}
ONCE = {"max_attempts": 1}


@pytest.fixture(scope="module")
def stack(make_module_stack):
    def config(stack):
        one = [{"name": "sample-1", "url": stack.tenant.url}]
        both = [{"name": n, "url": stack.processes[n].url} for n in ("sample-1", "sample-2")]
        return config_of(stack, {
            "pair": {"instances": both, "retry": ONCE},
            "single": {"instances": one, "retry": ONCE},
            "whole": {"instances": both, "retry": ONCE, "cooldown": "tenant"},
            "brittle": {"instances": both, "retry": ONCE, "breaker": BREAKER},
            "weak": {"instances": one, "retry": ONCE, "breaker": BREAKER},
            "found": {"instances": one, "adaptive": {"enabled": True, "minimum": 1, "maximum": 100},
                      "retry": {"max_attempts": 50, "initial_s": 0.05, "max_s": 0.1}}})

    stack = make_module_stack(config, start=False, workers=2)
    stack.add_tenant("sample-2")
    return stack.start()


@pytest.fixture(autouse=True)
def calm(stack):
    """What a test leaves behind in the instances' moods is no other test's."""
    yield
    for process in (stack.tenant, stack.processes["sample-2"]):
        process.control(status=0, retry_after=0, capacity=0)
    store = stack.redis
    for tenant in ("pair", "single", "whole", "brittle", "weak", "found"):
        for field in store.hkeys(f"{{{tenant}}}:t"):
            if field.startswith(("cool", "br:", "ad:")):
                store.hdel(f"{{{tenant}}}:t", field)


def shown(stack, tenant, instance="sample-1"):
    return stack.ask(f"/v1/tenants/{tenant}").json()["instances"][instance]


def until(instance):
    return datetime.fromisoformat(instance["cooling_until"].replace("Z", "+00:00")) - datetime.now(timezone.utc)


def test_a_job_that_an_instance_refuses_goes_to_the_other_uncounted(stack):
    """One attempt is all that it has."""
    stack.tenant.control(status=503, retry_after=600)
    jobs = [stack.submit(f"/elsewhere/{n}", "pair").json()["id"] for n in range(6)]
    records = [stack.wait_job(job, timeout=30) for job in jobs]
    assert {r["state"] for r in records} == {"succeeded"}
    refused = [r for r in records if len(r["attempts"]) == 2]
    assert refused and all([a["status"] for a in r["attempts"]] == [503, 200] for r in refused)
    assert len(refused) <= 4, "it was left alone once it had said so"
    wait_until(lambda: shown(stack, "pair")["cooling_until"], 10)
    assert 500 < until(shown(stack, "pair")).total_seconds() <= 600
    assert shown(stack, "pair", "sample-2")["cooling_until"] is None
    seen = len(stack.receipts())
    together(4, lambda n: stack.submit(f"/later/{n}", "pair"), range(20))
    wait_until(lambda: len(stack.receipts()) >= seen + 20, 30)
    assert {r["instance"] for r in stack.receipts() if r["path"].startswith("/later/")} == {"sample-2"}
    quiet(stack)


def test_a_callers_call_goes_to_the_other_instance(stack):
    stack.tenant.control(status=429, retry_after=600)
    answers = [stack.call("POST", "/call/pair/called", data=b"x") for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    assert sorted(a.headers["Sluice-Attempts"] for a in answers) in (["1", "1"], ["1", "2"])


def test_a_caller_whose_wait_does_not_fit_gets_the_answer(stack):
    stack.tenant.control(status=503, retry_after=600)
    answer = stack.call("POST", "/call/single/refused", data=b"x")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "600")
    assert "x-instance" in answer.headers


def test_all_that_cool_are_waited_for(stack):
    job = stack.submit("/fail/waited?fail_times=1&status=503&retry_after=3", "single").json()["id"]
    wait_until(lambda: stack.job(job)["state"] == "waiting", 10)
    after = stack.submit("/after", "single").json()["id"]
    record = stack.wait_job(job, timeout=30)
    assert (record["state"], [a["status"] for a in record["attempts"]]) == ("succeeded", [503, 200])
    assert stack.wait_job(after, timeout=30)["state"] == "succeeded"
    first, again = stack.receipts(job=job)
    assert again["time"] - first["time"] >= 3000
    assert stack.receipts(job=after)[0]["time"] - first["time"] >= 3000, "the other job waits for it, too"


def test_what_is_left_of_a_quota_is_heeded(stack):
    """Also from a success."""
    header = "RateLimit:%20%22default%22;r=0;t=3"
    first = stack.call("POST", f"/call/single/quota?header={header}", data=b"x")
    assert first.status_code == 200 and first.headers["RateLimit"] == '"default";r=0;t=3'
    began = time.monotonic()
    assert stack.call("POST", "/call/single/next", data=b"x", timeout=30).status_code == 200
    assert time.monotonic() - began >= 2


def test_a_whole_tenant_cools(stack):
    job = stack.submit("/fail/whole?fail_times=1&status=503&retry_after=3", "whole").json()["id"]
    wait_until(lambda: stack.job(job)["state"] == "waiting", 10)
    wait_until(lambda: shown(stack, "whole", "sample-2")["cooling_until"] and shown(stack, "whole")["cooling_until"], 10)
    record = stack.wait_job(job, timeout=30)
    assert record["state"] == "succeeded"
    times = [r["time"] for r in stack.receipts(job=job)]  # each instance fails once
    assert len(times) in (2, 3)
    assert all(later - earlier >= 3000 for earlier, later in zip(times, times[1:])), times


def state_of(stack, tenant, instance="sample-1"):
    return shown(stack, tenant, instance)["breaker"]


def metric_of(stack, tenant):
    return stack.metric("sluice_breaker_state", "dispatcher", tenant=tenant, instance="sample-1")


@pytest.mark.timeout_s(90)
def test_a_breaker_opens_lets_a_probe_through_and_closes(stack):
    assert state_of(stack, "weak") == "closed"
    stack.tenant.control(status=500)
    for _ in range(4):
        assert stack.call("POST", "/call/weak/x", data=b"x").status_code == 500
    wait_until(lambda: state_of(stack, "weak") == "open" and metric_of(stack, "weak") == 2, 3)
    seen = len(stack.receipts())
    waits = stack.submit("/probe", "weak").json()["id"]
    wait_until(lambda: state_of(stack, "weak") == "half_open" or len(stack.receipts()) > seen, 20)
    probe = wait_until(lambda: stack.receipts(path="/probe"), 20)[0]
    assert stack.wait_job(waits, timeout=20)["state"] == "failed"
    wait_until(lambda: state_of(stack, "weak") == "open", 3)
    stack.tenant.control(status=0)
    began = time.monotonic()
    last = stack.call("POST", "/call/weak/last", data=b"x", timeout=30)
    assert last.status_code == 200, last.text
    receipt = stack.receipts(path="/last")[0]
    assert receipt["time"] - probe["time"] >= 3000, "it was open for so long"
    assert time.monotonic() - began < 25
    wait_until(lambda: state_of(stack, "weak") == "closed" and metric_of(stack, "weak") == 0, 5)


@pytest.mark.timeout_s(90)
def test_one_open_breaker_leaves_the_other_instance_its_work(stack):
    stack.tenant.control(status=500)
    statuses = [stack.call("POST", f"/call/brittle/{n}", data=b"x").status_code for n in range(8)]
    assert statuses.count(500) == 4, statuses
    wait_until(lambda: state_of(stack, "brittle") != "closed", 5)
    assert state_of(stack, "brittle", "sample-2") == "closed"


@pytest.mark.slow
@pytest.mark.timeout_s(120)
def test_a_cooling_and_an_open_breaker_outlive_the_workers(stack):
    stack.tenant.control(status=503, retry_after=8)
    job = stack.submit("/killed", "single").json()["id"]
    wait_until(lambda: stack.job(job)["state"] == "waiting", 10)
    sent = stack.receipts(path="/killed")[0]["time"]
    stack.tenant.control(status=500)
    for _ in range(4):
        stack.call("POST", "/call/weak/x", data=b"x")
    for name in ("worker-1", "worker-2"):
        stack.kill(name)
        stack[name].start()
    stack.tenant.control(status=0)
    wait_until(lambda: state_of(stack, "weak") in ("open", "half_open"), 5)
    assert shown(stack, "single")["cooling_until"]
    assert stack.wait_job(job, timeout=60)["state"] == "succeeded"
    assert stack.receipts(path="/killed")[1]["time"] - sent >= 8000
    assert stack.call("POST", "/call/weak/back", data=b"x", timeout=40).status_code == 200
    wait_until(lambda: state_of(stack, "weak") == "closed", 5)


@pytest.mark.slow
@pytest.mark.timeout_s(120)
def test_a_limit_that_nobody_told_is_found(stack):
    """The tenant serves eight at a time, and refuses more."""
    stack.tenant.control(capacity=8, reset=1)
    together(8, lambda n: stack.submit(f"/found/{n}?sleep_ms=100", "found"), range(600))
    limits = []

    def is_done():
        limit = shown(stack, "found")["limit"]
        limits.append(limit)
        return stack.ask("/v1/tenants/found").json()["queued"] < 100

    wait_until(is_done, 60)
    later = limits[len(limits) // 2:]
    assert 0.8 * 8 <= sum(later) / len(later) <= 1.2 * 8, limits
    stack.tenant.control(capacity=0)
    wait_until(lambda: stack.ask("/v1/tenants/found").json()["queued"] == 0, 60)
    quiet(stack, 60)
