# SPDX-License-Identifier: Apache-2.0
"""What happens to an attempt whose outcome nobody knows (protocol.md, invariant 5), and to those of
a worker that was killed."""
from signal import SIGCONT, SIGSTOP

import pytest

from harness import wait_until
from harness.load import by_path, config_of, expect_problem, quiet, start, together

JOBS = 1000
CALLS = 1000
KILLS = 3
LEAST_CUT = 10


def worker_config(policy):
    def config(stack):
        return config_of(stack, {"sample": {
            "in_doubt": {"policy": policy}, "retry": {"max_attempts": 10, "initial_s": 0.1, "max_s": 0.5},
            "timeouts": {"sync_s": 100, "total_s": 120}, "sync_result_ttl_s": 600}},
            worker={"lease_s": 3, "concurrency": 128})

    return config


def records(stack):
    """{job's name: (state, attempts)}, as they stand while no worker changes them."""
    keys = list(stack.redis.scan_iter("{sample}:j:*", count=1000))
    with stack.redis.pipeline() as pipe:
        for key in keys:
            pipe.hmget(key, "st", "n")
        rows = pipe.execute()
    return {f"sample.{key.rpartition(':')[2]}": tuple(row) for key, row in zip(keys, rows)}


def running(stack):
    """What the records say is under way, as (job, attempt)."""
    return {(job, n) for job, (state, n) in records(stack).items() if state == "running"}


def cut_the_worker(stack, n_before, cut_before):
    """Kills the worker in the middle of its work; returns what it was running, as (job, attempt)."""
    def stands_in_its_work():
        """Stopped with enough in hand, so that nothing of it ends between this look and the kill."""
        if len(stack.receipts()) < n_before:
            return False
        stack["worker"].signal(SIGSTOP)
        if len(running(stack) - cut_before) >= 2 * LEAST_CUT:
            return True
        stack["worker"].signal(SIGCONT)
        return False

    wait_until(stands_in_its_work, 60, "work under way", every=0.05)
    stack.kill("worker")
    # Those of an earlier kill may not have been judged yet: they are not this one's.
    cut = running(stack) - cut_before
    assert len(cut) >= LEAST_CUT, f"only {len(cut)} attempts were running"
    stack["worker"].start()
    return cut


def send_all(stack):
    """Starts all jobs and calls, at concurrency 64; gives the two futures."""
    def job(n):
        return stack.submit(f"/cut/job/{n}?sleep_ms={50 + n * 7 % 151}", body={"n": n})

    def call(n):
        return stack.call("POST", f"/call/sample/cut/call/{n}?sleep_ms={50 + n * 11 % 151}",
                          data=f"call {n}", timeout=110)

    jobs = start(together, 32, job, range(JOBS))
    calls = start(together, 32, call, range(CALLS))
    return jobs, calls


@pytest.mark.slow
@pytest.mark.timeout_s(240)
@pytest.mark.parametrize("policy", ["retry", "hold"])
def test_a_worker_is_killed_three_times(make_stack, policy):
    stack = make_stack(worker_config(policy))
    jobs, calls = send_all(stack)
    cut = set()
    for kill in range(KILLS):
        cut |= cut_the_worker(stack, 200 + 500 * kill, cut)
    assert policy == "retry" or {n for _, n in cut} == {"1"}, "what was in doubt ran again"
    cut = {job for job, _ in cut}
    jobs, calls = jobs.result(120), calls.result(120)
    assert {a.status_code for a in jobs} == {202}
    ids = [a.json()["id"] for a in jobs]
    ended = together(32, lambda i: stack.wait_job(i, timeout=60), ids)
    found = by_path(stack.receipts())
    attempts = {r["job"]: [] for rows in found.values() for r in rows}
    for rows in found.values():
        for receipt in rows:
            attempts[receipt["job"]].append(receipt["attempt"])

    call_ids = [a.headers.get("Sluice-Job-Id") or a.json()["job"] for a in calls]
    everything = set(ids) | set(call_ids)
    assert len(everything) == JOBS + CALLS and cut <= everything
    # Uncut ones were sent once; no attempt was sent twice.
    for job in everything - cut:
        assert attempts.get(job) == [1], (job, attempts.get(job))
    for job, numbers in attempts.items():
        assert len(set(numbers)) == len(numbers), (job, numbers)
    states = {d["id"]: d["state"] for d in ended}
    doubtful = {job for job, state in states.items() if state == "in_doubt"}
    if policy == "retry":
        assert set(states.values()) == {"succeeded"}
        assert [(a.status_code, a.text) for a in calls] == [(200, f"call {n}") for n in range(CALLS)]
    else:
        assert set(states.values()) <= {"succeeded", "in_doubt"}
        assert doubtful == cut & set(ids)
        refused = {i for i, a in zip(call_ids, calls) if a.status_code != 200}
        for answer in calls:
            if answer.status_code != 200:
                expect_problem(answer, 502, "call_in_doubt")
        assert refused == cut & set(call_ids)
        assert all(len(attempts.get(job, [])) <= 1 for job in cut)
    quiet(stack) if policy == "retry" else wait_until(lambda: stack.unacknowledged() == 0, 30)


@pytest.fixture(scope="module")
def stack(make_module_stack):
    short = {"first_byte_s": 0.5, "total_s": 5}
    quick = {"max_attempts": 3, "initial_s": 0.05, "max_s": 0.2}
    return make_module_stack(lambda stack: config_of(stack, {
        "holds": {"in_doubt": {"policy": "hold"}, "timeouts": short, "retry": quick},
        "retries": {"in_doubt": {"policy": "retry"}, "timeouts": short, "retry": quick},
        "default": {"timeouts": short, "retry": quick},
        "one": {"concurrency": 1, "in_doubt": {"policy": "hold"}, "timeouts": short}}))


