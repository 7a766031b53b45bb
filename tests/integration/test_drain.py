# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: nothing new is taken, what was begun ends."""
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, quiet, start, together


def config(drain_s):
    return lambda stack: config_of(
        stack, {"sample": {"timeouts": {"sync_s": 60, "total_s": 60}}, "one": {"concurrency": 1}},
        ingress={"drain_s": drain_s})


def callers(stack, count, query, **headers):
    """So many callers that wait for the sample tenant."""
    def call(n):
        return stack.call("POST", f"/call/sample/drain/{n}?{query}", data=f"{n}", headers=headers)

    future = start(together, count, call, range(count))
    wait_until(lambda: stack.metric("sluice_waiting_callers") >= count, 20)
    wait_until(lambda: len(stack.receipts()) >= count, 20)
    return future


def ended(process, timeout=40):
    """The exit code of a process that was told to end. (A second SIGTERM would hurry it.)"""
    wait_until(lambda: not process.is_running, timeout, f"the end of {process.name}")
    return process.popen.returncode


def test_an_ingress_gives_its_waiting_callers_their_answers(make_stack):
    stack = make_stack(config(30))
    future = callers(stack, 20, "sleep_ms=3000")
    stack["ingress"].signal(SIGTERM)
    wait_until(lambda: stack.call("GET", "/readyz").status_code == 503, 5)
    assert stack.call("GET", "/livez").status_code == 200
    expect_problem(stack.call("POST", "/call/sample/new", data=b"x"), 503, "unavailable")
    expect_problem(stack.submit("/new"), 503, "unavailable")
    assert [(a.status_code, a.text) for a in future.result(30)] == [(200, str(n)) for n in range(20)]
    assert ended(stack["ingress"]) == 0
    assert stack.receipts(path="/new") == []


def test_what_does_not_end_in_time_is_said_with_its_id(make_stack):
    stack = make_stack(config(1))
    stack.tenant.control(pause=1)
    waits = callers(stack, 5, "a")
    prefers = start(stack.call, "POST", "/call/sample/prefers", data=b"x", headers={"Prefer": "wait=50"})
    wait_until(lambda: stack.receipts(path="/prefers"))
    assert stack.stop("ingress") == 0
    jobs = [expect_problem(a, 503, "draining")["job"] for a in waits.result(10)]
    given = prefers.result(10)
    assert given.status_code == 202, given.text
    jobs.append(given.json()["id"])
    stack.tenant.control(pause=0)
    stack["ingress"].start()
    for job in jobs:
        assert stack.wait_job(job)["state"] == "succeeded"
        assert len(stack.receipts(job=job)) == 1


def test_who_is_told_that_the_job_goes_on_is_told_the_truth(make_stack):
    """A call whose mark has not come yet: unmarked the job would be undone after its accept lease."""
    stack = make_stack(config(0))
    stack["worker"].signal(SIGSTOP)
    waits = start(together, 10, lambda n: stack.call("POST", f"/call/sample/brief/{n}", data=b"x"), range(10))
    wait_until(lambda: len(list(stack.redis.scan_iter("{sample}:j:*"))) == 10, 20, every=0.001)
    stack["ingress"].signal(SIGTERM)
    jobs = [expect_problem(a, 503, "draining")["job"] for a in waits.result(20)]
    assert ended(stack["ingress"]) == 0
    assert {stack.redis.hget("{sample}:j:" + job.partition(".")[2], "st") for job in jobs} == {"queued"}
    stack["worker"].signal(SIGCONT)
    stack["ingress"].start()
    for job in jobs:
        assert stack.wait_job(job)["state"] == "succeeded"


def test_a_worker_ends_what_it_runs(make_stack):
    stack = make_stack(config(30))
    jobs = together(8, lambda n: stack.submit(f"/running/{n}?sleep_ms=3000").json()["id"], range(20))
    wait_until(lambda: stack.tenant.stats()["running"] >= 20, 20)
    later = together(8, lambda n: stack.submit(f"/later/{n}", "one").json()["id"], range(5))
    stack["worker"].signal(SIGTERM)
    wait_until(lambda: not stack["worker"].is_running or
               stack.http.get(stack["worker"].url + "/readyz", timeout=5).status_code == 503, 5)
    assert ended(stack["worker"]) == 0
    for job in jobs:
        record = stack.job(job)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1)
        assert len(stack.receipts(job=job)) == 1
    during = stack.submit("/during", "one").json()["id"]
    wait_until(lambda: stack.unacknowledged() == 0)
    stack["worker"].start()
    for job in [*later, during]:
        assert stack.wait_job(job)["state"] == "succeeded"
        assert len(stack.receipts(job=job)) == 1
    quiet(stack)


@pytest.mark.timeout_s(180)
def test_workers_are_replaced_under_load_without_a_trace(make_stack):
    """Two workers, one after the other stopped and started: nothing in doubt, nothing twice."""
    stack = make_stack(config(30), workers=2)
    future = start(together, 32, lambda n: stack.submit(f"/roll/{n}?sleep_ms=50").json()["id"], range(800))
    for name in ("worker-1", "worker-2", "worker-1"):
        before = len(stack.receipts())
        wait_until(lambda: len(stack.receipts()) > min(before + 50, 799), 60)
        assert stack.stop(name) == 0
        stack[name].start()
    jobs = future.result(60)
    assert {d["state"] for d in together(16, stack.wait_job, jobs)} == {"succeeded"}
    found = [r["job"] for r in stack.receipts() if r["path"].startswith("/roll/")]
    assert sorted(found) == sorted(jobs)


def test_a_dispatcher_leaves_its_lease_behind(make_stack):
    stack = make_stack(config(30), dispatchers=2)
    names = ("dispatcher", "dispatcher-2")

    def leader():
        return [n for n in names if stack[n].is_running and stack.metric("sluice_leader", n) == 1]

    [first] = wait_until(leader)
    assert stack.stop(first) == 0
    [second] = wait_until(leader)
    assert second != first
