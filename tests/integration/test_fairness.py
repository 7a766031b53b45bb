# SPDX-License-Identifier: Apache-2.0
"""Priority and fairness (protocol.md, "Priority and fairness"): the classes high, normal and low are served 8:3:1 and none
starves; a worker is divided among what has work, and one class alone may use all of it; with fair_by one caller's many
jobs do not keep another's few waiting; no queue that ever carried messages is left behind."""
import time

import pytest

from harness import wait_until
from harness.load import by_path, config_of, expect_problem, quiet, start, together

CLASSES = ("high", "normal", "low")


@pytest.fixture
def pool(make_stack):
    """pool(tenant's keys, …) -> a stack with one tenant, whose instance says nothing of a limit of its own."""
    def make(keys=None, worker=None, **more):
        def config(stack):
            backend = [{"name": "s", "url": stack.tenant.url}]
            return config_of(stack, {"sample": {"instances": backend, **(keys or {})}}, **({"worker": worker} if worker else {}))

        stack = make_stack(config, **more)
        stack.tenant_keys = keys
        return stack

    return make


def post(stack, path, headers=None, **job):
    """A job whose request has these headers."""
    request = {"method": "POST", "path": path, "headers": headers or {}}
    answer = stack.call("POST", "/v1/jobs", json={"tenant": "sample", "request": request, **job})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def order_of(stack, prefix):
    """What the tenant began, in order: the second part of each path below the prefix."""
    rows = [r for r in stack.receipts() if r["path"].startswith(prefix)]
    return [r["path"][len(prefix):].split("/")[0].split("?")[0] for r in rows]


def hold_slot(stack, ms=3000):
    """The single slot is taken while a backlog builds up; wait_for() until it is free again."""
    future = start(stack.call, "POST", f"/call/sample/first?sleep_ms={ms}")
    wait_until(lambda: stack.tenant.stats()["running"] == 1, 20)
    return future


def backlog(stack, per_class, path="/work", ms=20):
    def submit(job):
        answer = stack.submit(f"{path}/{job[0]}/{job[1]}?sleep_ms={ms}", priority=job[0])
        assert answer.status_code == 202, answer.text
        assert answer.json()["priority"] == job[0]
        return answer.json()["id"]

    return together(24, submit, [(c, n) for n in range(per_class) for c in CLASSES])


@pytest.mark.timeout_s(180)
def test_classes_are_served_by_their_weights(pool):
    stack = pool({"concurrency": 1, "timeouts": {"sync_s": 60}})
    first = hold_slot(stack, 6000)
    jobs = backlog(stack, 150)
    assert first.result(60).status_code == 200
    wait_until(lambda: len(order_of(stack, "/work/")) == 450, 120)
    order = order_of(stack, "/work/")
    # While all three have work: 8 + 3 + 1 = 12 a round. The first few come before all have something in hand.
    seen = [order[12:156].count(c) for c in CLASSES]
    assert 80 <= seen[0] <= 112 and 24 <= seen[1] <= 50 and 6 <= seen[2] <= 24, f"not served 8:3:1: {seen}"
    # And never long without any of them.
    gaps = [i for i, c in enumerate(order[:156]) if c == "low"]
    assert max(b - a for a, b in zip(gaps, gaps[1:])) <= 30, f"low starved: {gaps}"
    assert stack.tenant.stats()["peak"] == 1
    job = stack.wait_job(jobs[0], "succeeded")
    assert job["priority"] == "high"
    quiet(stack)


@pytest.mark.timeout_s(120)
def test_calls_longer_than_a_worker_waits_are_served_by_their_weights(pool):
    """Everything not begun goes back to the queue every two seconds, and the lanes wake together."""
    stack = pool({"concurrency": 1, "timeouts": {"sync_s": 60}})
    first = hold_slot(stack, 4000)
    backlog(stack, 12, ms=2400)
    assert first.result(60).status_code == 200
    wait_until(lambda: len(order_of(stack, "/work/")) >= 14, 90)
    seen = [order_of(stack, "/work/")[:14].count(c) for c in CLASSES]
    assert seen[0] >= 7 and seen[1] >= 2 and seen[2] >= 1 and seen[1] <= 6 and seen[2] <= 3, f"not served 8:3:1: {seen}"


