# SPDX-License-Identifier: Apache-2.0
"""The figure that an autoscaler follows (docs/scaling.md): desired_workers in /v1/scale and /metrics, down to no worker at all and
up again. Each stack begins without a worker; where one is to come, the test plays the autoscaler."""
import hashlib
import time
from signal import SIGCONT, SIGSTOP

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, is_ready, quiet, start, together

CONCURRENCY = 4
OFFLOAD = {"offload": {"enabled": True, "poll_s": 0.2}}


def config(stack):
    return config_of(stack, {"sample": {}, "slow": OFFLOAD}, worker={"concurrency": CONCURRENCY, "lease_s": 2})


@pytest.fixture
def stack(make_stack):
    """No worker; one carries four attempts."""
    return make_stack(config, workers=0)


def scale(stack, tenant=None):
    answer = stack.ask("/v1/scale")
    assert answer.status_code == 200, answer.text
    return answer.json() if tenant is None else answer.json()["tenants"][tenant]


def desired(stack, tenant=None):
    return scale(stack, tenant)["desired_workers"]


def add_worker(stack):
    worker = stack.add("worker")
    worker.wait_ready(60)
    return worker


def said(stack, text="sluice_desired_workers"):
    """What /metrics says; None when it says nothing."""
    lines = stack.http.get(stack["dispatcher"].url + "/metrics", timeout=10).text.splitlines()
    values = [float(line.split(" ")[1]) for line in lines if line.startswith(text + " ")]
    return values[0] if values else None


# --- from nothing, and back ---

def test_the_first_call_to_a_sleeping_tenant_waits_and_is_answered(stack):
    assert is_ready(stack, "ingress", "dispatcher")
    assert (desired(stack), said(stack)) == (0, 0)
    calls = [start(stack.call, "POST", "/call/sample/wake", data=b"x") for _ in range(3)]
    wait_until(lambda: desired(stack) == 1, 5, "a worker to be asked for")
    assert said(stack) == 1
    time.sleep(2)  # a container's start
    assert not any(call.done() for call in calls)
    add_worker(stack)
    assert [call.result(30).status_code for call in calls] == [200] * 3
    wait_until(lambda: desired(stack) == 0, 20, "nobody to be needed")


def test_a_tenant_that_came_when_nobody_worked_is_called(stack):
    document = {"instances": [{"url": stack.tenant.url}]}
    answer = stack.http.put(stack.dispatcher_url + "/v1/tenants/late", json=document, timeout=10)
    assert answer.status_code in (200, 201), answer.text
    wait_until(lambda: stack.submit("/job", "late").status_code == 202, 20, "the tenant to be known and its queues to stand")
    call = start(stack.call, "POST", "/call/late/wake", data=b"x")
    wait_until(lambda: scale(stack)["tenants"].get("late", {}).get("desired_workers") == 1, 10, "a worker to be asked for")
    add_worker(stack)
    assert call.result(30).status_code == 200
    quiet(stack)


def test_a_crowd_that_comes_while_nobody_works_is_not_turned_away(stack):
    """Each waits longer than half its deadline before there is a worker, and some come in between."""
    wait_until(lambda: stack.redis.hget("{sample}:t", "sl"), 10, "the tenant to be known as asleep")
    headers = {"Prefer": "wait=8"}
    first = [start(stack.call, "POST", "/call/sample/wake", data=b"x") for _ in range(4)]
    time.sleep(5)
    later = [start(stack.call, "POST", f"/call/sample/wake?{n}", data=b"x", headers=headers) for n in range(4)]
    wait_until(lambda: scale(stack, "sample")["queued"] == 8, 5, "all to wait")
    add_worker(stack)
    assert {call.result(30).status_code for call in first + later} == {200}


