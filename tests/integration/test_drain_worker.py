# SPDX-License-Identifier: Apache-2.0
"""A worker told to stop begins nothing, ends what it runs, hands back the rest, and says goodbye: whatever is down meanwhile."""
import re
import time
from signal import SIGTERM

import pytest

from harness import wait_until
from harness.load import config_of, quiet, together

LEASE_S = 5


def config(total_s, **worker):
    """Two hold for a person what is in doubt; "narrow" has one call at a time."""
    def make(stack):
        tenant = {"in_doubt": {"policy": "hold"}, "timeouts": {"sync_s": 60, "total_s": total_s}}
        return config_of(stack, {"sample": tenant, "narrow": {**tenant, "concurrency": 1}},
                         worker={"lease_s": LEASE_S, **worker})

    return make


def proxied(stack):
    """A second worker, whose way to the store leads through a proxy; the first is stopped."""
    proxy = stack.add_proxy("proxy", stack.redis_port, direction="both").start()
    assert stack.stop("worker-1") == 0
    stack.env["SLUICE_CFG_STORE_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
    worker = stack.add("worker")
    worker.wait_ready()
    return proxy, worker


def cut(proxy):
    proxy.order("/refuse")
    proxy.order("/cut")


def workers_known(stack):
    return stack.redis.hgetall("{sluice}:w")


def log_of(process):
    return process.log.read_text(errors="replace")


def in_hand(stack, process):
    return stack.metric("sluice_worker_in_hand", process.name)


def ended(process, timeout=40):
    wait_until(lambda: not process.is_running, timeout, f"the end of {process.name}")
    return process.popen.returncode


def submit(stack, path, tenant="sample"):
    answer = stack.submit(path, tenant)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def test_what_was_not_begun_is_handed_back_while_the_store_is_away(make_stack):
    stack = make_stack(config(60))
    proxy, worker = proxied(stack)
    cut(proxy)
    jobs = together(8, lambda n: submit(stack, f"/back/{n}"), range(20))
    wait_until(lambda: in_hand(stack, worker) >= 20, 20, "all are in the worker's hand")
    worker.signal(SIGTERM)
    assert ended(worker, 20) == 0
    assert "because=drained" in log_of(worker)
    stack["worker-1"].start()
    for job in jobs:
        record = stack.wait_job(job)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1), record
    quiet(stack)


@pytest.mark.timeout_s(180)
def test_a_store_that_comes_back_late_begins_nothing_that_would_be_cut_off(make_stack):
    """It comes back while the worker drains: what was then claimed would be cut off in the middle."""
    stack = make_stack(config(60, drain_s=3))
    proxy, worker = proxied(stack)
    cut(proxy)
    jobs = together(8, lambda n: submit(stack, f"/late/{n}?sleep_ms=6000"), range(5))
    wait_until(lambda: in_hand(stack, worker) >= 5, 20, "all are in the worker's hand")
    worker.signal(SIGTERM)
    proxy.order("/accept")
    assert ended(worker, 40) == 0, "an attempt was begun that the drain cut off"
    stack["worker-1"].start()
    for job in jobs:
        record = stack.wait_job(job, timeout=40)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1), record
        assert len(stack.receipts(job=job)) == 1


def test_what_waits_for_a_slot_is_handed_back(make_stack):
    stack = make_stack(config(30), workers=2)
    running = submit(stack, "/first?sleep_ms=3000", "narrow")
    wait_until(lambda: stack.receipts(path="/first"))
    jobs = [submit(stack, f"/waits/{n}", "narrow") for n in range(6)]
    wait_until(lambda: in_hand(stack, stack["worker-1"]) + in_hand(stack, stack["worker-2"]) >= 2, 20)
    stack["worker-1"].signal(SIGTERM)
    assert ended(stack["worker-1"]) == 0
    for job in [running, *jobs]:
        record = stack.wait_job(job)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1), record
        assert len(stack.receipts(job=job)) == 1
    quiet(stack)