CUTS = {"no answer": ("/x?sleep_ms=1500", "timeout_first_byte"), "dropped": ("/x?drop=1", None),
        "half an answer": ("/close-mid-body", None)}


@pytest.mark.parametrize("cut", CUTS)
def test_a_call_in_doubt_is_held_and_said(stack, cut):
    path, error = CUTS[cut]
    answer = stack.call("POST", f"/call/holds{path}", data=b"x")
    job = expect_problem(answer, 502, "call_in_doubt")["job"]
    record = stack.job(job)
    assert record["state"] == "in_doubt" and len(record["attempts"]) == 1
    assert record["attempts"][0]["error"] and error in (None, record["attempts"][0]["error"])
    assert len(stack.receipts(job=job)) == 1
    expect_problem(stack.result(job), 409, "in_doubt")


@pytest.mark.parametrize("cut", CUTS)
def test_a_job_in_doubt_is_sent_again_where_the_policy_says_so(stack, cut):
    job = stack.submit(CUTS[cut][0], "retries").json()["id"]
    record = stack.wait_job(job)
    assert (record["state"], record["outcome"]["error"]) == ("failed", "attempts_used_up")
    receipts = stack.receipts(job=job)
    assert [r["attempt"] for r in receipts] == [1, 2, 3] and len({r["key"] for r in receipts}) == 1


@pytest.mark.parametrize("method, count", [("GET", 3), ("PUT", 3), ("DELETE", 3), ("POST", 1), ("PATCH", 1)])
def test_by_default_the_method_decides(stack, method, count):
    job = stack.submit("/by-method?drop=1", "default", method=method).json()["id"]
    record = stack.wait_job(job)
    assert record["state"] == ("in_doubt" if count == 1 else "failed")
    assert len(stack.receipts(job=job)) == count


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateways_answer_is_in_doubt_and_goes_back_verbatim(stack, status):
    answer = stack.call("POST", f"/call/holds/status/{status}?gateway", data=b"the gateway's words")
    assert (answer.status_code, answer.text) == (status, "the gateway's words")
    job = answer.headers["Sluice-Job-Id"]
    assert stack.job(job)["state"] == "in_doubt"
    result = stack.result(job)
    assert (result.status_code, result.text) == (status, "the gateway's words")
    assert len(stack.receipts(job=job)) == 1


def in_doubt(stack, path="/doubted?drop=1", **more):
    job = stack.submit(path, "holds", body={"n": 1}, **more).json()["id"]
    assert stack.wait_job(job)["state"] == "in_doubt"
    return job


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_person_settles_it(stack, state):
    job = in_doubt(stack)
    answer = stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": state, "note": "asked them"})
    assert (answer.status_code, answer.json()["state"]) == (200, state), answer.text
    assert stack.job(job)["note"] == "asked them"
    again = stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": state})
    assert again.status_code == 200
    expect_problem(stack.call("POST", f"/v1/jobs/{job}/retry"), 409, "not_on_shelf")
    expect_problem(stack.result(job), 409, "no_answer")
    assert len(stack.receipts(job=job)) == 1


@pytest.mark.parametrize("how", ["retry", "resolve"])
def test_a_person_runs_it_again(stack, how):
    job = in_doubt(stack, f"/fail?times=1&status=502&{how}", idempotency_key=f"again-{how}")
    body = {"json": {"state": "retry", "note": "never arrived"}} if how == "resolve" else {}
    answer = stack.call("POST", f"/v1/jobs/{job}/{how}", **body)
    assert answer.status_code == 200, answer.text
    assert stack.wait_job(job, "succeeded")["outcome"]["status"] == 200
    receipts = stack.receipts(job=job)
    assert [(r["attempt"], r["key"]) for r in receipts] == [(1, f"again-{how}"), (2, f"again-{how}")]
    assert stack.result(job).json() == {"n": 1}
    expect_problem(stack.call("POST", f"/v1/jobs/{job}/retry"), 409, "not_on_shelf")


def test_what_is_in_doubt_is_not_canceled(stack):
    expect_problem(stack.call("DELETE", f"/v1/jobs/{in_doubt(stack)}"), 409, "not_cancelable")


def test_only_what_is_on_the_shelf_can_be_run_again(stack):
    done = stack.submit("/fine", "holds").json()["id"]
    stack.wait_job(done, "succeeded")
    expect_problem(stack.call("POST", f"/v1/jobs/{done}/retry"), 409, "not_on_shelf")
    answer = stack.call("POST", f"/v1/jobs/{done}/resolve", json={"state": "failed"})
    expect_problem(answer, 409)
    running = stack.submit("/runs?sleep_ms=400", "holds").json()["id"]
    expect_problem(stack.call("POST", f"/v1/jobs/{running}/retry"), 409, "not_on_shelf")
    stack.wait_job(running, "succeeded")


def test_a_job_in_doubt_holds_its_slot_no_longer_than_its_time(stack):
    """A living worker's attempt ended: the tenant may still work, until the attempt's own limit."""
    job = stack.submit("/slot?drop=1", "one").json()["id"]
    assert stack.wait_job(job)["state"] == "in_doubt"
    after = stack.submit("/slot-after", "one").json()["id"]
    assert stack.wait_job(after, timeout=40)["state"] == "succeeded"
