# SPDX-License-Identifier: Apache-2.0
"""The store's rows of points.yaml that no seam is needed for: paused, full, read-only, not durable, and (durability fast) started
again with its last second missing. A total loss: tests/integration/test_memory.py."""
import pytest

from harness.load import expect_problem, quiet, start
from harness.waiting import wait_until
from points import point
from signal import SIGCONT, SIGSTOP

LEASE = 2
HOLD = {"policy": "hold"}


def config(stack, durability="strict", **tenant):
    return {**stack.sample_config(in_doubt=HOLD, **tenant), "worker": {"lease_s": LEASE}, "store": {"durability": durability},
            "dispatcher": {"leader_lease_s": 2}}


def calls_of(stack, path):
    return stack.receipts(path=path)


# --- its last second missing --------------------------------------------------------------------

def aof(stack):
    return stack.parts.directory / "redis/appendonlydir/appendonly.aof.1.incr.aof"


def start_without(stack, *effect):
    """Redis is killed and started again with the log cut before the last script that wrote these words, as after a crash of the
    machine with `appendfsync everysec`."""
    stack.kill("redis")
    log = aof(stack).read_bytes()
    mark = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in effect)
    cut = log.rfind(b"*1\r\n$5\r\nMULTI\r\n", 0, log.rindex(mark))
    assert cut > 0
    aof(stack).write_bytes(log[:cut])
    stack.start("redis")


def fast(make_stack):
    return make_stack(lambda s: config(s, "fast"), env={"SLUICE_FAULT_SET": "accept_lease_ms=1500"})


def name_of(job):
    return job.partition(".")[2]


@point("store_lost_mark")
def test_a_job_whose_mark_was_forgotten_is_not_undone(make_stack):
    stack = fast(make_stack)
    stack.stop("worker-1")
    job = stack.submit(path="/marked").json()["id"]
    start_without(stack, "{sample}:j:" + name_of(job), "st", "queued")
    assert stack.redis.hget("{sample}:j:" + name_of(job), "st") == "accepted"
    wait_until(lambda: stack.redis.hget("{sample}:j:" + name_of(job), "st") != "accepted", 30, "the sweep")
    stack.start("worker-1")
    assert stack.wait_job(job)["state"] == "succeeded"
    assert len(calls_of(stack, "/marked")) == 1


@point("store_lost_record")
def test_a_job_whose_record_was_forgotten_waits_on_the_shelf(make_stack):
    stack = fast(make_stack)
    stack.stop("worker-1")
    job = stack.submit(path="/forgotten").json()["id"]
    start_without(stack, "{sample}:j:" + name_of(job), "st", "accepted")
    assert stack.redis.exists("{sample}:j:" + name_of(job)) == 0
    stack.start("worker-1")
    document = stack.wait_job(job)
    assert document["state"] == "in_doubt"
    # The worker's word, or the leader's, who may come upon the copy in the shelf's queue first (docs/protocol.md).
    assert document["outcome"]["error"] in ("record_missing", "memory_lost")
    assert calls_of(stack, "/forgotten") == []
    assert stack.call("POST", f"/v1/jobs/{job}/retry").status_code < 300
    assert stack.wait_job(job, "succeeded")
    assert len(calls_of(stack, "/forgotten")) == 1


@point("store_lost_claim")
def test_a_forgotten_claim_is_registered_again(make_stack):
    stack = fast(make_stack)
    stack.add("worker").wait_ready()
    job = stack.submit(path="/running?sleep_ms=9000").json()["id"]
    wait_until(lambda: calls_of(stack, "/running"), 20, "the call")
    start_without(stack, "{sample}:j:" + name_of(job), "st", "running")
    document = stack.wait_job(job)
    assert document["state"] == "succeeded" and len(document["attempts"]) == 1
    assert len(calls_of(stack, "/running")) == 1
    quiet(stack)


# --- paused, full, read-only, not durable -------------------------------------------------------

@point("store_paused_beyond_lease")
def test_a_paused_store_kills_nobody(make_stack):
    stack = make_stack(config)
    answer = start(stack.call, "POST", "/call/sample/slow?sleep_ms=6000")
    wait_until(lambda: calls_of(stack, "/slow"), 20, "the call")
    stack.signal("redis", SIGSTOP)
    try:
        wait_until(lambda: stack.http.get(stack["worker-1"].url + "/readyz", timeout=5).status_code == 503, 20, "worker not ready")
        # Longer than a lease on every clock that judges.
        wait_until(lambda: "store_lost" in stack["dispatcher"].text(), 20, "the dispatcher to notice")
        expect_problem(stack.submit(path="/refused"), 503)
    finally:
        stack.signal("redis", SIGCONT)
    assert answer.result(40).status_code == 200
    assert len(calls_of(stack, "/slow")) == 1
    assert stack.metric("sluice_workers_buried_total", "dispatcher") == 0
    assert "worker_declared_dead" not in stack["worker-1"].text()
    quiet(stack)


@point("store_full")
def test_a_full_store_accepts_nothing_and_completes_all(make_stack):
    stack = make_stack(config)
    answer = start(stack.call, "POST", "/call/sample/slow?sleep_ms=3000")
    wait_until(lambda: calls_of(stack, "/slow"), 20, "the call")
    stack.redis.config_set("maxmemory", stack.redis.info("memory")["used_memory"] // 2)
    refused = expect_problem(stack.submit(path="/refused"), 503)
    assert "memory" in refused["detail"]
    assert answer.result(30).status_code == 200
    stack.redis.config_set("maxmemory", 0)
    job = stack.submit(path="/after").json()["id"]
    assert stack.wait_job(job)["state"] == "succeeded"
    assert calls_of(stack, "/refused") == []


@point("store_read_only")
def test_a_store_that_turns_read_only(make_stack):
    stack = make_stack(config)
    answer = start(stack.call, "POST", "/call/sample/slow?sleep_ms=2000")
    wait_until(lambda: calls_of(stack, "/slow"), 20, "the call")
    stack.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    expect_problem(stack.submit(path="/refused"), 503)
    wait_until(lambda: stack.http.get(stack["worker-1"].url + "/readyz", timeout=5).status_code == 503, 20, "worker not ready")
    stack.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert answer.result(40).status_code == 200
    assert len(calls_of(stack, "/slow")) == 1
    stack.wait_ready()
    assert stack.wait_job(stack.submit(path="/after").json()["id"])["state"] == "succeeded"
    assert calls_of(stack, "/refused") == []
    quiet(stack)


@point("store_refused")
@pytest.mark.parametrize("name, value", [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")])
def test_a_store_that_would_forget_is_refused(make_stack, name, value):
    stack = make_stack(config)
    before = stack.redis.config_get(name)[name]
    stack.redis.config_set(name, value)
    stack.redis.client_kill_filter(_type="normal", skipme=True)
    said = f"not durable: {name} is {value}"
    wait_until(lambda: said in stack.http.get(stack.ingress_url + "/readyz", timeout=5).text, 20, said)
    expect_problem(stack.submit(path="/refused"), 503)
    stack.redis.config_set(name, before)
    stack.wait_ready()
    assert stack.wait_job(stack.submit(path="/after").json()["id"])["state"] == "succeeded"
