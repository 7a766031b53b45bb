# SPDX-License-Identifier: Apache-2.0
"""Workers that come back from the dead, die with a hundred attempts in hand, or lose their connection: what they run is judged by
the tenant's ledger, the records and the broker."""
import time
from signal import SIGCONT

import pytest

from harness import wait_until
from harness.load import config_of, together
from points import point
from test_worker_points import (LEASE, LONG, QUICK, config, counters, messages, record, rest, submit, succeeded_once, take,
                                wait_sent)

TENANTS = ("holds", "retries")
HELD = 3
HUNDRED = 100
LIMIT = 25


def both(stack, **daemons):
    """A tenant of each policy."""
    keys = {"timeouts": LONG, "retry": QUICK}
    return config_of(stack, {"holds": {**keys, "in_doubt": {"policy": "hold"}},
                             "retries": {**keys, "in_doubt": {"policy": "retry"}}}, **{**LEASE, **daemons})


def hang(stack, tenant, count, path="/hangs"):
    """So many jobs, each with a call that the paused tenant answers when it is let go."""
    return [submit(stack, f"{path}/{tenant}/{n}", tenant=tenant) for n in range(count)]


@pytest.mark.timeout_s(180)
@point("worker_zombie")
def test_a_zombie_changes_nothing_and_works_again(make_stack, seam):
    stack = make_stack(both)
    process = stack["worker-1"]
    process.env.update(seam.env(nth=2 * HELD + 1))  # the one behind those that hang
    process.restart()
    stack.tenant.control(pause=1)
    held, retried = hang(stack, "holds", HELD), hang(stack, "retries", HELD)
    for job in [*held, *retried]:
        wait_sent(stack, job)
    unsent = submit(stack, "/unsent", tenant="holds")
    seam.wait_hit()
    old = stack.redis.hkeys("{sluice}:w")
    stack.add("worker")

    # Another worker gives each what its policy says.
    for job in [*held, unsent]:
        assert stack.wait_job(job, timeout=60)["state"] == "in_doubt"
    for job in retried:
        wait_sent(stack, job, 2)
    assert [stack.redis.hget("{sluice}:w", name) for name in old] == ["dead"]
    stack.tenant.control(pause=0)
    for job in retried:
        assert stack.wait_job(job)["state"] == "succeeded"
    process.signal(SIGCONT)

    # Its late answers settle what nobody attempted after it, and nothing else.
    for job in held:
        assert stack.wait_job(job, "succeeded")["outcome"]["status"] == 200
    for job in retried:
        wait_until(lambda: record(stack, job, "lt1") == ["200\t"], 20, "a late answer, kept")
        assert stack.result(job).json()["attempt"] == "2"
    wait_until(lambda: record(stack, unsent, "lt1") != [None], 20, "the word on what was not sent")
    assert stack.job(unsent)["state"] == "in_doubt"
    assert [len(stack.receipts(job=job)) for job in [*held, *retried, unsent]] == [1] * HELD + [2] * HELD + [0]

    # Under another name it works again: alone.
    process.wait_ready()
    assert stack.stop("worker-2") == 0
    again = submit(stack, "/again", tenant="holds")
    assert stack.wait_job(again)["state"] == "succeeded"
    assert record(stack, again, "w")[0] not in old
    assert stack.redis.hget("{sluice}:w", old[0]) == "dead"
    for tenant, doubtful in zip(TENANTS, (1, 0)):
        assert [int(n or 0) for n in stack.redis.hmget(f"{{{tenant}}}:t", "run", "ind")] == [0, doubtful]
    rest(stack, tenants=TENANTS)


@pytest.mark.timeout_s(180)
@point("worker_dead_before_slot_end")
def test_a_slot_outlives_its_workers_lease(make_stack):
    """A tenant that takes one call at a time, and goes on with it when its caller is dead."""
    def single(stack):
        tenant = stack.add_tenant("single", limit=1)
        instances = [{"name": "single", "url": tenant.url, "concurrency": 1}]
        timeouts = {**LONG, "first_byte_s": 10, "total_s": 10}
        return config("retry", instances=instances, timeouts=timeouts, slot_linger_s=2)(stack)

    stack = make_stack(single)
    stack["single"].control(pause=1)
    first = submit(stack, "/first", idempotency_key="first")
    wait_sent(stack, first)
    slot_end = int(record(stack, first, "se")[0])
    stack.kill("worker-1")
    stack.start("worker-1", wait=False)
    second = submit(stack, "/second")
    wait_until(lambda: stack.redis.zcard("{sample}:d"), 20, "the worker declared dead")
    assert time.time() * 1000 < slot_end - 2000, "the lease was over too late to show anything"
    wait_until(lambda: time.time() * 1000 > slot_end - 1000, 15)
    assert len(stack.receipts()) == 1
    stack["single"].control(pause=0)
    for job in (first, second):
        assert stack.wait_job(job, timeout=60)["state"] == "succeeded"
    rest(stack)
    receipts = sorted(stack.receipts(), key=lambda r: r["time"])
    assert len(receipts) == 3 and receipts[1]["time"] >= slot_end, (receipts, slot_end)
    stats = stack["single"].stats()
    assert (stats["dropped"], stats["peak"]) == (0, 1)
    assert stack.redis.hlen("{sample}:s") == 0 and counters(stack, "c", "run") == [0, 0]