def test_the_goodbye_is_heard_though_the_store_was_away(make_stack):
    stack = make_stack(config(5))
    proxy, worker = proxied(stack)
    [name] = wait_until(lambda: len(workers_known(stack)) == 1 and workers_known(stack))
    cut(proxy)
    wait_until(lambda: "store_lost" in log_of(worker), 10)
    worker.signal(SIGTERM)
    proxy.order("/accept")
    assert ended(worker, 20) == 0
    assert name not in workers_known(stack)
    assert stack.metric("sluice_workers_buried_total", "dispatcher") == 0


def test_the_drain_is_as_long_as_the_tenants_of_today_need(make_stack):
    """The worker read its file when attempts were short; the registry knows better."""
    stack = make_stack(config(1))
    stack.configure(config(30))
    def is_known():
        job = submit(stack, "/probe?sleep_ms=1500")
        return stack.wait_job(job)["state"] == "succeeded"
    wait_until(is_known, 30, "the longer limit is known")
    jobs = together(4, lambda n: submit(stack, f"/long/{n}?sleep_ms=10000"), range(4))
    wait_until(lambda: len(stack.receipts()) >= 5 and all(stack.receipts(path=f"/long/{n}") for n in range(4)), 20)
    stack["worker-1"].signal(SIGTERM)
    assert ended(stack["worker-1"]) == 0
    for job in jobs:
        assert stack.job(job)["state"] == "succeeded"


def test_a_drain_that_is_too_short_says_whom_it_cuts_off(make_stack):
    stack = make_stack(config(30, drain_s=1), workers=2)
    job = submit(stack, "/cut?sleep_ms=8000")
    wait_until(lambda: stack.receipts(path="/cut"))
    [worker] = [stack[n] for n in ("worker-1", "worker-2") if stack.metric("sluice_worker_running", n)]
    worker.was_killed = True  # it does not end well
    worker.signal(SIGTERM)
    assert ended(worker) == 1
    log = log_of(worker)
    assert re.search("id=drain_short .* drain_ms=1000 longest_ms=30000 ", log), log
    assert re.search(f"id=attempt_cut .* job={job} attempt=1 ", log), log
    assert stack.wait_job(job, timeout=60)["state"] == "in_doubt"
    assert len(stack.receipts(job=job)) == 1


def test_a_worker_that_is_cut_off_from_the_store_holds_nothing(make_stack):
    """What the broker gave it is done by another, long before the cable is back."""
    stack = make_stack(config(30, concurrency=16))
    proxy, worker = proxied(stack)
    stack["worker-1"].start()
    cut(proxy)
    wait_until(lambda: "store_lost" in log_of(worker), 10)
    jobs = together(8, lambda n: submit(stack, f"/cut/{n}"), range(40))
    for job in jobs:
        record = stack.wait_job(job, timeout=15)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1), f"held by a worker that cannot claim: {record}"
    assert in_hand(stack, worker) == 0
    proxy.order("/accept")
    wait_until(lambda: "store_reached" in log_of(worker), 10)
    assert stack.stop("worker-1") == 0
    assert stack.wait_job(submit(stack, "/after"))["state"] == "succeeded"
    quiet(stack)


def test_a_store_that_comes_and_goes_loses_and_repeats_nothing(make_stack):
    """Taken, handed back and taken again, each few seconds, with claims whose answers are lost."""
    stack = make_stack(config(30, concurrency=8))
    proxy, worker = proxied(stack)
    stack["worker-1"].start()
    stack["worker-1"].wait_ready()
    jobs = []
    for n in range(4):
        jobs += together(8, lambda i: submit(stack, f"/flap/{n}/{i}?sleep_ms={i * 100}"), range(16))
        jobs += together(2, lambda i: submit(stack, f"/narrow/{n}/{i}?sleep_ms=100", "narrow"), range(3))
        cut(proxy)
        time.sleep(2.5 if n % 2 else 0.3)
        proxy.order("/accept")
        time.sleep(1.5 if n % 2 else 0.7)
    for job in jobs:
        record = stack.wait_job(job, timeout=60)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1), record
    assert len(stack.receipts()) == len(jobs)
    wait_until(lambda: in_hand(stack, worker) + in_hand(stack, stack["worker-1"]) == 0, 20, "nothing is in hand")
    assert stack.redis.hlen("{narrow}:s") + stack.redis.hlen("{sample}:s") == 0, "a slot is left"
    quiet(stack)
