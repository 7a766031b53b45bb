# SPDX-License-Identifier: Apache-2.0
"""The store loses its memory, all of it or its last second: records are written anew from messages and by the workers that run
them; what was attempted goes by its policy; nothing is run twice, nothing is forgotten."""

import pytest

from harness.load import quiet, start, together
from harness.waiting import wait_until

LEASE = 2


def config(stack, **tenant):
    return {**stack.sample_config(**tenant), "worker": {"lease_s": LEASE}, "dispatcher": {"leader_lease_s": 2}}


def epoch(stack):
    return stack.redis.get("{sluice}:epoch")


def forget(stack):
    """Everything, at once; returns when every daemon has seen that the store is another."""
    before = epoch(stack)
    stack.redis.flushall()
    wait_until(lambda: epoch(stack) not in (None, before), 20, "another epoch")
    running = [name for name in ("ingress", "dispatcher", "worker-1") if stack[name].is_running]
    for name in running:
        wait_until(lambda: stack.metric("sluice_store_epoch_changes_total", name) == 1, 20, f"{name} to notice")
    wait_until(lambda: stack.redis.hget("{sample}:t", "ep"), 20, "the registry")
    stack.wait_ready()


def queued(stack, n):
    """n jobs in the broker that no worker has touched."""
    stack.stop("worker-1")
    answers = together(8, lambda i: stack.submit(path=f"/queued/{i}"), range(n))
    assert all(a.status_code == 202 for a in answers)
    return [a.json()["id"] for a in answers]


def test_what_was_never_attempted_runs_once_after_a_total_loss(make_stack):
    stack = make_stack(lambda s: config(s, in_doubt={"policy": "hold"}))
    jobs = queued(stack, 30)
    forget(stack)
    stack.start("worker-1")
    for job in jobs:
        assert stack.wait_job(job)["state"] == "succeeded"
    paths = [r["path"] for r in stack.receipts()]
    assert sorted(paths) == sorted(f"/queued/{i}" for i in range(30))
    assert stack.metric("sluice_records_rebuilt_total", "worker-1") == 30
    quiet(stack)


def test_what_runs_during_a_total_loss_is_registered_again_and_answered(make_stack):
    stack = make_stack(lambda s: config(s, in_doubt={"policy": "hold"}))
    waiting = [start(stack.call, "POST", f"/call/sample/slow/{i}?sleep_ms=6000") for i in range(5)]
    wait_until(lambda: len(stack.receipts()) == 5, 20, "five calls under way")
    forget(stack)
    for call in waiting:
        answer = call.result(30)
        assert answer.status_code == 200, answer.text
    assert len(stack.receipts()) == 5
    tenant = stack.redis.hgetall("{sample}:t")
    assert tenant.get("run", "0") == "0" and tenant.get("c", "0") == "0"
    quiet(stack)


def test_after_a_total_loss_a_key_is_known_again(make_stack):
    stack = make_stack(lambda s: config(s))
    stack.stop("worker-1")
    first = stack.submit(path="/keyed", headers={"Idempotency-Key": "k1"}).json()["id"]
    other = stack.submit(path="/other", headers={"Idempotency-Key": "k2"}).json()["id"]
    forget(stack)
    again = stack.submit(path="/other", headers={"Idempotency-Key": "k2"})
    assert again.status_code == 202 and again.json()["id"] != other
    stack.start("worker-1")
    assert stack.wait_job(first)["state"] == "succeeded"
    repeat = stack.submit(path="/keyed", headers={"Idempotency-Key": "k1"})
    assert repeat.json()["id"] == first
    # The key was taken by the same request: one of the two runs.
    assert stack.wait_job(again.json()["id"])["state"] == "succeeded"
    doubled = stack.wait_job(other)
    assert (doubled["state"], doubled["outcome"]["error"]) == ("canceled", "duplicate_of")
    assert len(stack.receipts(path="/other")) == 1