@pytest.mark.timeout_s(120)
def test_a_worker_is_divided_while_all_have_work(pool):
    stack = pool({"timeouts": {"sync_s": 60}}, worker={"concurrency": 48})
    backlog(stack, 2, path="/warm")
    jobs = backlog(stack, 400, ms=400)
    wait_until(lambda: len(order_of(stack, "/work/")) >= 700, 90)
    order = order_of(stack, "/work/")[200:700]
    seen = [order.count(c) for c in CLASSES]
    assert seen[0] > 1.6 * seen[1] and seen[1] > 1.6 * seen[2] and seen[2] > 5, f"not divided by weight: {seen}"
    together(24, lambda i: stack.wait_job(i, "succeeded", timeout=90), jobs)
    # The tenant counts a call until it has sent the answer; on a slow machine the next one is there before. Undivided, it would be 144.
    assert stack.tenant.stats()["peak"] <= 60, "more than the worker's concurrency"


@pytest.mark.timeout_s(120)
@pytest.mark.parametrize("what", ["sync", "high"])
def test_one_class_alone_uses_the_whole_worker(pool, what):
    """Situation D: 200 calls held at once by one worker of 256."""
    stack = pool({"timeouts": {"sync_s": 60}}, worker={"concurrency": 256})

    def send(n):
        path = f"/held/{n}?sleep_ms=8000"
        if what == "sync":
            return stack.call("POST", f"/call/sample{path}", timeout=60).status_code
        return stack.submit(path, priority="high").status_code

    futures = start(together, 200, send, range(200))
    wait_until(lambda: stack.tenant.stats()["running"] == 200, 7, "200 calls held at once")
    assert set(futures.result(60)) == {200 if what == "sync" else 202}


@pytest.mark.timeout_s(180)
def test_one_callers_many_do_not_starve_anothers_ten(pool):
    stack = pool({"concurrency": 4, "fair_by": "X-Customer"})

    def submit(who, n):
        return post(stack, f"/fair/{who}/{n}?sleep_ms=20", {"X-Customer": who})

    together(32, lambda n: submit("greedy", n), range(2000))
    before = len(order_of(stack, "/fair/"))
    assert before < 1500, "the backlog is too short to show anything"
    modest = together(10, lambda n: submit("modest", n), range(10))
    together(10, lambda i: stack.wait_job(i, "succeeded", timeout=60), modest)
    order = order_of(stack, "/fair/")
    after = order[before:]
    place = max(i for i, who in enumerate(after) if who == "modest")
    assert place < 120, f"the last of ten came {place} jobs later"
    assert len([who for who in order if who == "greedy"]) < 2000, "the backlog was over"
    wait_until(lambda: len(order_of(stack, "/fair/")) == 2010, 120)
    quiet(stack)


def set_fair(stack, fair_by):
    """As an operator would: the file changes, and what the store has of the tenant follows. keys is what config() reads."""
    stack.tenant_keys["fair_by"] = fair_by
    stack.configure(stack._config)


@pytest.mark.timeout_s(180)
def test_fair_by_may_come_and_go_under_a_backlog(pool):
    stack = pool({"concurrency": 2, "fair_by": None})

    def batch(name, fair):
        together(16, lambda n: post(stack, f"/switch/{name}/{n}?sleep_ms=10", {"X-Who": f"c{n % 5}"}), range(200))
        if fair is not None:
            wait_until(lambda: any(q.startswith("sluice.sample.normal.") for q in stack.queues()), 10)

    batch("plain", None)
    set_fair(stack, "X-Who")
    wait_until(lambda: "fair_by" in (stack.redis.get("{sample}:doc") or ""), 10)
    time.sleep(1.5)  # an ingress reads the registry each second; before that it publishes as before, which is allowed
    batch("fair", "X-Who")
    set_fair(stack, None)
    wait_until(lambda: "fair_by" not in (stack.redis.get("{sample}:doc") or "fair_by"), 10)
    # And a worker that never saw the time between: the list tells it of the queues.
    stack.kill("worker")
    batch("after", None)
    stack["worker"].start()
    wait_until(lambda: {k: order_of(stack, "/switch/").count(k) >= 200 for k in ("plain", "fair", "after")} ==
               {"plain": True, "fair": True, "after": True}, 90, "a queue was left behind")
    quiet(stack)