def test_workers_by_what_can_run(stack):
    """25 places at a time would be taken; four a worker."""
    limited = [{"name": "sample-1", "url": stack.tenant.url, "concurrency": 25}]
    stack.configure(config_of(stack, {"sample": {"instances": limited}}, worker={"concurrency": CONCURRENCY}))
    wait_until(lambda: scale(stack, "sample")["capacity"] == 25, 10, "the tenant's limit")
    for answer in together(8, lambda n: stack.submit(f"/job/{n}?sleep_ms=10"), range(40)):
        assert answer.status_code == 202
    wait_until(lambda: scale(stack, "sample")["queued"] == 40, 5, "the jobs to be seen")
    figure = scale(stack, "sample")
    assert (figure["runnable"], figure["running"], figure["desired_workers"]) == (25, 0, 7)
    assert said(stack) == 7
    add_worker(stack)
    wait_until(lambda: desired(stack) == 0, 30, "nobody to be needed")
    assert len({r["path"] for r in stack.receipts()}) == 40


# --- whom nobody need come for ---

def test_what_is_due_later_needs_nobody_yet(stack):
    stack.submit("/later", delay_s=3600)
    wait_until(lambda: stack.ask("/v1/tenants/sample").json()["delayed"] == 1, 5)
    assert desired(stack) == 0
    stack.submit("/soon", delay_s=20)
    wait_until(lambda: desired(stack) == 1, 5, "a worker to be asked for in time")


def test_what_is_paused_needs_nobody(stack):
    pause = stack.dispatcher_url + "/v1/tenants/sample"
    stack.submit("/job")
    wait_until(lambda: desired(stack) == 1, 5)
    assert stack.http.post(pause + "/pause", json={"note": "night"}, timeout=10).status_code == 200
    wait_until(lambda: desired(stack) == 0, 5, "nobody to be needed")
    assert scale(stack, "sample")["queued"] == 1
    assert stack.http.post(pause + "/resume", timeout=10).status_code == 200
    wait_until(lambda: desired(stack) == 1, 5, "a worker to be asked for")


def test_what_nobody_could_take_needs_nobody(stack):
    """The only instance is out. That it is back is the dispatcher's to find."""
    polled = {"polling": {"method": "health", "endpoint": "/health", "frequency": 1, "retries": 0, "retry_delay": 1}}
    stack.configure(config_of(stack, {"sample": polled}, worker={"concurrency": CONCURRENCY}))
    stack.tenant.control(health=503)
    wait_until(lambda: stack.metric("sluice_instance_up", "dispatcher", instance="sample-1", tenant="sample") == 0, 30)
    stack.submit("/job")
    wait_until(lambda: scale(stack, "sample")["queued"] == 1, 5)
    assert desired(stack, "sample") == 0
    call = start(stack.call, "POST", "/call/sample/wake", data=b"x")
    wait_until(lambda: desired(stack, "sample") == 1, 5, "a worker for the caller who waits")
    stack.tenant.control(health=200)
    wait_until(lambda: scale(stack, "sample")["runnable"] == 2, 10, "it to be back")
    add_worker(stack)
    assert call.result(30).status_code == 200


def test_a_line_behind_a_job_in_doubt_needs_nobody(make_stack):
    """Its first waits for a person, and all behind it for that one: not for a worker, however long."""
    stack = make_stack(lambda s: config_of(s, {"sample": {"in_doubt": {"policy": "hold"}, "timeouts": {"total_s": 2}}},
                                           worker={"concurrency": CONCURRENCY, "lease_s": 2}))
    [first, *behind] = [stack.submit(f"/line/{n}?sleep_ms={6000 if n == 0 else 0}", ordering_key="k").json()["id"] for n in range(4)]
    assert stack.wait_job(first, states=("in_doubt",), timeout=30)["state"] == "in_doubt"
    wait_until(lambda: stack.redis.zcount("{sample}:x", "+inf", "+inf") == 3, 20, "three to stand in line")
    wait_until(lambda: desired(stack) == 0, 20, "nobody to be needed")
    assert scale(stack, "sample")["queued"] == 3
    assert stack.stop("worker-1") == 0
    assert stack.call("POST", f"/v1/jobs/{first}/resolve", json={"state": "failed", "note": "looked"}).status_code == 200
    wait_until(lambda: desired(stack) == 1, 10, "a worker to be asked for")
    stack["worker-1"].start()
    for job in behind:
        assert stack.wait_job(job)["state"] == "succeeded"


