# SPDX-License-Identifier: Apache-2.0
"""Redis with replicas: what only the primary has is no promise, and acknowledged writes that a fail-over lost are noticed."""
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from harness.load import expect_problem, quiet, together
from harness.waiting import wait_until

LEASE = 2
DAEMONS = ("ingress", "dispatcher", "worker-1")
SHORT = "fewer replicas than store.wait_replicas have acknowledged"


def config(stack, wait_replicas=1, **tenant):
    return {**stack.sample_config(**tenant), "store": {"wait_replicas": wait_replicas, "wait_s": 0.3},
            "worker": {"lease_s": LEASE}, "dispatcher": {"leader_lease_s": 2}}


@pytest.fixture
def replicated(make_stack):
    """make(n replicas, …) → a stack whose Redis has them, ready."""
    def make(replicas=1, **tenant):
        stack = make_stack(lambda s: config(s, **tenant), start=False)
        for number in range(1, replicas + 1):
            stack.add_replica(f"replica-{number}")
        return stack.start()

    return make


def unready(stack, name):
    answer = stack.http.get(stack[name].url + "/readyz", timeout=5)
    return answer.status_code == 503 and SHORT in answer.text


def name_of(job):
    return job.partition(".")[2]


def record(stack, job, field):
    return stack.redis.hget("{sample}:j:" + name_of(job), field)


def test_what_no_replica_has_is_no_promise(replicated):
    """Neither a 202 nor a request to the tenant rests on what only the primary knows."""
    stack = replicated(in_doubt={"policy": "hold"})
    job = stack.submit(path="/queued", delay_s=2).json()["id"]
    stack["replica-1"].signal(SIGSTOP)
    for name in DAEMONS:
        wait_until(lambda: unready(stack, name), 20, f"{name} to say why")
    wait_until(lambda: record(stack, job, "st") in ("running", "succeeded"), 20, "the claim")
    expect_problem(stack.submit(path="/new"), 503, "outcome_unknown")
    assert stack.receipts() == [], "forwarded on a claim that no replica has"
    assert stack.unacknowledged() == 1, "published, though only the primary has its record"
    stack["replica-1"].signal(SIGCONT)
    stack.wait_ready()
    assert stack.wait_job(job)["state"] == "succeeded"
    assert [r["path"] for r in stack.receipts()] == ["/queued"]
    assert stack.submit(path="/after").status_code == 202
    assert stack.metric("sluice_store_lost_writes_total") == 0
    quiet(stack)


def test_a_claim_that_was_unknown_for_long_is_released(replicated):
    """Its slot's time has begun long ago: it is given back as never sent, and claimed anew."""
    stack = replicated(in_doubt={"policy": "hold"})
    job = stack.submit(path="/queued", delay_s=2).json()["id"]
    stack["replica-1"].signal(SIGSTOP)
    wait_until(lambda: record(stack, job, "st") == "running", 20, "the claim")
    for _ in range(2):  # ten seconds or so, as tries go
        expect_problem(stack.submit(path="/new"), 503, "outcome_unknown")
    stack["replica-1"].signal(SIGCONT)
    assert stack.wait_job(job)["state"] == "succeeded"
    (receipt,) = stack.receipts()
    assert receipt["attempt"] == 2, "the first was too old to be used"
    assert "claim_released" in stack["worker-1"].text()
    quiet(stack)


def test_what_no_replica_has_is_not_acknowledged(replicated):
    stack = replicated(in_doubt={"policy": "hold"})
    job = stack.submit(path="/slow?sleep_ms=2500").json()["id"]
    wait_until(lambda: len(stack.receipts()) == 1, 20, "the call under way")
    stack["replica-1"].signal(SIGSTOP)
    wait_until(lambda: record(stack, job, "st") == "succeeded", 20, "the outcome, at the primary")
    expect_problem(stack.submit(path="/new"), 503, "outcome_unknown")
    assert stack.unacknowledged() == 1, "acknowledged, though only the primary has the outcome"
    stack["replica-1"].signal(SIGCONT)
    wait_until(lambda: stack.unacknowledged() == 0, 30, "the acknowledgement")
    assert stack.wait_job(job)["state"] == "succeeded"
    assert len(stack.receipts()) == 1
    quiet(stack)


def fail_over(stack, to):
    """The primary dies; `to` listens where it did, and the other replicas find it there."""
    stack.kill("redis", SIGKILL)
    stack[to].take_over(stack.redis_port)