@pytest.mark.slow
@pytest.mark.timeout_s(240)
@point("worker_killed_with_a_hundred")
def test_a_worker_is_killed_with_a_hundred_attempts(make_stack):
    lease_s, total_s = 6, 20
    tenants = {"holds-1": "hold", "holds-2": "hold", "retries": "retry", "limited": "retry"}

    def hundred(stack):
        keys = {"timeouts": {**LONG, "first_byte_s": total_s, "total_s": total_s}, "retry": QUICK, "slot_linger_s": 1}
        more = {"limited": {"concurrency": LIMIT}}
        return config_of(stack, {name: {**keys, "in_doubt": {"policy": policy}, **more.get(name, {})}
                                 for name, policy in tenants.items()},
                         worker={"lease_s": lease_s, "concurrency": 400}, dispatcher={"leader_lease_s": 2})

    stack = make_stack(hundred)
    stack.tenant.control(pause=1)
    jobs = {name: together(8, lambda n, name=name: submit(stack, f"/{name}/{n}", tenant=name), range(LIMIT))
            for name in tenants}
    wait_until(lambda: stack.tenant.stats()["running"] == HUNDRED, 60, "a hundred attempts")
    stack.add("worker").wait_ready()
    stack.kill("worker-1")
    killed = time.monotonic()
    ends = [int(stack.redis.hget("{limited}:j:" + job.partition(".")[2], "se")) for job in jobs["limited"]]
    assert len(stack.receipts()) == HUNDRED
    stack.tenant.control(pause=0)

    def settled(name, state):
        together(8, lambda job: stack.wait_job(job, state, timeout=60), jobs[name])
        return time.monotonic() - killed

    # Two leases, and what a loaded machine takes to show it.
    for name, state in (("holds-1", "in_doubt"), ("holds-2", "in_doubt"), ("retries", "succeeded")):
        took_s = settled(name, state)
        assert took_s < 2 * lease_s + 5, f"{name}: {took_s:.1f} s"
    settled("limited", "succeeded")
    calls = {job: [] for name in tenants for job in jobs[name]}
    for receipt in stack.receipts():
        calls[receipt["job"]].append(receipt["time"])
    for name, policy in tenants.items():
        assert {len(calls[job]) for job in jobs[name]} == {1 if policy == "hold" else 2}, name
    # Its slots were taken by the dead until their end, and no longer than it takes to see that.
    seconds = sorted(calls[job][1] for job in jobs["limited"])
    assert seconds[0] >= min(ends), (seconds[0], min(ends))
    assert seconds[-1] < max(ends) + 10000, (seconds[-1], max(ends))
    wait_until(lambda: stack.redis.hget("{limited}:t", "c") == "0", 20)
    rest(stack, shelved=2 * LIMIT, tenants=tenants)


@point("worker_connection_closed")
def test_a_closed_connection_cuts_no_attempt(make_stack):
    stack = make_stack(both)
    stack.tenant.control(pause=1)
    jobs = [*hang(stack, "holds", HELD), *hang(stack, "retries", HELD)]
    for job in jobs:
        wait_sent(stack, job)
    stack.broker.ctl("close_all_connections", "--vhost", stack.vhost, "a test")
    wait_until(lambda: "id=consumer_lost" in stack["worker-1"].text(), 20, "the connection lost")
    wait_until(lambda: messages(stack, TENANTS) > 0, 30, "what came again, on the ladder", every=0.1)
    stack.tenant.control(pause=0)
    for job in jobs:
        found = stack.wait_job(job)
        assert (found["state"], len(found["attempts"])) == ("succeeded", 1)
    rest(stack, tenants=TENANTS)
    assert [len(stack.receipts(job=job)) for job in jobs] == [1] * len(jobs)
    # An acknowledgement on another channel than its own would have closed that one.
    assert "PRECONDITION" not in stack["worker-1"].text()


# --- what is given back ---


def all_taken(stack, is_taken):
    """As if another worker had every slot of the tenant's."""
    stack.redis.hset("{sample}:t", mapping={"c": int(is_taken), "c:sample-1": int(is_taken)})


def one_slot(stack):
    backend = {"name": "sample-1", "url": stack.tenant.url, "concurrency": 1}
    return config("hold", instances=[backend])(stack)


def given_back(stack):
    """Stops the worker with a delivery that it has not begun: (redelivered, what is said of the job) of what it put in its place."""
    wait_until(lambda: stack.metric("sluice_worker_in_hand", "worker-1") == 1, 20, "a delivery in hand")
    assert stack.stop("worker-1") == 0
    with stack.amqp() as broker:
        method, properties, _ = take(broker.channel(), "sluice.sample.normal")
        return method.redelivered, properties.headers["j"]


def runs_once(stack, job):
    all_taken(stack, False)
    stack["worker-1"].start()
    succeeded_once(stack, job)


@point("worker_gives_back")
def test_what_is_given_back_stays_unattempted(make_stack):
    stack = make_stack(one_slot)
    all_taken(stack, True)
    job = submit(stack, "/given-back")
    is_redelivered, said = given_back(stack)
    assert not is_redelivered and "\nat 1\n" not in said, said
    runs_once(stack, job)


@point("worker_gives_back_redelivered")
def test_what_came_twice_is_given_back_as_attempted(make_stack, seam):
    stack = make_stack(one_slot)
    seam.arm(stack, "worker-1")
    all_taken(stack, True)
    job = submit(stack, "/came-twice")
    seam.wait_killed(stack, "worker-1")
    stack.start("worker-1")
    is_redelivered, said = given_back(stack)
    assert not is_redelivered and "\nat 1\n1\n" in said, said
    runs_once(stack, job)