def test_what_its_tenant_works_on_takes_no_worker(stack):
    """Twelve jobs would keep three workers busy; offloaded they are polled by one."""
    add_worker(stack)
    jobs = [stack.submit(f"/orders?offload_ms=5000&{n}", "slow").json()["id"] for n in range(12)]
    wait_until(lambda: all(stack.job(job).get("offloaded") for job in jobs), 10, "the 202s")
    assert stack.redis.zcard("{slow}:f") == 12
    wait_until(lambda: (scale(stack, "slow")["running"], desired(stack, "slow")) == (12, 1), 3, "one worker to be enough")
    for job in jobs:
        assert stack.wait_job(job)["state"] == "succeeded"
    assert stack.redis.zcard("{slow}:f") == 0
    wait_until(lambda: desired(stack) == 0, 15, "nobody to be needed")


# --- when there is no figure ---

def forget(stack):
    """Three jobs that only the broker knows of, nobody works, and yet a worker is asked for. Gives their ids."""
    jobs = [stack.submit(f"/job/{n}").json()["id"] for n in range(3)]
    stack.redis.flushall()

    def is_asked_for():
        answer = stack.ask("/v1/scale")  # 503 while the dispatcher begins anew
        figures = answer.json()
        return answer.status_code == 200 and (figures["queued"], figures["desired_workers"]) == (0, 1)

    wait_until(is_asked_for, 60, "a worker to be asked for")
    return jobs


@pytest.mark.timeout_s(180)
def test_what_the_store_forgot_is_asked_of_the_broker(stack):
    """Nobody works, so that nobody could tell the store what it has forgotten."""
    jobs = forget(stack)
    add_worker(stack)
    for job in jobs:
        wait_until(lambda name=job: stack.call("GET", f"/v1/jobs/{name}").status_code == 200, 60, "the record")
        assert stack.wait_job(job, timeout=60)["state"] == "succeeded"
    wait_until(lambda: desired(stack) == 0, 20, "nobody to be needed")


@pytest.mark.timeout_s(180)
def test_a_broker_that_does_not_answer_has_no_empty_queues(make_stack):
    """It freezes while its queues are looked at. What was seen last counts, until it is looked at again."""
    stack = make_stack(config, workers=0, private=True)
    forget(stack)
    stack.signal("rabbitmq", SIGSTOP)
    try:
        wait_until(lambda: " id=broker_lost " in stack["dispatcher"].text(), 60, "the link to be given up")
        seen = set()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            seen.add(desired(stack))
            time.sleep(0.1)
        assert seen == {1}
    finally:
        stack.signal("rabbitmq", SIGCONT)
    assert desired(stack) == 1


@pytest.mark.timeout_s(180)
def test_no_figure_is_better_than_a_wrong_one(stack):
    """A 503 is what KEDA's fallback is for; a 0 would end all workers."""
    stack.submit("/job")
    wait_until(lambda: desired(stack) == 1, 5)
    stack.kill("redis")
    wait_until(lambda: stack.ask("/v1/scale").status_code == 503, 20, "no figures")
    expect_problem(stack.ask("/v1/scale"), 503)
    assert said(stack) is None
    stack.start("redis")
    wait_until(lambda: stack.ask("/v1/scale").status_code == 200, 30, "figures")
    wait_until(lambda: desired(stack) == 1, 10, "the same")
    stack.restart("dispatcher", wait=False)
    seen = set()

    def is_back():
        try:
            answer = stack.ask("/v1/scale")
        except OSError:
            return False
        if answer.status_code == 200:
            seen.add(answer.json()["desired_workers"])
        return answer.status_code == 200

    wait_until(is_back, 30, "figures")
    assert seen == {1}  # never a 0 because it has not looked yet


def test_a_scaler_shows_its_key(make_stack):
    """As KEDA sends it: authModes bearer, or apiKey with keyParamName Sluice-Key."""
    token = "scale-token"
    keys = [{"name": "keda", "hash": "sha256:" + hashlib.sha256(token.encode()).hexdigest(), "scopes": ["read"]}]
    stack = make_stack(lambda s: config_of(s, {"sample": {}}, keys=keys), workers=0)
    assert stack.ask("/v1/scale").status_code == 401
    for headers in ({"Authorization": f"Bearer {token}"}, {"Sluice-Key": token}):
        assert stack.ask("/v1/scale", headers=headers).json()["desired_workers"] == 0
    assert said(stack) == 0  # Prometheus needs none