@pytest.mark.timeout_s(240)
def test_a_fail_over_that_lost_acknowledged_writes_is_noticed(replicated):
    """The replica that is promoted is not the one that had acknowledged."""
    stack = replicated(2, in_doubt={"policy": "hold"})
    assert stack.wait_job(stack.submit(path="/before").json()["id"])["state"] == "succeeded"
    stack["replica-2"].detach()
    answers = together(4, lambda i: stack.submit(path=f"/lost/{i}", delay_s=15), range(8))
    assert all(a.status_code == 202 for a in answers)
    lost = [a.json()["id"] for a in answers]
    running = stack.submit(path="/slow?sleep_ms=15000").json()["id"]
    wait_until(lambda: stack.receipts(path="/slow"), 20, "the call under way")
    fail_over(stack, "replica-2")
    for name in DAEMONS:
        wait_until(lambda: stack.metric("sluice_store_lost_writes_total", name) >= 1, 30, f"{name} to notice the loss")
    assert stack.metric("sluice_store_epoch_changes_total") == 0
    stack.wait_ready()
    # The worker said again what it runs: its answer finds its record.
    assert stack.wait_job(running)["state"] == "succeeded"
    assert len(stack.receipts(path="/slow")) == 1
    # What was accepted and is forgotten waits for a person, who sees it.
    for job in lost:
        assert stack.wait_job(job, timeout=60)["state"] == "in_doubt"
        assert stack.job(job)["outcome"]["error"] == "record_missing"
    assert stack.metric("sluice_record_missing_total", "worker-1") == len(lost)
    assert not [r for r in stack.receipts() if r["path"].startswith("/lost")]
    told = stack.call("POST", "/v1/dead/redrive", params={"tenant": "sample", "state": "in_doubt"})
    assert told.status_code in (200, 202), told.text
    for job in lost:
        assert stack.wait_job(job, ("succeeded",), timeout=60)["state"] == "succeeded"
    paths = [r["path"] for r in stack.receipts()]
    assert len(paths) == len(set(paths)) == 10
    quiet(stack)


@pytest.mark.timeout_s(180)
def test_a_fail_over_that_lost_nothing_raises_no_alarm(replicated):
    stack = replicated(2, in_doubt={"policy": "hold"})
    job = stack.submit(path="/before?sleep_ms=6000").json()["id"]
    later = stack.submit(path="/later", delay_s=8).json()["id"]
    wait_until(lambda: stack.receipts(), 20, "the call under way")
    generation = int(stack.redis.get("{sluice}:generation"))
    stack["replica-2"].signal(SIGSTOP)  # so that it was replica-1 that acknowledged
    assert stack.submit(path="/acknowledged").status_code == 202
    fail_over(stack, "replica-1")
    stack["replica-2"].signal(SIGCONT)
    wait_until(lambda: int(stack.redis.get("{sluice}:generation")) == generation + 1, 30, "another life of the store")
    stack.wait_ready()
    for name in DAEMONS:
        assert stack.metric("sluice_store_lost_writes_total", name) == 0, f"{name} raised an alarm"
    assert stack.wait_job(job)["state"] == "succeeded"
    assert stack.wait_job(later)["state"] == "succeeded"
    assert stack.wait_job(stack.submit(path="/after").json()["id"])["state"] == "succeeded"
    paths = sorted(r["path"] for r in stack.receipts())
    assert paths == ["/acknowledged", "/after", "/before", "/later"]
    assert stack.redis.get("{sluice}:forgot") is None
    quiet(stack)


def test_a_loss_that_another_has_noticed_is_heard(make_stack):
    """By each process, within its two seconds; then claims settle for a lease."""
    stack = make_stack(lambda s: config(s, 0))
    before = stack.redis.hget("{sample}:t", "gs")
    stack.redis.set("{sluice}:forgot", stack.redis.incr("{sluice}:generation"))
    for name in DAEMONS:
        wait_until(lambda: stack.metric("sluice_store_lost_writes_total", name) == 1, 20, f"{name} to hear of the loss")
    stack.wait_ready()
    assert stack.wait_job(stack.submit(path="/after").json()["id"])["state"] == "succeeded"
    settled = stack.redis.hget("{sample}:t", "gs")
    assert settled is not None and settled != before, "claims did not settle"
    (receipt,) = stack.receipts()
    assert receipt["time"] >= int(settled) + LEASE * 1000 - 100, "claimed within the lease"
    quiet(stack)


def test_a_total_loss_is_not_taken_for_lost_writes(replicated):
    """The counters go with all the rest: one alarm, the right one, and the links stay."""
    stack = replicated()
    assert stack.wait_job(stack.submit(path="/before").json()["id"])["state"] == "succeeded"
    stack.redis.flushall()
    for name in DAEMONS:
        wait_until(lambda: stack.metric("sluice_store_epoch_changes_total", name) == 1, 20, f"{name} to notice")
    wait_until(lambda: stack.redis.hget("{sample}:t", "ep"), 20, "the registry")
    stack.wait_ready()
    assert stack.wait_job(stack.submit(path="/after").json()["id"])["state"] == "succeeded"
    for name in DAEMONS:
        assert stack.metric("sluice_store_lost_writes_total", name) == 0, f"{name} raised the other alarm, too"
    quiet(stack)