@pytest.mark.timeout_s(120)
@pytest.mark.parametrize("keys", [{}, {"fair_by": "X-Who"}], ids=["plain", "fair"])
def test_the_class_survives_delay_and_retry_and_redrive(pool, keys):
    stack = pool({"retry": {"max_attempts": 2, "initial_s": 3, "factor": 1, "max_s": 3}, **keys})
    job = post(stack, "/again/low?status=503", {"X-Who": "a"}, priority="low", delay_s=1)
    suffix = ".low" if not keys else ".low."
    lanes = [q for q in stack.queues() if q.startswith("sluice.sample.low")]
    assert lanes and all((suffix in q) for q in lanes), lanes
    first = stack.redis.hgetall("{sample}:j:" + job.partition(".")[2])
    assert first.get("cl", "normal") == "normal" and first["pr"] == "low"
    stack.wait_job(job, "failed", timeout=30)
    # On the shelf: its head has class and lane, and redrive publishes by them.
    head = stack.redis.hget("{sample}:b:" + job.partition(".")[2], "h")
    assert "c 3\nlow\n" in head and ("fl 1\n" in head) == bool(keys), head
    # The record says failed before the delivery is acknowledged: a kill between the two would bring that one back.
    wait_until(lambda: stack.unacknowledged() == 0, 20, "the last delivery acknowledged")
    stack.kill("worker")
    assert stack.call("POST", f"/v1/dead/{job}/redrive").status_code in (200, 202)
    wait_until(lambda: sum(n[0] for q, n in stack.queues().items() if q.startswith("sluice.sample.low")) == 1, 20,
               "its own queue")
    stack["worker"].start()
    stack.wait_job(job, "failed", timeout=40)
    assert len(by_path(stack.receipts())["/again/low"]) == 4
    assert stack.job(job)["priority"] == "low"


def test_the_header_of_a_call(pool):
    stack = pool({})
    answer = stack.call("POST", "/call/sample/x", headers={"Prefer": "respond-async", "Sluice-Priority": "high"})
    assert answer.status_code == 202 and answer.json()["priority"] == "high"
    stack.wait_job(answer.json()["id"], "succeeded")
    assert "sluice.sample.high" in stack.queues() and "sluice.sample.low" not in stack.queues()
    expect_problem(stack.call("POST", "/call/sample/x", headers={"Sluice-Priority": "urgent"}), 400)
    # Who waits is served as such.
    assert stack.call("POST", "/call/sample/x", headers={"Sluice-Priority": "low"}).status_code == 200
    assert "sluice.sample.low" not in stack.queues()


@pytest.mark.timeout_s(120)
def test_a_forgotten_list_is_written_again(make_stack):
    """Redis and all workers are lost, messages wait in a queue that nobody knows any more: the leader finds it."""
    def config(stack):
        return config_of(stack, {"sample": {"fair_by": "X-Who"}}, store={"durability": "fast"})

    stack = make_stack(config, private=True)
    stack.kill("worker")
    jobs = [post(stack, f"/lost/{n}", {"X-Who": str(n)}, priority="high") for n in range(20)]
    stack.kill("ingress")
    stack.kill("dispatcher")
    stack.redis.flushall()
    for name in ("dispatcher", "worker", "ingress"):
        stack[name].start()
    wait_until(lambda: len({r["path"] for r in stack.receipts() if r["path"].startswith("/lost/")}) == 20, 60,
               "a queue was left behind")
    for job in jobs:
        stack.wait_job(job, "succeeded")
    quiet(stack)