@pytest.mark.parametrize("policy, state, calls", [("hold", "in_doubt", 1), ("retry", "succeeded", 2)])
def test_what_was_attempted_goes_by_its_policy_after_a_total_loss(make_stack, policy, state, calls):
    """Its worker dies with it: nobody registers the attempt again."""
    stack = make_stack(lambda s: config(s, in_doubt={"policy": policy}))
    job = stack.submit(path="/slow?sleep_ms=3000").json()["id"]
    wait_until(lambda: len(stack.receipts()) == 1, 20, "the call under way")
    stack.kill("worker-1")
    forget(stack)
    stack.start("worker-1")
    assert stack.wait_job(job)["state"] == state
    assert len(stack.receipts()) == calls
    if state == "in_doubt":
        assert stack.job(job)["outcome"]["error"] == "memory_lost"
        assert stack.call("POST", f"/v1/jobs/{job}/retry").status_code in (200, 202)
        assert stack.wait_job(job, ("succeeded",))["state"] == "succeeded"
    quiet(stack)


def test_a_delayed_job_keeps_its_time_through_a_total_loss(make_stack):
    stack = make_stack(lambda s: config(s))
    job = stack.submit(path="/later", delay_s=6).json()["id"]
    forget(stack)
    assert stack.wait_job(job)["state"] == "succeeded"
    assert len(stack.receipts(path="/later")) == 1


def test_a_single_call_instance_gets_one_call_through_a_total_loss(make_stack):
    """Its slot is registered again before anybody claims."""
    def limited(stack):
        return config(stack, instances=[{"name": "sample-1", "url": stack.tenant.url, "concurrency": 1}])

    stack = make_stack(limited, workers=2)
    first = stack.submit(path="/first?sleep_ms=5000").json()["id"]
    wait_until(lambda: len(stack.receipts()) == 1, 20, "the call under way")
    second = stack.submit(path="/second").json()["id"]
    forget(stack)
    assert stack.wait_job(first)["state"] == "succeeded"
    assert stack.wait_job(second)["state"] == "succeeded"
    (one,), (two,) = stack.receipts(path="/first"), stack.receipts(path="/second")
    assert two["time"] >= one["time"] + 4900
    assert stack.redis.hgetall("{sample}:s") == {}


def test_the_shelf_is_rebuilt_from_its_queue(make_stack):
    stack = make_stack(lambda s: config(s, in_doubt={"policy": "hold"}))
    job = stack.submit(path="/broken?drop=1", headers={"Idempotency-Key": "k"}).json()["id"]
    assert stack.wait_job(job)["state"] == "in_doubt"
    forget(stack)
    assert stack.wait_job(job, timeout=60)["outcome"]["error"] == "memory_lost"
    assert stack.call("GET", "/v1/dead?tenant=sample").json()["dead"][0]["id"] == job
    assert stack.submit(path="/broken?drop=1", headers={"Idempotency-Key": "k"}).json()["id"] == job
    assert stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": "failed"}).status_code == 200
    quiet(stack, 60)


def test_a_worker_that_has_not_heard_of_the_loss_shelves_nothing(make_stack):
    """The store is emptied under a running worker: what it is given before it reads the epoch again is no missing record."""
    stack = make_stack(lambda s: config(s, in_doubt={"policy": "hold"}))
    together(8, lambda i: stack.submit(path=f"/later/{i}", delay_s=3 + i // 20), range(60))
    wait_until(lambda: stack.receipts(), 20, "the first call")
    stack.redis.flushall()
    wait_until(lambda: len(stack.receipts()) == 60, 40, "every call")
    wait_until(lambda: stack.redis.zcard("{sample}:u") == 0, 20, "every outcome")
    assert stack.metric("sluice_record_missing_total", "worker-1") == 0
    assert len({r["path"] for r in stack.receipts()}) == 60
    quiet(stack)


@pytest.mark.slow
@pytest.mark.timeout_s(180)
def test_a_shelf_of_more_than_a_page_is_rebuilt(make_stack):
    """What stays on the shelf must not hide what lies behind it in the shelf's queue."""
    stack = make_stack(lambda s: config(s, in_doubt={"policy": "hold"}))
    together(8, lambda i: stack.submit(path=f"/broken/{i}?drop=1"), range(230))
    wait_until(lambda: stack.redis.zcard("{sample}:h") == 230, 60, "the shelf")
    forget(stack)
    wait_until(lambda: stack.redis.zcard("{sample}:h") == 230, 90, "the shelf, rebuilt")
